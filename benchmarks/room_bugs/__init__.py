"""Bugs of our own, each in a small repository of several modules with a history.

A repository is a folder here: its files as they should be with `.txt` added to their names (so that nobody collects or
checks them), and `bugs.toml` with its history and its bugs. A bug is text that stands exactly once in one file, and
what replaces it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atra.war_room.case import Commit
from benchmarks.cases import History

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Bug:
    """One bug: the repository's files with it, the region that holds it, and the text of its file without it."""

    id: str
    package: str
    truth: str
    change: str
    files: Mapping[str, str]
    original: str
    history: History
    protected: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write the repository with its bug into the folder."""
        for path, text in self.files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def read_all() -> list[Bug]:
    """Return every bug, in order of repository and number."""
    return [bug for told in sorted(_HERE.glob("*/bugs.toml")) for bug in _read(told.parent)]


def _read(folder: Path) -> list[Bug]:
    told = tomllib.loads((folder / "bugs.toml").read_text())
    files = {
        file.relative_to(folder).as_posix().removesuffix(".txt"): file.read_text()
        for file in sorted(folder.rglob("*.txt"))
    }
    history = _history(told["commit"])
    return [_bug(folder.name, number, bug, files, history) for number, bug in enumerate(told["bug"], 1)]


def _history(commits: Sequence[Mapping[str, Any]]) -> History:
    """Return the history; of two commits that wrote the same, the newer one is to blame."""
    newest_first = sorted(commits, key=lambda commit: commit["age_days"])
    wrote = {place: commit["id"] for commit in reversed(newest_first) for place in commit["wrote"]}
    return History(
        tuple(
            Commit(
                commit["id"],
                commit["age_days"],
                tuple(dict.fromkeys(place.partition("::")[0] for place in (*commit["wrote"], *commit.get("also", ())))),
                commit["subject"],
            )
            for commit in newest_first
        ),
        wrote,
    )


def _bug(name: str, number: int, bug: Mapping[str, Any], files: Mapping[str, str], history: History) -> Bug:
    path, _, _ = bug["truth"].partition("::")
    if files[path].count(bug["right"]) != 1:
        raise ValueError(f"{name} {number}: {bug['right']!r} does not stand exactly once in {path}")
    changed = {**files, path: files[path].replace(bug["right"], bug["wrong"])}
    blamed = replace(history, wrote={**history.wrote, bug["truth"]: bug["came_with"]})
    change = f"{bug['right'].strip()!r} -> {bug['wrong'].strip()!r}"
    return Bug(f"{name}-{number:02}", name, bug["truth"], change, changed, files[path], blamed)
