"""How failures come in: counted by fingerprint, triaged, and sent on the path that the orchestrator chooses."""

import contextlib
from dataclasses import dataclass, replace

import structlog

from atra.core.errors import BadInput, BrokerUnavailable, RunConflict
from atra.core.records import to_json
from atra.core.runs import Opening, Plan, Run, new_id
from atra.meta_architect.records import Target
from atra.orchestrator.paths import Path
from atra.self_repair.fingerprint import fingerprint
from atra.self_repair.records import Failure, Report, redacted
from atra.self_repair.triage import triage
from atra.storage.paths import row_of
from atra.war_room.seats import PREFIX
from atra.wiring import Wiring
from workers.app import broker
from workers.orchestrator import Choice, Matter, choose_path, keep
from workers.pipelines import migrate_target, repair_plan
from workers.targets import make_target, migration_of, open_named
from workers.watch import look, open_watch

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Taken:
    """What became of a report: the failure it belongs to, the run that was started, if any, and why."""

    failure: Failure
    run: Run | None
    why: str


def opening_of(target: Target, plan: Plan) -> Opening:
    """Return a run of this plan that nobody has opened yet."""
    return Opening(new_id("r"), plan, to_json(target))


def launch(wired: Wiring, opening: Opening) -> Run:
    """Open this run and send it on its way.

    Raises:
        RunConflict: its failure has an open run already.
        BrokerUnavailable: nobody could be told; the run is cancelled, so that it does not come as a surprise later.
    """
    run = wired.runs.open(opening.run_id, opening.plan, opening.given, opening.failure_id, decided=opening.decided)
    try:
        _send(wired, run)
    except BrokerUnavailable:
        wired.runs.cancel(run.id)
        raise
    return run


def _send(wired: Wiring, run: Run) -> None:
    wired.runs.mark_sent(run.id)
    with broker() as app:
        app.send_task("maintenance.send", (run.id,), argsrepr=f"run={run.id}", ignore_result=True)


def take_in(wired: Wiring, report: Report) -> Taken:
    """Record a report and start what the orchestrator chooses: a repair, a migration, a war-room, or nothing.

    Every choice is kept with its reasons. A failure that was repaired is judged by where it came from; the same report
    taken in again has no further effect.
    """
    report = redacted(report, wired.redactor)
    decision = triage(report)
    failure = wired.failures.record(report, fingerprint(report), decision.path, decision.reason)
    if failure.state == "repaired" and (seen := _seen_again(wired, failure, report)):
        return seen
    target, no_target = _aim(wired, report, decision.path)
    matter = Matter(failure, target, decision.path, decision.reason, no_target)
    choice = choose_path(wired, matter, new_id(PREFIX))
    if target is None or choice.path.name in {"wait", "report"}:
        return Taken(keep(wired, failure, choice), None, "; ".join(choice.path.reasons))
    try:
        return Taken(failure, launch(wired, _opening(wired, failure, target, choice)), "; ".join(choice.path.reasons))
    except RunConflict as conflict:  # another report was first
        late = Path("wait", (*choice.path.reasons, str(conflict)))
        return Taken(keep(wired, failure, replace(choice, path=late)), None, str(conflict))


def _aim(wired: Wiring, report: Report, triaged: str) -> tuple[Target | None, str]:
    """Return what is to be worked on, or None and why there is nothing."""
    settings = wired.settings
    try:
        repository = open_named(report.repository, settings)
        target = make_target(repository, settings, suspect=_suspect(report), budget_s=settings.budget_s)
    except BadInput as error:
        return None, str(error)
    if triaged != "migrate":
        return target, ""
    if not any(path.endswith("alembic.ini") for path in repository.files(target.revision)):
        return None, "the repository has no alembic.ini"
    return migration_of(target, settings), ""


def _opening(wired: Wiring, failure: Failure, target: Target, choice: Choice) -> Opening:
    """Return the run that the choice leads to, with the reasons for it."""
    if choice.room is not None:
        return choice.room
    settings = wired.settings
    migrating = choice.path.name == "migrate"
    plan = migrate_target(settings) if migrating else repair_plan(settings, target.generator, settings.shards)
    opened = Opening(new_id("r"), plan, to_json(target), failure.id, row_of(choice.path, choice.situation))
    return opened.hurried(failure.urgent)


def _seen_again(wired: Wiring, failure: Failure, report: Report) -> Taken | None:
    """Return what becomes of a repaired failure that is back; None where it is to be repaired anew."""
    try:
        found = look(wired, failure, report)
    except BadInput as error:
        return Taken(failure, None, str(error))
    if found is None or found[1].name == "undone":
        wired.failures.mark_open(failure.id)
        return None
    fix, judgement = found
    if judgement.name != "regressed":
        wired.failures.say(failure.id, "report", judgement.reason)
        return Taken(wired.failures.get(failure.id), None, judgement.reason)
    try:
        run = open_watch(wired, failure, fix, judgement.reason)
    except RunConflict as conflict:
        return Taken(failure, None, str(conflict))
    with contextlib.suppress(BrokerUnavailable):  # the sweeper sends it
        _send(wired, run)
    return Taken(failure, run, judgement.reason)


def _suspect(report: Report) -> str:
    """Return the file of the innermost frame in the application's own code."""
    own = [frame.path for frame in report.frames if frame.in_app]
    return own[-1] if own else ""
