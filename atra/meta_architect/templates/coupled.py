"""Two places changed at once: the same change wherever the code reads alike, two small changes of one statement."""

import ast
from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from itertools import combinations

from atra.core.edits import Edit
from atra.meta_architect.source import Span
from atra.meta_architect.templates import calls, expressions, names, numbers, operators
from atra.meta_architect.templates.spot import Proposal, Spot

_BASES: tuple[Callable[[Spot], Iterable[Proposal]], ...] = (
    operators.comparison,
    operators.arithmetic,
    numbers.off_by_one,
    numbers.number,
    names.variable,
    names.attribute,
    names.function,
    names.method,
    calls.wrapped,
    expressions.sliced,
    expressions.indexed,
)
"""The changes that people make, or forget, at several places at once."""

_SMALL = (*_BASES[:5], operators.connective, operators.negation, expressions.swapped_operands)

_SIBLINGS = 6
"""An expression that stands in a function more often than this is not changed everywhere."""

_BEST, _BEST_OF_EACH = 20, 6


def coupled(spot: Spot) -> Iterator[Proposal]:
    """`a[i] ... a[i]` -> `a[j] ... a[j]`: the same change at every place of the function that reads alike."""
    if spot.function is None:
        return
    places = _places(spot)
    for propose in _BASES:
        for proposal in propose(spot):
            if (whole := _changed(spot, proposal.edits)) is not None:
                others = [span for span in places.get(spot.text(whole), ()) if span != spot.source.span(whole)]
                if 0 < len(others) <= _SIBLINGS:
                    yield Proposal(_repeated(proposal.edits, spot.source.span(whole), others), proposal.weight)
    yield from _operators(spot)


def paired(spot: Spot) -> Iterator[Proposal]:
    """`range(i, n)` -> `range(i + 1, n + 1)`: two small changes of one statement, the likeliest of each kind."""
    likeliest: list[tuple[float, Proposal]] = []
    for propose in _SMALL:
        known = list(propose(spot))
        whole = sum(proposal.weight for proposal in known)
        best = nlargest(_BEST_OF_EACH, known, key=lambda proposal: proposal.weight)
        likeliest += [(proposal.weight / whole, proposal) for proposal in best]
    likeliest = nlargest(_BEST, likeliest, key=lambda pair: pair[0])
    for (chance, one), (other_chance, other) in combinations(likeliest, 2):
        if _apart(one.edits, other.edits):
            yield Proposal((*one.edits, *other.edits), chance * other_chance)


def _places(spot: Spot) -> dict[str, list[Span]]:
    """Return where each text stands as an expression of the function that is read, none inside another of its kind."""
    found: dict[str, list[Span]] = {}
    for node in ast.walk(spot.function) if spot.function else ():
        if isinstance(node, ast.expr) and spot.source.trusted(node) and spot.read(node):
            found.setdefault(spot.text(node), []).append(spot.source.span(node))
    return found


def _changed(spot: Spot, edits: tuple[Edit, ...]) -> ast.expr | None:
    """Return the smallest expression of the statement that all the edits are made in."""
    start, end = min(edit.start for edit in edits), max(edit.end for edit in edits)
    within = [node for node in spot.nodes if _covers(spot.source.span(node), start, end)]
    return min(within, key=lambda node: _length(spot.source.span(node)), default=None)


def _covers(span: Span, start: int, end: int) -> bool:
    return span[0] <= start and end <= span[1]


def _length(span: Span) -> int:
    return span[1] - span[0]


def _repeated(edits: tuple[Edit, ...], at: Span, others: list[Span]) -> tuple[Edit, ...]:
    moved = (
        Edit(edit.path, edit.start - at[0] + other[0], edit.end - at[0] + other[0], edit.text)
        for other in others
        for edit in edits
    )
    return (*edits, *moved)


def _operators(spot: Spot) -> Iterator[Proposal]:
    """Propose the same other operator for every comparison of the function that has this one's."""
    everywhere: dict[type[ast.cmpop], list[Span]] = {}
    for node in ast.walk(spot.function) if spot.function else ():
        if isinstance(node, ast.Compare) and spot.source.trusted(node):
            for left, operator, right in operators.pairs(node):
                everywhere.setdefault(type(operator), []).append(spot.source.operator(left, right))
    own = {type(operator) for node in spot.each(ast.Compare) for operator in node.ops}
    for kind in sorted(own, key=lambda kind: kind.__name__):
        spans = everywhere.get(kind, [])
        if 1 < len(spans) <= _SIBLINGS:
            for text, weight in operators.OTHER_COMPARISONS[kind].items():
                yield Proposal(tuple(spot.edit(span, text) for span in spans), weight)


def _apart(one: Iterable[Edit], other: Iterable[Edit]) -> bool:
    """Say whether the edits touch different characters, with at least one between them."""
    return all(a.end < b.start or b.end < a.start for a in one for b in other)
