"""Mutants of published packages, made by Cosmic Ray in an environment of its own: bugs that nobody here thought up.

Every mutation that the tool knows of a package is put in one random order, by a fixed seed, and at most two of one
function are taken. Which of them the package's tests kill is found out by who runs them.
"""

import random
import sqlite3
import subprocess
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from atra.meta_architect.localisation import is_test
from atra.war_room.case import by_line, regions_of

_CONFIGURATION = """[cosmic-ray]
module-path = {path!r}
timeout = 10.0
excluded-modules = []
test-command = "true"
[cosmic-ray.distributor]
name = "local"
"""
_PER_FUNCTION = 2


@dataclass(frozen=True)
class Mutation:
    """One change of one file: the operator's name, the line it changes, and the file's text with it."""

    path: str
    operator: str
    occurrence: int
    line: int


def unpack(archives: Path, into: Path) -> dict[str, Path]:
    """Unpack each source distribution; return its folder by the package's name, in order of the names."""
    found = {}
    for archive in sorted(archives.glob("*.tar.gz")):
        name = archive.name.removesuffix(".tar.gz")
        if not (into / name).is_dir():
            with tarfile.open(archive) as packed:
                packed.extractall(into, filter="data")
        found[name] = into / name
    return found


def code_of(folder: Path) -> dict[str, str]:
    """Return the text by path of the package's own modules: those of its folders with `__init__.py`, tests left out."""
    tops = [at.parent for place in (folder / "src", folder) for at in sorted(place.glob("*/__init__.py"))]
    files = (file for top in tops for file in sorted(top.rglob("*.py")))
    named = {file.relative_to(folder).as_posix(): file for file in files}
    return {path: file.read_text() for path, file in named.items() if not is_test(path)}


def mutations(cosmic_ray: Path, folder: Path, work: Path, seed: int, only: Collection[str] = ()) -> Iterator[Mutation]:
    """Yield the package's mutations in the order of the seed, at most two of a function; of these paths, if said."""
    code = {path: text for path, text in code_of(folder).items() if not only or path in only}
    where = by_line(regions_of(code))
    known = [one for path in sorted(code) for one in _known(cosmic_ray, folder, path, work)]
    random.Random(seed).shuffle(known)
    taken: dict[str, int] = {}
    for one in known:
        region = where[one.path, one.line].id
        taken[region] = taken.get(region, 0) + 1
        if taken[region] <= _PER_FUNCTION:
            yield one


def apply(cosmic_ray: Path, tree: Path, mutation: Mutation) -> None:
    """Make the change in a copy of the package."""
    command = [str(cosmic_ray), "apply", mutation.path, mutation.operator, str(mutation.occurrence)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)


def version(cosmic_ray: Path) -> str:
    """Return the tool's name and version."""
    said = subprocess.run([cosmic_ray, "--version"], check=True, capture_output=True, text=True).stdout
    return said.strip()


def _known(cosmic_ray: Path, folder: Path, path: str, work: Path) -> list[Mutation]:
    """Return what the tool would change in one file, in the order of the text."""
    configuration, session = work / "cosmic-ray.toml", work / "cosmic-ray.sqlite"
    configuration.write_text(_CONFIGURATION.format(path=path))
    subprocess.run([cosmic_ray, "init", configuration, session, "--force"], cwd=folder, check=True, capture_output=True)
    query = "select operator_name, occurrence, start_pos_row, operator_args from mutation_specs order by 3, 1, 2"
    with sqlite3.connect(session) as db:
        rows = db.execute(query).fetchall()
    return [Mutation(path, name, occurrence, line) for name, occurrence, line, given in rows if "{}" in str(given)]
