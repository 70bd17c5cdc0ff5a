"""A mail server for tests: writes mails into a folder, and misbehaves when a file tells it to.

Usage: smtp_sink.py FOLDER [--tls starttls|wrapped] [--certificate CERT --key KEY] [--password USER:PASSWORD]
Prints its port on a line of its own. FOLDER/mode holds one of: accept, refuse, later, drop.
"""

import argparse
import asyncio
import os
import ssl

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

arguments = argparse.ArgumentParser()
arguments.add_argument("folder")
arguments.add_argument("--tls", choices=["starttls", "wrapped"])
arguments.add_argument("--certificate")
arguments.add_argument("--key")
arguments.add_argument("--password")
asked = arguments.parse_args()


def mode():
    try:
        with open(os.path.join(asked.folder, "mode")) as file:
            return file.read().strip()
    except FileNotFoundError:
        return "accept"


class Sink:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if mode() == "refuse":
            return "550 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):
        if mode() == "later":
            return "451 come back later"
        if mode() == "drop":
            server.transport.abort()
            return "421 gone"
        Sink.count += 1
        name = os.path.join(asked.folder, f"{Sink.count:04}")
        with open(name + ".part", "wb") as file:
            file.write(envelope.original_content)
        os.rename(name + ".part", name + ".eml")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    user, _, password = asked.password.partition(":")
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=right, handled=False)


context = None
if asked.certificate:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(asked.certificate, asked.key)

options = {"hostname": "localhost"}
if asked.tls == "starttls":
    options.update(tls_context=context, require_starttls=True)
if asked.password:
    options.update(authenticator=authenticate, auth_required=True, auth_require_tls=asked.tls == "starttls")


async def serve():
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Sink(), **options),
        host="127.0.0.1",
        port=0,
        ssl=context if asked.tls == "wrapped" else None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve())
