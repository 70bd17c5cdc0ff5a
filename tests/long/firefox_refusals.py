#!/usr/bin/env python3
"""Firefox never saves a refusal as the file: `firefox_refusals.py BINARY` (needs firefox-esr).

Controls the real browser's download manager through Marionette: a download is canceled at 10 of 63 MB, its
partial data dropped, and started again. Prints Firefox's result; exits with 1 if it takes a refusal for the file.
"""
import http.client
import os
import socket
import sys
import threading
import time
import urllib.parse

from marionette import Firefox
from scratch import Server

SIZE, SPEED = 63 << 20, 16 << 20


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
    with Server(sys.argv[1], ["files"]) as server, Firefox() as browser:
        big, content = server.home / "files/big.bin", os.urandom(SIZE)
        big.write_bytes(content)
        browser.command("Marionette:SetContext", value="chrome")
        browser.command("WebDriver:SetTimeouts", script=120_000)
        line = relay(server.download, SPEED)
        wrong = 0
        for name, used_before in [("canceled, dropped, started again", False), ("used up before", True)]:
            path = urllib.parse.urlsplit(server.run("token", "mint", "/files/big.bin").strip()).path
            target = server.home / f"saved-{used_before}"
            if used_before:
                connection = http.client.HTTPConnection("127.0.0.1", server.download)
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
            whole = target.exists() and target.read_bytes() == content
            good = whole or not again["succeeded"]
            wrong += not good
            print(f"{'good ' if good else 'WRONG'} {name}: first {first} bytes, then {again}, the file is {'complete' if whole else 'missing'}")
        return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
