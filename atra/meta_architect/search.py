"""The search of one shard: its share of the candidates, in order, through the workshop, until enough is known.

What one shard finds shortens the search of all: once a plausible candidate is known at rank r, candidates are tried up
to `horizon(r)` so that there is something to choose from, and no further. The set of candidates that are tried up to
there does not depend on timing.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Protocol

from atra.core.edits import Patch
from atra.meta_architect.behaviour import signs
from atra.meta_architect.records import Candidate, Plausible, Search
from atra.meta_architect.second_edits import Partial
from atra.sandbox.protocol import Stop, never
from atra.sandbox.runner import Trial, Workshop

_SECOND_LOOK = 20.0
"""How much longer a candidate may take in the second look, when nothing was found in the first."""

_SECOND_LOOKS = 200

_MOST_OBSERVED = 60
"""How many of the plausible candidates are looked at for what they do."""

_FIRST_SHARE = 0.6
"""The share of a search's time after which it turns to second edits, where there is something to build upon."""

_ASK_EVERY = 8


class Horizon(Protocol):
    """What the shards of one search tell each other."""

    def post(self, rank: int) -> None:
        """Say that a plausible candidate stands at this rank."""

    def lowest(self) -> int | None:
        """Return the lowest rank posted, if any."""


class LocalHorizon:
    """A horizon for one process."""

    def __init__(self) -> None:
        self._lowest: int | None = None

    def post(self, rank: int) -> None:
        """Say that a plausible candidate stands at this rank."""
        self._lowest = rank if self._lowest is None else min(self._lowest, rank)

    def lowest(self) -> int | None:
        """Return the lowest rank posted, if any."""
        return self._lowest


def horizon(rank: int) -> int:
    """Return the last rank worth trying once a plausible candidate stands at `rank`."""
    return rank + max(100, rank // 2)


def search(
    stream: Iterator[Candidate],
    workshop: Workshop,
    shared: Horizon,
    *,
    shard: int = 0,
    shards: int = 1,
    deadline_s: float,
    further: Callable[[list[Partial]], Iterator[Candidate]] | None = None,
    stop: Stop = never,
    report: Callable[[int, int], None] = lambda tried, plausible: None,
) -> Search:
    """Try every `shards`-th candidate of the stream from the `shard`-th on, then what is built on the best of them.

    Args:
        stream: the whole ranked stream, the same in every shard.
        workshop: open, on the base revision.
        shared: what the shards tell each other.
        deadline_s: on the monotonic clock; the search ends there with what it has.
        further: makes candidates of those that turned some tests green (see `second_edits`); asked where the stream
            ends without a find, or in its middle when most of the time is over.
        stop: ends the search early.
        report: told now and then how many were tried and how many were plausible.
    """
    began = time.monotonic()
    mine = islice(enumerate(stream, 1), shard, None, shards)
    look = _Look(workshop, shared, deadline_s, stop, report)
    pause_s = began + _FIRST_SHARE * (deadline_s - began) if further else deadline_s
    exhausted = look.at(mine, pause_s=pause_s)
    if look.hung and look.goes_on():
        look.again()
    if further and look.near and look.goes_on():
        behind = count(look.last + 1 + shard, shards)
        look.at(zip(behind, further(look.near), strict=False))
        exhausted = exhausted or (look.goes_on() and look.at(mine))
    report(look.verdicts.total(), len(look.found))
    return Search(
        plausible=tuple(look.observed()),
        tried=look.verdicts.total(),
        seconds=round(time.monotonic() - began, 3),
        verdicts=dict(+look.verdicts),
        best=look.best,
        best_fixed=look.best_fixed,
        exhausted=exhausted and not look.over(),
    )


@dataclass
class _Look:
    """What a shard has seen so far."""

    workshop: Workshop
    shared: Horizon
    deadline_s: float
    stop: Stop
    report: Callable[[int, int], None]
    found: list[Plausible] = field(default_factory=list)
    hung: list[Plausible] = field(default_factory=list)
    near: list[Partial] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    best: Plausible | None = None
    best_fixed: int = 0
    last: int = 0

    def over(self) -> bool:
        """Say whether the time is."""
        return self.stop() or time.monotonic() > self.deadline_s

    def goes_on(self) -> bool:
        """Say whether nobody has found anything and there is time left."""
        return not self.found and self.shared.lowest() is None and not self.over()

    def at(self, items: Iterator[tuple[int, Candidate]], *, pause_s: float = math.inf) -> bool:
        """Try candidates up to the horizon, or to a pause once some can be built upon; say whether all were tried."""
        waiting: deque[Plausible] = deque()
        ended = False

        def patches() -> Iterator[Patch]:
            nonlocal ended
            lowest: int | None = None
            for number in count():
                lowest = self.shared.lowest() if number % _ASK_EVERY == 0 else lowest
                if self.over() or (self.near and time.monotonic() > pause_s):
                    return
                if (item := next(items, None)) is None:
                    ended = True
                    return
                if lowest is not None and item[0] > horizon(lowest):
                    return
                waiting.append(Plausible(item[1], item[0]))
                yield item[1].patch

        for trial in self.workshop.try_all(patches()):
            self._note(waiting.popleft(), trial)
        return ended

    def again(self) -> None:
        """Try the first candidates that hung with more time, until one is found."""
        slow = self.hung[:_SECOND_LOOKS]
        self.verdicts["hung"] -= len(slow)
        self.hung.clear()
        patches = (tried.candidate.patch for tried in slow)
        for tried, trial in zip(slow, self.workshop.try_all(patches, limit_scale=_SECOND_LOOK), strict=False):
            self._note(tried, trial)
            if self.over() or self.found:
                return

    def observed(self) -> list[Plausible]:
        """Return what was found by rank, the first of it with what it makes of the calls that all are given."""
        found = sorted(self.found, key=lambda plausible: plausible.rank)
        if not found or self.over():
            return found
        patches = [plausible.candidate.patch for plausible in found[:_MOST_OBSERVED]]
        base, *seen = self.workshop.observe([(), *patches])
        looked = zip(found, seen, strict=False)
        told = [replace(one, behaviour=words, signs=signs(base, words)) for one, words in looked]
        return [*told, *found[_MOST_OBSERVED:]]

    def _note(self, tried: Plausible, trial: Trial) -> None:
        self.verdicts[trial.verdict] += 1
        self.last = max(self.last, tried.rank)
        if trial.verdict == "plausible":
            self.found.append(tried)
            self.shared.post(tried.rank)
        elif trial.verdict == "hung":
            self.hung.append(tried)
        elif trial.fixed:
            self.near.append(Partial(tried.candidate, tried.rank, trial.fixed, broke=trial.verdict == "broke"))
            if trial.fixed > self.best_fixed:
                self.best, self.best_fixed = tried, trial.fixed
        if self.verdicts.total() % 25 == 0:
            self.report(self.verdicts.total(), len(self.found))
