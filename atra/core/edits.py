"""Changes to text: edits, the patch they form, and its diff.

Offsets count characters of the file's decoded text with its line ends kept, so formatting, comments and CRLF survive.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


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
        lines = difflib.unified_diff((old or "").splitlines(True), (new or "").splitlines(True), *names)
        chunks += (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return "".join(chunks)
