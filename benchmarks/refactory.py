"""How many wrong student programs the search repairs, and whether a repair does what the assignment asks.

    python -m benchmarks.refactory --checkout PATH [--sample N] [--seed N] [--assignments question_1,…]
                                   [--budget-seconds S] [--json FILE]

Each program becomes a repository of its own with the assignment's calls as tests; the search runs in one shard,
without the queue round it. A repair is the patch that would be verified first. It is compared with the assignment's
reference on the calls and on made-up ones, see `agreement`. The correct submissions, which other tools start from, are
never shown to the search: they say how many statements away from the nearest of them the wrong program is.
"""

import argparse
import ast
import difflib
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from atra.core.edits import apply
from atra.core.settings import load_settings
from atra.meta_architect.localisation import diagnose
from atra.meta_architect.ranking import choose, confidence
from atra.meta_architect.records import Reproduction, Target
from atra.meta_architect.reproduction import reproduce
from atra.meta_architect.search import LocalHorizon, search
from atra.meta_architect.second_edits import second_edits
from atra.meta_architect.stream import candidates
from atra.sandbox.bubblewrap import make_sandbox
from atra.sandbox.project import make_project, runner_for
from atra.sandbox.protocol import Sandbox
from benchmarks import agreement, results
from benchmarks.assignments import (
    UNSEEN,
    Submission,
    correct_submissions,
    promises,
    read_sample,
)
from benchmarks.inputs import Input, mutate

COLUMNS = ("programs", "plausible", "correct", "one_statement", "one_repaired", "two_statements", "two_repaired")

_ROUNDS = 10
"""So often inputs are made up from those that keep what the assignment promises."""

_IN_REACH = 2
"""So many statements away from a correct submission a program is taken to be in reach."""


@dataclass(frozen=True)
class Row:
    """What became of one program.

    `status`: `plausible`, `missed`, or why there was nothing to search: `passes`, `unreadable` (not to be collected).
    `statements` is how many differ from the nearest correct submission; `recorded` and `made_up` read `same/of`.
    """

    assignment: str
    name: str
    status: str
    template: str = ""
    rank: int | None = None
    tried: int = 0
    alternatives: int = 0
    confidence: float = 0.0
    statements: int | None = None
    recorded: str = ""
    made_up: str = ""
    correct: bool | None = None
    difference: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON."""
    options = _parser().parse_args(arguments)
    archive = options.checkout / "data.zip"
    only = tuple(filter(None, options.assignments.split(",")))
    submissions = read_sample(archive, options.sample, options.seed, only)
    sandbox = make_sandbox(load_settings().sandbox)
    shapes = {name: [_statements(text) for text in correct_submissions(archive, name)] for name in _names(submissions)}
    inputs: dict[str, tuple[list[Input], list[Input]]] = {}
    rows = []
    for number, submission in enumerate(submissions, 1):
        if submission.assignment not in inputs:
            known = agreement.recorded_inputs(submission.program, sandbox)
            inputs[submission.assignment] = known, _made_up(submission.assignment, known, options.seed)
        row = measure(submission, inputs[submission.assignment], shapes[submission.assignment], sandbox, options)
        rows.append(row)
        print(f"[{number}/{len(submissions)}] {_line(row)}", file=sys.stderr, flush=True)
    totals = total(rows)
    console = results.console()
    console.print(results.table("Refactory", totals["by_assignment"], ("assignment", *COLUMNS)))
    console.print(results.table("Reliability", totals["reliability"], ("confidence", "repairs", "correct")))
    facts = {
        **results.about(datetime.now(UTC)),
        "sample": options.sample,
        "seed": options.seed,
        "budget_s": options.budget_seconds,
        "unseen": UNSEEN,
    }
    results.write(options.json, facts, totals, [asdict(row) for row in rows])
    return 0


def measure(
    submission: Submission,
    inputs: tuple[list[Input], list[Input]],
    shapes: Sequence[Sequence[str]],
    sandbox: Sandbox,
    options: argparse.Namespace,
) -> Row:
    """Search for a repair of the program, compare it with the reference, and say how far the program was off."""
    program = submission.program
    row = Row(submission.assignment, submission.name, "unreadable")
    if (shape := _statements(program.defective)) == []:
        return row
    with TemporaryDirectory(prefix="atra-refactory-") as temporary:
        program.write(Path(temporary), program.defective)
        target = Target(repository=program.name, path=temporary, revision="")
        runner = runner_for(make_project(temporary), sandbox)
        found = reproduce(target, runner, temporary, frozenset({"programs"}))
        if not isinstance(found, Reproduction):
            return Row(**{**asdict(row), "status": "passes" if "pass" in found.reason else "unreadable"})
        sources = {program.path: program.defective, **program.files}
        diagnosis = diagnose(found, sources, protected=lambda path: path != program.path)
        failing = [result.id for result in sorted(found.failing, key=lambda result: result.seconds)]
        began = time.monotonic()
        with runner.workshop(temporary, failing, found.passing, found.seconds) as workshop:
            seen = search(
                candidates(sources, diagnosis),
                workshop,
                LocalHorizon(),
                deadline_s=began + options.budget_seconds,
                further=lambda partial: second_edits(partial, sources, diagnosis),
            )
    facts = {**asdict(row), "status": "missed", "tried": seen.tried}
    facts["statements"] = min((_distance(shape, other) for other in shapes), default=None)
    choice = choose(seen.plausible, sources, found)
    if not choice.ranked:
        return Row(**facts)
    first = choice.ranked[0]
    repaired = apply(program.defective, first.candidate.patch)
    known = agreement.compare_recorded(program, repaired, inputs[0], sandbox)
    made_up = agreement.compare_made_up(program, repaired, inputs[1], sandbox)
    facts |= {
        "status": "plausible",
        "template": first.candidate.template,
        "rank": first.rank,
        "alternatives": len(choice.ranked) - 1,
        "confidence": confidence(choice),
        "recorded": f"{known.same}/{known.of}",
        "made_up": f"{made_up.same}/{made_up.of}",
        "correct": known.same == known.of and made_up.same == made_up.of,
        "difference": known.difference or made_up.difference,
    }
    return Row(**facts)


def total(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the sums by assignment, of those that were seen while building, of those that were not, and of all."""
    names = sorted({row.assignment for row in rows})
    groups = [(name, [row for row in rows if row.assignment == name]) for name in names]
    groups += [
        ("seen", [row for row in rows if row.assignment not in UNSEEN]),
        ("unseen", [row for row in rows if row.assignment in UNSEEN]),
        ("all", list(rows)),
    ]
    by_assignment = [{"assignment": name, **_sums(some)} for name, some in groups if some]
    told = [(row.confidence, row.correct) for row in rows if row.correct is not None]
    return {"by_assignment": by_assignment, "reliability": results.reliability(told)}


def _sums(rows: Sequence[Row]) -> dict[str, Any]:
    counted = [row for row in rows if row.status in {"plausible", "missed"}]
    one = [row for row in counted if row.statements is not None and row.statements <= 1]
    two = [row for row in counted if row.statements == _IN_REACH]
    return {
        "programs": len(counted),
        "left_out": len(rows) - len(counted),
        "plausible": sum(row.status == "plausible" for row in counted),
        "correct": sum(row.correct is True for row in counted),
        "one_statement": len(one),
        "one_repaired": sum(row.status == "plausible" for row in one),
        "two_statements": len(two),
        "two_repaired": sum(row.status == "plausible" for row in two),
    }


def _made_up(assignment: str, known: list[Input], seed: int) -> list[Input]:
    promised = promises(known)
    rng = random.Random(f"{assignment} {seed}")
    kept = list(known)
    for _ in range(_ROUNDS):
        kept += [given for given in mutate(assignment, kept, agreement.WANTED, rng) if promised(given)]
    return kept[len(known) :]


def _statements(text: str) -> list[str]:
    """Return the program's statements as text, depth first, names replaced by the order of their first use."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.arg = names.setdefault(node.arg, f"v{len(names)}")
        elif isinstance(node, ast.Name) and (node.id in names or isinstance(node.ctx, ast.Store)):
            node.id = names.setdefault(node.id, f"v{len(names)}")
    return list(_headers(tree.body, 0))


def _headers(block: Sequence[ast.stmt], depth: int) -> list[str]:
    found: list[str] = []
    for statement in block:
        inner = [value for name in ("body", "orelse", "finalbody") if (value := getattr(statement, name, None))]
        head = ast.unparse(statement).partition("\n")[0] if inner else ast.unparse(statement)
        found.append(f"{depth} {head}")
        for value in inner:
            found += _headers(value, depth + 1)
    return found


def _distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many statements are changed, added or taken away."""
    codes = difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return sum(max(j - i, m - k) for kind, i, j, k, m in codes if kind != "equal")


def _names(submissions: Sequence[Submission]) -> list[str]:
    return sorted({submission.assignment for submission in submissions})


def _line(row: Row) -> str:
    said = f"{row.template} at {row.rank}, made up {row.made_up}" if row.template else ""
    return f"{row.assignment} {row.name} {row.status}, {row.tried} tried, {row.statements} statements off  {said}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.refactory", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", type=Path, required=True, help="a checkout of githubhuyang/refactory")
    parser.add_argument("--sample", type=int, default=300, help="how many programs of all assignments together")
    parser.add_argument("--seed", type=int, default=0, help="for the sample and the made-up inputs")
    parser.add_argument("--assignments", default="", help="those of the sample that are run; all when left out")
    parser.add_argument("--budget-seconds", type=float, default=30.0, help="wall time for one search")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "refactory.json", help="where to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
