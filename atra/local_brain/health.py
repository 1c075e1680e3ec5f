"""Whether the brain in service is well, by how it did on its last questions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["answered", "unsure", "empty", "truncated", "error", "slow"]
"""Of one question. `unsure` is no illness: then the next source is asked."""

ILL: frozenset[Outcome] = frozenset({"empty", "truncated", "error", "slow"})


@dataclass(frozen=True)
class Bounds:
    """How much illness is borne.

    Args:
        window: how many of its last questions are looked at; with fewer than `least` nothing is said.
        most: the share of them that may be empty, cut off, in error or too slow.
    """

    window: int = 50
    least: int = 20
    most: float = 0.3


def breach(outcomes: Sequence[Outcome], bounds: Bounds) -> str:
    """Return in words why this brain should not serve on; nothing where it is well.

    Args:
        outcomes: of its questions, newest first.
    """
    seen = outcomes[: bounds.window]
    counts = Counter(one for one in seen if one in ILL)
    if len(seen) < bounds.least or counts.total() <= bounds.most * len(seen):
        return ""
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return f"of its last {len(seen)} questions {counts.total()} went ill ({told}); {bounds.most:.0%} are borne"
