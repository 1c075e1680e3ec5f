"""What a run of tests inside a box tells: outcomes, where errors passed, which lines ran."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "hung"]

GREEN: frozenset[str] = frozenset({"passed", "skipped", "xfailed", "xpassed"})


def is_whole_file(test: str) -> bool:
    """Tell whether a test of pytest's stands for a whole file: one that was not collected is failing by its path."""
    return test.endswith(".py")


def stands_for(name: str, test: str) -> bool:
    """Tell whether a test is the one of this name, or one that stands or falls with the file of this name.

    That is a file of tests, or a conftest that could not be imported: all below its folder need it.
    """
    folder = name.removesuffix("conftest.py")
    below = folder != name and folder[-1:] in {"", "/"} and test.startswith(folder)
    return name == test or (is_whole_file(name) and (below or test.startswith(f"{name}::")))


def standing(test: str, outcomes: Mapping[str, str]) -> str:
    """Return a test's outcome, or "not run"; a whole file has passed when one of its tests has and all are green."""
    if test in outcomes or not is_whole_file(test):
        return outcomes.get(test, "not run")
    inner = [outcome for name, outcome in outcomes.items() if stands_for(test, name)]
    return next((outcome for outcome in inner if outcome not in GREEN), "passed" if "passed" in inner else "not run")


@dataclass(frozen=True)
class Frame:
    """One frame of a traceback inside the repository."""

    path: str  # relative to the repository's root
    line: int
    function: str


@dataclass(frozen=True)
class TestResult:
    """One test's outcome. `frames` run from the outermost to the innermost, those inside the repository only.

    `seconds` of a test that hung is the time limit of tests, however soon it was given up.
    """

    __test__ = False

    id: str
    outcome: Outcome
    seconds: float
    error_type: str = ""
    message: str = ""
    frames: tuple[Frame, ...] = ()
    text: str = ""  # the traceback as the runner prints it, shortened in the middle


@dataclass(frozen=True)
class TestReport:
    """A whole run. An id missing from `results` was collected and never ran.

    `lines` maps test id -> path -> lines that it ran, for the repository's own files outside the tests' own modules
    too; it is empty when coverage was not asked for.
    """

    __test__ = False

    collected: tuple[str, ...]
    results: tuple[TestResult, ...]
    lines: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    broken: tuple[str, ...] = ()  # what went wrong while collecting, one text per module
    seconds: float = 0.0
    complete: bool = False  # False: the runner was stopped or ended before its last test
    # Functions of the test machinery and of builtins that the code replaced and left so; or one entry that says that
    # nobody could look.
    tampered: tuple[str, ...] = ()

    def by_id(self) -> dict[str, TestResult]:
        """Return the results by test id."""
        return {result.id: result for result in self.results}
