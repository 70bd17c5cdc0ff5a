"""Uploads a file with tuspy. Its argument is JSON; it prints its progress, line by line."""

import json
import sys

order = json.loads(sys.argv[1])
sys.path.insert(0, order["library"])

from tusclient import client  # noqa: E402

server = client.TusClient(order["endpoint"], headers={"Cookie": order["cookie"], "X-CSRF-Token": order["csrf"]})
uploader = server.uploader(
    order["file"],
    chunk_size=order["chunk"],
    metadata={"filename": order["name"], "folder": order["folder"]},
    retries=60,
    retry_delay=0.25,
    upload_checksum=order["checksum"],
)
while uploader.offset < uploader.get_file_size():
    uploader.upload_chunk()
    print("at", uploader.offset, flush=True)
print("done", flush=True)
