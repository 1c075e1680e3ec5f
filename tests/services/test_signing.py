"""Signed messages: who does not hold the key cannot make a worker act."""

import json
import time
from pathlib import Path

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import dumps, loads
from pydantic import SecretStr

from atra.cli.stack import Crew, temporary_stack
from atra.core.records import to_json
from atra.core.runs import new_id
from atra.core.settings import Settings
from atra.repository import Repository
from atra.wiring import Wiring
from tests.targets import small_shop
from workers import signing
from workers.app import make_app
from workers.pipelines import self_repair
from workers.targets import make_target


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


def test_a_worker_with_a_key_hears_who_has_it_and_no_other(tmp_path: Path):
    """Unsigned tasks and commands are refused and cost nothing; a signed run goes through chain, chord and results."""
    settings = Settings(
        _env_file=None, home=tmp_path / "home", message_key=SecretStr("canary-key-of-twenty"), patience_s=120
    )
    with temporary_stack(settings, Crew(workers=2, beat=False)) as running:
        mine = running.info.settings(settings)
        signed, unsigned = make_app(mine), make_app(mine.model_copy(update={"message_key": None}))
        wired = Wiring(mine)
        target = make_target(Repository.open(small_shop(tmp_path / "shop")), mine, commit=False, budget_s=60)
        run = wired.runs.open(new_id("r"), self_repair(2), to_json(target))
        wired.runs.mark_sent(run.id)  # so that the worker's own sweep leaves it alone

        unsigned.send_task("maintenance.send", (run.id,), ignore_result=True)
        assert unsigned.control.ping(timeout=5) == []
        assert [step.attempt for step in wired.runs.steps(run.id)] == [0] * 8
        signed.send_task("maintenance.send", (run.id,), ignore_result=True)
        until = time.monotonic() + 90
        while run.state == "open" and time.monotonic() < until:
            time.sleep(0.2)
            run = wired.runs.get(run.id)
        assert signed.control.ping(timeout=2)
        wired.engine.dispose()

    log = (tmp_path / "home" / "logs" / "worker.log").read_text()
    assert run.outcome == "fixed"
    assert "Refusing to deserialize untrusted content" in log
    assert "canary" not in log
