"""How much an expert's ballot weighs: by how often it proved right, never by how sure it says it is."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from atra.war_room.records import Ballot

TYPICAL = 1.5
"""The advantage, in log-odds over a blind choice, of an expert that weighs 1."""

PRIOR = 5.0
"""How many judged ballots the belief that an unknown expert weighs 1 is worth."""

LEAST = 0.02
MOST = 3.0
"""Within these every weight stays: a liar is not heard, and no expert decides alone."""


@dataclass(frozen=True)
class Record:
    """How an expert did at one kind of task.

    Args:
        judged: ballots of which it was later proved whether their first choice was right.
        right: how many were.
        brier: the sum of (probability - 1 or 0)^2 over the judged.
        chance: the sum, over the judged, of the chance that a blind choice among the options would have been right.
    """

    judged: int = 0
    right: int = 0
    brier: float = 0.0
    chance: float = 0.0


@dataclass(frozen=True)
class Judged:
    """What became of one ballot: whether its first choice was right, and how sure it was, among how many options."""

    expert: str
    right: bool
    probability: float
    options: int


def weight(record: Record | None) -> float:
    """Return what a ballot of this expert weighs, in [LEAST, MOST]; 1 without a record.

    For independent experts who choose among m options, the rule that is right most often weighs each by the logarithm
    of the odds that it is right over those of a blind choice, log(p / (1 - p)) + log(m - 1) (Nitzan and Paroush 1982,
    doi:10.2307/2526438, for two options; Ben-Yashar and Paroush 2001, Social Choice and Welfare 18, for m). Here

        advantage = log(p / (1 - p)) - log(c / (1 - c)),  p = (right + c) / (judged + 1),  c = chance / judged
        weight    = (judged * f * advantage / TYPICAL + PRIOR * 1) / (judged + PRIOR)

    with f = 1 - brier / judged, so that of two experts who are right equally often the one that knows when weighs more,
    and one that is sure and wrong soon weighs nothing. Experts are not independent, which is why MOST is small.
    """
    if record is None or not record.judged:
        return 1.0
    chance = min(0.5, max(1e-6, record.chance / record.judged))
    share = (record.right + chance) / (record.judged + 1)
    advantage = _log_odds(min(share, 0.99)) - _log_odds(chance)
    knows = 1 - min(1.0, record.brier / record.judged)
    measured = knows * advantage / TYPICAL
    shrunk = (record.judged * measured + PRIOR) / (record.judged + PRIOR)
    return round(min(MOST, max(LEAST, shrunk)), 4)


def weights(records: Mapping[str, Record]) -> dict[str, float]:
    """Return the weight of each expert with a record."""
    return {expert: weight(record) for expert, record in sorted(records.items())}


def judge(ballots: Iterable[Ballot], truth: frozenset[str], options: int) -> list[Judged]:
    """Return whether each expert was right, in order of their names; who abstained or came late is not judged.

    An expert is judged by its first ballot, which it cast blind.

    Args:
        truth: ids of the options that were proved right; empty when nothing was proved, and then nobody is judged.
        options: among how many they chose.
    """
    if not truth:
        return []
    blind: dict[str, Ballot] = {}
    for ballot in sorted(ballots, key=lambda ballot: ballot.round):
        if ballot.ranking and not ballot.late and not ballot.abstained:
            blind.setdefault(ballot.expert, ballot)
    return [
        Judged(expert, ballot.ranking[0] in truth, ballot.probability, options)
        for expert, ballot in sorted(blind.items())
    ]


def added(record: Record | None, judged: Judged) -> Record:
    """Return the record with one more judged ballot."""
    known = record or Record()
    return Record(
        known.judged + 1,
        known.right + judged.right,
        known.brier + (judged.probability - judged.right) ** 2,
        known.chance + 1 / max(1, judged.options),
    )


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
