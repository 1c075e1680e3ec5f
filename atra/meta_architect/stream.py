"""The ranked stream of candidates: what the templates propose at the suspect statements, likeliest first.

The stream depends on nothing but its arguments, so every shard makes the same one and takes its own part. It is lazy:
statements are opened in windows, most suspect first, so a large repository starts as soon as a small one.
"""

import ast
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import TypeVar

from atra.core.edits import Edit, apply
from atra.meta_architect.learned import chances, known_weights
from atra.meta_architect.records import Candidate, Diagnosis
from atra.meta_architect.scope import Scope
from atra.meta_architect.source import UNREADABLE, Source, parse
from atra.meta_architect.templates import TEMPLATES
from atra.meta_architect.templates.spot import Clues, Proposal, Spot, Template

WINDOW = 12
"""How many statements are open before the first candidate is given."""

PER_STATEMENT = 24
"""One more statement may be opened for each so many candidates given, however likely those still waiting are."""

FALLING = 0.5
"""How fast statements become unlikely in the order of suspicion: the n-th by n ** -FALLING, beside its own score."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Scored:
    """One proposal with its score, its template and the statement it is for."""

    score: float
    template: Template
    spot: Spot
    proposal: Proposal


def candidates(
    sources: Mapping[str, str],
    diagnosis: Diagnosis,
    *,
    templates: Sequence[Template] = TEMPLATES,
    hints: Mapping[str, float] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Iterator[Candidate]:
    """Yield candidates, likeliest first, each once, each of them Python that can be read.

    A candidate's score is P(place) x P(template) x its weight among what the template proposes at that statement, which
    what was learned raises or lowers (see `learned`). So a template that has one thing to say comes before one that has
    a hundred, and what several statements offer is interleaved. Among the statements opened so far the order is exact;
    a statement still closed may hold a candidate that would have come earlier (see `WINDOW`, `PER_STATEMENT`).

    Args:
        sources: text of each file that the diagnosis may name, by path; files that cannot be read are left out.
        diagnosis: places and what the failing tests said.
        templates: what to try; the whole registry unless told otherwise.
        hints: factors on the share of templates, by a template's name and by its family's; 0 leaves one out.
        weights: of what was learned; those that are shipped unless told otherwise, none to do without.
    """
    shares = shares_of(templates, hints or {})
    learned = known_weights() if weights is None else weights
    waiting = _spots(sources, diagnosis)
    most = max((share for _, share in shares), default=0.0)
    heap: list[tuple[float, int, _Scored]] = []
    seen: set[object] = set()
    opened = given = 0
    order = count()
    following = next(waiting, None)
    while heap or following:
        allowed = WINDOW + given // PER_STATEMENT
        if following and (not heap or (opened < allowed and following[0] * most > -heap[0][0])):
            for scored in _propose(*following, shares, learned):
                heapq.heappush(heap, (-scored.score, next(order), scored))
            opened, following = opened + 1, next(waiting, None)
            continue
        scored = heapq.heappop(heap)[2]
        same = {_meaning_of(scored), _result_of(scored)}
        if None not in same and not same & seen:
            seen |= same
            given += 1
            yield _candidate(scored)


def shard(stream: Iterable[T], index: int, shards: int) -> Iterator[T]:
    """Yield every `shards`-th item, beginning with the one at `index` (from 0)."""
    return islice(stream, index, None, shards)


def shares_of(templates: Sequence[Template], hints: Mapping[str, float]) -> list[tuple[Template, float]]:
    """Return the templates, each with its part of all shares."""
    shares = [(item, item.share * hints.get(item.name, 1.0) * hints.get(item.family, 1.0)) for item in templates]
    whole = sum(share for _, share in shares)
    return [(item, share / whole) for item, share in shares if share > 0]


def _spots(sources: Mapping[str, str], diagnosis: Diagnosis) -> Iterator[tuple[float, Spot]]:
    """Yield each statement under suspicion with its likelihood, most suspect first; a place's line may hold several."""
    parsed: dict[str, tuple[Source, Scope] | None] = {}
    clues = Clues(diagnosis.errors, diagnosis.expected)
    seen: set[ast.stmt] = set()
    for number, place in enumerate(diagnosis.places, 1):
        if place.path not in parsed:
            parsed[place.path] = _open(place.path, sources.get(place.path))
        if (known := parsed[place.path]) is None:
            continue
        source, scope = known
        first = source.first_lines.get(place.line, place.line)
        for statement in source.by_line.get(first, ()):
            if statement not in seen:
                seen.add(statement)
                yield place.score * number**-FALLING, Spot(source, scope, statement, clues)


def _open(path: str, text: str | None) -> tuple[Source, Scope] | None:
    if text is None:
        return None
    try:
        source = Source(path, text)
    except UNREADABLE:
        return None
    return source, Scope(source)


def _propose(
    score: float, spot: Spot, shares: Iterable[tuple[Template, float]], weights: Mapping[str, float]
) -> Iterator[_Scored]:
    found = list(propose(spot, shares))
    for (template, proposal, _), chance in zip(found, chances(spot, found, weights), strict=True):
        yield _Scored(score * chance, template, spot, proposal)


def propose(spot: Spot, shares: Iterable[tuple[Template, float]]) -> Iterator[tuple[Template, Proposal, float]]:
    """Yield all that the templates propose at the statement, with P(template) x the part of all its weight."""
    for template, share in shares:
        proposals = _readable(template, spot)
        whole = sum(proposal.weight for proposal in proposals)
        for proposal in proposals:
            yield template, proposal, share * proposal.weight / whole


def _readable(template: Template, spot: Spot) -> list[Proposal]:
    """Return what the template proposes, up to the first piece of text that cannot be read where it stands."""
    proposals: list[Proposal] = []
    try:
        proposals.extend(template.propose(spot))
    except UNREADABLE:
        return proposals
    return proposals


def _candidate(scored: _Scored) -> Candidate:
    spot = scored.spot
    line = spot.source.first_line(spot.statement)
    return Candidate(scored.proposal.edits, scored.template.name, spot.source.path, line, scored.score)


def _result_of(scored: _Scored) -> tuple[str, int, int, str]:
    """Return the one replacement, begun as late as it can be, that makes of the file what the candidate makes of it.

    Two candidates that give the same text have it in common, wherever they put their edits.
    """
    text, edits = scored.spot.source.text, scored.proposal.edits
    start, end = min(edit.start for edit in edits), max(edit.end for edit in edits)
    new = apply(text[start:end], (Edit(edit.path, edit.start - start, edit.end - start, edit.text) for edit in edits))
    while start < end and new and text[start] == new[0]:
        start, new = start + 1, new[1:]
    while start == end and new and text[start : start + 1] == new[0]:
        start, end, new = start + 1, end + 1, new[1:] + new[0]
    while not new and start < end and text[start] == text[end : end + 1]:
        start, end = start + 1, end + 1
    while start < end and new and text[end - 1] == new[-1]:
        end, new = end - 1, new[:-1]
    return scored.spot.source.path, start, end, new


def _meaning_of(scored: _Scored) -> object | None:
    """Return what two candidates whose statements read the same have in common; None where they cannot be read.

    None as well where the statement reads as it did before.
    """
    source, statement, edits = scored.spot.source, scored.spot.statement, scored.proposal.edits
    if scored.proposal.fragment is not None:
        meaning = _meaning(scored.proposal.fragment)
        return meaning and (source.path, edits[0].start, meaning)
    start, head = header(source, statement)
    if _within(edits, start, start + len(head)):
        return _changed(source, start, head, edits, lambda text: _complete(statement, text))
    for at in source.ancestors(statement):  # not the statement: moved to another depth it would read as before
        if isinstance(at, ast.stmt) and source.alone(at) and not source.text_of(at).startswith("elif"):
            first, last = source.lines_of(at)
            if _within(edits, first, last):
                return _changed(source, first, source.text[first:last], edits, _indented)
    return _changed(source, 0, source.text, edits, lambda text: text.removeprefix("\ufeff"))


def _within(edits: Iterable[Edit], start: int, end: int) -> bool:
    return all(start <= edit.start and edit.end <= end for edit in edits)


def _changed(
    source: Source, start: int, text: str, edits: Iterable[Edit], whole: Callable[[str], str]
) -> tuple[str, int, str] | None:
    """Read a piece of the file before and after the edits; `whole` makes of a piece what can be read by itself."""
    moved = [Edit(edit.path, edit.start - start, edit.end - start, edit.text) for edit in edits]
    meaning = _meaning(whole(apply(text, moved)))
    if not meaning or meaning == _meaning(whole(text)):
        return None
    return source.path, start, meaning


def header(source: Source, statement: ast.stmt) -> tuple[int, str]:
    """Return where the statement starts and its text up to its block; all of it where it has none."""
    start, end = source.span(statement)
    body = [*getattr(statement, "body", []), *getattr(statement, "cases", [])]
    if body and not isinstance(body[0], ast.match_case):
        end = source.span(body[0])[0]
    return start, source.text[start:end]


def _indented(text: str) -> str:
    """Return lines that are indented as the block of a statement."""
    return f"if 1:\n{text}" if text[:1] in " \t" else text


def _complete(statement: ast.stmt, text: str) -> str:
    """Return the text as a statement that can be read by itself: a header gets a block."""
    text = text.removeprefix("el") if isinstance(statement, ast.If) else text
    if not hasattr(statement, "body"):
        return text
    ending = "\nfinally: pass" if isinstance(statement, ast.Try) else ""
    return f"{text}pass{ending}" if text.rstrip(" \t").endswith((":", "\n", "\r")) else text


@lru_cache(maxsize=4096)
def _meaning(text: str) -> str | None:
    try:
        return ast.dump(parse(text))
    except UNREADABLE:
        return None
