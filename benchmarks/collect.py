"""Collects the cases of `benchmarks.rooms`: killed mutants of published packages, and bugs of our own.

    python -m benchmarks.collect --packages FOLDER --cosmic-ray PROGRAM --into FOLDER [--per-package N] [--seed N]

Each bug is one JSON file; what is there already is not made again, so an interrupted run goes on where it stopped.
A mutant counts when the tests kill it, see it from at least four functions of two modules, and no test hangs by it.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from atra.core.errors import AtraError
from atra.core.records import to_json
from atra.core.settings import load_settings
from atra.sandbox.bubblewrap import make_sandbox
from atra.sandbox.protocol import Sandbox
from atra.war_room.case import MODULE, Case, by_line, regions_of
from benchmarks import mutants, room_bugs
from benchmarks.cases import Known, build, red_before

_TRIES = 4  # candidates per mutant that is wanted: many survive


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect what is missing."""
    options = _parser().parse_args(arguments)
    options.into.mkdir(parents=True, exist_ok=True)
    sandbox = make_sandbox(load_settings().sandbox)
    for bug in room_bugs.read_all():
        _own(bug, options.into, sandbox)
    if options.packages:
        with tempfile.TemporaryDirectory(prefix="atra-rooms-") as work:
            for name, folder in mutants.unpack(options.packages, Path(work)).items():
                _mutants(name, folder, options, Path(work), sandbox)
    return 0


def _mutants(name: str, folder: Path, options: argparse.Namespace, work: Path, sandbox: Sandbox) -> None:
    red = red_before(folder, sandbox)
    _say(f"{name}: {len(red)} tests are red before any change")
    kept = 0
    known_mutations = mutants.mutations(options.cosmic_ray, folder, work, options.seed)
    for mutation in islice(known_mutations, _TRIES * options.per_package):
        if kept == options.per_package:
            break
        known = f"{mutation.path}-{mutation.operator}-{mutation.occurrence}".replace("/", "_")
        file, refused = options.into / f"{name}-{known}.json", options.into / f"{name}-{known}.not"
        if not file.exists() and not refused.exists():
            tree = work / "mutant"
            shutil.rmtree(tree, ignore_errors=True)
            shutil.copytree(folder, tree)
            mutants.apply(options.cosmic_ray, tree, mutation)
            _keep(file, refused, tree, name, mutation, red, sandbox)
        kept += file.exists()


def _keep(
    file: Path, refused: Path, tree: Path, name: str, mutation: mutants.Mutation, red: Sequence[str], sandbox: Sandbox
) -> None:
    began = time.monotonic()
    try:
        case = build(tree, red, sandbox)
    except AtraError as error:
        refused.write_text(f"{type(error).__name__}: {error}\n")
        return _say(f"{file.stem}: {type(error).__name__}")
    seconds = time.monotonic() - began
    if case is None or not _counts(case):
        refused.write_text("survived\n" if case is None else "few functions run, or a test hangs\n")
        return _say(f"{file.stem}: {refused.read_text().strip()}, {seconds:.0f} s")
    truth = by_line(regions_of(mutants.code_of(tree))).get((mutation.path, mutation.line))
    change = f"{mutation.operator} at {mutation.path}:{mutation.line}"
    if truth is None or truth not in case.regions:
        refused.write_text("no failing test runs it, or it is no Python any more\n")
        return _say(f"{file.stem}: {refused.read_text().strip()}")
    _write(file, Known(file.stem, name, "mutant", truth.id, change, case, round(seconds, 1)))


def _counts(case: Case) -> bool:
    functions = [region for region in case.regions if region.name != MODULE]
    hung = any(result.outcome == "hung" for result in case.failing)
    return len(functions) >= 4 and len({region.path for region in functions}) >= 2 and not hung


def _own(bug: room_bugs.Bug, into: Path, sandbox: Sandbox) -> None:
    file = into / f"{bug.id}.json"
    if file.exists():
        return
    with tempfile.TemporaryDirectory(prefix="atra-rooms-") as work:
        bug.write(Path(work))
        began = time.monotonic()
        case = build(Path(work), (), sandbox, bug.history, bug.protected)
        if case is None:
            raise SystemExit(f"{bug.id}: its tests pass")
        if bug.truth not in {region.id for region in case.regions}:
            raise SystemExit(f"{bug.id}: no failing test runs {bug.truth}")
        _write(file, Known(bug.id, bug.package, "own", bug.truth, bug.change, case, round(time.monotonic() - began, 1)))


def _write(file: Path, known: Known) -> None:
    file.write_text(json.dumps(to_json(known)))
    _say(f"{known.id}: {len(known.case.failing)} red, {len(known.case.regions)} options, {known.seconds:.0f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.collect", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packages", type=Path, help="a folder of source distributions; own bugs only when left out")
    parser.add_argument("--cosmic-ray", type=Path, help="the program, in an environment of its own")
    parser.add_argument("--into", type=Path, required=True, help="where the cases go, one JSON file each")
    parser.add_argument("--per-package", type=int, default=12, help="mutants of each package")
    parser.add_argument("--seed", type=int, default=0, help="for which mutants")
    return parser


if __name__ == "__main__":
    sys.exit(main())
