"""How many mutants of ATRA's own modules the free search repairs, how fast, and whether it writes what stood there.

    python -m benchmarks.self --cosmic-ray PROGRAM [--mutants N] [--seed N] [--shards N] [--budget-seconds S] [--json F]

The mutants are planted one after the other in a clone of this checkout, which is the target; what repairs it is this
checkout, unchanged. Only modules with quick unit tests of their own take part, and only mutants that these tests kill.
"""

import argparse
import ast
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import mutants, results, stack

COLUMNS = ("path", "line", "operator", "status", "template", "rank", "tried", "seconds", "same")

TESTED = {
    f"atra/{module}.py": f"tests/unit/{folder}/test_{name}.py"
    for module in (
        "core/edits", "core/texts",
        "integrations/capture", "integrations/recording",
        "local_brain/gate",
        "meta_architect/context", "meta_architect/localisation", "meta_architect/message", "meta_architect/ranking",
        "meta_architect/replies",
        "orchestrator/paths",
        "scout/trends",
        "self_repair/fingerprint", "self_repair/regression", "self_repair/triage",
        "war_room/calibration", "war_room/case", "war_room/consensus", "war_room/hints",
    )
    for folder, _, name in [module.partition("/")]
}  # fmt: skip
"""Modules that nothing protects from a repair of ATRA by itself, and the tests of each."""


@dataclass(frozen=True)
class Row:
    """What became of one mutant; `same` is `text`, `tree` (the same but for layout) or `different` from the original.

    `status` is `survived` where the unit tests pass in spite of it: such a one is no bug that a test shows.
    """

    path: str
    line: int
    operator: str
    occurrence: int
    change: str
    status: str
    template: str | None = None
    rank: int | None = None
    tried: int | None = None
    seconds: float | None = None
    wall_seconds: float | None = None
    same: str = ""
    diff: str = ""
    error: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON; the exit code is 1 when a command ended in an error."""
    options = _parser().parse_args(arguments)
    rows: list[Row] = []
    with TemporaryDirectory(prefix="atra-self-") as work, stack.running_stack(options.home, options.shards) as around:
        clone = Path(work, "clone")
        _git(results.ROOT, "clone", "-q", "--no-hardlinks", str(results.ROOT), str(clone))
        revision = _git(clone, "rev-parse", "HEAD").strip()
        for mutation in mutants.mutations(options.cosmic_ray, clone, Path(work), options.seed, TESTED):
            rows.append(measure(mutation, clone, revision, around, options))
            kept = killed(rows)
            print(f"[{len(kept):>2}/{options.mutants}] {_line(rows[-1])}", file=sys.stderr, flush=True)
            _write(options, revision, rows)
            if len(kept) == options.mutants:
                break
    console = results.console()
    console.print(results.table("ATRA on itself", [asdict(row) for row in killed(rows)], COLUMNS))
    console.print(total(rows))
    return int(any(row.status == "error" for row in rows))


def measure(
    mutation: mutants.Mutation, clone: Path, revision: str, around: Mapping[str, str], options: argparse.Namespace
) -> Row:
    """Plant the mutant as the clone's newest commit, repair it, and compare the repair with the original."""
    _git(clone, "checkout", "-q", "--detach", revision)
    mutants.apply(options.cosmic_ray, clone, mutation)
    change = _git(clone, "diff", "--unified=0")
    _git(clone, "-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost", "commit", "-qam", "Change a line")
    began = time.monotonic()
    wishes = ("--generator", "templates", "--shards", str(options.shards), "--python", sys.executable)
    limits = ("--test-command", f"pytest {TESTED[mutation.path]}", "--budget-seconds", str(options.budget_seconds))
    answer = stack.repair(clone, around, (*wishes, *limits), 3 * options.budget_seconds + 60)
    row = Row(
        mutation.path,
        mutation.line,
        mutation.operator.removeprefix("core/"),
        mutation.occurrence,
        "\n".join(line for line in change.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}),
        status=_SURVIVED.get(answer["status"], answer["status"]),
        template=answer.get("template"),
        rank=answer.get("rank"),
        tried=answer.get("candidates_tried"),
        seconds=answer.get("seconds"),
        wall_seconds=round(time.monotonic() - began, 1),
        diff=answer.get("diff") or "",
        error="" if answer["status"] == "fixed" else str(answer.get("error") or answer.get("reason") or ""),
    )
    if not answer.get("commit"):
        return row
    original, written = (_git(clone, "show", f"{one}:{mutation.path}") for one in (revision, answer["commit"]))
    return Row(**{**asdict(row), "same": likeness(original, written)})


def likeness(original: str, written: str) -> str:
    """Return how like the original module the repaired one is."""
    if written == original:
        return "text"
    return "tree" if ast.dump(ast.parse(written)) == ast.dump(ast.parse(original)) else "different"


def killed(rows: Sequence[Row]) -> list[Row]:
    """Return the mutants that the unit tests kill."""
    return [row for row in rows if row.status != "survived"]


def total(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the sums that a claim can be made of; medians are over the mutants that were repaired."""
    counted = killed(rows)
    fixed = [row for row in counted if row.status == "fixed"]
    seconds = [row.seconds for row in fixed if row.seconds is not None]
    ranks = [row.rank for row in fixed if row.rank is not None]
    return {
        "mutants": len(counted),
        "survived_the_tests": len(rows) - len(counted),
        "fixed": len(fixed),
        "same_text": sum(row.same == "text" for row in fixed),
        "same_tree": sum(row.same == "tree" for row in fixed),
        "different": sum(row.same == "different" for row in fixed),
        "not_fixed": sum(row.status == "not_fixed" for row in counted),
        "errors": sum(row.status not in {"fixed", "not_fixed"} for row in counted),
        "median_seconds": round(median(seconds), 1) if seconds else None,
        "median_rank": median(ranks) if ranks else None,
        "candidates_tried": sum(row.tried or 0 for row in counted),
    }


_SURVIVED = {"nothing_to_repair": "survived"}


def _write(options: argparse.Namespace, revision: str, rows: Sequence[Row]) -> None:
    facts = {
        **results.about(datetime.now(UTC)),
        "target": revision,
        "tool": mutants.version(options.cosmic_ray),
        "seed": options.seed,
        "shards": options.shards,
        "budget_s": options.budget_seconds,
        "modules": sorted(TESTED),
    }
    results.write(options.json, facts, total(rows), [asdict(row) for row in rows])


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def _line(row: Row) -> str:
    found = f"{row.template} at {row.rank}, {row.tried} tried, {row.same}" if row.template else row.error[:100]
    return f"{row.path}:{row.line} {row.operator} {row.status} {row.wall_seconds} s  {found}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.self", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cosmic-ray", type=Path, required=True, help="the program, in an environment of its own")
    parser.add_argument("--mutants", type=int, default=40, help="how many that the tests kill")
    parser.add_argument("--shards", type=int, default=2, help="tasks that share one search")
    parser.add_argument("--budget-seconds", type=float, default=60.0, help="wall time for one repair")
    parser.add_argument("--seed", type=int, default=0, help="for which mutants")
    parser.add_argument("--home", type=Path, help="the home of a running stack; a new one is started when left out")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "self.json", help="where to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
