"""Signed messages: JSON with an HMAC-SHA256 over it, so that only who holds the key can make ATRA's workers act.

Whoever can write to the broker could otherwise start any registered task. Only the body is signed: arguments,
callbacks, the rest of a chain. Not covered: reading (nothing is encrypted), a body sent again as it was, a body sent to
another task, for the name stands in the headers; a step's claim makes both harmless. Nor does it keep a worker up when
the queue holds what is no message at all.
"""

import hashlib
import hmac
import json
from typing import Any

from kombu.serialization import register as kombu_register
from kombu.utils.json import dumps, loads

CONTENT_TYPE = "application/x-atra-signed-json"
NAME = "atra-signed-json"


class SignatureMismatch(ValueError):
    """A message's signature is missing or wrong."""


def register(key: str) -> str:
    """Make kombu know the signed serializer under this key, and return its name."""
    secret = key.encode()

    def encode(value: Any) -> str:
        body = dumps(value)
        return json.dumps({"body": body, "signature": _sign(secret, body)})

    def decode(data: str | bytes) -> Any:
        try:
            envelope = json.loads(data)
            body, signature = envelope["body"], envelope["signature"]
            genuine = hmac.compare_digest(_sign(secret, body), signature)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SignatureMismatch("the message is not a signed one") from error
        if not genuine:
            raise SignatureMismatch("the message was signed with another key")
        return loads(body)

    kombu_register(NAME, encode, decode, content_type=CONTENT_TYPE, content_encoding="utf-8")
    return NAME


def _sign(secret: bytes, body: str) -> str:
    return hmac.new(secret, body.encode(), hashlib.sha256).hexdigest()
