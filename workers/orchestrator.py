"""The orchestrator at work: what is known of a failure becomes a situation, a path is chosen, and a room is opened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Literal

import structlog

from atra.core.runs import Ending, Opening, Run
from atra.core.settings import Settings
from atra.meta_architect.records import Target
from atra.orchestrator.paths import Path, Rules, Situation, path_of
from atra.self_repair.records import Failure
from atra.self_repair.watch import watch_id
from atra.storage.paths import row_of
from atra.war_room.seats import HINTS
from atra.wiring import Wiring
from workers.pipelines import MIGRATE_TARGET, SELF_REPAIR, WAR_ROOM
from workers.rooms import room_after, room_for
from workers.task import StepFunction, Work

log = structlog.get_logger(__name__)

_LOOKED_AT = 50  # runs of a failure, the newest
_LONGEST_MESSAGE = 200


@dataclass(frozen=True)
class Matter:
    """What a path is chosen for.

    Args:
        target: what would be worked on; None where `no_target` says why there is nothing.
        triaged: what the newest report calls for, and why.
        ending: a repair of the failure that is about to end without a fix, and counts as one that has.
    """

    failure: Failure
    target: Target | None
    triaged: Literal["repair", "migrate", "report"]
    why: str
    no_target: str = ""
    ending: Run | None = None


@dataclass(frozen=True)
class Choice:
    """The path that a failure takes, what it was chosen by, and the room where that is where it leads."""

    path: Path
    situation: Situation
    room: Opening | None = None


def rules_of(settings: Settings) -> Rules:
    """Return when a room is convened and when nothing more is started, as it is configured."""
    said = settings.war_room
    return Rules(
        window=timedelta(seconds=said.window_s),
        recurrences=said.recurrences,
        unresolved=said.unresolved,
        cool_down=timedelta(seconds=said.cool_down_s),
        quiet_hours=said.quiet_hours,
        room_usd=said.room_usd,
        most_open_runs=settings.max_open_runs,
        most_errors=settings.max_attempts,
    )


def choose_path(wired: Wiring, matter: Matter, room_id: str) -> Choice:
    """Choose the path that a failure takes now; nothing is stored, and no run is opened.

    Whatever is wrong with rooms, there is a path: the one that it would take if none could be convened. `room_id` is
    that of the room, if it comes to one.
    """
    failure, target = matter.failure, matter.target
    rules = rules_of(wired.settings)
    situation = _situation(wired, matter, rules)
    path = path_of(situation, rules)
    if path.name != "war_room" or target is None:
        return Choice(path, situation)
    try:
        room = room_for(
            wired,
            target,
            question=_question(failure),
            models=path.models,
            run_id=room_id,
            failure_id=failure.id,
            repair=True,
        )
    except Exception as error:  # a report, or a repair's end, must not be lost for want of a room
        log.exception("no room can be convened", failure_id=failure.id)
        situation = replace(situation, no_room=f"no room can be convened: {wired.redactor.text(str(error))}")
        return Choice(path_of(situation, rules), situation)
    return Choice(path, situation, replace(room, decided=row_of(path, situation)).hurried(failure.urgent))


def keep(wired: Wiring, failure: Failure, choice: Choice) -> Failure:
    """Keep a choice that started nothing; where a person is to look, say so at the failure, and return it anew."""
    path, situation = choice.path, choice.situation
    wired.paths.take(failure.id, path, situation)
    if path.name != "report" or situation.triaged == "report":
        return failure
    wired.failures.say(failure.id, "report", path.reasons[-1])
    return wired.failures.get(failure.id)


def escalating(work_on: StepFunction) -> StepFunction:
    """Return a repair's step with the orchestrator asked what follows, where it ends the run without a fix.

    What goes wrong with that is logged, and the repair ends as it would have.
    """

    @wraps(work_on)
    def step(work: Work) -> tuple[Any, Ending | None]:
        output, ending = work_on(work)
        if ending is None or ending.outcome != "not_fixed" or work.run.failure_id is None or work.cancelled:
            return output, ending
        try:
            return output, replace(ending, then=_room_after(work, work.run.failure_id, ending))
        except Exception:  # the repair has ended, whatever comes of this
            log.exception("nobody was asked what comes after the repair")
            return output, ending

    return step


def _room_after(work: Work, failure_id: str, ending: Ending) -> Opening | None:
    """Return the room that goes on from the repair, if one is to; else keep what was chosen instead."""
    run, wired = work.run, work.wired
    failure = wired.failures.get(failure_id)
    matter = Matter(failure, work.given(Target), "repair", ending.reason, ending=run)
    choice = choose_path(wired, matter, room_after(run.id))
    if choice.room is None:
        keep(wired, failure, choice)
    return choice.room


def _situation(wired: Wiring, matter: Matter, rules: Rules) -> Situation:
    failure, target, ending = matter.failure, matter.target, matter.ending
    at, reports = wired.paths.lately(failure.id, rules.window)
    known = wired.runs.recent(_LOOKED_AT, failure_id=failure.id)
    if ending is not None:
        over = replace(ending, state="ended", outcome="not_fixed", ended_at=at)
        known = [over if run.id == ending.id else run for run in known]
    ended = [run for run in known if run.state == "ended"]
    here = [run for run in ended if target is not None and run.input.get("revision") == target.revision]
    tried, errors = _tries(here, known)
    rooms = [run for run in ended if run.kind == WAR_ROOM and run.outcome != "cancelled"]
    return Situation(
        at=at,
        triaged=matter.triaged,
        why=matter.why,
        urgent=failure.urgent,
        regressed=failure.state == "regressed",
        reports=reports,
        unresolved=sum(1 for _ in _unresolved(ended, at - rules.window)),
        tried_here=f"run {tried[0].id} has worked on it at this revision: {tried[0].outcome}" if tried else "",
        hinted_here=any(HINTS in run.input for run in tried),
        errors_here=len(errors),
        room_here=any(run in here for run in rooms),
        open_run=next((run.id for run in known if run.state == "open"), None),
        open_runs=wired.runs.count_open() - (ending is not None),
        room_ended_at=max((run.ended_at for run in rooms if run.ended_at), default=None),
        day_left_usd=_day_left_usd(wired),
        no_target=matter.no_target,
    )


def _tries(here: Sequence[Run], known: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """Return the runs at a revision that came to something, newest first, and those that did not.

    A run that was cancelled or ended in an error, of the services' say, is no try until that has happened often enough.
    A fix that failed is no reason against another one.
    """
    failed = {run.id for run in known if any(other.id == watch_id(run.id) for other in known)}
    works = [run for run in here if run.kind in {SELF_REPAIR, MIGRATE_TARGET} and run.id not in failed]
    errors = [run for run in works if run.outcome in {"cancelled", "error"}]
    return [run for run in works if run not in errors], errors


def _unresolved(ended: Sequence[Run], since: datetime) -> Iterator[Run]:
    """Yield the repairs since then that were not fixed, newest first, down to the last one that was."""
    for run in ended:
        if run.kind == SELF_REPAIR and run.outcome == "fixed":
            return
        if run.kind == SELF_REPAIR and run.outcome == "not_fixed" and run.ended_at and run.ended_at > since:
            yield run


def _day_left_usd(wired: Wiring) -> float | None:
    if not wired.settings.models:
        return None
    return max(0.0, wired.settings.day_usd - float(wired.ledger.spent(None).day_usd))


def _question(failure: Failure) -> str:
    said = f"{failure.error_type}: {failure.message}"[:_LONGEST_MESSAGE]
    return f"Which code is to be changed so that this does not come up again? {said}"
