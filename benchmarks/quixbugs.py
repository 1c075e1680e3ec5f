"""How many of QuixBugs' 40 programs `atra repair` repairs, how, how fast, and whether the repair means what it should.

    python -m benchmarks.quixbugs --checkout PATH [--only gcd,sieve] [--at-once N] [--shards N] [--budget-seconds S]
                                  [--json FILE]

Each program becomes a repository of its own with the published tests; all go through one running stack, as many at a
time as there are cores. A repair is compared with the published correct program on the inputs that the tests use and on
made-up ones, see `agreement`.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from atra.core.settings import load_settings
from atra.sandbox.bubblewrap import make_sandbox
from atra.sandbox.protocol import Sandbox
from benchmarks import agreement, results, stack
from benchmarks.programs import Program, make_repository, read_all

COLUMNS = ("program", "status", "template", "rank", "tried", "per_second", "seconds", "recorded", "made_up", "same")


@dataclass(frozen=True)
class Row:
    """What became of one program.

    `recorded` and `made_up` read `same/of`; `same` is whether every compared input gave the same. `wall_seconds` is the
    whole command, `seconds` the run as ATRA counts it.
    """

    program: str
    status: str
    template: str | None = None
    rank: int | None = None
    tried: int | None = None
    per_second: float | None = None
    seconds: float | None = None
    wall_seconds: float | None = None
    recorded: str = ""
    made_up: str = ""
    same: bool | None = None
    difference: str = ""
    alternatives: int = 0
    diff: str = ""
    error: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON; the exit code is 1 when a command ended in an error."""
    options = _parser().parse_args(arguments)
    only = set(filter(None, options.only.split(",")))
    programs = [program for program in read_all(options.checkout) if not only or program.name in only]
    if unknown := only - {program.name for program in programs}:
        raise SystemExit(f"unknown programs: {', '.join(sorted(unknown))}")
    sandbox = make_sandbox(load_settings().sandbox)
    console = results.console()
    rows: list[Row] = []
    workers = options.at_once * options.shards
    with stack.running_stack(options.home, workers) as environment, ThreadPoolExecutor(options.at_once) as several:
        began = time.monotonic()
        repaired: list[tuple[Row, str | None]] = []
        for row, source in several.map(lambda program: repair(program, environment, options), programs):
            repaired.append((row, source))
            print(f"[{len(repaired):>2}/{len(programs)}] {_line(row)}", file=sys.stderr, flush=True)
        seconds = round(time.monotonic() - began, 1)
    for program, (row, source) in zip(programs, repaired, strict=True):
        rows.append(row if source is None else _compared(row, program, source, sandbox, options.seed))
        print(f"{program.name}: {_line(rows[-1])}", file=sys.stderr, flush=True)
    totals = {**total(rows), "seconds_for_all": seconds}
    shown = [asdict(row) for row in rows]
    console.print(results.table("QuixBugs", shown, COLUMNS))
    console.print(totals)
    facts = {
        **results.about(datetime.now(UTC)),
        "quixbugs": _revision(options.checkout),
        "at_once": options.at_once,
        "shards": options.shards,
        "budget_s": options.budget_seconds,
        "seed": options.seed,
    }
    results.write(options.json, facts, totals, shown)
    return int(any(row.status == "error" for row in rows))


def repair(program: Program, environment: Any, options: argparse.Namespace) -> tuple[Row, str | None]:
    """Make the program's repository and repair it; return what came of it, and the new source where there is one."""
    with TemporaryDirectory(prefix="atra-quixbugs-") as temporary:
        folder = Path(temporary, program.name)
        folder.mkdir()
        make_repository(program, folder)
        began = time.monotonic()
        wishes = ("--shards", str(options.shards), "--budget-seconds", str(options.budget_seconds))
        answer = stack.repair(folder, environment, wishes, 3 * options.budget_seconds + 60)
        wall_seconds = time.monotonic() - began
        source = _committed(program, folder, answer)
    facts = Row(
        program=program.name,
        status=answer["status"],
        template=answer.get("template"),
        rank=answer.get("rank"),
        tried=answer.get("candidates_tried"),
        per_second=answer.get("candidates_per_second"),
        seconds=answer.get("seconds"),
        wall_seconds=round(wall_seconds, 1),
        alternatives=len(answer.get("alternatives") or ()),
        diff=answer.get("diff") or "",
        error="" if answer["status"] == "fixed" else str(answer.get("error") or answer.get("reason") or ""),
    )
    return facts, source


def total(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the sums that a claim can be made of; medians are over the programs that were repaired."""
    fixed = [row for row in rows if row.status == "fixed"]
    return {
        "programs": len(rows),
        "fixed": len(fixed),
        "same_as_correct": sum(row.same is True for row in fixed),
        "different": [row.program for row in fixed if row.same is False],
        "not_fixed": [row.program for row in rows if row.status == "not_fixed"],
        "errors": [row.program for row in rows if row.status not in {"fixed", "not_fixed"}],
        "median_seconds": _median([row.seconds for row in fixed]),
        "median_rank": _median([row.rank for row in fixed]),
        "candidates_tried": sum(row.tried or 0 for row in rows),
        "median_per_second": _median([row.per_second for row in fixed]),
    }


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 1) if known else None


def _compared(row: Row, program: Program, source: str, sandbox: Sandbox, seed: int) -> Row:
    inputs = agreement.recorded_inputs(program, sandbox)
    recorded = agreement.compare_recorded(program, source, inputs, sandbox)
    invented = agreement.made_up_inputs(program, inputs, seed)
    made_up = agreement.compare_made_up(program, source, invented, sandbox)
    found = {
        "recorded": f"{recorded.same}/{recorded.of}",
        "made_up": f"{made_up.same}/{made_up.of}",
        "same": recorded.same == recorded.of and made_up.same == made_up.of,
        "difference": recorded.difference or made_up.difference,
    }
    return Row(**{**asdict(row), **found})


def _committed(program: Program, folder: Path, answer: dict[str, Any]) -> str | None:
    if answer["status"] != "fixed" or not answer.get("commit"):
        return None
    return _git(folder, "show", f"{answer['commit']}:{program.path}")


def _revision(checkout: Path) -> str:
    try:
        return _git(checkout, "rev-parse", "HEAD").strip()
    except subprocess.CalledProcessError:
        return "not a git checkout"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def _line(row: Row) -> str:
    found = f"{row.template} at {row.rank}, {row.tried} tried, {row.per_second}/s" if row.template else row.error[:100]
    agreed = f"recorded {row.recorded}, made up {row.made_up}" if row.recorded else ""
    return f"{row.program:<28} {row.status:<10} {row.wall_seconds:>6} s  {found}  {agreed}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.quixbugs", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", type=Path, required=True, help="a checkout of jkoppel/QuixBugs")
    parser.add_argument("--only", default="", help="programs, separated by commas; all when left out")
    cores = os.cpu_count() or 1
    parser.add_argument("--at-once", type=int, default=cores, help="programs that are repaired at a time")
    parser.add_argument("--shards", type=int, default=1, help="tasks that share one search")
    parser.add_argument("--budget-seconds", type=float, default=120.0, help="wall time for one repair")
    parser.add_argument("--seed", type=int, default=0, help="for the made-up inputs")
    parser.add_argument("--home", type=Path, help="the home of a running stack; a new one is started when left out")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "quixbugs.json", help="where to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
