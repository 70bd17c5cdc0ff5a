"""Shows every mail in NeoMutt and in Chromium: each address must fit on one line of a terminal of 80 columns, and
no mail may be wider than a phone. Saves pictures for review: phone and desktop, light and dark.

Usage: letters.py LETTERS PICTURES
LETTERS is the folder into which `mail_letters` copies the letters where ONCELINK_TEST_LETTERS names it.
Needs neomutt and chromium. Prints what it found; fails if anything is wrong.
"""

import email
import email.policy
import fcntl
import html
import mailbox
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time

ADDRESS = re.compile(r"https?://[^\s<>]+")
LINES, COLUMNS = 70, 80
# The width of each mail, and the number of mails in a row.
SCREENS = {"phone": (375, 6), "desktop": (760, 3)}
SCHEMES = {"light": 1, "dark": 0}


def read(folder):
    letters = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            letters[name.removesuffix(".eml")] = email.message_from_bytes(file.read(), policy=email.policy.default)
    return letters


def neomutt(letter, home):
    """The screen of NeoMutt when it shows the mail."""
    box = os.path.join(home, "box")
    if os.path.exists(box):
        os.remove(box)
    mbox = mailbox.mbox(box)
    mbox.add(letter.as_bytes(policy=email.policy.compat32))
    mbox.close()
    os.makedirs(os.path.join(home, "Mail"), exist_ok=True)
    commands = (
        "set spoolfile=/dev/null; set sleep_time=0; set mail_check=0; ignore *; unignore from subject to; "
        "alternative_order text/plain; push <display-message>"
    )
    process, screen = pty.fork()
    if process == 0:
        os.environ.update(TERM="xterm", LANG="C.UTF-8", HOME=home, LINES=str(LINES), COLUMNS=str(COLUMNS))
        os.execvp("neomutt", ["neomutt", "-n", "-F", "/dev/null", "-R", "-f", box, "-e", commands])
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    shown, until = b"", time.monotonic() + 20
    while time.monotonic() < until and b"(all)" not in shown and b"%)" not in shown:
        if select.select([screen], [], [], 0.2)[0]:
            try:
                shown += os.read(screen, 1 << 16)
            except OSError:
                break
    # The rest of the screen.
    while select.select([screen], [], [], 0.3)[0]:
        try:
            shown += os.read(screen, 1 << 16)
        except OSError:
            break
    os.kill(process, 9)
    os.waitpid(process, 0)
    os.close(screen)
    # Colors begin and end at an address.
    return re.sub(r"\x1b(\(B|\[[0-9;]*m)", "", shown.decode("utf-8", "replace"))


def sheet(letters, width, beside):
    """A page with each mail in a frame of this width; its title becomes the list of those that are wider."""
    frames = "".join(
        f'<figure><figcaption>{html.escape(name)}</figcaption><iframe width="{width}" name="{html.escape(name)}" '
        f'srcdoc="{html.escape(letter.get_body(("html",)).get_content())}"></iframe></figure>'
        for name, letter in letters.items()
    )
    return f"""<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><style>
body {{ display: grid; grid-template-columns: repeat({beside}, {width + 2}px); gap: 12px; margin: 12px }}
figure {{ margin: 0 }} iframe {{ border: 1px solid gray }} figcaption {{ font: 13px sans-serif }}</style>{frames}<script>
addEventListener("load", () => {{
    const wide = [];
    for (const frame of document.querySelectorAll("iframe")) {{
        const page = frame.contentDocument.documentElement;
        frame.height = page.scrollHeight;
        if (page.scrollWidth > page.clientWidth) wide.push(frame.name);
    }}
    document.title = "wide:" + wide.join(",") + " height:" + document.documentElement.scrollHeight;
}});</script>"""


def chromium(home, *arguments):
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={home}/profile", "--virtual-time-budget=5000", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def look(letters, pictures, home):
    for screen, (width, beside) in SCREENS.items():
        page = os.path.join(home, f"{screen}.html")
        with open(page, "w", encoding="utf-8") as file:
            file.write(sheet(letters, width, beside))
        whole = beside * (width + 14) + 24
        for scheme, number in SCHEMES.items():
            asked = [f"--blink-settings=preferredColorScheme={number}", f"--window-size={whole},1000"]
            title = re.search(r"<title>wide:(.*) height:(\d+)</title>", chromium(home, *asked, "--dump-dom", page))
            if not title:
                yield f"{screen}, {scheme}: nothing was measured"
                continue
            if title[1]:
                yield f"wider than a {screen}: {title[1]}"
            picture = os.path.join(pictures, f"{screen}-{scheme}.png")
            asked[1] = f"--window-size={whole},{int(title[2]) + 200}"
            chromium(home, *asked, f"--screenshot={picture}", page)
            if not os.path.getsize(picture):
                yield f"no picture for {screen}, {scheme}"


def main():
    folder, pictures = sys.argv[1:]
    os.makedirs(pictures, exist_ok=True)
    letters, problems = read(folder), []
    if not letters:
        problems.append(f"no mails in {folder}")
    with tempfile.TemporaryDirectory() as home:
        for name, letter in letters.items():
            text = letter.get_body(("plain",)).get_content()
            own = "\n".join(line for line in text.splitlines() if not line.startswith(">"))
            screen = neomutt(letter, home)
            problems += [f"NeoMutt breaks {address} of {name}" for address in ADDRESS.findall(own) if address not in screen]
            if "Sent by" not in screen:
                problems.append(f"NeoMutt does not show the end of {name}")
        problems += look(letters, pictures, home)
    for problem in problems:
        print(problem)
    print(f"{len(letters)} mails, {len(problems)} problems; pictures in {pictures}")
    return bool(problems)


sys.exit(main())
