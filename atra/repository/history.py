"""Who wrote a line, and what the recent commits touched. Nothing here runs a program that the repository names."""

from dataclasses import dataclass

from atra.core.errors import AtraError
from atra.repository.door import Git, text_of

LIMIT_S = 5.0
"""How long one question may take; on a history so large that it takes longer, nothing is known."""


@dataclass(frozen=True)
class Logged:
    """One commit: its id, how many days before the revision it was asked for, its subject, and the paths it touched."""

    id: str
    age_days: float
    subject: str
    paths: tuple[str, ...]


def log(git: Git, revision: str, n: int) -> tuple[Logged, ...]:
    """Return the last n commits along the first parents, newest first; ages count back from the newest."""
    try:
        said = text_of(git.run("rev-list", f"--max-count={n}", "--first-parent", "--format=%ct %s", revision))
        lines = [line for line in said.split("\n") if line]
        heads = [line.removeprefix("commit ") for line in lines[::2]]
        listed = text_of(
            git.run(
                *("diff-tree", "--stdin", "-z", "-r", "--root", "-m", "--name-only", "--no-renames", "--no-ext-diff"),
                given="".join(f"{commit}\n" for commit in heads).encode(),
                limit_s=LIMIT_S,
            )
        )
    except AtraError:
        return ()
    paths = _paths(listed, frozenset(heads))
    found = []
    newest = int(lines[1].partition(" ")[0]) if lines else 0
    for id_, told in zip(heads, lines[1::2], strict=True):
        at, _, subject = told.partition(" ")
        found.append(Logged(id_, max(0.0, (newest - int(at)) / 86400), subject, tuple(paths.get(id_, ()))))
    return tuple(found)


def blame(git: Git, revision: str, path: str) -> dict[int, str]:
    """Return, per line from 1, the id of the commit that wrote it; nothing where git cannot tell in time."""
    options = ("blame", "--no-textconv", "--no-ignore-revs-file", "--porcelain")
    try:
        said = git.run(*options, revision, "--", path, limit_s=LIMIT_S)
    except AtraError:
        return {}
    wrote: dict[int, str] = {}
    for line in said.split(b"\n"):
        words = line.split(b" ")
        # A header line is an id, the line then, the line now, and for the first of a block its length.
        if len(words) in (3, 4) and len(words[0]) >= 40 and not line.startswith(b"\t") and words[2].isdigit():
            wrote[int(words[2])] = words[0].decode()
    return wrote


def _paths(listed: str, commits: frozenset[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current = ""
    for word in listed.split("\0"):
        if word in commits:
            current = word
        elif word:
            found.setdefault(current, []).append(word)
    return found
