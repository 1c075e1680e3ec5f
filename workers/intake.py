"""How failures come in: counted by fingerprint, triaged, and repaired where that is what triage says."""

import contextlib
from dataclasses import dataclass

import structlog

from atra.core.errors import BadInput, BrokerUnavailable, RunConflict
from atra.core.records import to_json
from atra.core.runs import Plan, Run, new_id
from atra.meta_architect.records import Target
from atra.self_repair.fingerprint import fingerprint
from atra.self_repair.records import Failure, Report, redacted
from atra.self_repair.triage import triage
from atra.self_repair.watch import watch_id
from atra.wiring import Wiring
from workers.app import broker
from workers.pipelines import MIGRATE_TARGET, SELF_REPAIR, migrate_target, repair_plan
from workers.targets import make_target, migration_of, open_named
from workers.watch import look, open_watch

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Taken:
    """What became of a report: the failure it belongs to, the run that repairs it or why there is none."""

    failure: Failure
    run: Run | None
    why: str


def start(
    wired: Wiring, target: Target, shards: int, failure_id: str | None = None, *, plan: Plan | None = None
) -> Run:
    """Open a run, a repair unless another plan is given, and send it on its way.

    Raises:
        NoModel: the target asks for a model and none is configured.
        RunConflict: the failure has an open run already.
        BrokerUnavailable: nobody could be told; the run is cancelled, so that it does not come as a surprise later.
    """
    plan = plan or repair_plan(wired.settings, target.generator, shards)
    run = wired.runs.open(new_id("r"), plan, to_json(target), failure_id)
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
    """Record a report and start a repair, or a migration where the schema is behind, if one is due.

    One failure has at most one open run, and is not tried twice on the same revision. One that was repaired is judged
    by where it came from; the same report taken in again has no further effect.
    """
    report = redacted(report, wired.redactor)
    decision = triage(report)
    failure = wired.failures.record(report, fingerprint(report), decision.path, decision.reason)
    if failure.state == "repaired" and (seen := _seen_again(wired, failure, report)):
        return seen
    if decision.path == "report":
        return Taken(failure, None, decision.reason)
    try:
        repository = open_named(report.repository, wired.settings)
        target = make_target(repository, wired.settings, suspect=_suspect(report), budget_s=wired.settings.budget_s)
    except BadInput as error:
        wired.failures.say(failure.id, "report", str(error))
        return Taken(wired.failures.get(failure.id), None, str(error))
    plan = None
    if decision.path == "migrate":
        if not any(path.endswith("alembic.ini") for path in repository.files(target.revision)):
            return Taken(failure, None, f"{decision.reason}, and the repository has no alembic.ini")
        target, plan = migration_of(target, wired.settings), migrate_target(wired.settings)
    if why := _why_not_now(wired, failure, target):
        return Taken(failure, None, why)
    try:
        return Taken(failure, start(wired, target, wired.settings.shards, failure.id, plan=plan), decision.reason)
    except RunConflict as conflict:
        return Taken(failure, None, str(conflict))


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


def _why_not_now(wired: Wiring, failure: Failure, target: Target) -> str:
    """Return why no repair is started: this revision was tried already, or enough runs are open; nothing otherwise.

    A run that was cancelled or ended in an error, of the services' say, does not count as a try until it has happened
    as often as one step may be tried. A fix that failed is no reason against another one.
    """
    known = wired.runs.recent(50, failure_id=failure.id)
    failed = {run.id for run in known if any(other.id == watch_id(run.id) for other in known)}
    tried = [run for run in known if run.kind in {SELF_REPAIR, MIGRATE_TARGET} and run.id not in failed]
    here = [run for run in tried if run.input.get("revision") == target.revision]
    if same := next((run for run in here if run.outcome not in {"cancelled", "error"}), None):
        return f"run {same.id} has worked on it at this revision: {same.outcome or 'under way'}"
    if len(here) >= wired.settings.max_attempts:
        return f"{len(here)} runs at this revision ended without a result"
    if wired.runs.counts()["open"] >= wired.settings.max_open_runs:
        return f"{wired.settings.max_open_runs} runs are open already (ATRA_MAX_OPEN_RUNS)"
    return ""


def _suspect(report: Report) -> str:
    """Return the file of the innermost frame in the application's own code."""
    own = [frame.path for frame in report.frames if frame.in_app]
    return own[-1] if own else ""
