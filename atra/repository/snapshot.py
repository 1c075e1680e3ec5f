"""A revision's files taken out of a repository into an empty folder.

Contents are those git stores: no filter, no line end conversion and no `export-ignore` is applied. A file kept in Git
LFS is therefore its pointer.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atra.core.errors import AtraError, BadInput, Permanent
from atra.repository.door import Git, bytes_of, text_of
from atra.repository.protection import unsafe

SYMLINK, SUBMODULE, EXECUTABLE, PLAIN = "120000", "160000", "100755", "100644"


@dataclass(frozen=True)
class Entry:
    """A file of a revision. `mode` is git's: one of the constants above, or an old form of `PLAIN`."""

    path: str
    mode: str
    object_id: str


def entries(git: Git, revision: str, *paths: str) -> Iterator[Entry]:
    """Yield the revision's files in git's order, only the named ones if any are named; no folders."""
    whole = ("-r",) if not paths else ()
    for record in git.run("ls-tree", "-z", "--full-tree", *whole, revision, "--", *paths).split(b"\0"):
        if record:
            facts, _, path = record.partition(b"\t")
            mode, _, object_id = facts.decode().split(" ")
            yield Entry(text_of(path), mode, object_id)


def write_revision(git: Git, revision: str, into: Path) -> None:
    """Write the files of a revision into an empty folder, submodules that are checked out with them.

    Links are made last, after all folders, so that nothing is written through one.

    Raises:
        BadInput: the revision's tree is forged: it has two entries of one name.
    """
    target = _empty(into)
    found = [entry for entry in entries(git, revision) if not unsafe(entry.path)]
    blobs = [entry for entry in found if entry.mode != SUBMODULE]
    with git.stream("cat-file", "--batch", given="".join(f"{e.object_id}\n" for e in blobs).encode()) as stdout:
        links: list[tuple[Path, bytes]] = []
        for entry in blobs:
            data = _next_blob(stdout, entry)
            if entry.mode == SYMLINK:
                links.append((target / entry.path, data))
            else:
                _write(target / entry.path, data, entry.mode == EXECUTABLE)
    for entry in found:
        if entry.mode == SUBMODULE:
            _write_submodule(git.folder / entry.path, entry.object_id, target / entry.path)
    for link, _ in links:
        link.parent.mkdir(parents=True, exist_ok=True)
    for link, data in links:
        _link(link, data, target)


def _empty(into: Path) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise BadInput(f"the folder {into} is not empty")
    return into.resolve()


def _next_blob(stdout: object, entry: Entry) -> bytes:
    header = stdout.readline().split()  # type: ignore[attr-defined]
    if len(header) != 3 or header[1] != b"blob":
        raise Permanent(f"git has no contents for {entry.path} ({entry.object_id}); is this a partial clone?")
    data: bytes = stdout.read(int(header[2]) + 1)  # type: ignore[attr-defined]
    return data[:-1]


def _write(file: Path, data: bytes, executable: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777 if executable else 0o666)
    with open(descriptor, "wb") as out:
        out.write(data)


def _link(link: Path, data: bytes, target: Path) -> None:
    try:
        os.symlink(data, bytes_of(str(link)))
    except FileExistsError as error:
        raise BadInput(f"the revision has two entries named {link.relative_to(target)}") from error


def _write_submodule(source: Path, commit: str, into: Path) -> None:
    """Write a submodule's commit; an empty folder, as git itself would leave it, where it is not checked out."""
    into.mkdir(parents=True, exist_ok=True)
    if inside := _submodule(source):
        try:
            inside.run("cat-file", "-e", f"{commit}^{{commit}}")
        except AtraError:
            return
        write_revision(inside, commit, into)


def _submodule(folder: Path) -> Git | None:
    """Return the door to a checked out submodule: a real folder, with git's marker, that is its own root."""
    if folder.is_symlink() or not (folder / ".git").exists():
        return None
    inside = Git(folder)
    try:
        return inside if Path(inside.line("rev-parse", "--show-toplevel")).samefile(folder) else None
    except (AtraError, OSError):
        return None
