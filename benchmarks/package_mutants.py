"""How many mutants of published packages `atra repair` repairs, without any model, and whether it finds the file first.

    python -m benchmarks.package_mutants --packages FOLDER --cosmic-ray PROGRAM [--mutants N] [--seed N] [--at-once N]
                                         [--shards N] [--budget-seconds S] [--json F]

FOLDER holds source distributions with their tests. Each becomes a repository; mutants are made by an independent tool,
planted one after the other, and tests that are red without any are left out. A mutant that no test kills is no bug that
can be told, and does not count. A run that was broken off goes on where it was, if the commit is still the same.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from atra.core.settings import load_settings
from atra.sandbox.bubblewrap import make_sandbox
from benchmarks import cases, mutants, results, stack
from benchmarks.planted import COLUMNS, IDENTITY, Row, git, killed, line, repair, resumed, total


@dataclass(frozen=True)
class Package:
    """One package as a repository: where it lies, its commit without mutants, and the tests that are red in it."""

    name: str
    folder: Path
    revision: str
    red: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON; the exit code is 1 when a command ended in an error."""
    options = _parser().parse_args(arguments)
    workers = options.at_once * options.shards
    with TemporaryDirectory(prefix="atra-packages-") as work, stack.running_stack(options.home, workers) as around:
        packages = [_prepared(name, at) for name, at in mutants.unpack(options.packages, Path(work)).items()]
        if not packages:
            raise SystemExit(f"no source distribution (*.tar.gz) lies in {options.packages}")
        record = _Record(options, [package.name for package in packages])
        share = -(-options.mutants // len(packages))
        with ThreadPoolExecutor(options.at_once) as several:
            for finished in several.map(lambda one: _all_of(one, share, around, record, options), packages):
                print(finished, file=sys.stderr, flush=True)
    console = results.console()
    console.print(results.table("mutants of packages", [asdict(row) for row in killed(record.rows)], COLUMNS))
    console.print(total(record.rows))
    return int(any(row.status == "error" for row in record.rows))


class _Record:
    """The rows so far, written down after each."""

    def __init__(self, options: argparse.Namespace, packages: Sequence[str]) -> None:
        self._file, self._lock = options.json, Lock()
        self._facts = {
            **results.about(datetime.now(UTC)),
            "packages": list(packages),
            "tool": mutants.version(options.cosmic_ray),
            "seed": options.seed,
            "at_once": options.at_once,
            "shards": options.shards,
            "budget_s": options.budget_seconds,
        }
        self.rows = resumed(self._file, self._facts)

    def add(self, row: Row) -> None:
        """Keep the row, show it, and write all down."""
        with self._lock:
            self.rows.append(row)
            kept = killed(self.rows)
            print(f"[{len(kept):>3}] {line(row)}", file=sys.stderr, flush=True)
            by_package = {name: total(self.of(name)) for name in self._facts["packages"]}
            totals = {**total(self.rows), "by_package": by_package}
            results.write(self._file, self._facts, totals, [asdict(one) for one in self.rows])

    def of(self, package: str) -> list[Row]:
        """Return the package's rows."""
        return [row for row in self.rows if row.package == package]


def _prepared(name: str, folder: Path) -> Package:
    """Make the unpacked package a repository, and find out which tests are red in it."""
    for command in (("init", "-q", "-b", "main"), ("add", "-A", "-f"), (*IDENTITY, "commit", "-q", "-m", "Begin")):
        git(folder, *command)
    red = cases.red_before(folder, make_sandbox(load_settings().sandbox))
    return Package(name, folder, git(folder, "rev-parse", "HEAD").strip(), tuple(red))


def _all_of(
    package: Package, wanted: int, around: Mapping[str, str], record: _Record, options: argparse.Namespace
) -> str:
    """Plant and repair mutants of one package until enough were killed."""
    for mutation in _left(package, record, options):
        if len(killed(record.of(package.name))) >= wanted:
            break
        command = cases.test_command(package.red)
        wishes = ("--generator", "templates", "--shards", str(options.shards), "--python", sys.executable)
        row = repair(
            mutation,
            package.name,
            package.folder,
            package.revision,
            around,
            (*wishes, "--budget-seconds", str(options.budget_seconds), "--test-command", command),
            cosmic_ray=options.cosmic_ray,
            patience_s=3 * options.budget_seconds + 60,
        )
        record.add(row)
    return f"{package.name}: {total(record.of(package.name))}"


def _left(package: Package, record: _Record, options: argparse.Namespace) -> Iterator[mutants.Mutation]:
    """Yield the mutations of the package that were not tried so far, in the order of the seed."""
    tried = {(row.path, row.operator, row.occurrence) for row in record.of(package.name)}
    with TemporaryDirectory(prefix="atra-mutants-") as work:
        for one in mutants.mutations(options.cosmic_ray, package.folder, Path(work), options.seed):
            if (one.path, one.operator.removeprefix("core/"), one.occurrence) not in tried:
                yield one


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.package_mutants", description=(__doc__ or "").partition("\n")[0])
    cores = os.cpu_count() or 1
    parser.add_argument("--packages", type=Path, required=True, help="a folder of source distributions")
    parser.add_argument("--cosmic-ray", type=Path, required=True, help="the program, in an environment of its own")
    parser.add_argument("--mutants", type=int, default=200, help="how many that the tests kill, in all packages")
    parser.add_argument("--at-once", type=int, default=cores, help="packages that are worked on at a time")
    parser.add_argument("--shards", type=int, default=1, help="tasks that share one search")
    parser.add_argument("--budget-seconds", type=float, default=60.0, help="wall time for one repair")
    parser.add_argument("--seed", type=int, default=0, help="for which mutants")
    parser.add_argument("--home", type=Path, help="the home of a running stack; a new one is started when left out")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "package_mutants.json", help="where to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
