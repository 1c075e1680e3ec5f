"""Last proof before the commit: the whole suite, in cold boxes, under several hash seeds, on the patched files.

The workshop only screens. Here every test that passed before must pass again and must really have run, every failing
test that counts must pass, and no protected path may be part of the patch.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from atra.core.edits import apply, by_path, diff
from atra.core.errors import ProtectedPath
from atra.meta_architect.records import Choice, Plausible, Reproduction, Verification
from atra.sandbox.protocol import Stop, never
from atra.sandbox.reports import TestReport, standing
from atra.sandbox.runner import Runner

HASH_SEEDS = (0, 1, 2)

_MOST_CHOICES = 8

Patched = Callable[[Mapping[str, str]], AbstractContextManager[str]]
"""Gives a fresh folder with the base revision's files and these new contents; it is gone when the context ends."""


def verify(
    reproduction: Reproduction,
    choice: Choice,
    sources: Mapping[str, str],
    runner: Runner,
    patched: Patched,
    protected: Callable[[str], bool],
    *,
    confidence: float,
    deadline_s: float = math.inf,
    stop: Stop = never,
    refuse: Callable[[str], str] = lambda diff: "",
) -> Verification:
    """Return the first choice that is proved, or why each was refused.

    Args:
        reproduction: what failed and what passed on the base revision.
        choice: plausible candidates, best first.
        sources: text of the files that candidates change, on the base revision; what is not there is new.
        runner: the project's tests.
        patched: makes the tree to prove.
        protected: whether a path is one that no patch may change.
        confidence: how sure the choice is of its first candidate.
        deadline_s: on the monotonic clock; what is not proved by then is not proved.
        stop: ends the work early.
        refuse: says of a patch's diff why it is not wanted, whatever the tests say; nothing where it is.
    """
    refused: list[str] = []
    flaky: dict[str, str] = {}
    prover = _Prover(reproduction, runner, patched, flaky, deadline_s, stop)
    for place, plausible in enumerate(choice.ranked[:_MOST_CHOICES]):
        patch = by_path(plausible.candidate.patch)
        after = {path: apply(sources.get(path, ""), edits) for path, edits in patch.items()}
        if broken := [path for path in after if protected(path)]:
            raise ProtectedPath(broken[0])
        if time.monotonic() > deadline_s:
            refused.append(f"{len(choice.ranked) - place} more were not looked at: the budget ended")
            break
        before = {path: sources[path] for path in after if path in sources}
        changed = diff(before, after)
        if why := refuse(changed):
            refused.append(f"{describe(plausible)}: {why}")
            continue
        why, last = prover.prove(after)
        if stop():
            break
        if not why:
            return Verification(
                winner=plausible,
                files=after,
                diff=changed,
                passing_after=tuple(r.id for r in last.results if r.outcome == "passed"),
                failing_after=tuple(r.id for r in last.results if r.outcome in {"failed", "error", "hung"}),
                refused=tuple(refused),
                aside=flaky,
                confidence=round(confidence / (1 + place), 3),
            )
        refused.append(f"{describe(plausible)}: {why}")
    return Verification(winner=None, refused=tuple(refused), aside=flaky)


def describe(plausible: Plausible) -> str:
    """Return a candidate in a few words."""
    candidate = plausible.candidate
    place = f"{candidate.path}:{candidate.line}"
    if candidate.generator == "templates":
        return f"{candidate.template} at {place} (rank {plausible.rank})"
    return f"{candidate.template} by {candidate.generator} at {place} (sample {plausible.rank})"


@dataclass
class _Prover:
    """Runs the suite on patched trees; remembers which tests turned out to be flaky on the base revision."""

    reproduction: Reproduction
    runner: Runner
    patched: Patched
    flaky: dict[str, str]
    deadline_s: float
    stop: Stop

    def prove(self, after: Mapping[str, str]) -> tuple[str, TestReport]:
        """Run the suite once per hash seed; return why the proof failed, or nothing, and the last report."""
        with self.patched(after) as tree:
            for seed in HASH_SEEDS:
                report = self.runner.report(tree, hash_seed=seed, wall_s=self._left_s(), stop=self.stop)
                if replaced := sorted(set(report.tampered) - set(self.reproduction.tampered)):
                    return f"it replaces {', '.join(replaced)} while the tests run", report
                if why := self._refusal({result.id: result.outcome for result in report.results}):
                    return f"{why} (hash seed {seed})", report
        return "", report

    def _refusal(self, outcomes: Mapping[str, str]) -> str:
        for result in self.reproduction.failing:
            if (outcome := standing(result.id, outcomes)) != "passed":
                return f"{result.id} is {outcome}"
        lost = [test for test in self.reproduction.passing if outcomes.get(test) != "passed"]
        for test in lost:
            if test not in self.flaky and not self._fails_without_the_patch(test):
                return f"{test} passed before and is {outcomes.get(test, 'not run')} now"
        return ""

    def _fails_without_the_patch(self, test: str) -> bool:
        """Rerun a test that the patch seems to break on the base revision; one that fails there too is flaky."""
        with self.patched({}) as tree:
            for seed in HASH_SEEDS:
                report = self.runner.report(tree, tests=[test], hash_seed=seed, wall_s=self._left_s(), stop=self.stop)
                if any(result.outcome != "passed" for result in report.results):
                    self.flaky[test] = "flaky: it fails on some runs only"
                    return True
        return False

    def _left_s(self) -> float | None:
        return None if math.isinf(self.deadline_s) else max(1.0, self.deadline_s - time.monotonic())
