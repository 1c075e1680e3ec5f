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
        options = (f"--max-count={n}", "--first-parent", "--format=%ct %s")
        said = text_of(git.run("rev-list", *options, revision, limit_s=LIMIT_S))
        lines = [line for line in said.split("\n") if line]
        heads = [line.removeprefix("commit ") for line in lines[::2]]
        listed = text_of(
            git.run(
                *("diff-tree", "--stdin", "-z", "-r", "--root", "-m", "--name-only", "--no-renames", "--no-ext-diff"),
                given="".join(f"{commit}\n" for commit in heads).encode(),
                limit_s=LIMIT_S,
            )
        )
        told = [line.partition(" ") for line in lines[1::2]]
        ages = [(int(told[0][0]) - int(at)) / 86400 for at, _, _ in told]
    except (AtraError, ValueError):
        return ()
    paths = _paths(listed, frozenset(heads))
    return tuple(
        Logged(id_, max(0.0, age), subject, tuple(paths.get(id_, ())))
        for id_, age, (_, _, subject) in zip(heads, ages, told, strict=False)
    )


def blame(git: Git, revision: str, path: str) -> dict[int, str]:
    """Return, per line from 1, the id of the commit that brought it; nothing where git cannot tell in time.

    A merge brings what was written on its branch, as in `log`.
    """
    options = ("blame", "--first-parent", "--no-textconv", "--no-ignore-revs-file", "--porcelain")
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
