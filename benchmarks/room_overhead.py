"""What a war-room costs beside a bare Celery chord of its width on the same workers, and how it bears a dead expert.

    python -m benchmarks.room_overhead [--rooms N] [--slots N] [--json F]

Both are timed from the end of `convene` on: a room until its decision stands in the database, a chord until its result
is read. First every expert answers at once, so that only the carrying is measured; then they look at the case.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from celery import Celery, chord
from pydantic import SecretStr
from sqlalchemy import select

from atra.cli.stack import environment_of
from atra.core.runs import Run, new_id
from atra.core.settings import Settings
from atra.embedded import embedded
from atra.repository import Repository
from atra.storage.schema import upgrade
from atra.storage.tables import decisions
from atra.war_room.seats import PREFIX, Asked, asked_of
from atra.wiring import Wiring, use
from benchmarks import results

SEATS = ("localisation", "history", "data_flow", "tests", "risk")
_DEADLINE_S = 60.0
_COLUMNS = ("experts", "room_ms", "chord_ms", "ratio", "rooms_per_minute")

_MODULE = '"""Prices."""\n\n\ndef share_off(pieces):\n    return 5 if pieces > 10 else 0\n\n\n' + "\n\n".join(
    f"def part_{n}(x):\n    return share_off(x) + {n}\n" for n in range(20)
)
_TESTS = "import prices\n\n\ndef test_share():\n    assert prices.part_3(10) == 8\n\n\n" + "\n\n".join(
    f"def test_part_{n}():\n    assert prices.part_{n}(1) == {n}\n" for n in range(20)
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.room_overhead", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rooms", type=int, default=20, help="of each kind")
    parser.add_argument("--slots", type=int, default=2, help="of the worker")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "room_overhead.json", help="where to write")
    given = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="atra-bench-") as work:
        Path(work).chmod(0o711)
        Path(work, "services").mkdir()
        with embedded(Path(work, "services")) as services:
            upgrade(services.database_url)
            settings = Settings(
                _env_file=None,
                home=Path(work, "home"),
                database_url=SecretStr(services.database_url),
                redis_url=SecretStr(services.redis_url),
            )
            bench = Bench(settings, _repository(Path(work, "prices")), given.slots, Path(work))
            rows = [bench.measure("answer at once", given.rooms, BENCH_IDLE="1"), bench.measure("look", given.rooms)]
            dead = bench.with_one_dead()
    facts = {**results.about(datetime.now(UTC)), "rooms": given.rooms, "slots": given.slots, "seats": len(SEATS)}
    results.write(
        given.json, facts, {"one_dead_s": dead, "lease_s": settings.lease_s, "sweep_s": settings.sweep_s}, rows
    )
    results.console().print(results.table("war-room beside a bare chord", rows, _COLUMNS))
    results.console().print(f"to a decision with one dead expert: {dead} s (lease {settings.lease_s:g} s)")


class Bench:
    """A repository with a failing test, and rooms and chords on it."""

    def __init__(self, settings: Settings, repository: Path, slots: int, folder: Path) -> None:
        self._settings, self._repository, self._slots, self._folder = settings, repository, slots, folder
        self._wired: Wiring = use(settings)

    def measure(self, experts: str, rooms: int, **environment: str) -> dict[str, Any]:
        """Return how long rooms and chords take one by one, and how many rooms a minute are done at once."""
        with self._worker(**environment) as app:
            self._room(app)  # the first one warms the worker up
            took = [self._took(self._room(app)) for _ in range(rooms)]
            convened = self._room(app)
            bare = [self._chord(app, convened) for _ in range(rooms)]
            began = time.monotonic()
            self._await([self._open(app) for _ in range(rooms)])
            per_minute = 60 * rooms / (time.monotonic() - began)
        room_ms, chord_ms = 1000 * median(took), 1000 * median(bare)
        return {
            "experts": experts,
            "room_ms": round(room_ms, 1),
            "chord_ms": round(chord_ms, 1),
            "ratio": round(room_ms / chord_ms, 2),
            "rooms_per_minute": round(per_minute, 1),
        }

    def with_one_dead(self) -> float:
        """Return the seconds from its opening that a room takes one of whose experts is killed whenever it speaks."""
        with self._worker(BENCH_DEAD="history") as app:
            self._room(app, dead_ok=True)
            run = self._room(app, dead_ok=True)
        assert run.ended_at
        return round((run.ended_at - run.created_at).total_seconds(), 1)

    def _took(self, run: Run) -> float:
        """Return the seconds from the end of `convene` to the decision, by the database's clock."""
        convened = next(step for step in self._wired.runs.steps(run.id) if step.name == "convene").settled_at
        with self._wired.engine.connect() as db:
            decided = db.execute(select(decisions.c.decided_at).where(decisions.c.run_id == run.id)).scalar_one()
        assert convened
        return float((decided - convened).total_seconds())

    def _chord(self, app: Celery, run: Run) -> float:
        seats = range(len(asked(run).seats))
        options = {"queue": "warroom", "ignore_result": False}
        header = [app.signature("war_room.bare_hear", (run.id, shard), **options) for shard in seats]
        body = app.signature("war_room.bare_reduce", **options)
        began = time.monotonic()
        chord(header, body, app=app).apply_async().get(timeout=120, interval=0.002)
        return time.monotonic() - began

    def _room(self, app: Celery, *, dead_ok: bool = False) -> Run:
        run = self._await([self._open(app)])[0]
        if run.outcome not in ({"decided", "no_consensus"} if not dead_ok else {"decided", "no_consensus", "expired"}):
            raise RuntimeError(f"the room ended as {run.outcome}: {run.reason}")
        return run

    def _open(self, app: Celery) -> Run:
        from workers.rooms import room_for
        from workers.targets import make_target

        target = make_target(Repository.open(self._repository), self._settings, budget_s=60)
        opening = room_for(
            self._wired,
            target,
            question="Which place is wrong?",
            models=False,
            run_id=new_id(PREFIX),
            failure_id=None,
            repair=False,
            wanted=SEATS,
            deadline_s=_DEADLINE_S,
        )
        run = self._wired.runs.open(opening.run_id, opening.plan, opening.given)
        self._wired.runs.mark_sent(run.id)
        app.send_task("maintenance.send", (run.id,), ignore_result=True)
        return run

    def _await(self, runs: Sequence[Run]) -> list[Run]:
        until = time.monotonic() + _DEADLINE_S + 60 + 10 * len(runs)
        ended: list[Run] = []
        for run in runs:
            while run.state == "open":
                if time.monotonic() > until:
                    raise RuntimeError(
                        f"room {run.id} did not end: {(self._folder / 'worker.log').read_text()[-2000:]}"
                    )
                time.sleep(0.01)
                run = self._wired.runs.get(run.id)
            ended.append(run)
        return ended

    @contextmanager
    def _worker(self, **environment: str) -> Iterator[Celery]:
        """Keep one worker running, with beat in it; what still runs at the end is killed."""
        from workers.app import make_app

        around = {**os.environ, **environment_of(self._settings), **environment}
        options = ("-c", str(self._slots), "-B", "-s", str(self._folder / "beat"), "-l", "WARNING")
        command = (sys.executable, "-m", "celery", "-A", "benchmarks.chord_app", "worker", "-Q", "warroom,maintenance")
        with (self._folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                (*command, *options), cwd=results.ROOT, env=around, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield make_app(self._settings)
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def asked(run: Run) -> Asked:
    """Return what the room was opened with."""
    return asked_of(run.input)


def _repository(folder: Path) -> Path:
    folder.mkdir()
    (folder / "prices.py").write_text(_MODULE)
    (folder / "test_prices.py").write_text(_TESTS)
    who = ("-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "First state")):
        subprocess.run(("git", *command), cwd=folder, check=True, capture_output=True)
    return folder


if __name__ == "__main__":
    main()
