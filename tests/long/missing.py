#!/usr/bin/env python3
"""The test suite on machines that lack what it needs: `missing.py TEST_BINARY` (the built `it`).

First all tests with everything missing that a test may need; then with one thing missing at a time, the tests
that need it. Each time the suite must pass and report each missing thing once. $CI is not set.
"""
import os, pathlib, shutil, subprocess, sys, tempfile, time

PROGRAMS = """curl wget aria2c axel chromium chromedriver strace faketime mkfs.ext4 losetup node npm psql openssl
make setpriv nginx haproxy caddy apache2 postfix ip ps promtool redis-server""".split()
VARIABLES = ["ONCELINK_TEST_POSTGRES", "ONCELINK_TEST_AXE"]
# A test asks for the first only if the second is there.
ASKED_AFTER = {"chromedriver": ["chromium"], "wget": ["curl"], "nginx": ["curl"], "losetup": ["mkfs.ext4"], "openssl": ["postfix"]}
# How tests report it, where that isn't its name.
SAID_AS = {
    "mkfs.ext4": "to be root, mkfs.ext4 and a loop device",
    "losetup": "to be root, mkfs.ext4 and a loop device",
    "ONCELINK_TEST_POSTGRES": "a PostgreSQL server, named by ONCELINK_TEST_POSTGRES",
    "ONCELINK_TEST_AXE": "axe-core (ONCELINK_TEST_AXE, the path of axe.min.js); all else is done",
}
FOLDERS = "/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin".split()
# Always there, because tests ask it about the crate's dependencies.
FOLDERS.append(str(pathlib.Path(shutil.which("cargo")).parent))
LIMIT = 45 * 60
# The folder in which cargo runs tests.
ROOT = pathlib.Path(__file__).resolve().parents[2]


def path_without(missing, home):
    """Creates a folder with links to all programs except these."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=home))
    for place in FOLDERS:
        for program in pathlib.Path(place).iterdir():
            link = folder / program.name
            if program.name not in missing and not link.is_symlink() and os.access(program, os.X_OK):
                link.symlink_to(program)
    return str(folder)


def run(binary, tests, missing, home):
    """Runs tests without these things; returns whether they pass, what was skipped, and which test asked for what."""
    notes = pathlib.Path(home) / "notes"
    notes.unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != "CI" and key not in missing}
    environment |= {"PATH": path_without(missing, home), "ONCELINK_TEST_NEEDS": str(notes), "RUST_BACKTRACE": "0"}
    command = [binary, *(["--exact", *tests] if tests else [])]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("SKIPPED: ")]
    skipped = [line.removeprefix("SKIPPED: tests that need ").removesuffix(", which is not here") for line in said]
    asked = {}
    for line in notes.read_text().splitlines() if notes.exists() else []:
        test, needed = line.split("\t")
        asked.setdefault(needed, set()).add(test)
    if done.returncode != 0:
        print(done.stdout[-8000:], done.stderr[-2000:])
    return done.returncode == 0, skipped, asked


def main():
    binary, wrong = str(pathlib.Path(sys.argv[1]).resolve()), 0
    # `command -v` of the tests names a program by its path, and so do the skipped tests.
    said_as = lambda thing: SAID_AS.get(thing, f"the program `{thing}`")
    with tempfile.TemporaryDirectory() as home:
        begun = time.time()
        green, skipped, asked = run(binary, [], PROGRAMS + VARIABLES, home)
        once = len(skipped) == len(set(skipped))
        wrong += not (green and once)
        print(f"{'good ' if green and once else 'WRONG'} everything missing: {len(skipped)} things reported in {time.time() - begun:.0f} s")
        for thing in PROGRAMS + VARIABLES:
            wanted = [asked.get(name, set()) | asked.get(said_as(name), set()) for name in [thing, *ASKED_AFTER.get(thing, [])]]
            if thing == "ONCELINK_TEST_AXE":
                wanted.append(asked.get("chromium", set()))
            tests = sorted(set().union(*wanted))
            if not tests:
                print(f"      {thing}: no test needs it")
                continue
            begun = time.time()
            green, skipped, _ = run(binary, tests, [thing], home)
            # Other things may be missing on this machine anyway.
            once = len(skipped) == len(set(skipped)) and said_as(thing) in skipped
            wrong += not (green and once)
            print(f"{'good ' if green and once else 'WRONG'} {thing}: {len(tests)} tests, {time.time() - begun:.0f} s, reported: {skipped}", flush=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
