"""What the target's tests say of a migration: before it, and after it."""

from collections.abc import Callable, Iterator

from atra.core.errors import NoTests
from atra.meta_architect.migrations.records import Tested
from atra.meta_architect.migrations.testing import compare
from atra.sandbox.reports import TestReport, TestResult


def runs(*outcomes: dict[str, str]) -> Callable[[], TestReport]:
    """A way to run the tests that gives these outcomes, one after the other."""
    left: Iterator[dict[str, str]] = iter(outcomes)

    def run() -> TestReport:
        given = next(left)
        results = tuple(TestResult(name, outcome, 0.1) for name, outcome in given.items())  # type: ignore[arg-type]
        return TestReport(tuple(given), results, complete=True)

    return run


def test_what_was_red_for_drift_turns_green():
    """And what fails for another reason stays as it was."""
    before, after = {"a": "failed", "b": "passed", "c": "error"}, {"a": "passed", "b": "passed", "c": "error"}

    assert compare(runs(before), runs(after)) == Tested(passing=("a", "b"), failing=("c",), fixed=("a",))


def test_what_breaks_is_run_once_more():
    """A test that fails now and then does not refuse a migration; one that fails twice does."""
    green, red = {"a": "passed"}, {"a": "failed"}

    assert compare(runs(green), runs(red, green)).broken == ()
    assert compare(runs(green), runs(red, red)).broken == ("a",)


def test_tests_that_cannot_be_run_say_nothing():
    """With the reason."""

    def none() -> TestReport:
        raise NoTests("/shop")

    assert compare(none, runs()).why == "No tests were collected in /shop"
