#!/usr/bin/python3
"""WebKit never saves a refusal as the file: `webkit_refusals.py BINARY` (needs gir1.2-webkit2-4.1, python3-gi, xvfb).

A window of WebKitGTK follows the link as a person would, and downloads what it can't show, as its own browser
does. The download is canceled at 10 of 63 MB and begun again; the link was used before; the connection breaks.
Prints WebKit's result; exits with 1 if WebKit reports anything but the complete file as finished.
"""
import http.client, os, pathlib, shutil, socket, subprocess, sys, tempfile, time, urllib.parse

from firefox_refusals import SIZE, SPEED, free_port, relay, until

PATIENCE = 60


def main():
    display = f":{100 + os.getpid() % 400}"
    screen = subprocess.Popen(["Xvfb", display, "-screen", "0", "800x600x24", "-nolisten", "tcp"], stderr=subprocess.DEVNULL)
    os.environ |= {"DISPLAY": display, "GDK_BACKEND": "x11", "LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1"}
    until("a screen", lambda: pathlib.Path(f"/tmp/.X11-unix/X{display[1:]}").exists())
    home = pathlib.Path(tempfile.mkdtemp())
    programs = [screen]
    try:
        sys.exit(judge(home, str(pathlib.Path(sys.argv[1]).resolve()), programs) > 0)
    finally:
        for program in reversed(programs):
            program.terminate()
            program.wait()
        shutil.rmtree(home, ignore_errors=True)


def judge(home, binary, programs):
    import gi

    gi.require_version("Gtk", "3.0")
    gi.require_version("WebKit2", "4.1")
    from gi.repository import GLib, Gtk, WebKit2

    web, download = free_port(), free_port()
    (home / "files").mkdir()
    content = os.urandom(SIZE)
    (home / "files/big.bin").write_bytes(content)
    (home / "oncelink.toml").write_text(
        f'[web]\nlisten = "127.0.0.1:{web}"\n[download]\nlisten = "127.0.0.1:{download}"\n'
        f'[[share]]\nname = "files"\npath = "files"\n'
    )
    config = ["--config", str(home / "oncelink.toml")]
    log = open(home / "log", "wb")
    programs.append(subprocess.Popen([binary, "serve", *config], cwd=home, stdout=log, stderr=log))
    until("oncelink", lambda: socket.create_connection(("127.0.0.1", download)).close() is None)

    context = WebKit2.WebContext.new_ephemeral()
    view = WebKit2.WebView.new_with_context(context)
    window = Gtk.Window()
    window.add(view)
    window.show_all()

    def decide(_, decision, kind):
        if kind == WebKit2.PolicyDecisionType.RESPONSE and not decision.is_mime_type_supported():
            decision.download()
            return True
        return False

    view.connect("decide-policy", decide)

    def follow(url, target, enough=None):
        """Follows a link; returns the result of the page, or of the download if there was one."""
        seen = {"page": None, "download": None, "received": 0}

        def started(_, one):
            seen["download"] = "running"
            one.connect("decide-destination", lambda one, name: (one.set_destination(target.as_uri()), True)[1])

            def data(one, count):
                seen["received"] += count
                if enough and seen["received"] >= enough and seen["download"] == "running":
                    seen["download"] = "cancelled"
                    one.cancel()

            one.connect("received-data", data)
            one.connect("failed", lambda one, error: seen["download"] == "running" and seen.update(download=f"failed: {error.message}"))
            one.connect("finished", lambda one: seen["download"] == "running" and seen.update(download="finished"))

        def loaded(view, event):
            if event == WebKit2.LoadEvent.FINISHED and seen["download"] is None:
                resource = view.get_main_resource()
                response = resource and resource.get_response()
                seen["page"] = f"a page with status {response.get_status_code() if response else 0}"

        handlers = [(context, context.connect("download-started", started)), (view, view.connect("load-changed", loaded))]
        view.load_uri(url)
        end, turns = time.time() + PATIENCE, GLib.MainContext.default()
        while time.time() < end:
            while turns.pending():
                turns.iteration(False)
            if seen["download"] not in (None, "running") or (seen["download"] is None and seen["page"]):
                break
            time.sleep(0.005)
        for owner, handler in handlers:
            owner.disconnect(handler)
        return seen["download"] or seen["page"] or "nothing", seen["received"]

    def token():
        minted = subprocess.run([binary, "token", "mint", "/files/big.bin", *config], cwd=home, capture_output=True, text=True, check=True)
        return urllib.parse.urlsplit(minted.stdout.strip()).path

    def use_up(path):
        connection = http.client.HTTPConnection("127.0.0.1", download)
        connection.request("GET", path)
        assert len(connection.getresponse().read()) == SIZE
        connection.close()

    line, breaking = relay(download, SPEED), relay(download, SPEED, cut=20 << 20)
    wrong = 0

    def outcome(name, url, target, must_finish, enough=None):
        nonlocal wrong
        result, received = follow(url, target, enough)
        try:
            whole = target.read_bytes() == content
        except FileNotFoundError:
            whole = False
        good = whole if must_finish else whole or result != "finished"
        wrong += not good
        print(f"{'good ' if good else 'WRONG'} {name}: {result}, {received} bytes, the file is {'complete' if whole else 'missing'}", flush=True)

    outcome("followed once", f"http://127.0.0.1:{line}{token()}", home / "once", True)
    path = token()
    outcome("canceled at 10 MB", f"http://127.0.0.1:{line}{path}", home / "cancelled", False, enough=10_000_000)
    outcome("and followed again", f"http://127.0.0.1:{line}{path}", home / "again", False)
    path = token()
    outcome("canceled at 1 MB", f"http://127.0.0.1:{line}{path}", home / "cancelled-early", False, enough=1_000_000)
    outcome("and followed again, within the bytes that may be sent again", f"http://127.0.0.1:{line}{path}", home / "again-early", True)
    path = token()
    use_up(path)
    outcome("used up before", f"http://127.0.0.1:{line}{path}", home / "used", False)
    path = token()
    outcome("the connection breaks at 21 MB", f"http://127.0.0.1:{breaking}{path}", home / "broken", False)
    outcome("and it is followed again", f"http://127.0.0.1:{line}{path}", home / "broken-again", False)
    return wrong


if __name__ == "__main__":
    main()
