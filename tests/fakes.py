"""Small real implementations of ATRA's protocols, for tests that need no box."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from atra.core.edits import Patch
from atra.sandbox.protocol import Stop, never
from atra.sandbox.reports import Outcome, TestReport, TestResult
from atra.sandbox.runner import Trial, Workshop

Says = Callable[[Path, int], Mapping[str, Outcome]]
"""What each test does, from the tree's folder and the hash seed."""


class ScriptedRunner:
    """A runner whose tests do what a function says; it remembers what it was asked."""

    def __init__(self, says: Says, *, lines: Mapping[str, Mapping[str, tuple[int, ...]]] | None = None) -> None:
        self.says = says
        self.lines = lines or {}
        self.asked: list[tuple[tuple[str, ...], bool, int]] = []
        self.errors: dict[str, tuple[str, str]] = {}
        self.broken: tuple[str, ...] = ()
        self.complete = True
        self.tampered: tuple[str, ...] = ()

    def report(
        self,
        tree: str,
        *,
        tests: Sequence[str] = (),
        coverage: bool = False,
        known_to_hang: Sequence[str] = (),
        hash_seed: int = 0,
        wall_s: float | None = None,
        stop: Stop = never,
    ) -> TestReport:
        """Return what the function says, of the tests asked for."""
        self.asked.append((tuple(tests), coverage, hash_seed))
        outcomes = self.says(Path(tree), hash_seed)
        chosen = [test for test in outcomes if not tests or test in tests]
        results = tuple(
            TestResult(test, outcomes[test], 0.01, *said, text=": ".join(said))
            for test in chosen
            for said in [self.errors.get(test, ("", ""))]
        )
        lines = {test: self.lines[test] for test in chosen if coverage and test in self.lines}
        return TestReport(tuple(outcomes), results, lines, self.broken, 0.1, self.complete, self.tampered)

    def workshop(
        self,
        tree: str,
        failing: Sequence[str],
        passing: Sequence[str],
        seconds: Mapping[str, float],
        *,
        stop: Stop = never,
    ) -> Workshop:
        """Return a workshop that finds nothing plausible."""
        return ScriptedWorkshop(lambda patch, scale: Trial("failed"))


class ScriptedWorkshop:
    """A workshop whose verdicts come from a function of the patch and the limit scale."""

    def __init__(self, judge: Callable[[Patch, float], Trial], *, ahead: int = 4) -> None:
        self.judge = judge
        self.ahead = ahead
        self.tried: list[tuple[Patch, float]] = []

    def try_all(self, patches: Iterable[Patch], *, limit_scale: float = 1.0) -> Iterator[Trial]:
        """Yield verdicts in order, taking patches in batches as a real workshop does."""
        source = iter(patches)
        while batch := list(islice(source, self.ahead)):
            for patch in batch:
                self.tried.append((patch, limit_scale))
                yield self.judge(patch, limit_scale)

    def observe(self, patches: Sequence[Patch]) -> list[tuple[str, ...]]:
        """See nothing."""
        return [()] * len(patches)

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        return None
