"""A client that is made from the description of the API makes a link, which works: `api_client.py BINARY LIBRARY`.

LIBRARY is the folder with openapi-python-client, which `.ci/long` installs.
"""

import importlib
import os
import subprocess
import sys
import urllib.request

from scratch import Server


def main():
    library = sys.argv[2]
    with Server(sys.argv[1], ["team"]) as server:
        (server.home / "team/report.pdf").write_bytes(b"the report")
        server.account("ada@example.org", "Ada Lovelace")
        command = [server.binary, "api-keys", "add", *server.config, "ada@example.org", "--name", "client", "--scope", "links"]
        key = subprocess.run(command, cwd=server.home, check=True, capture_output=True, text=True).stdout.strip()
        description = server.home / "openapi.json"
        with urllib.request.urlopen(server.base + "/api/v1/openapi.json") as answer:
            description.write_bytes(answer.read())
        made = server.home / "made"
        environment = {**os.environ, "PYTHONPATH": library}
        generate = ["-m", "openapi_python_client", "generate", "--path", str(description), "--output-path", str(made), "--meta", "none"]
        subprocess.run([sys.executable, *generate], cwd=server.home, check=True, env=environment)

        sys.path[:0] = [library, str(server.home)]
        client = importlib.import_module("made").AuthenticatedClient(base_url=server.base + "/api/v1", token=key)
        make = importlib.import_module("made.api.links.make_link")
        body = importlib.import_module("made.models.new_link_body").NewLinkBody.from_dict({"files": ["/team/report.pdf"], "uses": 1})
        link = make.sync(client=client, body=body)
        got = subprocess.run([server.binary, "get", link.url, "--output", "got"], cwd=server.home, capture_output=True, text=True)
        content = (server.home / "got/report.pdf").read_bytes() if got.returncode == 0 else b""
        good = content == b"the report"
        print(f"{'good ' if good else 'WRONG'} a made client made the link {link.id}; got: {got.stdout or got.stderr}")
        return not good


sys.exit(main())
