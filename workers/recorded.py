"""Where no test fails, the recorded call of a reported failure becomes one: run, and kept only if it fails that way."""

from dataclasses import replace

from atra.core.errors import NoTests, TargetBroken
from atra.meta_architect.records import Reproduction
from atra.meta_architect.reproduction import Green
from atra.meta_architect.reproduction import reproduce as run_suite
from atra.self_repair.regression import RegressionTest, regression_test
from workers.task import Work
from workers.workspace import Workspace, own_modules, with_added


def from_recording(work: Work, here: Workspace, green: Green) -> Reproduction | Green:
    """Return what fails with the recorded call as a test beside the others; else why there is nothing to repair.

    The test is run three times, as every failing one is: under other hash seeds, and once traced.
    """
    test = _written(work, here)
    if isinstance(test, str):
        return replace(green, reason=f"{green.reason}; {test}")
    files = {test.path: test.text}
    there = with_added(here, files)
    try:
        found = run_suite(there.target, there.runner, str(there.tree), own_modules(there.tree), stop=work.over)
    except (NoTests, TargetBroken) as error:
        return replace(green, reason=f"{green.reason}; a test of the recorded call cannot be run: {error}")
    if isinstance(found, Green):
        aside = next((why for name, why in found.aside.items() if _is_of(test, name)), "it passes")
        return replace(green, reason=f"{green.reason}; so does a test of the recorded call: {aside}")
    failing = tuple(result for result in found.failing if _is_of(test, result.id))
    raised = failing[0].error_type.rpartition(".")[2] if failing else ""
    if raised != test.error:
        said = f"raises {raised}" if raised else "raises nothing"
        return replace(green, reason=f"{green.reason}; the recorded call {said} here, and not {test.error}")
    others = {result.id: "flaky: it fails on some runs only" for result in found.failing if result not in failing}
    return replace(found, failing=failing, aside={**found.aside, **others}, written=files)


def may_be_recorded(work: Work, here: Workspace) -> bool:
    """Return whether a test can be written at all."""
    return isinstance(_written(work, here), RegressionTest)


def _written(work: Work, here: Workspace) -> RegressionTest | str:
    if not work.run.failure_id:
        return "no failure was reported"
    if here.target.test_command:
        return "no test can be written for a test command of one's own"
    failure = work.wired.failures.get(work.run.failure_id)
    return regression_test(failure.latest, failure.fingerprint, here.files, below=here.target.subfolder)


def _is_of(test: RegressionTest, name: str) -> bool:
    """Return whether a test's id is in the written module; ids start where the runner has its root."""
    return name.partition("::")[0].rpartition("/")[2] == test.path.rpartition("/")[2]
