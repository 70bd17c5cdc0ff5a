"""Verifies a webhook with its official library. Its argument is JSON; it prints whether the signature is right."""

import json
import sys

order = json.loads(sys.argv[1])
sys.path.insert(0, order["library"])

from standardwebhooks import Webhook, WebhookVerificationError  # noqa: E402

try:
    Webhook(order["secret"]).verify(order["body"], order["headers"])
    print("right")
except WebhookVerificationError as error:
    print("wrong:", error)
