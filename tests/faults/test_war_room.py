"""War-rooms on real workers: experts raise, hang, die, flood and come late, Redis goes, messages come twice."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from atra.cli.stack import environment_of
from atra.core.runs import Run, new_id
from atra.core.settings import Settings
from atra.repository import Repository
from atra.war_room.records import Ballot
from atra.war_room.seats import PREFIX, repair_after
from atra.wiring import Wiring, use
from tests.faults.test_broker_outage import Redis
from tests.services.watching import eventually
from tests.targets import git, small_shop
from workers.app import make_app
from workers.pipelines import send
from workers.rooms import room_for
from workers.targets import make_target

SEATS = ("localisation", "history", "data_flow", "tests", "risk")
CHOSEN = "shop/pricing.py::share_off"


@contextmanager
def workers(
    settings: Settings, folder: Path, parts: Mapping[str, str], slots: int = 2, late_s: float = 0
) -> Iterator[Path]:
    """Keep one worker running, and sweep; give the folder of marks. What still hangs at the end is killed."""
    marks = folder / "marks"
    marks.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        **environment_of(settings),
        **{"PYTHONPATH": os.getcwd(), "ROOM_PARTS": json.dumps(parts), "ROOM_MARKS": str(marks)},
        "ROOM_LATE_S": str(late_s),
    }
    command = (
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tests.faults.roomer",
        "worker",
        "-Q",
        "warroom,repair,maintenance",
    )
    options = ("-c", str(slots), "-l", "WARNING")
    with (folder / "worker.log").open("ab") as log:
        worker = subprocess.Popen((*command, *options), env=environment, stdout=log, stderr=log, start_new_session=True)
    over = threading.Event()
    sweeping = threading.Thread(target=_sweep, args=(settings, over))
    sweeping.start()
    try:
        yield marks
    finally:
        over.set()
        sweeping.join()
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def _sweep(settings: Settings, over: threading.Event) -> None:
    """Do beat's part, which outlives no Redis without a supervisor."""
    app = make_app(settings)
    while not over.wait(settings.sweep_s):
        with suppress(OperationalError, ConnectionError):
            app.send_task("maintenance.sweep", ignore_result=True, expires=5, retry=False)


class Around:
    """A repository with a failing test, and a way to hold rooms on it."""

    def __init__(self, settings: Settings, tmp_path: Path) -> None:
        quick = {"lease_s": 1.5, "sweep_s": 0.5, "patience_s": 1.0, "max_attempts": 2, "shards": 1}
        self.settings = settings.model_copy(update=quick)
        self.folder = tmp_path
        self.repository = small_shop(tmp_path / "shop")
        self.wired, self.app = use(self.settings), make_app(self.settings)

    def open(self, deadline_s: float, *, repair: bool = False, hold: bool = False) -> Run:
        """Open a room of five seats and send it."""
        target = make_target(Repository.open(self.repository), self.settings, budget_s=60)
        opening = room_for(
            self.wired,
            target,
            question="Which place is wrong?",
            models=False,
            run_id=new_id(PREFIX),
            failure_id=None,
            repair=repair,
            wanted=SEATS,
            deadline_s=deadline_s,
            hold=hold,
        )
        run = self.wired.runs.open(opening.run_id, opening.plan, opening.given)
        self.app.send_task("maintenance.send", (run.id,), ignore_result=True)
        return run

    def ended(self, run: Run, within_s: float = 60.0) -> Run:
        """Wait for the end of a run."""
        until = time.monotonic() + within_s
        while run.state == "open" and time.monotonic() < until:
            time.sleep(0.05)
            run = self.wired.runs.get(run.id)
        assert run.state == "ended", self.log()
        return run

    def log(self) -> str:
        """Return what the worker printed last."""
        return (self.folder / "worker.log").read_text()[-4000:]


@pytest.fixture
def around(settings: Settings, tmp_path: Path) -> Around:
    """Settings under which lost work is found at once."""
    return Around(settings, tmp_path)


def test_two_of_five_dead_and_the_rest_decides(around: Around):
    """One is killed whenever it speaks, one hangs: three opinions are the quorum, and who is missing is said."""
    with workers(around.settings, around.folder, {"history": "die", "tests": "hang"}):
        run = around.ended(around.open(12))

    decision = around.wired.rooms.decision(run.id)
    assert (run.outcome, decision.option, decision.tally.counted, decision.tally.needed) == ("decided", CHOSEN, 3, 3)
    assert "2 of 5 seats gave none" in decision.reason
    heard = around.wired.runs.outputs(run.id, "hear")
    assert sum("excused" in output for output in heard) == 2


def test_nobody_waits_for_the_lease_of_a_seat_that_was_killed(around: Around):
    """The worker's own machine knows that the process is dead; twice, and the room goes on without it."""
    patient = around.settings.model_copy(update={"lease_s": 600, "sweep_s": 300, "patience_s": 600, "max_attempts": 5})
    around.settings, around.wired, around.app = patient, use(patient), make_app(patient)
    with workers(patient, around.folder, {"history": "die"}) as marks:
        run = around.ended(around.open(600), within_s=patient.lease_s / 2)

    assert (run.outcome, around.wired.rooms.decision(run.id).tally.counted) == ("decided", 4)
    assert len([mark for mark in marks.iterdir() if mark.name.startswith("history")]) == 2


def test_three_of_five_dead_and_a_person_is_asked(around: Around):
    """Two opinions are no quorum; nothing is decided, no repair begins, nothing in the repository changes."""
    before = git(around.repository, "for-each-ref")
    with workers(around.settings, around.folder, {"history": "raise", "tests": "garbage", "risk": "die"}):
        run = around.ended(around.open(12, repair=True))

    assert run.outcome in {"no_consensus", "expired"}
    assert "2 of 5 experts gave an opinion, 3 are needed" in run.reason
    ballots = {ballot.expert: ballot for ballot in around.wired.rooms.ballots(run.id)}
    assert ballots["history"].abstained == "RuntimeError: no idea, and password=[redacted]"
    assert [run.id] == [one.id for one in around.wired.runs.recent()]
    assert git(around.repository, "for-each-ref") == before


def test_a_held_room_hears_a_person_whatever_dies_meanwhile(around: Around):
    """The experts agree at once; the room waits, its worker is killed, and a veto before the deadline counts."""
    with workers(around.settings, around.folder, {}):
        run = around.open(15, hold=True)
        eventually(lambda: around.wired.runs.outputs(run.id, "weigh"), patience_s=14)
    veto = Ballot("person:ann", "person", "person", vetoes={CHOSEN: "it is frozen"}, abstained="a veto only")
    assert not around.wired.rooms.cast(run.id, veto).late
    assert around.wired.rooms.decision(run.id) is None
    with workers(around.settings, around.folder, {}):
        run = around.ended(run)

    assert (run.outcome, run.ended_at > run.deadline_at) == ("no_consensus", True)
    assert "it is frozen" in run.reason
    assert around.wired.rooms.decision(run.id).tally.counted == len(SEATS)


def test_a_held_room_that_nobody_joins_is_decided_by_its_experts(around: Around):
    """At the deadline, not before, and it has not expired: nothing was missing."""
    with workers(around.settings, around.folder, {}):
        run = around.ended(around.open(12, hold=True))

    assert (run.outcome, run.ended_at > run.deadline_at) == ("decided", True)
    assert around.wired.rooms.decision(run.id).option == CHOSEN


def test_who_floods_or_comes_late_harms_nobody(around: Around):
    """A flood is cut to size, a late ballot is kept as late and counts for nothing, and the decision stands."""
    with workers(around.settings, around.folder, {"history": "flood", "tests": "late"}, late_s=13):
        run = around.ended(around.open(10))
        until = time.monotonic() + 30
        while time.monotonic() < until and not any(one.late for one in around.wired.rooms.ballots(run.id)):
            time.sleep(0.1)

    ballots = {ballot.expert: ballot for ballot in around.wired.rooms.ballots(run.id)}
    assert ballots["tests"].late
    assert len(json.dumps([one.text for one in ballots["history"].evidence])) < 100_000
    decision = around.wired.rooms.decision(run.id)
    assert (run.outcome, decision.option, decision.tally.counted) == ("decided", CHOSEN, 4)


def test_copies_of_every_message_change_nothing(around: Around):
    """The whole room is sent five times over: one ballot a seat, one decision, one repair, which is fixed."""
    with workers(around.settings, around.folder, {}, slots=2):
        run = around.open(60, repair=True)
        for _ in range(4):
            send(around.app, around.wired.runs, run)
        run = around.ended(run)
        repair = around.ended(around.wired.runs.get(repair_after(run.id)))

    assert (run.outcome, repair.outcome) == ("decided", "fixed")
    assert sorted(one.expert for one in around.wired.rooms.ballots(run.id)) == sorted(SEATS)
    assert {one.id for one in around.wired.runs.recent()} == {run.id, repair.id}
    records = around.wired.rooms.records("code")
    assert {expert: (record.judged, record.right) for expert, record in records.items()} == dict.fromkeys(SEATS, (1, 1))


def test_one_slot_is_enough(around: Around):
    """A worker that does one thing at a time holds a room without waiting for itself."""
    with workers(around.settings, around.folder, {}, slots=1):
        run = around.ended(around.open(60))

    assert (run.outcome, around.wired.rooms.decision(run.id).tally.counted) == ("decided", 5)


def test_redis_goes_and_comes_back_in_the_middle(around: Around, tmp_path: Path):
    """Messages, results and the channel are lost with it; the room goes on from the database."""
    server = Redis(tmp_path)
    settings = around.settings.model_copy(update={"redis_url": type(around.settings.redis_url)(server.url)})
    moved = Around.__new__(Around)
    moved.__dict__ = {**around.__dict__, "settings": settings, "wired": Wiring(settings), "app": make_app(settings)}
    try:
        with workers(settings, around.folder, {"tests": "late", "risk": "late"}, late_s=3) as marks:
            run = moved.open(60)
            until = time.monotonic() + 40
            while not list(marks.iterdir()) and time.monotonic() < until:
                time.sleep(0.05)
            server.kill()
            for file in tmp_path.glob("appendonlydir/*"):
                file.unlink()
            time.sleep(1)
            server.start()
            run = moved.ended(run, 90)
    finally:
        server.kill()

    assert (run.outcome, moved.wired.rooms.decision(run.id).tally.counted) == ("decided", 5)
