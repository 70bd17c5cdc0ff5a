"""Screenshots of the pages in their states, for review: `pictures.py BINARY PICTURES [NAME…]`.

Each state is saved as on a phone (390×844) and a desktop (1280×800), light and dark, and its end too where the page is
longer. `index.html` in the folder PICTURES shows all of them. With NAMEs, only the states whose name contains one are
saved. Fails if a page is wider than its window. Needs chromium and chromedriver.
"""

import os
import pathlib
import sqlite3
import struct
import sys
import time
import urllib.parse
import zlib

from chromium import Chromium
from scratch import PASSWORD, Person, Server, until

SCREENS = {"phone": (390, 844, True), "desktop": (1280, 800, False)}
LONG = "Minutes of the general meeting of the allotment garden association, second and corrected version.pdf"

PDF = b"""%PDF-1.1
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj
4 0 obj<</Length 40>>stream
BT /F 24 Tf 40 100 Td (A letter) Tj ET
endstream endobj
trailer<</Root 1 0 R>>
"""
# No node is ready, and a link may be pressed once a minute.
UNREADY = '[links]\npresses = 1\n[[node]]\nname = "eu"\npublic_url = "http://127.0.0.1:1"\ninner_url = "http://127.0.0.1:1"'


def png(width, height):
    """A picture with a gradient."""
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in (x * 255 // width, y * 255 // height, 140)) for y in range(height))
    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def fill(folder):
    """The files of the share `team`."""
    for name in ["Photos", "Photos/2026", "Empty", "Thousand"]:
        (folder / name).mkdir()
    sizes = {LONG: 2_400_000, "Budget 2027.xlsx": 45_000, "contract.docx": 1_234_567, "我这一辈子.pdf": 48_213,
             "film.mkv": 30_000_000, "song.mp3": 7_654_321, "backup.tar.zst": 9_000_000, "talk.pptx": 5_100_000}
    for name, size in sizes.items():
        with open(folder / name, "wb") as file:
            file.truncate(size)
    for name in ["beach.png", "Photos/2026/beach.png", "Photos/mountain.png", "Photos/harbour.png"]:
        (folder / name).write_bytes(png(640, 400))
    (folder / "letter.pdf").write_bytes(PDF)
    (folder / "notes.txt").write_text("Remember the milk.\n\n" + "A line of these notes.\n" * 40)
    for n in range(1000):
        (folder / f"Thousand/scan {n + 1}.pdf").write_bytes(b"x" * (n * 977 % 60_000 + 1))


class Pictures:
    def __init__(self, folder, wanted, server, browser):
        self.folder, self.wanted, self.server, self.browser = folder, wanted, server, browser
        self.names, self.wide = [], []

    def open(self, path):
        self.browser.goto(urllib.parse.urljoin(self.server.base, path))

    def shot(self, name, path=None):
        """Saves the page at `path`, or the one that is shown."""
        if path:
            self.open(path)
        if self.wanted and not any(word in name for word in self.wanted):
            return
        for screen, (width, height, touch) in SCREENS.items():
            for scheme in ["light", "dark"]:
                self.browser.look(width, height, scheme, touch)
                place = f"{name}-{screen}-{scheme}"
                if self.browser.run("return document.documentElement.scrollWidth > innerWidth"):
                    self.wide.append(place)
                top, pages = "scrollTo({ top: 0, behavior: 'instant' })", self.browser.run("return document.documentElement.scrollHeight / innerHeight")
                self.browser.run(top)
                self.save(place)
                if pages > 1.1:
                    self.browser.run("scrollTo({ top: 1e9, behavior: 'instant' })")
                    self.save(f"{place}-end")
                    self.browser.run(top)
        self.browser.look(1280, 800, "light", False)

    def save(self, place):
        self.browser.picture(self.folder / f"{place}.png")
        self.names.append(place)

    def log_in(self, email):
        self.browser.devtools("Network.clearBrowserCookies")
        self.open("/login")
        self.browser.type("#email", email)
        self.browser.type("#password", PASSWORD)
        self.browser.click("main button[type=submit]")
        until("the login", lambda: self.browser.run("return location.pathname") == "/files/")

    def log_out(self):
        self.browser.devtools("Network.clearBrowserCookies")

    def drop(self, files, hold=False):
        """Drops files on the page; with `hold`, their bytes are never sent."""
        self.browser.run(
            ("const send = XMLHttpRequest.prototype.send;"
             "XMLHttpRequest.prototype.send = function (body) { if (!body?.size) send.call(this, body); };" if hold else "")
            + "const all = new DataTransfer();"
            + "".join(f"all.items.add(new File([{content!r}], {name!r}));" for name, content in files.items())
            + "for (const kind of ['dragover', 'drop']) document.querySelector('main').dispatchEvent("
            "new DragEvent(kind, { dataTransfer: all, bubbles: true, cancelable: true }));"
        )

    def index(self):
        shown = "".join(f'<figure><a href="{n}.png"><img src="{n}.png" loading="lazy"></a><figcaption>{n}</figcaption></figure>' for n in self.names)
        style = "body { font: 13px sans-serif } figure { display: inline-block; margin: 6px } img { height: 420px; border: 1px solid gray }"
        (self.folder / "index.html").write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{shown}")


def strangers(take, server):
    for name, path in {"landing": "/", "login": "/login", "signup": "/signup", "forgot": "/forgot", "error-404": "/nowhere"}.items():
        take.shot(name, path)
    take.open("/login")
    take.browser.type("#email", "ada@example.org")
    take.browser.type("#password", "something else")
    take.browser.click("main button[type=submit]")
    take.browser.find(".notice.failed")
    take.shot("login-wrong")
    take.open("/signup")
    for css, text in {"#email": "new@example.org", "#name": "Newcomer", "#password": "password1234567", "#password_again": "password"}.items():
        take.browser.type(css, text)
    take.browser.click("main button[type=submit]")
    take.browser.find(".field-error")
    take.shot("signup-errors")
    take.browser.run("for (const box of document.querySelectorAll('[type=password]')) box.value = ''")
    for css in ["#password", "#password_again"]:
        take.browser.type(css, PASSWORD)
    take.browser.click("main button[type=submit]")
    until("the next page", lambda: "mail-sent" in take.browser.run("return location.href"))
    take.shot("mail-sent")
    activation = server.mailed_link("new@example.org")
    take.shot("activate", activation)
    take.browser.click("main button[type=submit]")
    until("activation", lambda: "activate" not in take.browser.run("return location.href"))
    take.shot("activated")
    take.log_out()
    take.shot("activate-again", activation)
    Person(server.base).post("/forgot", "/forgot", email="ada@example.org")
    take.shot("reset", server.mailed_link("ada@example.org", "eset"))
    take.shot("activate-invalid", "/activate/nonsense")


def files(take, server, ada, home):
    take.log_in("ada@example.org")
    take.shot("start-empty")
    take.shot("my-files-empty", f"/files{home}")
    take.open("/files/")
    take.drop({"report.pdf": "x" * 4000, "notes.txt": "y"}, hold=True)
    take.browser.find(".sheet #address")
    take.shot("start-uploading")
    take.browser.run("addEventListener('beforeunload', (event) => event.stopImmediatePropagation(), true); localStorage.clear()")
    take.open("/files/")
    take.drop({"report.pdf": "x" * 4000})
    take.browser.says("Ready to download")
    take.shot("start-uploaded")
    take.browser.click(".sheet details:not(.mail-to) summary")
    take.shot("start-options")
    take.browser.click(".sheet .mail-to summary")
    take.shot("start-mail")
    take.shot("my-files", f"/files{home}")
    for name, path in {"folder": "/files/team", "folder-empty": "/files/team/Empty", "folder-thousand": "/files/team/Thousand",
                       "search": "/files/team?q=scan+1", "search-none": "/files/team?q=zebra", "search-all": "/files/?q=beach"}.items():
        take.shot(name, path)
    take.open("/files/team")
    for row in [2, 3]:
        take.browser.click(f".listing tbody tr:nth-child({row}) input.pick")
    take.shot("folder-selected")
    ada.post(f"/manage/entry?path={home}/report.pdf", "/manage/delete", path=f"{home}/report.pdf")
    for name, path in {"trash": "/manage/trash" + ada.get(f"/files{home}").value('href="/manage/trash'), "manage": "/manage/entry?path=/team/contract.docx",
                       "move": "/manage/to?path=/team/contract.docx", "new-folder": "/manage/new-folder?folder=/team",
                       "zip": "/zip?file=/team/Photos&file=/team/notes.txt", "link-new": "/links/new?file=/team/Photos",
                       "error-403": "/admin/accounts"}.items():
        take.shot(name, path)
    for kind, file in {"picture": "beach.png", "pdf": "letter.pdf", "text": "notes.txt", "sound": "song.mp3"}.items():
        take.open("/files/team")
        take.browser.run(f"const to = document.getElementById('download'); to.action = '/view'; to.insertAdjacentHTML('beforeend', '<input name=file value=\"/team/{file}\">'); to.submit()")
        take.browser.find("#view")
        take.shot(f"view-{kind}")


def links(take, server, ada):
    take.shot("links-empty", "/links")
    def public(name, files, **terms):
        page, addresses = ada.link(files, title=name, **terms)
        return page, addresses
    used, used_public = public("Contract", ["/team/contract.docx"])
    bob = Person(server.base)
    pressed = bob.post(used_public[0], used_public[0], file="0")
    if pressed.status == 303:
        Person(pressed.location).send(pressed.location)
    gone, gone_public = public("Budget", ["/team/Budget 2027.xlsx"])
    ada.post(gone, f"{gone}/revoke")
    lost, lost_public = public("Talk", ["/team/talk.pptx"])
    os.remove(server.home / "team/talk.pptx")
    paused, paused_public = public("Backup", ["/team/backup.tar.zst"])
    ada.post(paused, f"{paused}/pause")
    named, named_public = public("Photos of the summer", ["/team/Photos"], recipients="bob@example.org\nkim@example.org\nlin@example.org", mail="yes")
    many, many_public = public("Everything", ["/team/Photos", "/team/notes.txt", f"/team/{LONG}"], uses="5", note="As we agreed on the phone.\nThe password is the usual one.", password="a word between us")
    coded, coded_public = public("Scans", ["/team/Thousand"], recipients="bob@example.org", mailed_code="yes")
    thousand, thousand_public = public("All scans", ["/team/Thousand"], uses="")
    ended, ended_public = public("Old notes", ["/team/notes.txt"])
    with sqlite3.connect(server.home / "data/web/oncelink.sqlite") as database:
        database.execute("UPDATE links SET ends_at = 1700000000 WHERE title = 'Old notes'")
    take.log_in("ada@example.org")
    take.open("/links/new?file=/team/film.mkv")
    take.browser.click("main form button[type=submit]")
    take.browser.find("#address")
    take.shot("link-fresh")
    film = take.browser.run("return document.getElementById('address').value")
    for name, path in {"used": used, "revoked": gone, "missing": lost, "paused": paused, "recipients": named, "many": many, "ended": ended}.items():
        take.shot(f"link-{name}", path)
    take.shot("links", "/links")
    take.log_out()
    for name, addresses in {"one": [film], "used": used_public, "revoked": gone_public, "missing": lost_public, "paused": paused_public,
                            "named": named_public, "many": many_public, "code": coded_public, "thousand": thousand_public,
                            "ended": ended_public, "unknown": [f"{server.base}/l/nothing"]}.items():
        take.shot(f"public-{name}", addresses[0])
    take.open(film)
    take.browser.click("button[name=file]")
    take.browser.says("Your download")
    take.shot("public-downloading")
    until("the end of the download", lambda: "have downloaded" in take.browser.run("return document.body.innerText"))
    take.shot("public-downloaded")
    take.browser.goto(f"http://127.0.0.1:{server.download}/d/nonsense")
    take.shot("error-403-download")
    if pressed.status == 303:
        take.browser.goto(pressed.location)
        take.shot("error-410-download")


def requests(take, ada):
    take.log_in("ada@example.org")
    take.shot("requests-empty", "/requests")
    take.shot("request-new", "/requests/new?folder=/team/Empty")
    week = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 7 * 24 * 3600))
    made = ada.post("/requests/new", "/requests", folder="/team/Empty", title="Photos of the party", note="The best ten, please.", max_bytes="2 GiB", max_files="100", ends=week, password="")
    public = ada.get(made.location).value('data-copy="')
    take.shot("requests", "/requests")
    take.shot("request", made.location)
    take.log_out()
    take.shot("guest", public)
    take.open(public)
    take.drop({"party 1.jpg": "x" * 3000, "party 2.jpg": "y"})
    take.browser.says("party 2.jpg")
    take.shot("guest-sent")
    take.log_in("ada@example.org")
    take.shot("request-arrived", made.location)
    ada.post(made.location, f"{made.location}/stop")
    take.shot("request-stopped", made.location)
    take.log_out()
    take.shot("guest-closed", public)


def accounts(take, server, admin):
    take.log_in("ada@example.org")
    take.shot("account", "/account")
    take.shot("sessions", "/account/sessions")
    take.log_in("root@example.org")
    admin.post("/admin/invite", "/admin/invite", email="invited@example.org", name="Invited", groups="")
    for name in ["accounts", "invite", "mail", "nodes", "audit"]:
        take.shot(f"admin-{name}", f"/admin/{name}")
    take.open("/admin/accounts")
    take.browser.click(".entries a[href^='/admin/accounts/']")
    take.browser.find("h1")
    take.shot("admin-account")
    take.log_out()
    take.shot("invited", server.mailed_link("invited@example.org"))


def refusals(take, server):
    """With a server that can't give anybody a file."""
    (server.home / "team/notes.txt").write_text("Remember the milk.")
    ada, _ = server.account("ada@example.org", "Ada Lovelace")
    _, addresses = ada.link(["/team/notes.txt"])
    for name in ["error-503", "error-429"]:
        take.open(addresses[0])
        take.browser.click("button[name=file]")
        until("the refusal", lambda: take.browser.run("return document.getElementById('downloads') === null"))
        take.shot(name)


def main():
    binary, folder, *wanted = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with Server(binary, ["team"]) as server, Chromium() as browser:
        fill(server.home / "team")
        ada, home = server.account("ada@example.org", "Ada Lovelace")
        admin, _ = server.account("root@example.org", "Grace Hopper", "--admin")
        take = Pictures(folder, wanted, server, browser)
        browser.look(1280, 800, "light", False)
        strangers(take, server)
        files(take, server, ada, home)
        links(take, server, ada)
        requests(take, ada)
        accounts(take, server, admin)
        with Server(binary, ["team"], UNREADY) as unready:
            take.server = unready
            refusals(take, unready)
        take.index()
    for place in take.wide:
        print(f"wider than its window: {place}")
    print(f"{len(take.names)} pictures in {folder}")
    return bool(take.wide)


if __name__ == "__main__":
    sys.exit(main())
