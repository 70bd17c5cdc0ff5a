#!/usr/bin/env python3
"""Floods: how one stranger or one account can affect everyone else and the machine's memory.

    python3 tests/long/floods.py target/release/oncelink [NAME…]

Starts the program on a folder of its own, plays each flood, prints what was measured, and ends with 1 if
a limit is passed. Standard library only; needs `ulimit -n` of some 25,000, which it raises by itself.
All addresses are loopback addresses, so no proxy has to be trusted."""

import asyncio
import concurrent.futures
import http.client
import multiprocessing
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

PASSWORD = "correct horse battery 77"
FLOOD, PERSON = "127.0.0.1", "127.0.0.2"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MIB = 1024  # VmRSS is in KiB


class Node:
    """Both services, started as an operator starts them."""

    def __init__(self, binary):
        self.binary = str(pathlib.Path(binary).resolve())
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="oncelink-floods-"))
        (self.dir / "books").mkdir()
        (self.dir / "books" / "small.bin").write_bytes(b"x" * 2000)
        (self.dir / "books" / "large.bin").write_bytes(b"x" * (16 << 20))
        self.web, self.download = free_port(), free_port()
        web, download = f"127.0.0.1:{self.web}", f"127.0.0.1:{self.download}"
        (self.dir / "oncelink.toml").write_text(
            f"[web]\nlisten = '0.0.0.0:{self.web}'\npublic_url = 'http://{web}'\n"
            f"[download]\nlisten = '0.0.0.0:{self.download}'\npublic_url = 'http://{download}'\n"
            "[[share]]\nname = 'books'\npath = 'books'\nread = ['everyone']\nwrite = ['everyone']\n"
        )
        self.log = open(self.dir / "log", "ab")
        for who in ("ann", "bob"):
            self.run("user", "add", f"{who}@example.org", "--password-stdin", said=PASSWORD + "\n")
        self.process = subprocess.Popen([self.binary, "serve"], cwd=self.dir, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        end = time.time() + 30
        while time.time() < end:
            try:
                if all(get(port, "/readyz")[0] == 200 for port in (self.web, self.download)):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("not ready: " + (self.dir / "log").read_text())

    def run(self, *arguments, said=None):
        return subprocess.run([self.binary, *arguments], cwd=self.dir, input=said, text=True, check=True,
                              capture_output=True).stdout

    def memory(self, what="VmRSS"):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{what}:\s+(\d+)", status)[1])

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def link(self, file="small.bin"):
        return urllib.parse.urlsplit(self.run("token", "mint", f"/books/{file}", "--lifetime", "1h").split()[-1]).path

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        log = (self.dir / "log").read_text()
        assert "panicked" not in log, log


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def request(port, method, path, body=None, headers=None, source=PERSON, timeout=30):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0))
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def get(port, path, **more):
    return request(port, "GET", path, **more)


class Browser:
    """A browser whose user can log in."""

    def __init__(self, node, source=PERSON):
        self.node, self.source, self.cookies = node, source, {}

    def ask(self, method, path, fields=None, timeout=60):
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
        body = None
        if fields is not None:
            body, headers = urllib.parse.urlencode(fields), {**headers, **FORM}
        status, body, answered = request(self.node.web, method, path, body, headers, self.source, timeout)
        for cookie in answered.get_all("set-cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return status, body.decode(), answered.get("location")

    def token(self, path):
        return re.search(r'name="csrf" value="([^"]*)"', self.ask("GET", path)[1])[1]

    def log_in(self, email, password=PASSWORD):
        fields = {"email": email, "password": password, "csrf": self.token("/login")}
        return self.ask("POST", "/login", fields)[0]

    def head(self, method, path, more):
        cookies = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        return (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.node.web}\r\nCookie: {cookies}\r\n{more}\r\n").encode()


def raise_limit():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 60_000), most))


def hold(source, wanted, ready, stop):
    """Keeps connections open, and reconnects when the server closes one. `wanted` has the port, the number and
    the bytes to send for each kind of connection."""
    raise_limit()

    async def keep(port, sent):
        while not stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
                writer.write(sent)
                while await reader.read(65536):
                    pass
                writer.close()
            except OSError:
                await asyncio.sleep(0.2)

    async def main():
        tasks = []
        for port, count, sent in wanted:
            for at in range(count):
                tasks.append(asyncio.ensure_future(keep(port, sent)))
                if at % 100 == 99:
                    await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()

    asyncio.run(main())


class Held:
    """A process that holds connections until the end of the `with` block."""

    def __init__(self, wanted, source=FLOOD):
        self.ready, self.stop = multiprocessing.Event(), multiprocessing.Event()
        self.process = multiprocessing.Process(target=hold, args=(source, wanted, self.ready, self.stop))

    def __enter__(self):
        self.process.start()
        assert self.ready.wait(120)

    def __exit__(self, *_):
        self.stop.set()
        self.process.join(30)
        if self.process.is_alive():
            self.process.kill()


def all_at_once(count, work):
    threads = [threading.Thread(target=work, args=(at,)) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


FAILED = []


def tell(name, figures, **limits):
    print(f"{name}: " + ", ".join(f"{what} {figure:.3g}" for what, figure in figures.items()), flush=True)
    for what, most in limits.items():
        if figures[what] > most:
            FAILED.append(f"{name}: {what} is {figures[what]:.3g}, more than {most}")


def timed(work):
    begun = time.time()
    work()
    return time.time() - begun


def watched(node, work, after=12):
    """The memory before the work, its peak, and the memory some seconds after."""
    before = node.memory()
    node.forget_peak()
    work()
    peak = node.memory("VmHWM")
    end = time.time() + after
    while time.time() < end and node.memory() > before + 10 * MIB:
        time.sleep(0.5)
    return {"before_mib": before / MIB, "peak_mib": peak / MIB, "after_mib": node.memory() / MIB}


def places(node):
    """5,000 idle and 4,100 unfinished connections from one address, at both services; another client comes."""
    idle = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    unfinished = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    half = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    links = [node.link() for _ in range(20)]
    for service, port in (("web", node.web), ("download", node.download)):
        with Held([(port, 5000, idle), (port, 2050, unfinished), (port, 2050, half)]):
            figures = {"login": [], "health": [], "ready": [], "download": []}
            for _ in range(10):
                figures["login"].append(timed(lambda: expect(get(node.web, "/login"))))
                figures["health"].append(timed(lambda: expect(get(port, "/healthz"))))
                figures["ready"].append(timed(lambda: expect(get(port, "/readyz"))))
                figures["download"].append(timed(lambda: expect(get(node.download, links.pop()))))
            own = timed(lambda: expect(get(port, "/healthz", source=FLOOD)))
        worst = {f"{what}_s": max(times) for what, times in figures.items()}
        worst["health_of_the_same_address_s"], worst["memory_mib"] = own, node.memory() / MIB
        tell(f"places at the {service} service", worst, login_s=1, health_s=1, ready_s=1, download_s=1,
             health_of_the_same_address_s=2)


def expect(answer, status=200):
    assert answer[0] == status, answer


def log_ins(node):
    """200 wrong logins at once from 100 addresses."""
    browsers = [Browser(node, f"127.0.1.{at % 100 + 1}") for at in range(200)]
    tokens = [browser.token("/login") for browser in browsers]

    def guess(at):
        fields = {"email": f"nobody{at}@example.org", "password": "wrong", "csrf": tokens[at]}
        assert browsers[at].ask("POST", "/login", fields)[0] in (401, 403, 422, 429, 503)

    figures = watched(node, lambda: all_at_once(200, guess))
    tell("200 wrong logins", figures, peak_mib=120, after_mib=120)


def forms(node):
    """300 connections with forms of 4 MiB without their last bytes, and 300 with 255 KiB in chunks."""
    ann = Browser(node)
    assert ann.log_in("ann@example.org") == 303
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    large = ann.head("POST", "/links", f"{kind}Content-Length: {4 << 20}\r\n") + b"a" * ((4 << 20) - 10)
    chunked = ann.head("POST", "/links", f"{kind}Transfer-Encoding: chunked\r\n") + b"40000\r\n" + b"a" * 255_000
    for name, sent in (("300 forms of 4 MiB", large), ("300 forms of 255 KiB in chunks", chunked)):
        def flood(sent=sent):
            with Held([(node.web, 300, sent)]):
                time.sleep(5)
        tell(name, watched(node, flood), peak_mib=250, after_mib=120)


def heads(node):
    """Unfinished heads of 120 KiB (refused) and of 31 KiB, at both services."""
    for size in (120, 31):
        head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (size * 1024 - 60)

        def flood(head=head):
            with Held([(node.download, 3900, head), (node.web, 990, head)]):
                time.sleep(5)
        tell(f"4,890 heads of {size} KiB", watched(node, flood), peak_mib=350, after_mib=120)


def pages(node):
    """950 connections with 8 pipelined requests for a large page, and the responses are not read."""
    ann = Browser(node)
    assert ann.log_in("ann@example.org") == 303
    fields = {"files": "/books/small.bin", "title": "many", "note": "", "uses": "1", "ends": "", "password": "",
              "notify": "never", "recipients": "\n".join(f"somebody{n}@example.org" for n in range(1000)),
              "csrf": ann.token("/account")}
    status, body, location = ann.ask("POST", "/links", fields)
    assert status == 303, body
    size = len(ann.ask("GET", location)[1])
    requests = ann.head("GET", location, "") * 8

    def flood():
        sockets = []
        for _ in range(950):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.bind((FLOOD, 0))
            s.connect(("127.0.0.1", node.web))
            try:
                s.sendall(requests)
            except OSError:
                pass
            sockets.append(s)
        time.sleep(8)
        expect(get(node.web, "/login"))
        for s in sockets:
            s.close()
    tell(f"950 times 8 pages of {size >> 10} KiB", watched(node, flood), peak_mib=300, after_mib=130)


def blocked(node):
    """2,000 downloads that are not read; another client downloads."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        links = list(pool.map(lambda _: node.link("large.bin"), range(2000)))
    small = [node.link() for _ in range(10)]
    large = node.link("large.bin")
    times = []

    def dial(path, room):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        s.bind((FLOOD, 0))
        s.connect(("127.0.0.1", node.download))
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return s

    def flood():
        sockets = [dial(path, 4096) for path in links]
        time.sleep(8)
        for path in small:
            times.append(timed(lambda: expect(get(node.download, path))))
        times.append(timed(lambda: expect(get(node.download, large))))
        for s in sockets:
            s.close()
    figures = watched(node, flood)
    tell("2,000 downloads that nobody reads", {**figures, "small_s": max(times[:-1]), "large_s": times[-1]},
         peak_mib=200, after_mib=130, small_s=1, large_s=1)


def hashing(node):
    """400 links with a password at once by one account; another user logs in."""
    ann = Browser(node, FLOOD)
    assert ann.log_in("ann@example.org") == 303
    token, over, made = ann.token("/account"), threading.Event(), []

    def make(_):
        fields = {"files": "/books/small.bin", "title": "t", "note": "", "uses": "1", "ends": "",
                  "password": PASSWORD, "notify": "never", "recipients": "", "csrf": token}
        while not over.is_set():
            made.append(ann.ask("POST", "/links", fields)[0])

    flood = threading.Thread(target=all_at_once, args=(400, make))
    flood.start()
    time.sleep(3)
    times = []
    for _ in range(5):
        bob = Browser(node)
        page = bob.token("/login")
        fields = {"email": "bob@example.org", "password": PASSWORD, "csrf": page}
        times.append(timed(lambda: expect(bob.ask("POST", "/login", fields), 303)))
    over.set()
    flood.join()
    tell("400 links with a password at once", {"log_in_s": max(times), "made": made.count(303)}, log_in_s=1)


ALL = {flood.__name__: flood for flood in (log_ins, hashing, forms, heads, pages, blocked, places)}


def main():
    binary, *names = sys.argv[1:]
    raise_limit()
    for name in names or ALL:
        node = Node(binary)
        try:
            ALL[name](node)
        finally:
            node.stop()
    for failure in FAILED:
        print("TOO MUCH:", failure)
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
