"""How many candidates a second three ways of running tests try: a process each, forks of pytest, ATRA's workshop.

    python -m benchmarks.candidates_per_second [--checkout PATH] [--only gcd,lis] [--candidates N] [--rounds R]

All three get the same candidates, the first of ATRA's own stream and the known repair, and the same tests in the same
order, in boxes, on one core, taking turns. A candidate counts as plausible when every test passes; the three must
agree. Opening a box or a workshop and collecting the tests is not counted for the two that do it once; `opening_s` says
what it takes. The first two run without pytest's plugins, which is to their advantage: here those take longer to load
than the tests run.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from atra.core.edits import Edit, Patch, apply
from atra.core.settings import load_settings
from atra.meta_architect.localisation import diagnose
from atra.meta_architect.records import Reproduction, Target
from atra.meta_architect.reproduction import reproduce
from atra.meta_architect.stream import candidates
from atra.sandbox.bubblewrap import make_sandbox
from atra.sandbox.policy import Limits, Policy
from atra.sandbox.project import make_project, runner_for
from atra.sandbox.protocol import Sandbox
from atra.sandbox.runner import Project
from benchmarks import results
from benchmarks.programs import Program, read_all
from benchmarks.samples import SAMPLES

CHOSEN = ("bitcount", "gcd", "kth", "lis", "possible_change", "rpn_eval")
"""The programs of a checkout that are measured unless others are named."""

COLUMNS = (
    "program",
    "candidates",
    "process_per_s",
    "forked_per_s",
    "workshop_per_s",
    "process_ms",
    "forked_ms",
    "workshop_ms",
    "workshop_to_process",
    "workshop_to_forked",
    "disagreements",
)

_PROCESS_LIMIT_S = 5.0
_FORKED_LIMIT_S = 1.0


@dataclass(frozen=True)
class Case:
    """One defective program with its tests sorted out: where it lies, what to try, what to run."""

    program: Program
    project: Project
    tree: Path
    sandbox: Sandbox
    failing: tuple[str, ...]
    passing: tuple[str, ...]
    seconds: dict[str, float]

    def source(self, patch: Patch) -> str:
        """Return the program with the patch made."""
        return apply(self.program.defective, patch)

    def policy(self, tree: Path, wall_s: float) -> Policy:
        """Return the box of one run on this tree."""
        environment = {
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        limits = Limits(wall_s=wall_s)
        return Policy(str(tree), self.project.at, self.project.readable, environment=environment, limits=limits)


@dataclass
class Tally:
    """What one way of trying has done so far: a verdict and a time per candidate, a time per opening."""

    plausible: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    opening_s: list[float] = field(default_factory=list)


Way = Callable[[Case, Sequence[Patch], Tally], None]


def by_process(case: Case, patches: Sequence[Patch], tally: Tally) -> None:
    """Try each candidate by a pytest process in a box of its own."""
    command = [case.project.python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *case.failing, *case.passing]
    for patch in patches:
        with TemporaryDirectory() as temporary:
            case.program.write(Path(temporary), case.source(patch))
            began = time.perf_counter()
            finished = case.sandbox.run(command, case.policy(Path(temporary), _PROCESS_LIMIT_S))
            tally.seconds.append(time.perf_counter() - began)
        tally.plausible.append(finished.exit_code == 0)


def by_fork(case: Case, patches: Sequence[Patch], tally: Tally) -> None:
    """Try the candidates by forks of one pytest process that has collected the tests."""
    with TemporaryDirectory() as temporary:
        tree = Path(temporary)
        case.program.write(tree, case.program.defective)
        shutil.copy(Path(__file__).with_name("forked.py"), tree)
        request = {
            "tests": [*case.failing, *case.passing],
            "module": f"programs.{case.program.name}",
            "path": case.program.path,
            "sources": [case.source(patch) for patch in patches],
            "limit_s": _FORKED_LIMIT_S,
        }
        (tree / "request.json").write_text(json.dumps(request))
        began = time.perf_counter()
        finished = case.sandbox.run([case.project.python, "forked.py"], case.policy(tree, wall_s=600.0))
        whole_s = time.perf_counter() - began
    told = [json.loads(line) for line in finished.result.splitlines()]
    if len(told) != len(patches):
        raise RuntimeError(f"forks broke off: {finished.output.decode(errors='replace')[-2000:]}")
    tally.plausible += [one["plausible"] for one in told]
    tally.seconds += [one["seconds"] for one in told]
    tally.opening_s.append(whole_s - sum(one["seconds"] for one in told))


def by_workshop(case: Case, patches: Sequence[Patch], tally: Tally) -> None:
    """Try the candidates in ATRA's workshop; the time of one is from the answer before it to its own."""
    runner = runner_for(case.project, case.sandbox)
    began = time.perf_counter()
    with runner.workshop(str(case.tree), case.failing, case.passing, case.seconds) as workshop:
        at = time.perf_counter()
        tally.opening_s.append(at - began)
        for trial in workshop.try_all(patches):
            now = time.perf_counter()
            tally.seconds.append(now - at)
            tally.plausible.append(trial.verdict == "plausible")
            at = now


WAYS: dict[str, Way] = {"process": by_process, "forked": by_fork, "workshop": by_workshop}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the JSON; the exit code is 1 when verdicts differ."""
    options = _parser().parse_args(arguments)
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    sandbox = make_sandbox(load_settings().sandbox)
    rows = []
    for program in _programs(options):
        rows.append(measure(program, sandbox, options.candidates, options.rounds))
        print(json.dumps({name: rows[-1][name] for name in COLUMNS}), file=sys.stderr, flush=True)
    totals = {
        "disagreements": sum(row["disagreements"] for row in rows),
        **{name: round(median(row[name] for row in rows), 2) for name in COLUMNS[2:-1]},
    }
    console = results.console()
    console.print(results.table("Candidates per second, one core", rows, COLUMNS))
    console.print(totals)
    results.write(options.json, {**results.about(datetime.now(UTC)), "rounds": options.rounds}, totals, rows)
    return int(totals["disagreements"] > 0)


def measure(program: Program, sandbox: Sandbox, count: int, rounds: int) -> dict[str, Any]:
    """Return the times, rates and verdicts of one program's first candidates under all three ways.

    The candidates are dealt out to the rounds; in each round the ways take turns, another one first each time.
    """
    with TemporaryDirectory(prefix="atra-bench-") as temporary:
        tree = Path(temporary)
        program.write(tree, program.defective)
        case, patches = _prepare(program, tree, sandbox, count)
        tallies = {name: Tally() for name in WAYS}
        names = list(WAYS)
        for turn in range(rounds):
            for name in names[turn % 3 :] + names[: turn % 3]:
                WAYS[name](case, patches[turn::rounds], tallies[name])
    dealt = [patch for turn in range(rounds) for patch in patches[turn::rounds]]
    return _row(program, case, dealt, tallies)


def _prepare(program: Program, tree: Path, sandbox: Sandbox, count: int) -> tuple[Case, list[Patch]]:
    project = make_project(str(tree))
    target = Target(repository=program.name, path=str(tree), revision="")
    found = reproduce(target, runner_for(project, sandbox), str(tree), frozenset({"programs"}))
    if not isinstance(found, Reproduction):
        raise RuntimeError(f"{program.name}: {found.reason}")
    diagnosis = diagnose(found, {program.path: program.defective}, protected=lambda path: False)
    stream = candidates({program.path: program.defective}, diagnosis)
    failing = tuple(result.id for result in sorted(found.failing, key=lambda result: result.seconds))
    passing = tuple(sorted(found.passing, key=lambda name: found.seconds[name]))
    case = Case(program, project, tree, sandbox, failing, passing, dict(found.seconds))
    repair = (Edit(program.path, 0, len(program.defective), program.correct),)
    return case, [*(candidate.patch for candidate in islice(stream, count - 1)), repair]


def _row(program: Program, case: Case, patches: Sequence[Patch], tallies: dict[str, Tally]) -> dict[str, Any]:
    verdicts = zip(*(tally.plausible for tally in tallies.values()), strict=True)
    differing = [
        {"diff": case.source(patch), **dict(zip(tallies, said, strict=True))}
        for patch, said in zip(patches, verdicts, strict=True)
        if len(set(said)) > 1
    ]
    row: dict[str, Any] = {"program": program.name, "candidates": len(patches)}
    for name, tally in tallies.items():
        row[f"{name}_ms"] = round(1000 * median(tally.seconds), 2)
        row[f"{name}_per_s"] = round(len(tally.seconds) / sum(tally.seconds), 1)
        row[f"{name}_opening_s"] = round(median(tally.opening_s), 3) if tally.opening_s else 0.0
    row["workshop_to_process"] = round(row["process_ms"] / row["workshop_ms"], 1)
    row["workshop_to_forked"] = round(row["forked_ms"] / row["workshop_ms"], 1)
    row["plausible"] = sum(tallies["workshop"].plausible)
    row["disagreements"] = len(differing)
    row["differing"] = differing
    return row


def _programs(options: argparse.Namespace) -> list[Program]:
    if options.checkout is None:
        return list(SAMPLES)
    only = set(filter(None, options.only.split(","))) or set(CHOSEN)
    return [program for program in read_all(options.checkout) if program.name in only]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks.candidates_per_second", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--checkout", type=Path, help="a checkout of jkoppel/QuixBugs; own samples when left out")
    parser.add_argument("--only", default="", help="programs of the checkout, separated by commas")
    parser.add_argument("--candidates", type=int, default=60, help="of each program")
    parser.add_argument("--rounds", type=int, default=3, help="into how many turns they are dealt")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "candidates_per_second.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
