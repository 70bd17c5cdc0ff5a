#!/usr/bin/env python3
"""The five main jobs in Firefox, on a desktop and a phone: `firefox_jobs.py BINARY` (needs firefox-esr).

Counts the clicks of each, from the start page to the result, and fails if one takes more than it should. Typing and
the dialog of the system for choosing files aren't counted. Prints the seconds, too.
"""

import json
import pathlib
import sys
import tempfile
import time

from marionette import Firefox
from scratch import PASSWORD, Person, Server, until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PEOPLE = ["bob@example.org", "kim@example.org", "lin@example.org"]
CLIPBOARD = """
const transferable = Cc["@mozilla.org/widget/transferable;1"].createInstance(Ci.nsITransferable);
transferable.init(null);
transferable.addDataFlavor("text/plain");
Services.clipboard.getData(transferable, Services.clipboard.kGlobalClipboard);
const data = {};
transferable.getTransferData("text/plain", data);
return data.value.QueryInterface(Ci.nsISupportsString).data;
"""


class Jobs:
    def __init__(self, server, browser, folder):
        self.server, self.browser, self.folder, self.wrong = server, browser, folder, 0

    def goto(self, path):
        self.browser.command("WebDriver:Navigate", url=self.server.base + path)

    def page(self, script):
        """Runs a script in the page."""
        return self.browser.command("WebDriver:ExecuteScript", script=script, args=[])["value"]

    def find(self, css):
        def look():
            found = self.browser.command("WebDriver:FindElements", using="css selector", value=css)
            return found and found[0][ELEMENT]
        return until(f"{css} at {self.page('return location.href')}", look)

    def type(self, css, text):
        self.browser.command("WebDriver:ElementSendKeys", id=self.find(css), text=text)

    def press(self, css):
        self.browser.command("WebDriver:ElementClick", id=self.find(css))

    def click(self, css):
        self.clicks += 1
        self.press(css)

    def says(self, words):
        until(f"“{words}”", lambda: words in self.page("return document.body.innerText"))

    def clipboard(self):
        self.browser.command("Marionette:SetContext", value="chrome")
        text = self.browser.run(CLIPBOARD)
        self.browser.command("Marionette:SetContext", value="content")
        return text

    def begin(self):
        self.goto("/files/")
        self.find("[data-picks]")
        # The dialog of the system can't be operated; the file is chosen in its place.
        self.page("for (const one of document.querySelectorAll('input[type=file]')) one.addEventListener('click', (event) => event.preventDefault())")
        self.clicks, self.began = 0, time.time()

    def end(self, job, most, is_right=True):
        took, good = time.time() - self.began, self.clicks <= most and is_right
        self.wrong += not good
        print(f"{'good ' if good else 'WRONG'} {self.screen}: {job}: {self.clicks} clicks (at most {most}), {took:.1f} s")

    def public(self, address):
        return Person(self.server.base).get(address).body

    def all(self, screen, width, height):
        self.screen = screen
        self.browser.command("WebDriver:SetWindowRect", width=width, height=height)
        width = self.page("return innerWidth")
        print(f"{screen}: {width} pixels wide")
        file = f"for a {screen}.docx"
        row = f"tr:has(input.pick[value='/team/{file}'])"

        self.begin()
        self.click("a.share[href='/files/team']")
        self.click(f"{row} button[form=download]")
        saved = self.folder / file
        until("the download", lambda: saved.exists() and saved.stat().st_size == 30_000)
        self.end("download a hosted file", 2)

        self.begin()
        self.click("a.share[href='/files/team']")
        self.click(f"{row} button.quick")
        self.says("Link copied.")
        address = self.clipboard()
        self.end("share once", 2, file in self.public(address))

        outbox = self.server.home / "data/outbox"
        before = set(outbox.glob("*.eml"))
        self.begin()
        self.click("a.share[href='/files/team']")
        self.click("a.button[href^='/links/new?file=%2Fteam%2FPhotos']")
        self.type("#recipients", "\n".join(PEOPLE))
        self.click("main form button.primary")
        self.says("Your link is ready.")
        until("three emails", lambda: len(set(outbox.glob("*.eml")) - before) >= 3)
        to = [mail.read_text() for mail in set(outbox.glob("*.eml")) - before]
        self.end("a folder to three people", 3, all(sum(f"To: {person}" in one for one in to) == 1 for person in PEOPLE))

        self.begin()
        new = self.folder / f"new on a {screen}.pdf"
        new.write_text("pages")
        self.click("[data-picks=pick-files]")
        self.type("#pick-files", str(new))
        self.click(".sheet [data-copy]")
        self.says("Copied")
        copied = self.clipboard()
        self.says("Ready to download")
        self.end("upload to a link, and a dialog", 2, new.name in self.public(copied))

        self.begin()
        self.click(".main-nav a[href='/links']")
        self.says("0 of 1 download")
        self.end("was it taken", 1)
        shown = f"return [...document.querySelectorAll('.entries li')].find((row) => row.innerText.includes({json.dumps(file)})).innerText"
        bob = Person(self.server.base)
        pressed = bob.post(address, address, file="0")
        assert len(bob.get(pressed.location).body) == 30_000
        ended = time.time()
        until("the answer", lambda: "used up" in self.page(shown), 20)
        print(f"      {screen}: the answer changed {time.time() - ended:.1f} s after the end of the download")


def work(jobs):
    """Does all jobs, in a window as wide as a desktop and in the narrowest one that Firefox has, and returns whether
    one of them went wrong."""
    server = jobs.server
    server.account("ada@example.org", "Ada Lovelace")
    (server.home / "team/Photos").mkdir()
    (server.home / "team/Photos/beach.jpg").write_bytes(b"x" * 2000)
    for screen in ["desktop", "phone"]:
        (server.home / f"team/for a {screen}.docx").write_bytes(b"x" * 30_000)
    jobs.goto("/login")
    jobs.type("#email", "ada@example.org")
    jobs.type("#password", PASSWORD)
    jobs.press("main button[type=submit]")
    until("the login", lambda: jobs.page("return location.pathname") == "/files/")
    jobs.all("desktop", 1280, 900)
    jobs.all("phone", 390, 844)
    return jobs.wrong > 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        saving = {"browser.download.folderList": 2, "browser.download.dir": folder}
        with Server(sys.argv[1], ["team"]) as server, Firefox(**saving) as browser:
            return work(Jobs(server, browser, pathlib.Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
