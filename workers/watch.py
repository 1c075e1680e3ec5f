"""The watch over repairs: a failure that comes back although its fix is in is marked, and its fix undone on a branch.

A run of its own does so, one per fix, whose id follows from that of the repair: however often the regression is
reported, and whoever is killed meanwhile, it is marked and undone once.
"""

from collections.abc import Callable
from pathlib import Path

from atra.core.errors import Permanent
from atra.core.records import from_json, to_json
from atra.core.runs import Ending, Run
from atra.meta_architect.records import Commit, Target
from atra.repository import Repository
from atra.self_repair.records import Failure, Report
from atra.self_repair.watch import Fix, Judgement, Regression, Sighting, Undone, judge, watch_id
from atra.wiring import Wiring
from workers.app import app
from workers.pipelines import WATCH
from workers.pipelines import watch as watch_plan
from workers.targets import entry_of
from workers.task import StepFunction, Work, step_task


def look(wired: Wiring, failure: Failure, report: Report) -> tuple[Fix, Judgement] | None:
    """Judge a repaired failure that was reported again; None where no commit of a repair is known.

    Raises:
        BadInput: its repository is not where it was.
    """
    fix = _fix_of(wired, failure.id)
    if fix is None:
        return None
    repository = Repository.open(from_json(Target, wired.runs.get(fix.run_id).input).path)
    return fix, judge(
        Sighting(
            fix,
            report.revision,
            repository.holds(report.revision, fix.commit),
            merged=bool(repository.holds(repository.head(), fix.commit)),
            undone=repository.undone(fix.commit, fix.branch),
            seen_at=report.seen_at,
        )
    )


def open_watch(wired: Wiring, failure: Failure, fix: Fix, reason: str) -> Run:
    """Open the run that marks the regression and undoes the fix; the one there is, if it is open or over already.

    Raises:
        RunConflict: another run works on the failure now.
    """
    target = wired.runs.get(fix.run_id).input
    given = {**target, "regression": to_json(Regression(fix, reason))}
    return wired.runs.open(watch_id(fix.run_id), watch_plan(), given, failure.id)


def mark(work: Work) -> tuple[None, None]:
    """Write down that the failure is back: regressed, urgent, and nothing that one more patch settles."""
    assert work.run.failure_id
    work.wired.failures.mark_regressed(work.run.failure_id, _regression(work).reason)
    return None, None


def undo(work: Work) -> tuple[Undone, Ending]:
    """Undo the fix by a commit on a branch, where the repository's policy says so; else leave it, with the reason."""
    regression, target = _regression(work), work.given(Target)
    fix = regression.fix
    if entry_of(Path(target.path), work.wired.settings)[1].on_regression != "revert":
        return _left(regression, "the policy is to report it")
    try:
        landed = Repository.open(target.path).revert(fix.commit, run_id=fix.run_id, repair_branch=fix.branch)
    except Permanent as error:
        return _left(regression, str(error))
    done = f"undone by {landed.commit[:12]} on {landed.branch}"
    return Undone(landed.branch, landed.commit), Ending("reverted", f"{regression.reason}; {done}")


def refusal_of(work: Work) -> Callable[[str], str]:
    """Return a function that says of a patch's diff why it is not to be proposed: it failed this failure before."""
    failed = _failed_patches(work.wired, work.run.failure_id)
    return lambda diff: "the failure came back although it was in" if changed_lines(diff) in failed else ""


def _failed_patches(wired: Wiring, failure_id: str | None) -> frozenset[str]:
    known = wired.runs.recent(50, failure_id=failure_id) if failure_id else []
    ids = {run.id for run in known}
    failed = [run.id for run in known if watch_id(run.id) in ids and run.kind != WATCH]
    proofs = [proof for run_id in failed for name in ("verify", "prove") for proof in wired.runs.outputs(run_id, name)]
    return frozenset(changed_lines(str(proof["diff"])) for proof in proofs if proof.get("winner"))


def changed_lines(diff: str) -> str:
    """Return a diff's removed and added lines with their files: the same patch wherever in a file it is made."""
    return "\n".join(line for line in diff.split("\n") if line.startswith(("+", "-")))


def _left(regression: Regression, why: str) -> tuple[Undone, Ending]:
    return Undone(why=why), Ending("reported", f"{regression.reason}; its fix stays: {why}")


def _regression(work: Work) -> Regression:
    return from_json(Regression, work.run.input["regression"])


def _fix_of(wired: Wiring, failure_id: str) -> Fix | None:
    """Return the newest commit of a repair of this failure."""
    for run in wired.runs.recent(50, failure_id=failure_id):
        landed = next(iter(wired.runs.outputs(run.id, "commit")), None) if run.outcome == "fixed" else None
        if landed is not None:
            commit = from_json(Commit, landed)
            return Fix(run.id, commit.commit, commit.branch, run.ended_at or run.created_at)
    return None


STEPS: dict[str, StepFunction] = {"mark": mark, "undo": undo}
TASKS = {
    name: step_task(app, "watch", name, work_on, soft_time_limit=200, time_limit=240) for name, work_on in STEPS.items()
}
