"""How many mutants of ATRA's own modules the free search repairs, how fast, and whether it writes what stood there.

    python -m benchmarks.self --cosmic-ray PROGRAM [--mutants N] [--seed N] [--shards N] [--budget-seconds S] [--json F]

The mutants are planted one after the other in a clone of this checkout, which is the target; what repairs it is this
checkout, unchanged. Only modules with quick unit tests of their own take part, and only mutants that these tests kill.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import mutants, results, stack
from benchmarks.planted import COLUMNS, Row, git, killed, line, repair, total

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON; the exit code is 1 when a command ended in an error."""
    options = _parser().parse_args(arguments)
    rows: list[Row] = []
    wishes = ("--generator", "templates", "--shards", str(options.shards), "--python", sys.executable)
    limit = ("--budget-seconds", str(options.budget_seconds))
    with TemporaryDirectory(prefix="atra-self-") as work, stack.running_stack(options.home, options.shards) as around:
        clone = Path(work, "clone")
        git(results.ROOT, "clone", "-q", "--no-hardlinks", str(results.ROOT), str(clone))
        revision = git(clone, "rev-parse", "HEAD").strip()
        for mutation in mutants.mutations(options.cosmic_ray, clone, Path(work), options.seed, TESTED):
            tests = ("--test-command", f"pytest {TESTED[mutation.path]}")
            row = repair(
                mutation,
                "",
                clone,
                revision,
                around,
                (*wishes, *limit, *tests),
                cosmic_ray=options.cosmic_ray,
                patience_s=3 * options.budget_seconds + 60,
            )
            rows.append(row)
            kept = killed(rows)
            print(f"[{len(kept):>2}/{options.mutants}] {line(row)}", file=sys.stderr, flush=True)
            _write(options, revision, rows)
            if len(kept) == options.mutants:
                break
    console = results.console()
    console.print(results.table("ATRA on itself", [asdict(row) for row in killed(rows)], COLUMNS[1:]))
    console.print(total(rows))
    return int(any(row.status == "error" for row in rows))


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
