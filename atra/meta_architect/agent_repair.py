"""A repair by an agent: what its tests say to it, and what its work comes to as a proposal among the others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from atra.core.errors import BoxFailed, NoTests, ProtectedPath, TestsHang, UnknownTest
from atra.meta_architect.agent import Done, TestsSaid
from atra.meta_architect.records import Plausible, Proposal, Proposals
from atra.meta_architect.screening import Bench, candidate_of, proposal_of, screen, syntax_fault
from atra.sandbox.reports import TestReport, TestResult

TEMPLATE = "agent"
NOTHING_CHANGED = "the tests turned green with no file changed: they do not always say the same"

_MOST_TOLD = 5
_TRACEBACK = 2000


def tests_said(after: Mapping[str, str], bench: Bench) -> TestsSaid:
    """Run the failing tests on these new contents in a fresh box, then, where they pass, the whole suite."""
    if fault := syntax_fault(after):
        return TestsSaid(False, f"not run: {fault}")
    failing = [result.id for result in bench.reproduction.failing]
    try:
        with bench.patched(after) as tree:
            first = bench.runner.report(tree, tests=failing, wall_s=bench.left_s(), stop=bench.stop)
            if red := _red(failing, first):
                return TestsSaid(False, report_text(f"{len(failing) - len(red)} of {len(failing)} pass", red, first))
            whole = bench.runner.report(tree, wall_s=bench.left_s(), stop=bench.stop)
    except (ProtectedPath, ValueError, UnknownTest, NoTests, TestsHang, BoxFailed) as error:
        return TestsSaid(False, f"not run: {error}")
    if replaced := sorted(set(whole.tampered) - set(bench.reproduction.tampered)):
        return TestsSaid(False, f"the code replaces {', '.join(replaced)} while the tests run")
    if lost := _red([*failing, *bench.reproduction.passing], whole):
        return TestsSaid(False, report_text(f"the failing tests pass now, others do not: {len(lost)}", lost, whole))
    return TestsSaid(True, "the failing tests pass now, and so do the others")


def proposals_of(done: Done, bench: Bench, *, model: str, number: int) -> Proposals:
    """Return what an agent's work came to; what it left with red tests is tried once more, for the record.

    Args:
        number: its place among the samples.
    """
    plausible: tuple[Plausible, ...] = ()
    if done.files:
        screened = screen(done.files, bench)
        made = proposal_of(screened, done.files, bench.read, model=model, template=TEMPLATE)
        if screened.verdict == "plausible":
            plausible = (Plausible(candidate_of(done.files, bench.read, model=model, template=TEMPLATE), number),)
        else:
            made = replace(made, why=f"{made.why}; {done.ended}")
    elif not done.turns:
        return Proposals(skipped=done.ended)
    else:
        made = Proposal(model, TEMPLATE, "empty", why=NOTHING_CHANGED if done.green else done.ended)
    return Proposals(plausible, (made,), calls=done.turns, tokens=done.tokens, cost_usd=done.cost_usd)


def _red(wanted: Sequence[str], report: TestReport) -> list[str]:
    told = report.by_id()
    return [test for test in wanted if test not in told or told[test].outcome != "passed"]


def report_text(head: str, red: Sequence[str], report: TestReport) -> str:
    """Return the head, what could not be collected, and what the first of the red tests said."""
    results = report.by_id()
    told = [_one(test, results.get(test)) for test in red[:_MOST_TOLD]]
    more = [f"and {len(red) - len(told)} more"] if len(red) > len(told) else []
    return "\n\n".join([head, *report.broken[:2], *told, *more])


def _one(test: str, result: TestResult | None) -> str:
    if result is None:
        return f"{test} was not run"
    text = result.text if len(result.text) <= _TRACEBACK else f"…{result.text[-_TRACEBACK:]}"
    return f"{test} is {result.outcome}: {result.error_type}: {result.message}\n{text}"
