"""Signed messages: who does not hold the key cannot make a worker act."""

import json

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import dumps, loads

from workers import signing


@pytest.fixture
def name() -> str:
    return signing.register("the right key")


def test_a_signed_value_comes_back(name: str):
    """What is signed under a key is read under it."""
    content_type, encoding, data = dumps({"run": "r1", "n": [1, None]}, serializer=name)

    assert loads(data, content_type, encoding, accept=[signing.CONTENT_TYPE]) == {"run": "r1", "n": [1, None]}


@pytest.mark.parametrize(
    "forge",
    [
        lambda envelope: {**envelope, "body": envelope["body"].replace("r1", "r2")},
        lambda envelope: {**envelope, "signature": "0" * 64},
        lambda envelope: {"body": envelope["body"]},
        lambda envelope: envelope["body"],
        lambda envelope: {**envelope, "signature": None},
    ],
    ids=["other body", "other signature", "no signature", "no envelope", "null signature"],
)
def test_a_forged_message_is_refused(name: str, forge):
    """A changed body, a changed signature and a missing one are all refused."""
    content_type, encoding, data = dumps({"run": "r1"}, serializer=name)
    forged = json.dumps(forge(json.loads(data)))

    with pytest.raises(Exception, match="signed"):
        loads(forged, content_type, encoding, accept=[signing.CONTENT_TYPE])


def test_another_key_is_another_signature(name: str):
    """A message signed under another key is refused."""
    content_type, encoding, data = dumps({"run": "r1"}, serializer=name)
    signing.register("another key")

    with pytest.raises(Exception, match="another key"):
        loads(data, content_type, encoding, accept=[signing.CONTENT_TYPE])


def test_plain_json_is_not_accepted(name: str):
    """A worker that wants signed messages takes no other."""
    content_type, encoding, data = dumps({"run": "r1"}, serializer="json")

    with pytest.raises(ContentDisallowed):
        loads(data, content_type, encoding, accept=[signing.CONTENT_TYPE])
