"""Changes to text: edits, the patch they form, and its diff.

Offsets count characters of the file's decoded text with its line ends kept, so formatting, comments and CRLF survive.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_GIT_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_LONG = 1000


@dataclass(frozen=True, order=True)
class Edit:
    """One replacement in one file: characters [start, end) of the base text become `text`."""

    path: str  # relative to the repository's root, with forward slashes
    start: int
    end: int
    text: str


Patch = tuple[Edit, ...]
"""Edits against one base revision; those of one file do not overlap. Order has no meaning."""


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with the edits made; the edits are all of this one file.

    Raises:
        ValueError: two edits overlap, or one reaches outside the text.
    """
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        if not at <= edit.start <= edit.end <= len(text):
            raise ValueError(f"edit {edit.start}:{edit.end} overlaps another or leaves the text of {edit.path}")
        parts += text[at : edit.start], edit.text
        at = edit.end
    return "".join(parts) + text[at:]


def edits_between(path: str, before: str, after: str) -> tuple[Edit, ...]:
    """Return the edits of whole lines that make `after` of `before`; none where they are the same.

    A line ends with `\\n`, `\\r\\n` or `\\r`, which is part of it. What begins and ends both texts alike is left alone.
    """
    old, new = _LINE.findall(before), _LINE.findall(after)
    first = _shared(old, new)
    last = _shared(old[first:][::-1], new[first:][::-1])
    old_part, new_part = old[first : len(old) - last], new[first : len(new) - last]
    starts = list(accumulate(map(len, old), initial=0))
    long = len(old_part) > _LONG  # then lines that stand there often are no anchors: all their pairs would be tried
    changes = difflib.SequenceMatcher(None, old_part, new_part, autojunk=long).get_opcodes()
    return tuple(
        Edit(path, starts[first + i], starts[first + j], "".join(new_part[k:m]))
        for kind, i, j, k, m in changes
        if kind != "equal"
    )


def _shared(one: list[str], other: list[str]) -> int:
    """Return how many items both lists begin with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def by_path(patch: Patch) -> dict[str, list[Edit]]:
    """Return the patch's edits per file, files in order of their names."""
    files: dict[str, list[Edit]] = {}
    for edit in sorted(patch):
        files.setdefault(edit.path, []).append(edit)
    return files


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a unified diff, as `git diff` would print it, of files by path; a missing side is an absent file."""
    chunks: list[str] = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        chunks.append(f"diff --git a/{path} b/{path}\n")
        names = ("/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}")
        if old is None or new is None:
            chunks.append(f"{'new' if old is None else 'deleted'} file mode 100644\n")
        lines = difflib.unified_diff(_GIT_LINE.findall(old or ""), _GIT_LINE.findall(new or ""), *names)
        chunks += (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return "".join(chunks)
