"""How often a brain is right when it is so sure: measured on items it has not learned from, and a bound drawn by it.

How sure it is, is the mean log-probability of the tokens of its reply. That number means nothing by itself; what it is
worth is read off a held-out set, and only questions of the kind of that set are spoken for.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from atra.local_brain.kinds import Kind, kind_of

_TIERS = 20
_BEGINNINGS = 4
_RISK = 0.1  # the chance at which the promise about errors may be wrong


@dataclass(frozen=True)
class Tier:
    """Of the items on which it was at least so sure, how many there were and on how many it was wrong."""

    confidence: float
    items: int
    wrong: int


@dataclass(frozen=True)
class Calibration:
    """What a brain's sureness is worth, and for what kind of questions.

    Args:
        tiers: from the surest items to all of them.
    """

    tiers: tuple[Tier, ...] = ()
    kind: Kind = field(default_factory=Kind)

    def threshold(self, max_error: float) -> float | None:
        """Return how sure it must be for at most this share of its answers to be wrong; None where nothing is enough.

        The tiers are tested one after the other until one fails, from four beginnings, each with a quarter of the risk;
        the largest that was reached counts. With a chance of nine in ten the share holds for questions drawn like the
        items.

        Source: fixed sequence testing with several beginnings, as in Angelopoulos et al. 2021, "Learn then Test",
        arXiv:2110.01052, 2.3.
        """
        risk = _RISK / _BEGINNINGS
        fewest = math.log(risk) / math.log1p(-max_error)  # with fewer items not even all of them right would show it
        large = [tier for tier in self.tiers if tier.items >= fewest]
        found = None
        for begin in range(0, len(large), -(-len(large) // _BEGINNINGS) or 1):
            for tier in large[begin:]:
                if _at_most(tier.wrong, tier.items, max_error) > risk:
                    break
                found = tier.confidence
        return found

    def probability(self, confidence: float) -> float | None:
        """Return how often it was right where it was about so sure; None where that was never seen.

        The share never falls where it is surer: isotonic regression by pooling neighbours that are out of order
        (Ayer et al. 1955).
        """
        blocks: list[tuple[float, int, int]] = []  # (least confidence, items, right), from the surest on
        before = Tier(0.0, 0, 0)
        for tier in self.tiers:
            items, wrong = tier.items - before.items, tier.wrong - before.wrong
            blocks.append((tier.confidence, items, items - wrong))
            before = tier
            while len(blocks) > 1 and blocks[-1][2] * blocks[-2][1] > blocks[-2][2] * blocks[-1][1]:
                least, items, right = blocks.pop()
                _, more, of_them = blocks.pop()
                blocks.append((least, items + more, right + of_them))
        return next((right / items for least, items, right in blocks if confidence >= least), None)


def calibrate(seen: Iterable[tuple[float, bool]], questions: Iterable[str] = ()) -> Calibration:
    """Return what sureness is worth.

    Args:
        seen: (how sure, whether right) of items that were not learned from.
        questions: of these items.
    """
    ordered = sorted(seen, key=lambda one: -one[0])
    tiers: list[Tier] = []
    wrong = 0
    for number, (confidence, right) in enumerate(ordered, start=1):
        wrong += not right
        last_of_equals = number == len(ordered) or ordered[number][0] < confidence
        if last_of_equals and (
            number - (tiers[-1].items if tiers else 0) >= len(ordered) / _TIERS or number == len(ordered)
        ):
            tiers.append(Tier(confidence, number, wrong))
    return Calibration(tuple(tiers), kind_of(questions))


def _at_most(wrong: int, items: int, share: float) -> float:
    """Return the chance of at most so many wrong ones of so many items where this share of all is wrong."""
    logs = math.log(share), math.log1p(-share)
    return math.fsum(
        math.exp(
            math.lgamma(items + 1)
            - math.lgamma(k + 1)
            - math.lgamma(items - k + 1)
            + k * logs[0]
            + (items - k) * logs[1]
        )
        for k in range(wrong + 1)
    )
