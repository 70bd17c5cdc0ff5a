"""A server of its own for scripts: a folder of files, accounts, and people who send requests to it."""

import http.cookiejar
import html
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

PASSWORD = "seven quiet herons wait"
ADDRESS = re.compile(r"https?://[^\s<>\"]+")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, done, seconds=60):
    """Waits for what `done` returns once it is true; an address that nobody listens on yet is not."""
    end = time.time() + seconds
    while time.time() < end:
        try:
            if found := done():
                return found
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"waited {seconds} s for {what}")


def is_open(port):
    return socket.create_connection(("127.0.0.1", port)).close() is None


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.location = response.headers.get("location", "")
        self.body = response.read().decode("utf-8", "replace")

    def value(self, before):
        """The value after `before`, up to the next quotation mark."""
        return html.unescape(self.body.split(before, 1)[1].split('"', 1)[0])

    @property
    def csrf(self):
        return self.value('name="csrf" value="')


class Person:
    """Someone with a browser that keeps cookies, or a program that sends them to the server."""

    def __init__(self, base):
        self.base, self.cookies = base, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies), NoRedirect
        )

    def send(self, path, body=None, **headers):
        request = urllib.request.Request(urllib.parse.urljoin(self.base, path), data=body, headers=headers)
        try:
            return Answer(self.opener.open(request, timeout=120))
        except urllib.error.HTTPError as refused:
            return Answer(refused)

    def get(self, path):
        return self.send(path, accept="text/html")

    def post(self, page, path, /, **fields):
        """Sends a form that is on `page`."""
        fields = {"csrf": self.get(page).csrf, **fields}
        return self.send(path, urllib.parse.urlencode(fields, doseq=True).encode(), accept="text/html")

    def log_in(self, email, password=PASSWORD):
        return self.post("/login", "/login", email=email, password=password, next="")

    def link(self, files, **terms):
        """Makes a link; returns the path of its page and its public addresses."""
        usual = dict(title="", note="", uses="1", ends="", expires="7d", password="", notify="never", recipients="")
        files = " ".join(urllib.parse.quote(file, safe="/") for file in files)
        made = self.post("/account", "/links", files=files, **{**usual, **terms})
        if made.status != 303:
            raise SystemExit(f"no link for {files}: {made.status} {made.body}")
        page = self.get(made.location).body
        return made.location, [html.unescape(one) for one in re.findall(r'data-copy="([^"]+)"', page)]

    def upload(self, folder, files):
        """Uploads files with the plain form."""
        mark = uuid.uuid4().hex
        fields = {"csrf": self.get("/account").csrf, "folder": urllib.parse.quote(folder, safe="/")}
        parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
        parts += [
            f'name="file"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'.encode() + content
            for name, content in files.items()
        ]
        body = b"".join(f"--{mark}\r\nContent-Disposition: form-data; ".encode() + part + b"\r\n" for part in parts)
        kind = f"multipart/form-data; boundary={mark}"
        return self.send("/files-upload", body + f"--{mark}--\r\n".encode(), **{"content-type": kind, "accept": "text/html"})


class Server:
    """Both services on free ports, with the data in a temporary folder. Use it in a `with` statement."""

    def __init__(self, binary, shares=(), more="", web=""):
        self.binary, self.home = str(pathlib.Path(binary).resolve()), pathlib.Path(tempfile.mkdtemp())
        self.web, self.download = free_port(), free_port()
        self.base = f"http://127.0.0.1:{self.web}"
        blocks = [
            f'[web]\nlisten = "127.0.0.1:{self.web}"\n{web}',
            f'[download]\nlisten = "127.0.0.1:{self.download}"',
            '[[share]]\nname = "home"\npath = "home"\npersonal = true\nread = ["everyone"]',
        ]
        (self.home / "home").mkdir()
        for share in shares:
            (self.home / share).mkdir()
            rights = 'read = ["everyone"]\nwrite = ["everyone"]\nmanage = ["everyone"]'
            blocks.append(f'[[share]]\nname = "{share}"\npath = "{share}"\n{rights}')
        (self.home / "oncelink.toml").write_text("\n".join([*blocks, more]))
        self.log, self.program = None, None

    def __enter__(self):
        self.log = open(self.home / "log", "wb")
        self.program = subprocess.Popen([self.binary, "serve", *self.config], cwd=self.home, stdout=self.log, stderr=self.log)
        until("oncelink", lambda: is_open(self.download) and Person(self.base).get("/readyz").status == 200)
        return self

    def __exit__(self, *_):
        self.program.terminate()
        self.program.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def config(self):
        return ["--config", str(self.home / "oncelink.toml")]

    def run(self, *arguments, **options):
        command = [self.binary, *arguments, *self.config]
        ended = subprocess.run(command, cwd=self.home, capture_output=True, text=True, **options)
        if ended.returncode:
            raise SystemExit(f"{command}: {ended.stderr}")
        return ended.stdout

    def account(self, email, name, *arguments):
        """Adds an account, and returns the person, logged in, and the path of their own folder."""
        self.run("user", "add", email, "--name", name, "--password-stdin", *arguments, input=PASSWORD + "\n")
        ids = {one["email"]: one["id"] for one in json.loads(self.run("user", "list", "--json"))}
        person = Person(self.base)
        assert person.log_in(email).status == 303
        return person, f"/home/{ids[email]}"

    def mail(self, *words):
        """Waits for an email that contains these words, and returns its text."""
        def arrived():
            for file in sorted((self.home / "data/outbox").glob("*.eml"), reverse=True):
                text = file.read_text("utf-8", "replace").replace("=\n", "")
                if all(word in text for word in words):
                    return text
        return until(f"an email with {words}", arrived)

    def mailed_link(self, *words):
        """The path of the first address in an email."""
        address = next(one for one in ADDRESS.findall(self.mail(*words)) if one.startswith(self.base))
        return address[len(self.base):]
