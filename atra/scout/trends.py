"""Bursts: subjects that more of the articles speak of than usual, when that began, and what is left of it today.

A subject's share of the articles per day is read as the output of a machine with two states, a usual rate and a raised
one, where changing up costs something; the cheapest sequence of states says when the subject burst. A day without
articles says nothing, and a busy day of all feeds is no burst of each subject in them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby


@dataclass(frozen=True)
class Mention:
    """One article that speaks of some subjects."""

    article: str
    day: date
    subjects: frozenset[str]


@dataclass(frozen=True)
class Burst:
    """A stretch of days, both ends included, on which a subject was raised.

    `weight` is how much likelier its counts are at the raised rate than at the usual one, in nats; always above zero.
    """

    first: int
    last: int
    weight: float


@dataclass(frozen=True)
class Trend:
    """A subject that bursts or has burst.

    Args:
        score: the weights of its bursts, each halved per half-life since its last day; larger is hotter.
        since: the first day of its latest burst.
        rising: whether that burst reaches the last day.
        counts: articles per day that speak of it, over the whole window, oldest first.
        articles: those of its latest burst, newest first.
    """

    subject: str
    score: float
    since: date
    rising: bool
    counts: tuple[int, ...]
    articles: tuple[str, ...]


def bursts(counts: Sequence[tuple[int, int]], *, scale: float = 2.0, gamma: float = 1.0) -> list[Burst]:
    """Return the bursts of one subject, in order of time.

    Args:
        counts: per day, how many articles speak of the subject and how many there are in all.
        scale: how many times the usual rate the raised one is; above 1.
        gamma: what changing up costs, as a multiple of ln(days); larger finds fewer and longer bursts.

    Source: Kleinberg 2002, "Bursty and hierarchical structure in streams" (KDD), section 4, with two states.
    """
    relevant, total = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    if not relevant or relevant >= total:
        return []
    usual = relevant / total
    raised = min(usual * scale, (1 + usual) / 2)  # a share stays below 1 for subjects that most articles speak of
    gains = [_gain(hits, of, usual, raised) for hits, of in counts]
    up = gamma * math.log(max(2, len(counts)))
    return [_burst(gains, first, last) for first, last in _raised(gains, up)]


def trends(
    mentions: Iterable[Mention],
    today: date,
    *,
    days: int = 30,
    least: int = 3,
    half_life_days: float = 3.0,
    most: int = 20,
) -> list[Trend]:
    """Return the hottest subjects, hottest first; ties by name. An article counts once, however often it is given.

    Args:
        today: the last day of the window; later mentions are left out, as those of a clock that runs ahead.
        days: the window's length.
        least: articles in the window below which a subject is none.
        half_life_days: after how many days a burst that has ended counts half.
        most: how many to return.
    """
    start = today - timedelta(days=days - 1)
    within = {one.article: one for one in mentions if start <= one.day <= today}
    totals = Counter((one.day - start).days for one in within.values())
    by_subject: dict[str, list[Mention]] = defaultdict(list)
    for one in within.values():
        for subject in one.subjects:
            by_subject[subject].append(one)
    found = (
        _trend(subject, spoken, totals, start, days, half_life_days)
        for subject, spoken in by_subject.items()
        if len(spoken) >= least
    )
    return sorted((one for one in found if one), key=lambda one: (-one.score, one.subject))[:most]


def sparkline(counts: Sequence[int]) -> str:
    """Return the counts as a line of blocks, the largest as the full one; nothing said is a blank."""
    top = max(counts, default=0)
    return "".join(" ▁▂▃▄▅▆▇█"[math.ceil(8 * count / top)] if top else " " for count in counts)


def _trend(
    subject: str, spoken: Sequence[Mention], totals: Mapping[int, int], start: date, days: int, half_life_days: float
) -> Trend | None:
    hits = Counter((one.day - start).days for one in spoken)
    found = bursts([(hits[day], totals.get(day, 0)) for day in range(days)])
    if not found:
        return None
    latest = found[-1]
    in_latest = [one for one in spoken if latest.first <= (one.day - start).days <= latest.last]
    return Trend(
        subject=subject,
        score=sum(one.weight * 0.5 ** ((days - 1 - one.last) / half_life_days) for one in found),
        since=start + timedelta(days=latest.first),
        rising=latest.last == days - 1,
        counts=tuple(hits[day] for day in range(days)),
        articles=tuple(one.article for one in sorted(in_latest, key=lambda one: (-one.day.toordinal(), one.article))),
    )


def _gain(hits: int, of: int, usual: float, raised: float) -> float:
    """Return how much likelier the day's count is at the raised rate than at the usual one, in nats."""
    return hits * math.log(raised / usual) + (of - hits) * math.log((1 - raised) / (1 - usual))


def _raised(gains: Sequence[float], up: float) -> list[tuple[int, int]]:
    """Return the stretches in the raised state of the likeliest sequence of states (Viterbi); coming down is free."""
    low, high = 0.0, -math.inf
    came_up: list[bool] = []
    came_down: list[bool] = []
    for gain in gains:
        came_up.append(low - up > high)
        came_down.append(high > low)
        low, high = max(low, high), max(low - up, high) + gain
    state = high > low
    states = []
    for day in reversed(range(len(gains))):
        states.append(state)
        state = not came_up[day] if state else came_down[day]
    states.reverse()
    stretches = (list(days) for raised, days in groupby(range(len(states)), key=states.__getitem__) if raised)
    return [(days[0], days[-1]) for days in stretches]


def _burst(gains: Sequence[float], first: int, last: int) -> Burst:
    return Burst(first, last, math.fsum(gains[first : last + 1]))
