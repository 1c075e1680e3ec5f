"""How near the questions that may be asked are to those that were, and to one another."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from atra.core.errors import MissingPart, ModelUnavailable
from atra.precache.records import Candidate

if TYPE_CHECKING:
    from atra.llm.embedding import Embedder

_SAME, _NEAR = 0.92, 0.6  # cosines from which two questions are one, and from which they are about one thing


@dataclass(frozen=True)
class Compared:
    """Candidates that no answer waits for already, by their meaning; by their words where no model of meaning is.

    Args:
        nearness: by question, 0 to 1, how near it is to something that was asked.
        doubles: pairs of questions that ask the same.
    """

    new: tuple[Candidate, ...]
    nearness: dict[str, float] = field(default_factory=dict)
    doubles: frozenset[tuple[str, str]] = frozenset()

    def near(self, one: Candidate) -> float:
        """Return 0 to 1, how near the candidate is to something that was asked."""
        return self.nearness.get(one.question, 0.0)

    def same(self, one: Candidate, other: Candidate) -> bool:
        """Say whether the two ask the same."""
        return one.question.casefold() == other.question.casefold() or (one.question, other.question) in self.doubles


def compare(
    candidates: Sequence[Candidate], asked: Sequence[str], waiting: Sequence[str], embedder: "Embedder"
) -> Compared:
    """Compare the candidates with what was asked, with what an answer waits for, and with one another."""
    texts = [one.question for one in candidates]
    if not texts:
        return Compared(())
    try:
        vectors = embedder.embed([*texts, *asked, *waiting])
    except (MissingPart, ModelUnavailable):
        known = {one.casefold() for one in waiting}
        return Compared(tuple(one for one in candidates if one.question.casefold() not in known))
    own, past = vectors[: len(texts)], vectors[len(texts) : len(texts) + len(asked)]
    kept = vectors[len(texts) + len(asked) :]
    nearness = (own @ past.T).max(axis=1) if asked else [0.0] * len(texts)
    waits = (own @ kept.T).max(axis=1) if waiting else [0.0] * len(texts)
    return Compared(
        tuple(one for one, cosine in zip(candidates, waits, strict=True) if cosine < _SAME),
        {one: max(0.0, (float(cosine) - _NEAR) / (1 - _NEAR)) for one, cosine in zip(texts, nearness, strict=True)},
        frozenset((texts[a], texts[b]) for a, b in zip(*(own @ own.T >= _SAME).nonzero(), strict=True)),
    )
