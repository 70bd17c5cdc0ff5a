"""Reads mails strictly, with Python's `email`, and reports what is wrong with them.

Usage: read_letters.py FILE.eml…
Prints a JSON list with an object for each mail: its headers as people see them, its text, the addresses in
its text and in its HTML, and its problems (there should be none).
"""

import email
import email.policy
import email.utils
import html.parser
import json
import re
import sys
import unicodedata

ONCE = [
    "Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted",
    "X-Auto-Response-Suppress",
]
ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=")
ADDRESS = re.compile(r"https?://[^\s<>]+")
MSG_ID = re.compile(r"<[^<>@\s]+@[^<>@\s]+>")
COLUMNS = 76
BLOCKS = {"p", "div", "li", "ul", "table", "tr", "td", "br", "blockquote", "body", "html"}
VOID = {"meta", "br", "img", "link", "hr", "input"}


class Reader(html.parser.HTMLParser):
    """The addresses in a mail's HTML, its words, and whether its elements are closed in order."""

    def __init__(self):
        super().__init__()
        self.addresses, self.words, self.open, self.problems = [], [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag in {"script", "img", "iframe", "link", "form", "object", "svg"} or "src" in attributes:
            self.problems.append(f"<{tag}> in a mail")
        if any(name.startswith("on") for name in attributes):
            self.problems.append(f"a script in <{tag}>")
        if tag == "a":
            self.addresses.append(attributes.get("href", ""))
        if tag not in VOID:
            self.open.append(tag)
        if tag in BLOCKS:
            self.words.append("\n")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes no element")

    def handle_data(self, text):
        if "title" not in self.open:
            self.words.append(text)


def columns(text):
    wide = sum(1 for letter in text if unicodedata.east_asian_width(letter) in "WF")
    nothing = sum(1 for letter in text if unicodedata.category(letter) in {"Mn", "Me", "Cf"})
    return len(text) + wide - nothing


def raw_problems(raw):
    if b"\n" in raw.replace(b"\r\n", b"") or b"\r" in raw.replace(b"\r\n", b""):
        yield "a line that does not end in CRLF"
    if not raw.isascii():
        yield "bytes above 127"
    for line in raw.split(b"\r\n"):
        if len(line) > 998:
            yield f"a line of {len(line)} bytes"
    head = raw.split(b"\r\n\r\n")[0].decode("ascii", "replace")
    for line in head.split("\r\n"):
        # RFC 2047 section 2: 75 characters a word, 76 a line with one.
        words = ENCODED_WORD.findall(line)
        if any(len(word) > 75 for word in words):
            yield f"an encoded word of more than 75 characters: {line}"
        if words and len(line) > 76:
            yield f"a line of {len(line)} characters with an encoded word: {line}"
    for word in ENCODED_WORD.findall(head):
        try:
            [(text, charset)] = email.header.decode_header(word)
            text.decode(charset)
        except (ValueError, LookupError, UnicodeDecodeError) as error:
            yield f"an encoded word that is not valid text by itself: {word}: {error}"


def header_problems(mail):
    names = [name.lower() for name in mail.keys()]
    for name in ONCE:
        if names.count(name.lower()) != 1:
            yield f"{name} occurs {names.count(name.lower())} times"
    for name, value in mail.items():
        for defect in getattr(value, "defects", ()):
            yield f"{name}: {defect!r}"
    if not MSG_ID.fullmatch(str(mail["Message-ID"])):
        yield f"Message-ID: {mail['Message-ID']}"
    for name in ["References", "In-Reply-To"]:
        if name in mail and not MSG_ID.fullmatch(str(mail[name])):
            yield f"{name}: {mail[name]}"
    if email.utils.parsedate_to_datetime(str(mail["Date"])).utcoffset().total_seconds() != 0:
        yield f"Date: {mail['Date']}"


def read(path):
    with open(path, "rb") as file:
        raw = file.read()
    problems = list(raw_problems(raw))
    mail = email.message_from_bytes(raw, policy=email.policy.SMTP.clone(raise_on_defect=True))
    problems += header_problems(mail)
    kinds = [(part.get_content_type(), part.get_content_charset()) for part in mail.iter_parts()]
    if mail.get_content_type() != "multipart/alternative":
        problems.append(f"a mail of the type {mail.get_content_type()}")
    if kinds != [("text/plain", "utf-8"), ("text/html", "utf-8")]:
        problems.append(f"parts: {kinds}")
    text, page = [part.get_content().replace("\r\n", "\n") for part in mail.iter_parts()]
    reader = Reader()
    reader.feed(page)
    reader.close()
    problems += reader.problems + [f"<{tag}> is not closed" for tag in reader.open]
    for line in text.split("\n"):
        if columns(line) > COLUMNS and "://" not in line and "@" not in line:
            problems.append(f"{columns(line)} columns: {line}")
    if not text.endswith("\n") or "\n\n\n" in text or "\n\n-- \n" not in text:
        problems.append(f"the text is not laid out well: {text!r}")
    own = [line for line in text.split("\n") if not line.startswith(">")]
    addresses = ADDRESS.findall("\n".join(own))
    problems += [f"other text on the line of an address: {line}" for line in own if "://" in line and not ADDRESS.fullmatch(line)]
    problems += [f"an address of {len(address)} characters: {address}" for address in addresses if len(address) > 100]
    shown = ADDRESS.findall("".join(reader.words))
    if set(addresses) != set(reader.addresses) or not {address for address in shown if address in addresses} == set(shown) - noted(text):
        problems.append(f"text and HTML lead to different places: {addresses} {reader.addresses} {shown}")
    return {
        "file": path,
        "from": [[str(one.display_name), one.addr_spec] for one in mail["From"].addresses],
        "reply_to": [one.addr_spec for one in mail["Reply-To"].addresses] if "Reply-To" in mail else [],
        "headers": {name: str(value) for name, value in mail.items()},
        "text": text,
        "html_text": re.sub(r"[ \n]+", " ", "".join(reader.words)).strip(),
        "addresses": addresses,
        "problems": problems,
    }


def noted(text):
    """The addresses in a person's note, which HTML shows as plain text."""
    return set(ADDRESS.findall("\n".join(line for line in text.split("\n") if line.startswith(">"))))


print(json.dumps([read(path) for path in sys.argv[1:]]))
