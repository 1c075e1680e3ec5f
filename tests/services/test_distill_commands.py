"""`atra distill` as a user types it: what is shown, what is decided, what is built, and what is refused."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from atra.cli.main import run
from atra.core.settings import Settings, load_settings
from atra.distillation.traces import Origin
from atra.wiring import Wiring, use
from tests.unit.distillation.given import trace
from workers import distillation
from workers.task import run_step

CLOUD = Origin("openai", "gpt-x", terms="2026-01")


@pytest.fixture
def wired(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wiring]:
    """A process whose environment names the services, in a folder of the user's."""
    monkeypatch.setenv("ATRA_CONFIG", os.devnull)
    monkeypatch.setenv("ATRA_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("ATRA_REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("ATRA_HOME", str(settings.home))
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield use(settings)
    load_settings.cache_clear()


class Shell:
    """Where a user types commands."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def atra(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; return its exit code, its output and its complaint."""
        code = run(["distill", *arguments])
        told = self._capture.readouterr()
        return code, told.out, told.err

    def told(self, *arguments: str) -> dict[str, Any]:
        """Run a command that succeeds; return what it prints as JSON."""
        code, said, complaint = self.atra(*arguments, "--json")
        assert (code, complaint) == (0, "")
        return json.loads(said)


@pytest.fixture
def shell(wired: Wiring, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_from_permission_to_a_data_set_and_back(shell: Shell, wired: Wiring):
    """Denied until allowed for these terms; built; and withdrawn when revoked."""
    wired.traces.keep(replace(trace(1), origin=CLOUD), trace(2))
    assert shell.told("build")["dropped"] == {"not_allowed": 1}

    shell.told("policy", "allow", "openai", "gpt-*", "--terms", "2026-01", "--reason", "agreed in writing")
    policy = shell.told("policy")
    built = shell.told("build")

    assert (policy["rules"][0]["reason"], policy["traces"][1]["provider"]) == ("agreed in writing", "openai")
    assert (built["rows"], built["policy"], built["new"]) == (2, policy["version"], True)
    revoked = shell.told("policy", "revoke", "--model", "gpt-*", "--reason", "the contract ended")
    assert revoked == {"traces": 1, "data_sets": [built["data_set"]], "brains": []}
    code, said, _ = shell.atra("report", built["data_set"][:8])
    assert (code, "withdrawn" in said, "whole" in said) == (0, True, True)


def test_the_screens_of_a_building(shell: Shell, wired: Wiring):
    """What is kept, what is not and why, in words; the picture is one."""
    wired.traces.keep(trace(1), trace(2), replace(trace(3), origin=CLOUD))

    code, said, complaint = shell.atra("curate")
    assert (code, complaint) == (0, "")
    assert [word in said for word in ("kept", "not allowed", "0 repairs, 0 rooms")] == [True] * 3
    assert wired.data_sets.recent() == []
    code, said, _ = shell.atra("build")
    assert (code, "2 rows" in said) == (0, True)
    code, said, _ = shell.atra("report", "--picture", "report.svg")
    assert (code, "up to" in said) == (0, True)
    drawn = "".join(ElementTree.parse(shell.folder / "report.svg").getroot().itertext())
    assert "3 traces: what became of them" in drawn
    assert "not allowed" in drawn
    code, said, _ = shell.atra("policy")
    assert [word in said for word in ("shipped", "denied", "allowed", "openai")] == [True] * 4


def test_what_people_wrote_is_added_once(shell: Shell, wired: Wiring):
    """And may be learned from."""
    rows = [{"prompt": one.prompt, "reasoning": one.reasoning, "answer": one.answer} for one in (trace(1), trace(2))]
    (shell.folder / "ours.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    assert shell.told("add", "ours.jsonl") == {"read": 2, "new": 2}
    assert shell.told("add", "ours.jsonl") == {"read": 2, "new": 0}
    assert {(one.kind, one.permission.allowed) for one in wired.traces.all()} == {("human", True)}


def test_a_day_s_run_is_shown(shell: Shell, wired: Wiring, capsys: pytest.CaptureFixture[str]):
    """It is about no repository, and says what came of each step."""
    wired.traces.keep(trace(1))
    day = distillation.open_day(wired, datetime(2030, 1, 2, tzinfo=UTC))
    run_step("gather", day.id, 0, distillation.gather)
    run_step("build", day.id, 0, distillation.build_data_set)
    capsys.readouterr()

    assert run(["show", day.id]) == 0
    said = capsys.readouterr().out
    assert [word in said for word in ("l20300102", "1 of 1 traces", "built: data set")] == [True] * 3
    assert run(["show", day.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "built"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("report",), 2, "no data set was built yet"),
        (("report", "abc"), 2, "there is no data set abc"),
        (("policy", "revoke", "--reason", "somebody asked"), 2, "say which traces"),
        (("policy", "deny", "openai", "*", "--reason", "no"), 2, "at least eight letters"),
        (("policy", "allow", "openai", "*", "--reason", "a good reason"), 2, "--terms"),
        (("add", "absent.jsonl"), 2, "cannot be read"),
        (("add", "wrong.jsonl"), 2, "line 2 of wrong.jsonl"),
        (("curate",), 1, ""),
        (("build",), 1, ""),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else None,
)
def test_what_cannot_be_done_is_said_in_a_sentence(shell: Shell, arguments: tuple[str, ...], code: int, complaint: str):
    """Bad input ends with 2; nothing to learn from with 1."""
    (shell.folder / "wrong.jsonl").write_text('{"prompt": "a", "reasoning": "b", "answer": "c"}\n{"prompt": 1}\n')
    ended, said, heard = shell.atra(*arguments)

    assert (ended, complaint in " ".join(heard.split())) == (code, True)
    assert "Traceback" not in heard
    if code == 2:
        assert said == ""
