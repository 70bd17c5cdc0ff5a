"""Chromium without a screen, driven through chromedriver with the standard library alone."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from scratch import free_port, is_open, until


class Chromium:
    """A browser with its own profile. Use it in a `with` statement."""

    def __init__(self):
        self.home, self.port = tempfile.mkdtemp(), free_port()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.program = subprocess.Popen(["chromedriver", f"--port={self.port}"], env={**os.environ, "HOME": self.home}, **quiet)
        until("chromedriver", lambda: is_open(self.port))
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--no-proxy-server", "--hide-scrollbars", "--lang=en-GB", f"--user-data-dir={self.home}/profile"]
        options = {"binary": shutil.which("chromium"), "args": arguments,
                   "prefs": {"download.default_directory": f"{self.home}/downloads"}}
        wishes = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "unhandledPromptBehavior": "accept"}}}
        self.session = ""
        self.session = "/session/" + self.command("/session", wishes)["sessionId"]
        return self

    def __exit__(self, *_):
        try:
            self.command("", method="DELETE")
        finally:
            self.program.terminate()
            self.program.wait()
            shutil.rmtree(self.home, ignore_errors=True)

    def command(self, path, body=None, method="POST"):
        data = json.dumps(body or {}).encode() if method == "POST" else None
        url = f"http://127.0.0.1:{self.port}{self.session}{path}"
        request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
        try:
            return json.load(self.opener.open(request, timeout=120))["value"]
        except urllib.error.HTTPError as refused:
            raise SystemExit(f"{path}: {json.load(refused)['value']['message'].splitlines()[0]}") from None

    def devtools(self, name, **parameters):
        return self.command("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def goto(self, url):
        self.command("/url", {"url": url})

    def run(self, script):
        return self.command("/execute/sync", {"script": script, "args": []})

    def find(self, css):
        """Waits for an element, and returns its id."""
        def look():
            found = self.command("/elements", {"using": "css selector", "value": css})
            return found and next(iter(found[0].values()))
        return until(f"{css} at {self.run('return location.href')}", look, 20)

    def click(self, css):
        self.command(f"/element/{self.find(css)}/click")

    def type(self, css, text):
        self.command(f"/element/{self.find(css)}/value", {"text": text})

    def says(self, words):
        until(f"“{words}”", lambda: words in self.run("return document.body.innerText"), 20)

    def look(self, width, height, scheme, touch):
        """Sets the size of the window, the color scheme, and whether it is a phone."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.devtools("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, file):
        with open(file, "wb") as out:
            out.write(base64.b64decode(self.devtools("Page.captureScreenshot", format="png")["data"]))
