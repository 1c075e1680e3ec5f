"""From a tree with a bug to the `Case` of a room: the suite runs in boxes as in a repair, and the rest is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atra.meta_architect.localisation import is_test
from atra.meta_architect.records import Target
from atra.meta_architect.reproduction import Green, reproduce
from atra.sandbox.project import make_project, runner_for
from atra.sandbox.protocol import Sandbox
from atra.war_room.case import Case, Commit, by_line, options_of, regions_of

BUDGET_S = 120.0


@dataclass(frozen=True)
class Known:
    """What the benchmark knows of one bug.

    Args:
        package: which package or repository it is in; halves are split by it.
        truth: the id of the region that holds it; never in the case.
        change: what made the bug, for people.
    """

    id: str
    package: str
    kind: str
    truth: str
    change: str
    case: Case
    seconds: float = 0.0


@dataclass(frozen=True)
class History:
    """What git would tell of a repository that has none here: commits, and who of them wrote each region."""

    commits: tuple[Commit, ...] = ()
    wrote: Mapping[str, str] = field(default_factory=dict)  # region id, or path for all else in it -> commit id


def test_command(deselected: Sequence[str]) -> str:
    """Return how the suite is run: pytest, with the package where `src` or the root has it, less what is red before."""
    left_out = " ".join(f"--{'deselect' if '::' in test else 'ignore'} '{test}'" for test in deselected)
    return f"pytest -o 'pythonpath=src .' {left_out}".strip()


def red_before(tree: Path, sandbox: Sandbox) -> list[str]:
    """Return the tests that fail without any bug put in, and the files of tests that cannot be collected."""
    runner = runner_for(make_project(str(tree), test_command=test_command(())), sandbox)
    report = runner.report(str(tree), wall_s=BUDGET_S)
    red = [result.id for result in report.results if result.outcome in {"failed", "error", "hung"}]
    return [*red, *(text.partition(": ")[0] for text in report.broken)]


def build(
    tree: Path,
    deselected: Sequence[str],
    sandbox: Sandbox,
    history: History | None = None,
    protected: Sequence[str] = (),
) -> Case | None:
    """Return the case of a tree with a bug, or None when the tests do not see it."""
    command = test_command(deselected)
    target = Target("benchmark", str(tree), "", test_command=command, budget_s=BUDGET_S)
    runner = runner_for(make_project(str(tree), test_command=command), sandbox)
    texts = {file.relative_to(tree).as_posix(): file.read_text(errors="replace") for file in sorted(tree.rglob("*.py"))}
    own = frozenset({Path(path).parts[0] for path in texts} | {Path(path).parts[-1][:-3] for path in texts})
    found = reproduce(target, runner, str(tree), own)
    if isinstance(found, Green):
        return None
    code = {path: text for path, text in texts.items() if not is_test(path)}
    history = history or History()
    where = by_line(regions_of(code))
    blame: dict[str, dict[int, str]] = {}
    for (path, line), region in where.items():
        if commit := history.wrote.get(region.id) or history.wrote.get(path):
            blame.setdefault(path, {})[line] = commit
    seen = {path for paths in found.lines.values() for path in paths} | set(found.passing_hits)
    return Case(
        question="Which place is wrong?",
        regions=options_of(regions_of(code), found.lines),
        failing=found.failing,
        lines={
            test: {path: rows for path, rows in paths.items() if path in code} for test, paths in found.lines.items()
        },
        passing_hits={path: hits for path, hits in found.passing_hits.items() if path in code},
        passing=len(found.passing),
        sources={path: text for path, text in code.items() if path in seen or path.split("/")[0] in _tops(code)},
        tests={path: text for path, text in texts.items() if is_test(path) and path in _told(found.failing, texts)},
        blame=blame,
        commits=history.commits,
        protected=tuple(protected),
        flaky={test: why for test, why in found.aside.items() if why.startswith("flaky")},
    )


def _tops(code: Mapping[str, str]) -> set[str]:
    return {path.split("/")[0] for path in code if path.endswith("__init__.py")}


def _told(failing: Sequence[object], texts: Mapping[str, str]) -> set[str]:
    """Return the files of the failing tests, and the homes of their fixtures."""
    files = {str(getattr(result, "id", "")).partition("::")[0] for result in failing}
    return {path for path in texts if path in files or path.endswith("conftest.py")}
