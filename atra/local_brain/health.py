"""Whether the brain in service is well, by how it did on its last questions."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from atra.llm.records import Reply

Outcome = Literal["answered", "unsure", "empty", "truncated", "error", "slow"]
"""Of one question. `unsure` is no illness: then the next source is asked."""

ILL: frozenset[Outcome] = frozenset({"empty", "truncated", "error", "slow"})


@dataclass(frozen=True)
class Use:
    """How one question went.

    Args:
        answers: whether its answer is given; else the next source is asked, and `why` says why.
    """

    outcome: Outcome
    seconds: float
    answers: bool = False
    why: str = ""


def use_of(reply: Reply, seconds: float, threshold: float, slow_s: float) -> Use:
    """Return how a question went whose reply is this, and whether it is sure enough to be given.

    Args:
        threshold: the least mean log-probability, see `atra.local_brain.confidence`.
        slow_s: the seconds above which it was too slow; its answer is given all the same.
    """
    if reply.finish == "length":
        return Use("truncated", seconds, why="its answer did not end")
    if reply.finish != "stop" or not reply.text.strip():
        return Use("empty", seconds, why="it gave no answer")
    if reply.mean_logprob is None or not math.isfinite(reply.mean_logprob):
        return Use("unsure", seconds, why="its server does not tell how sure it is")
    if reply.mean_logprob < threshold:
        return Use("unsure", seconds, why=f"it is not sure enough ({reply.mean_logprob:.3f}, not {threshold:.3f})")
    return Use("slow" if seconds > slow_s else "answered", seconds, answers=True)


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
