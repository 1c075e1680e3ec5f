"""`atra war-room` as a user runs it, through a real stack; and which model judges, is paid, and is asked first."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atra.cli.stack import Crew, StackInfo, temporary_stack
from atra.core.records import to_json
from atra.core.runs import new_id
from atra.core.settings import ModelSettings, Settings
from atra.repository import Repository
from atra.storage.database import connect
from atra.storage.rooms import RoomStore
from atra.storage.runs import RunStore
from atra.war_room.hints import Hints
from atra.war_room.seats import HINTS
from atra.wiring import use
from tests.services.test_rooms_with_models import GOOD, LABELS, RIGHT, Body, Play, on_question, seat_of, vote
from tests.services.watching import eventually
from tests.targets import git, make_repository, small_shop
from tests.wires import Step, Turn
from workers.pipelines import repair_plan
from workers.self_repair import STEPS
from workers.targets import make_target
from workers.task import run_step

CONTRACT = {"run_id", "outcome", "decision", "ballots", "dissent", "quorum", "rounds", "cost_usd", "seconds"}


@pytest.fixture(scope="module")
def served() -> Iterator[Play]:
    played = Play()
    with played.server:
        yield played


@pytest.fixture
def play(served: Play) -> Play:
    served.server.requests.clear()
    return served


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, served: Play) -> Iterator[StackInfo]:
    """A stack whose workers know two models."""
    models = {"one": served.model(), "two": served.model()}
    settings = Settings(_env_file=None, home=tmp_path_factory.mktemp("stack") / "home", shards=1, models=models)
    with temporary_stack(settings, Crew(workers=2)) as running:
        yield running.info


class Shell:
    """Where a user types commands who has the two models in `atra.toml`."""

    def __init__(self, stack: StackInfo, play: Play, folder: Path) -> None:
        self.folder = folder
        rest = f"provider = 'openai-compatible'\nmodel = 'm'\nbase_url = '{play.server.url}'\ninput_usd = 2.0\n"
        config = "".join(f"[models.{name}]\n{rest}output_usd = 8.0\n" for name in ("one", "two"))
        (folder / "atra.toml").write_text(config)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ATRA_")}
        self.environment |= {"ATRA_DATABASE_URL": stack.database_url, "ATRA_REDIS_URL": stack.redis_url}
        self.environment |= {"ATRA_CONFIG": str(folder / "atra.toml"), "ATRA_HOME": str(folder / "home")}

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        """Start a command."""
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command, environment = (sys.executable, "-m", "atra", *arguments), {**self.environment, **more}
        return subprocess.Popen(command, cwd=self.folder, env=environment, **pipes)

    def atra(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        """Run a command; return its exit code, its output and its complaint."""
        process = self.start(*arguments, **more)
        said, complaint = process.communicate(timeout=120)
        return process.returncode, said, complaint


@pytest.fixture
def shell(stack: StackInfo, play: Play, tmp_path: Path) -> Shell:
    return Shell(stack, play, tmp_path)


def test_a_question_is_decided(shell: Shell, play: Play):
    """Exit code 0 and the whole contract; followed afterwards, it is told again for people."""
    play.says = lambda body: vote("b", "a", why="cheaper over two years", reference="notes.md:1")
    (shell.folder / "notes.md").write_text("Renting costs 900 a month.\n")

    asked = ("war-room", "Buy or rent?", "--option", "buy", "--option", "rent", "--context", "notes.md")
    code, said, complaint = shell.atra(*asked, "--json")

    room = json.loads(said)
    assert (code, complaint) == (0, "")
    assert set(room) >= CONTRACT
    assert (room["outcome"], room["decision"], room["decision_text"]) == ("decided", "b", "rent")
    assert (room["rounds"], room["quorum"], len(room["ballots"])) == (1, 3, 4)
    assert room["ballots"][0]["evidence"] == [{"text": "cheaper over two years", "reference": "notes.md:1"}]
    code, said, heard = shell.atra("war-room", "--follow", room["run_id"])
    assert (code, "decided: b (rent)" in said, "asked: Buy or rent?" in heard) == (0, True, True)
    assert "ml: b  cheaper over two years (notes.md:1)" in heard


def test_a_person_votes_until_the_decision(shell: Shell, play: Play, stack: StackInfo):
    """Once, again, and with a veto, which ends it without a decision; what nobody can count is said and kept apart."""
    go_on = threading.Event()

    def says(body: Body) -> Turn:
        assert go_on.wait(60)
        return vote("a", "b")

    play.says = says
    runs, rooms = RunStore(connect(stack.database_url)), RoomStore(connect(stack.database_url))
    known = {run.id for run in runs.recent()}
    waiting = shell.start("war-room", "Go?", "--option", "go", "--option", "stay", "--json")

    def opened() -> list[str]:
        return [run.id for run in runs.recent() if run.id not in known and runs.outputs(run.id, "convene")]

    try:
        eventually(lambda: bool(opened()))
        ask = ("war-room", "vote", opened()[0])
        ann = ("--as", "ann")

        assert shell.atra(*ask, "a", *ann)[0] == 0
        assert shell.atra(*ask, "b", *ann)[0] == 0
        code, _, complaint = shell.atra(*ask, "c", *ann)
        assert (code, "c is no option" in complaint, "it has a, b" in complaint) == (2, True, True)
        assert shell.atra(*ask, "--veto", "a", *ann)[0] == 2
        assert [one.ranking for one in rooms.ballots(ask[2]) if one.expert == "person:ann"] == [("b",)]
        assert shell.atra(*ask, "b", "--veto", "a", "--reason", "the contract forbids it", *ann)[0] == 0
    finally:
        go_on.set()
        said, _ = waiting.communicate(timeout=60)

    told = json.loads(said)
    assert (waiting.returncode, told["outcome"], told["decision"]) == (1, "no_consensus", None)
    assert "a is vetoed: person:ann: the contract forbids it" in told["reason"]
    code, said, _ = shell.atra(*ask, "b", "--as", "bob")
    assert (code, said) == (1, "too late: it is kept, and not counted\n")
    code, said, heard = shell.atra("war-room", "--follow", ask[2])
    assert (code, "no consensus: a is vetoed" in said, "late, not counted" in said) == (0, True, True)
    assert "person:ann: b, vetoes a: the contract forbids it" in heard


def test_without_a_model_it_says_who_could_speak(shell: Shell):
    """Exit code 1, for people and as JSON, and no request."""
    alone = {"ATRA_CONFIG": os.devnull, "COLUMNS": "100"}
    code, said, _ = shell.atra("war-room", "Shall we?", **alone)
    assert (code, "no consensus: no expert has anything to go by" in said) == (1, True)
    assert "no model is configured" in said

    code, said, _ = shell.atra("war-room", "Shall we?", "--json", **alone)
    room = json.loads(said)
    assert (code, room["outcome"], room["ballots"], room["quorum"]) == (1, "no_consensus", [], None)
    assert "--repair RUN" in room["notes"][0]


def test_a_repair_that_failed_goes_on_in_a_room(shell: Shell, play: Play, tmp_path: Path):
    """The search found nothing; a patch of the room's reviewer, proved by the tests, becomes the commit."""
    repository = make_repository(tmp_path / "labels", LABELS)
    play.says = lambda body: (
        vote(RIGHT, why="one name only", reference="labels.py:9", patch=GOOD)
        if seat_of(body) == "Review"
        else vote(RIGHT)
    )
    code, said, _ = shell.atra("repair", str(repository), "--generator", "templates", "--json")
    failed = json.loads(said)
    assert (code, failed["status"], play.server.bodies) == (1, "not_fixed", [])

    code, said, complaint = shell.atra("war-room", "--repair", failed["run_id"], "--json")

    room = json.loads(said)
    repair = room["repair"]
    assert (code, complaint) == (0, "")
    assert (room["outcome"], room["settled_by"], room["decision"]) == ("decided", "tests", RIGHT)
    assert (repair["status"], repair["template"]) == ("fixed", "war-room")
    assert repair["generator"] in {"model/one", "model/two"}
    assert git(repository, "diff", "--name-only", "main", repair["branch"]) == "labels.py"
    refused = [shell.atra("war-room", "--repair", one) for one in (room["run_id"], "rnone")]
    assert [code for code, *_ in refused] == [2, 2]
    assert "is no repair" in refused[0][2]


def test_a_room_that_there_is_not(shell: Shell):
    """Neither to watch nor to vote in: exit code 2."""
    for asked in (("--follow", "mnone"), ("vote", "mnone", "a")):
        code, said, complaint = shell.atra("war-room", *asked)
        assert (code, said, "mnone" in complaint) == (2, "", True)


# ---- in this process -------------------------------------------------------------------------------------------------


def named(play: Play, *names: str) -> dict[str, ModelSettings]:
    """Return models that the server tells apart: each asks for itself by its name."""
    return {name: play.model().model_copy(update={"model": name}) for name in names}


def test_the_judge_is_a_model_that_no_seat_has(settings: Settings, play: Play):
    """Where there is one: who has voted would judge itself."""

    def says(body: Body) -> Step:
        seat = seat_of(body)
        if seat == "judge":
            return Turn(json.dumps({"working": "…", "option": "a"}))
        return vote("a", "b") if seat in {"ML", "Risk"} else vote("b", "a")

    play.says = says
    wired = use(settings.model_copy(update={"models": named(play, "one", "two", "three", "four", "five")}))

    assert on_question(wired, ["go", "stay"])["settled_by"] == "judge"
    asked = {(seat_of(body) == "judge", body["model"]) for body in play.server.bodies}
    assert asked == {(True, "five"), *((False, name) for name in ("one", "two", "three", "four"))}


def test_no_call_is_made_that_the_tokens_do_not_reach_for(settings: Settings, play: Play):
    """Every seat abstains with the reason, and a person is asked."""
    play.says = lambda body: vote("a")
    rules = settings.war_room.model_copy(update={"room_tokens": 1000})
    wired = use(settings.model_copy(update={"models": named(play, "one"), "war_room": rules}))

    told = on_question(wired)

    assert (told["outcome"], told["model_calls"], play.server.bodies) == ("no_consensus", 0, [])
    assert all("budget" in ballot["abstained"] for ballot in told["ballots"])
    assert len(told["ballots"]) == 4


def test_the_model_that_a_room_advises_is_asked_first(settings: Settings, play: Play, tmp_path: Path):
    """In the repair that follows; without advice it is the first of the settings."""
    play.says = lambda body: Turn("I do not know.")
    wired = use(settings.model_copy(update={"models": named(play, "one", "two"), "shards": 1, "samples": 1}))
    target = make_target(Repository.open(small_shop(tmp_path / "shop")), wired.settings, generator="model", budget_s=60)
    for advice in ("model/two", ""):
        given = {**to_json(target), HINTS: to_json(Hints(generator=advice))}
        run = wired.runs.open(new_id("h"), repair_plan(wired.settings, "model", 1), given)
        for name in ("reproduce", "diagnose", "propose", "ask"):
            run_step(name, run.id, 0, STEPS[name])

    assert list(dict.fromkeys(body["model"] for body in play.server.bodies)) == ["two", "one"]
