#!/usr/bin/env python3
"""Firefox never saves a refusal as the file: `firefox_refusals.py BINARY` (needs firefox-esr).

Controls the real browser's download manager through Marionette: a download is canceled at 10 of 63 MB, its
partial data dropped, and started again. Prints Firefox's result; exits with 1 if it takes a refusal for the file.
"""
import http.client, json, os, pathlib, shutil, socket, subprocess, sys, tempfile, threading, time, urllib.parse

SIZE, SPEED = 63 << 20, 16 << 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, done, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if done():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"waited {seconds} s for {what}")


class Marionette:
    """The Marionette protocol: each message is its length, a colon, and JSON."""

    def __init__(self, port):
        self.sock, self.buffer, self.last = socket.create_connection(("127.0.0.1", port), timeout=120), b"", 0
        self.receive()

    def receive(self):
        while b":" not in self.buffer:
            self.buffer += self.sock.recv(65536)
        length, _, rest = self.buffer.partition(b":")
        while len(rest) < int(length):
            rest += self.sock.recv(65536)
        self.buffer = rest[int(length):]
        return json.loads(rest[: int(length)])

    def command(self, name, **parameters):
        self.last += 1
        message = json.dumps([0, self.last, name, parameters]).encode()
        self.sock.sendall(str(len(message)).encode() + b":" + message)
        _, _, error, value = self.receive()
        if error:
            raise SystemExit(f"{name}: {error['message']}")
        return value

    def run(self, script, *arguments):
        script = f"const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, e => done(String(e)));"
        return self.command("WebDriver:ExecuteAsyncScript", script=script, args=list(arguments), sandbox="oncelink", newSandbox=False)["value"]


def relay(to, speed, cut=None):
    """A slow relay to a port that breaks after `cut` bytes of a response; returns its own port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(a, b, limit):
        carried = 0
        try:
            while data := a.recv(65536):
                b.sendall(data)
                carried += len(data)
                if limit and cut and carried >= cut:
                    break
                if limit:
                    time.sleep(len(data) / limit)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def serve():
        while True:
            client = listener.accept()[0]
            server = socket.create_connection(("127.0.0.1", to))
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            threading.Thread(target=pump, args=(client, server, 0), daemon=True).start()
            threading.Thread(target=pump, args=(server, client, speed), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def main():
    binary, home = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(tempfile.mkdtemp())
    web, download, marionette = free_port(), free_port(), free_port()
    (home / "files").mkdir()
    (home / "files/big.bin").write_bytes(os.urandom(SIZE))
    (home / "oncelink.toml").write_text(
        f'[web]\nlisten = "127.0.0.1:{web}"\n[download]\nlisten = "127.0.0.1:{download}"\n'
        f'[[share]]\nname = "files"\npath = "files"\n'
    )
    (home / "profile").mkdir()
    (home / "profile/user.js").write_text(f'user_pref("marionette.port", {marionette});\nuser_pref("network.proxy.type", 0);\n')
    log = open(home / "log", "wb")
    config = ["--config", str(home / "oncelink.toml")]
    programs = [subprocess.Popen([binary, "serve", *config], cwd=home, stdout=log, stderr=log)]
    try:
        until("oncelink", lambda: socket.create_connection(("127.0.0.1", download)).close() is None)
        firefox = ["firefox-esr", "--headless", "--marionette", "--remote-allow-system-access", "--profile", str(home / "profile")]
        programs.append(subprocess.Popen(firefox, stdout=log, stderr=log, env={**os.environ, "HOME": str(home)}))
        until("firefox", lambda: socket.create_connection(("127.0.0.1", marionette)).close() is None)
        browser = Marionette(marionette)
        browser.command("WebDriver:NewSession", capabilities={"alwaysMatch": {}})
        browser.command("Marionette:SetContext", value="chrome")
        browser.command("WebDriver:SetTimeouts", script=120_000)
        line = relay(download, SPEED)
        wrong = 0
        for name, used_before in [("canceled, dropped, started again", False), ("used up before", True)]:
            mint = [binary, "token", "mint", "/files/big.bin", *config]
            minted = subprocess.run(mint, cwd=home, capture_output=True, text=True, check=True)
            path = urllib.parse.urlsplit(minted.stdout.strip()).path
            target = home / f"saved-{used_before}"
            if used_before:
                connection = http.client.HTTPConnection("127.0.0.1", download)
                connection.request("GET", path)
                assert len(connection.getresponse().read()) == SIZE
                connection.close()
            first = browser.run(
                """const {Downloads} = ChromeUtils.importESModule("resource://gre/modules/Downloads.sys.mjs");
                const d = globalThis.d = await Downloads.createDownload({source: {url: arguments[0]}, target: {path: arguments[1]}});
                d.tryToKeepPartialData = true;
                d.start().catch(() => {});
                while (d.currentBytes < 10e6 && !d.stopped) await new Promise(r => Services.tm.dispatchToMainThread(r));
                const reached = d.currentBytes;
                await d.cancel(); await d.removePartialData();
                return reached;""", f"http://127.0.0.1:{line}{path}", str(target))
            again = browser.run(
                """const d = globalThis.d; let error = "";
                try { await d.start(); } catch (e) { error = String(e.message || e); }
                return {succeeded: d.succeeded, size: d.target.size, error};""")
            if isinstance(again, str) or isinstance(first, str):
                raise SystemExit(f"{first} {again}")
            whole = target.exists() and target.read_bytes() == (home / "files/big.bin").read_bytes()
            good = whole or not again["succeeded"]
            wrong += not good
            print(f"{'good ' if good else 'WRONG'} {name}: first {first} bytes, then {again}, the file is {'complete' if whole else 'missing'}")
        sys.exit(wrong > 0)
    finally:
        for program in programs:
            program.terminate()
            program.wait()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
