"""Repairs of two edits: a candidate that turned some failing tests green, and a second edit on top of it.

A bug in two places often shows itself so: one edit mends what one test asks, and the other tests stay red.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from atra.core.edits import apply, by_path, edits_between
from atra.meta_architect.records import Candidate, Diagnosis, Place
from atra.meta_architect.stream import candidates

BEAM = 12
"""How many candidates are built upon."""

_PER_LINE = 3
"""How many of them may have been made at one line: ways to the same half of a repair."""

_PER_FIRST = 1500
"""How many second edits are tried on top of one."""

_CHANGED = 0.5
"""How suspect a line is that was changed already."""


@dataclass(frozen=True)
class Partial:
    """A candidate with some of the failing tests green, and whether it turned a passing test red."""

    candidate: Candidate
    rank: int
    fixed: int
    broke: bool = False


def second_edits(
    partial: Iterable[Partial],
    sources: Mapping[str, str],
    diagnosis: Diagnosis,
    *,
    hints: Mapping[str, float] | None = None,
) -> Iterator[Candidate]:
    """Yield repairs of two edits, the second edits on top of each first one in their own order, first ones in turn.

    Args:
        partial: what may be built upon, in any order; see `best`.
        sources, diagnosis, hints: as for `candidates`, on the base revision.
    """
    waiting = [_onto(first.candidate, sources, diagnosis, hints) for first in best(partial)]
    while waiting:
        given = [(stream, next(stream, None)) for stream in waiting]
        yield from (candidate for _, candidate in given if candidate is not None)
        waiting = [stream for stream, candidate in given if candidate is not None]


def best(partial: Iterable[Partial]) -> list[Partial]:
    """Return the first edits worth building upon: those that break nothing, then by tests mended, then by rank."""
    order = sorted(partial, key=lambda one: (one.broke, -one.fixed, one.rank))
    taken: Counter[tuple[str, int]] = Counter()
    found: list[Partial] = []
    for one in order:
        at = one.candidate.path, one.candidate.line
        taken[at] += 1
        if taken[at] <= _PER_LINE:
            found.append(one)
    return found[:BEAM]


def _onto(
    first: Candidate, sources: Mapping[str, str], diagnosis: Diagnosis, hints: Mapping[str, float] | None
) -> Iterator[Candidate]:
    if any(edit.path not in sources for edit in first.patch):
        return
    changed = {path: apply(sources[path], edits) for path, edits in by_path(first.patch).items()}
    before = {path: sources[path] for path in changed}
    places = places_after(before, changed, diagnosis, _CHANGED, "changed by the first of two edits")
    now = {**sources, **changed}
    for second in islice(candidates(now, replace(diagnosis, places=places), hints=hints), _PER_FIRST):
        after = {**changed, **{path: apply(now[path], edits) for path, edits in by_path(second.patch).items()}}
        patch = tuple(edit for path in sorted(after) for edit in edits_between(path, sources[path], after[path]))
        if patch:
            template = f"{first.template}, {second.template}"
            yield replace(second, patch=patch, template=template, score=first.score * second.score)


def places_after(
    before: Mapping[str, str], after: Mapping[str, str], diagnosis: Diagnosis, score: float, reason: str
) -> tuple[Place, ...]:
    """Return the changed lines as places, then the diagnosis' where they stand now; those of lost lines are gone.

    Args:
        before, after: texts of the Python files that were changed; a file that is new stands in `after` only.
        score, reason: of the changed lines.
    """
    found: list[Place] = []
    moved: dict[str, dict[int, int]] = {}
    for path, text in after.items():
        if path.endswith(".py"):
            moved[path], changed = _compared(before.get(path, ""), text)
            found += (Place(path, line, score, (reason,)) for line in changed)
    for place in diagnosis.places:
        line = moved[place.path].get(place.line) if place.path in moved else place.line
        if line is not None:
            found.append(replace(place, line=line))
    return tuple(found)


def _compared(before: str, after: str) -> tuple[dict[int, int], list[int]]:
    """Return where the lines that stayed are now, and the lines that are new, with one on either side of a deletion."""
    old, new = before.split("\n"), after.split("\n")
    stayed: dict[int, int] = {}
    changed: list[int] = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            stayed |= {i + n + 1: k + n + 1 for n in range(j - i)}
        else:
            changed += range(k + 1, m + 1) if m > k else [n for n in (k, k + 1) if 1 <= n <= len(new)]
    return stayed, changed
