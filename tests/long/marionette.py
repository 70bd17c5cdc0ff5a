"""Firefox without a screen, driven through Marionette, its own protocol."""

import json
import os
import shutil
import socket
import subprocess
import tempfile

from scratch import free_port, is_open, until


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
        """Runs a script in the browser itself, where the context is `chrome`."""
        script = f"const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, e => done(String(e)));"
        return self.command("WebDriver:ExecuteAsyncScript", script=script, args=list(arguments), sandbox="oncelink", newSandbox=False)["value"]


class Firefox(Marionette):
    """A browser with its own profile. Use it in a `with` statement."""

    def __init__(self, **preferences):
        self.home, self.port = tempfile.mkdtemp(), free_port()
        preferences = {"marionette.port": self.port, "network.proxy.type": 0, **preferences}
        os.mkdir(f"{self.home}/profile")
        with open(f"{self.home}/profile/user.js", "w", encoding="utf-8") as file:
            file.writelines(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())

    def __enter__(self):
        self.log = open(f"{self.home}/log", "wb")
        command = ["firefox-esr", "--headless", "--marionette", "--remote-allow-system-access", "--profile", f"{self.home}/profile"]
        self.program = subprocess.Popen(command, stdout=self.log, stderr=self.log, env={**os.environ, "HOME": self.home})
        until("firefox", lambda: is_open(self.port))
        Marionette.__init__(self, self.port)
        self.command("WebDriver:NewSession", capabilities={"alwaysMatch": {"unhandledPromptBehavior": "accept"}})
        return self

    def __exit__(self, *_):
        self.program.terminate()
        self.program.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
