"""Listens at the addresses in its arguments (NAME=HOST:PORT), and passes the sockets to programs as systemd does. Each
line on its standard input is a command, which it starts; it prints the process id."""

import fcntl
import os
import shlex
import socket
import subprocess
import sys

names, sockets = [], []
for argument in sys.argv[1:]:
    name, address = argument.split("=")
    host, port = address.rsplit(":", 1)
    listener = socket.create_server((host, int(port)), backlog=1024)
    names.append(name)
    # Out of the way of the numbers at which programs expect them.
    sockets.append(fcntl.fcntl(listener.detach(), fcntl.F_DUPFD_CLOEXEC, 100))


def pass_sockets():
    for number, descriptor in enumerate(sockets, 3):
        os.dup2(descriptor, number)


for line in sys.stdin:
    environment = dict(os.environ, LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(names))
    with open("log", "ab") as log:
        # The program must find its own id in LISTEN_PID.
        child = subprocess.Popen(
            ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *shlex.split(line)],
            env=environment,
            pass_fds=range(3, 3 + len(sockets)),
            preexec_fn=pass_sockets,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    print(child.pid, flush=True)
