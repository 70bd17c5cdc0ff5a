#!/usr/bin/env python3
"""Compares downloading a ZIP archive with downloading one plain file of its size, in turn.

Usage: zip_speed.py BINARY [ROUNDS]. Fails if the archive's median rate is below 0.8 of the plain file's. Many small
files are measured, too, but not judged: opening them takes as long as sending them within one machine.
"""

import os
import statistics
import subprocess
import sys
import time

from scratch import Server, until

LEAST = 0.8
PLAIN = 1 << 30
# The same amount, in files as people have them: one film, photographs, documents.
FOLDERS = {"film": (1, 1 << 30), "photographs": (256, 4 << 20), "documents": (16384, 64 << 10)}


def fill(folder, count, size):
    folder.mkdir()
    block = os.urandom(1 << 20)
    for number in range(count):
        with open(folder / f"{number}.bin", "wb") as file:
            for _ in range(max(1, size >> 20)):
                file.write(block[:min(size, 1 << 20)])


def processor_seconds(process):
    fields = open(f"/proc/{process}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def download(server, address):
    """Returns the bytes a second, and the service's processor time in seconds."""
    before, begun = processor_seconds(server.program.pid), time.monotonic()
    command = ["curl", "-sSf", "-o", "/dev/null", "-w", "%{size_download}", address]
    size = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    seconds = time.monotonic() - begun
    assert size >= PLAIN, f"{size} bytes of {address}"
    return size / seconds, (processor_seconds(server.program.pid) - before) * PLAIN / size


def main(binary, rounds=5):
    with Server(binary, shares=["open"]) as server:
        fill(server.home / "open" / "plain", 1, PLAIN)
        for name, (count, size) in FOLDERS.items():
            fill(server.home / "open" / name, count, size)
        ada, _ = server.account("ada@example.org", "Ada", "--admin")

        def plain():
            return ada.post("/account", "/download", file="/open/plain/0.bin").location

        def archive(folder):
            def ready():
                return ada.post("/account", "/zip", files=f"/open/{folder}").location
            return until(f"the archive of {folder}", ready, 120)

        failed = False
        download(server, plain())
        for folder in FOLDERS:
            download(server, archive(folder))
            pairs = [(download(server, plain()), download(server, archive(folder))) for _ in range(rounds)]
            rate = statistics.median(zipped[0] / whole[0] for whole, zipped in pairs)
            cost = statistics.median(zipped[1] / whole[1] for whole, zipped in pairs)
            fast = statistics.median(zipped[0] for _, zipped in pairs)
            print(f"{folder}: {fast / 1e6:.0f} MB/s, {rate:.2f} of a plain file; processor time {cost:.2f}", flush=True)
            failed |= rate < LEAST and folder != "documents"
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
