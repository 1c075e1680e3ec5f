"""A first look at what a model wrote: whether it may be written at all, reads as Python, and passes the tests cold.

This only screens, as the workshop does for the templates' candidates; `verification` proves.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from atra.core.edits import Edit, Patch, diff, edits_between
from atra.core.errors import BoxFailed, NoTests, ProtectedPath, TestsHang, UnknownTest
from atra.meta_architect.records import Candidate, Proposal, Reproduction
from atra.meta_architect.replies import Read
from atra.meta_architect.source import UNREADABLE, parse
from atra.meta_architect.verification import Patched
from atra.sandbox.protocol import Stop, never
from atra.sandbox.reports import TestReport
from atra.sandbox.runner import Runner


@dataclass(frozen=True)
class Bench:
    """The base revision and how patches of it are tried.

    Args:
        read: text of a file of the base; it is never asked for a protected path.
        patched: makes the tree to try; ProtectedPath where a path leads out of the repository's files, ValueError
            where the new text cannot be written in the file's encoding.
        protected: whether a path is one that no patch may change.
        deadline_s: on the monotonic clock.
    """

    reproduction: Reproduction
    runner: Runner
    read: Read
    patched: Patched
    protected: Callable[[str], bool]
    deadline_s: float = math.inf
    stop: Stop = never

    def left_s(self) -> float | None:
        """Return the seconds that are left, at least one; None where there is no deadline."""
        return None if math.isinf(self.deadline_s) else max(1.0, self.deadline_s - time.monotonic())


@dataclass(frozen=True)
class Screened:
    """What came of a patch: a verdict as in `Proposal`, how many failing tests it turns green, which tests stay red."""

    verdict: str
    fixed: int = 0
    why: str = ""
    red: tuple[str, ...] = ()


@dataclass(frozen=True)
class NearMiss:
    """New contents by path that turn some failing tests green, and which tests stay red with them."""

    after: Mapping[str, str]
    red: tuple[str, ...]


def screen(after: Mapping[str, str], bench: Bench) -> Screened:
    """Try new contents by path: the failing tests in a cold box, then, where all of them pass, the whole suite."""
    if outside := sorted(path for path in after if bench.protected(path)):
        return Screened("outside", why=f"it would change {outside[0]}")
    if fault := syntax_fault(after):
        return Screened("invalid", why=fault)
    failing = [result.id for result in bench.reproduction.failing]
    try:
        with bench.patched(after) as tree:
            first = bench.runner.report(tree, tests=failing, wall_s=bench.left_s(), stop=bench.stop)
            screened = _of_failing(failing, first)
            if screened.verdict != "plausible":
                return screened
            whole = bench.runner.report(tree, wall_s=bench.left_s(), stop=bench.stop)
            return _of_passing(bench.reproduction, whole, len(failing))
    except ProtectedPath as error:
        return Screened("outside", why=str(error))
    except ValueError as error:
        return Screened("invalid", why=str(error))
    except (UnknownTest, NoTests) as error:
        return Screened("failed", why=str(error))
    except TestsHang as error:
        return Screened("hung", why=str(error))
    except BoxFailed as error:  # tried again the model would have to be paid again
        return Screened("died", why=str(error))


def syntax_fault(after: Mapping[str, str]) -> str:
    """Return what in the new files is no Python, or nothing."""
    for path, text in after.items():
        if path.endswith(".py"):
            try:
                parse(text.removeprefix("\ufeff"))
            except UNREADABLE as error:
                line = getattr(error, "lineno", None)
                return f"{path}{f', line {line}' if line else ''}: {getattr(error, 'msg', '') or error}"
    return ""


def _of_failing(failing: list[str], report: TestReport) -> Screened:
    told = report.by_id()
    red = [test for test in failing if test not in told or told[test].outcome != "passed"]
    if not red:
        return Screened("plausible", len(failing))
    hung = all(test in told and told[test].outcome == "hung" for test in red)
    first = told.get(red[0])
    said = (
        (f"{first.error_type}: {first.message}" if first.error_type else first.outcome) if first else "it was not run"
    )
    why = report.broken[0].strip().rpartition("\n")[2] if report.broken else f"{red[0]}: {said}"
    return Screened("hung" if hung else "failed", len(failing) - len(red), why, tuple(red))


def _of_passing(reproduction: Reproduction, report: TestReport, failing: int) -> Screened:
    if replaced := sorted(set(report.tampered) - set(reproduction.tampered)):
        return Screened("broke", failing, f"it replaces {', '.join(replaced)} while the tests run")
    told = report.by_id()
    required = (*(result.id for result in reproduction.failing), *reproduction.passing)
    lost = [test for test in required if test not in told or told[test].outcome != "passed"]
    if lost:
        now = told[lost[0]].outcome if lost[0] in told else "not run"
        return Screened("broke", failing, f"{lost[0]} is {now} now, {len(lost)} in all", tuple(lost))
    return Screened("plausible", failing)


def patch_to(after: Mapping[str, str], read: Read) -> Patch:
    """Return the edits that make these contents of the base's files; one that adds nothing makes an empty file."""
    edits: list[Edit] = []
    for path in sorted(after):
        before = read(path)
        edits += edits_between(path, before or "", after[path])
        if before is None and not after[path]:
            edits.append(Edit(path, 0, 0, ""))
    return tuple(edits)


def candidate_of(after: Mapping[str, str], read: Read, *, model: str, template: str, score: float = 1.0) -> Candidate:
    """Return new contents as a candidate; its place is where its first change begins."""
    patch = patch_to(after, read)
    first = patch[0]
    line = (read(first.path) or "").count("\n", 0, first.start) + 1
    return Candidate(patch, template, first.path, line, score, generator=f"model/{model}")


def proposal_of(screened: Screened, after: Mapping[str, str], read: Read, *, model: str, template: str) -> Proposal:
    """Return what became of a patch as a record that is kept and shown."""
    base = {path: text for path in after if screened.verdict != "outside" and (text := read(path)) is not None}
    shown = diff(base, after) if screened.verdict != "outside" else ""
    verdict = screened.verdict
    return Proposal(model, template, verdict, screened.fixed, screened.why, shown)  # type: ignore[arg-type]
