"""The target's tests against its database: before the migration, and after it."""

from collections.abc import Callable

from atra.core.errors import CommandNotFound, InterpreterUnusable, NoTests, TestsHang
from atra.meta_architect.migrations.records import Tested
from atra.sandbox.reports import GREEN, TestReport

Run = Callable[[], TestReport]


def compare(before: Run, after: Run) -> Tested:
    """Run the tests on both databases and return what changed; what seems broken is run once more.

    Where the tests cannot be run before the migration, they say nothing about it.
    """
    try:
        first = before()
    except (CommandNotFound, InterpreterUnusable, NoTests, TestsHang) as error:
        return Tested(why=str(error).rstrip("."))
    was, now = _green(first), _green(report := after())
    if was - now:
        now |= _green(after())
    return Tested(
        passing=tuple(sorted(now)),
        failing=tuple(sorted(set(report.collected) - now)),
        fixed=tuple(sorted(now - was)),
        broken=tuple(sorted(was - now)),
    )


def _green(report: TestReport) -> set[str]:
    return {result.id for result in report.results if result.outcome in GREEN}
