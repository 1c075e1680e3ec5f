"""Whether a question is of the kind that a brain was measured on: what it was never shown, it may be sure of and wrong.

Two questions are as alike as the words and signs they share, numbers counting alike (Ruzicka's measure of bags of
words). How alike questions of the set are among themselves says how alike a new one has to be. A question in other
words is taken for another kind, and one of another kind in the same words is not noticed.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from atra.core.words import UNSPACED

_MOST = 1000  # shapes that are kept: comparing all of them takes milliseconds
_SHARE = 0.05  # of questions of the kind that are taken for others
_TOKEN = re.compile(rf"\d+|[{UNSPACED}]|[^\W\d_{UNSPACED}]+|[^\w\s]")


@dataclass(frozen=True)
class Kind:
    """The shapes of questions, each once, and how alike to one of them a question of the kind is at least."""

    shapes: tuple[str, ...] = ()
    least: float = 0.0

    def holds(self, question: str) -> bool:
        """Say whether the question is of this kind; where no question is known, none is."""
        bag = _bag(shape_of(question))
        nearest = max((_alike(bag, _bag(shape)) for shape in self.shapes), default=0.0)
        return nearest > 0 and nearest >= self.least


def kind_of(questions: Iterable[str]) -> Kind:
    """Return the kind of these questions: nineteen in twenty of them are as alike to another one as it asks for."""
    counts = Counter(shape_of(question) for question in questions)
    kept = dict(sorted(counts.items())[:: -(-len(counts) // _MOST) or 1])
    bags = {shape: _bag(shape) for shape in kept}
    nearest = sorted(likeness for shape, count in kept.items() for likeness in [_nearest(shape, count, bags)] * count)
    return Kind(tuple(kept), nearest[int(_SHARE * len(nearest))] if nearest else 0.0)


def shape_of(question: str) -> str:
    """Return the words and signs of a question in small letters, each number as 0."""
    return " ".join("0" if token[0].isdecimal() else token for token in _TOKEN.findall(question.casefold()))


def _nearest(shape: str, count: int, bags: dict[str, Counter[str]]) -> float:
    """Return how alike a question is to the nearest other one; one that is asked twice is alike to itself."""
    if count > 1:
        return 1.0
    return max((_alike(bags[shape], other) for name, other in bags.items() if name != shape), default=0.0)


def _bag(shape: str) -> Counter[str]:
    return Counter(shape.split())


def _alike(one: Counter[str], other: Counter[str]) -> float:
    shared = sum((one & other).values())
    return shared / ((one.total() + other.total() - shared) or 1)
