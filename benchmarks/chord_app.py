"""The real worker application with a bare Celery chord beside it: the same seats look at the same case.

`BENCH_DEAD` names an expert whose process is killed whenever it speaks; `BENCH_IDLE` lets every expert answer at once,
so that only what carries them is measured.
"""

import os
import signal
from dataclasses import replace
from typing import Any

from atra.core.runs import Claim
from atra.war_room.case import Case
from atra.war_room.experts import registry
from atra.war_room.records import Ballot, Evidence
from atra.wiring import wiring
from workers import war_room
from workers.app import app
from workers.task import Work

__all__ = ["app"]

_DEAD, _IDLE = os.environ.get("BENCH_DEAD", ""), bool(os.environ.get("BENCH_IDLE"))


def _speaker(expert: registry.Expert) -> Any:
    def speak(case: Case) -> Ballot:
        if expert.department == _DEAD:
            os.kill(os.getpid(), signal.SIGKILL)
        ranking = tuple(region.id for region in case.regions)
        name = expert.department
        return Ballot(name, name, "evidence", ranking, 0.5, (Evidence("said at once"),))

    return speak


if _DEAD or _IDLE:
    war_room.EXPERTS = tuple(
        replace(one, speak=_speaker(one)) if _IDLE or one.department == _DEAD else one for one in registry.EXPERTS
    )


@app.task(name="war_room.bare_hear")  # type: ignore[untyped-decorator]
def bare_hear(run_id: str, shard: int) -> list[str]:
    """Do what a seat does, without a claim, a ballot or a post."""
    wired = wiring()
    room = war_room.Room(Work(Claim(wired.runs.get(run_id), "hear", shard, 1, 1), wired.runs, wired))
    return list(war_room.blind(room, room.asked.seats[shard]).ballot.ranking[:1])


@app.task(name="war_room.bare_reduce")  # type: ignore[untyped-decorator]
def bare_reduce(firsts: list[list[str]]) -> str:
    """Return what most put first."""
    named = [first[0] for first in firsts if first]
    return max(sorted(set(named)), key=named.count, default="")
