"""How one repository's tests are run inside boxes: once with a report, or many times in a workshop."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from atra.core.edits import Patch
from atra.sandbox.policy import Limits
from atra.sandbox.protocol import Stop, never
from atra.sandbox.reports import TestReport


@dataclass(frozen=True)
class Project:
    """Where and with what the code of one repository runs.

    Args:
        at: the repository's root on the host, absolute; the copy inside a box stands at the same path.
        python: the target's interpreter on the host, absolute, with pytest where `command` is empty.
        command: the test command as arguments; empty means pytest, natively, with `pytest_arguments`.
        readable: host paths the interpreter needs inside (its prefixes, the virtual environment).
        limits: of each box.
        test_limit_s: a test that takes longer than this counts as hung.
        subfolder: where the tests are run from, relative to the root.
    """

    at: str
    python: str
    command: tuple[str, ...] = ()
    pytest_arguments: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    test_limit_s: float = 10.0
    subfolder: str = ""


@dataclass(frozen=True)
class Trial:
    """What the workshop says of one candidate: a screen, not a verdict; `verify` decides in a cold box.

    `plausible`: every failing test given now passes and so does every passing one. `failed`: a failing test still
    fails; `fixed` counts those that passed before it. `broke`: the failing ones pass, a passing one does not. `hung`:
    over its time limit. `died`: the process ended in another way. `invalid`: the patched file does not compile.
    """

    verdict: Literal["plausible", "failed", "broke", "hung", "died", "invalid"]
    fixed: int = 0
    seconds: float = 0.0


class Workshop(Protocol):
    """Tries candidates one after the other, each as if it were the first. Use as a context manager."""

    def try_all(self, patches: Iterable[Patch], *, limit_scale: float = 1.0) -> Iterator[Trial]:
        """Yield one trial per patch, in order; ends early, between two trials, when the workshop's `stop` says so.

        Args:
            patches: against the tree the workshop was opened on.
            limit_scale: multiplies the time limits; the second look at candidates that hung takes more than 1.
        """

    def observe(self, patches: Sequence[Patch]) -> list[tuple[str, ...]]:
        """Return what each patch makes of the same calls: those that plain tests make, and others made up from them.

        One short word per call, in the same order for each patch: two patches that give or raise the same have the same
        word there; it ends with the function and the type of what it returned; where it raised or hung it starts with
        `!`.
        Nothing for a patch that cannot be looked at so. The empty patch shows what the unchanged code does.
        """

    def __enter__(self) -> "Workshop": ...

    def __exit__(self, *_: object) -> None: ...


class Runner(Protocol):
    """Runs the tests of one project."""

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
        """Run the tests in a fresh box on a copy of the tree and say what each did.

        Args:
            tree: folder on the host with the revision's files.
            tests: ids to run; all when empty.
            coverage: whether to record, per test, the lines of the repository that ran.
            known_to_hang: tests that get no more time than it takes to see where they hang.
            hash_seed: PYTHONHASHSEED inside.
            wall_s: instead of the project's wall clock limit.
            stop: ends the run early; the report is then not complete.

        Raises:
            NoTests, UnknownTest, CommandNotFound, InterpreterUnusable: as their names say.
            SandboxUnavailable, BoxFailed: no box, or a broken one.
        """

    def workshop(
        self,
        tree: str,
        failing: Sequence[str],
        passing: Sequence[str],
        seconds: Mapping[str, float],
        *,
        stop: Stop = never,
    ) -> Workshop:
        """Open a workshop on the tree.

        Args:
            failing: tests that must turn green, run first, in this order.
            passing: tests that must stay green, run next, in this order.
            seconds: what each test took before, by id; sets the time limits of candidates.
        """
