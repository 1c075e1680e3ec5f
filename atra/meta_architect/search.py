"""The search of one shard: its share of the candidates, in order, through the workshop, until enough is known.

What one shard finds shortens the search of all: once a plausible candidate is known at rank r, candidates are tried up
to `horizon(r)` so that there is something to choose from, and no further. The set of candidates that are tried up to
there does not depend on timing.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from atra.core.edits import Patch
from atra.meta_architect.records import Candidate, Plausible, Search
from atra.sandbox.protocol import Stop, never
from atra.sandbox.runner import Trial, Workshop

_SECOND_LOOK = 20.0
"""How much longer a candidate may take in the second look, when nothing was found in the first."""

_SECOND_LOOKS = 200
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
    stop: Stop = never,
    report: Callable[[int, int], None] = lambda tried, plausible: None,
) -> Search:
    """Try every `shards`-th candidate of the stream from the `shard`-th on.

    Args:
        stream: the whole ranked stream, the same in every shard.
        workshop: open, on the base revision.
        shared: what the shards tell each other.
        deadline_s: on the monotonic clock; the search ends there with what it has.
        stop: ends the search early.
        report: told now and then how many were tried and how many were plausible.
    """
    began = time.monotonic()
    found: list[Plausible] = []
    hung: list[Plausible] = []
    verdicts: Counter[str] = Counter()
    best, best_fixed = None, 0
    mine = islice(((rank, candidate) for rank, candidate in enumerate(stream, 1)), shard, None, shards)
    waiting: list[Plausible] = []
    exhausted = True

    def over() -> bool:
        return stop() or time.monotonic() > deadline_s

    def feed() -> Iterator[tuple[int, Candidate]]:
        nonlocal exhausted
        lowest = None
        for count, (rank, candidate) in enumerate(mine):
            lowest = shared.lowest() if count % _ASK_EVERY == 0 else lowest
            if over() or (lowest is not None and rank > horizon(lowest)):
                exhausted = False
                return
            yield rank, candidate

    def patches(some: Iterator[tuple[int, Candidate]]) -> Iterator[Patch]:
        for rank, candidate in some:
            waiting.append(Plausible(candidate, rank))
            yield candidate.patch

    def note(tried: Plausible, trial: Trial) -> None:
        nonlocal best, best_fixed
        verdicts[trial.verdict] += 1
        if trial.verdict == "plausible":
            found.append(tried)
            shared.post(tried.rank)
        elif trial.verdict == "hung":
            hung.append(tried)
        elif trial.fixed > best_fixed:
            best, best_fixed = tried, trial.fixed
        if verdicts.total() % 25 == 0:
            report(verdicts.total(), len(found))

    for trial in workshop.try_all(patches(feed())):
        note(waiting.pop(0), trial)
    if not found and shared.lowest() is None and hung and not over():
        again = hung[:_SECOND_LOOKS]
        verdicts["hung"] -= len(again)
        hung.clear()
        waiting.clear()
        retried = iter([(slow.rank, slow.candidate) for slow in again])
        for trial in workshop.try_all(patches(retried), limit_scale=_SECOND_LOOK):
            note(waiting.pop(0), trial)
            if over() or found:
                break
    report(verdicts.total(), len(found))
    return Search(
        plausible=tuple(sorted(found, key=lambda plausible: plausible.rank)),
        tried=verdicts.total(),
        seconds=round(time.monotonic() - began, 3),
        verdicts=dict(+verdicts),
        best=best,
        best_fixed=best_fixed,
        exhausted=exhausted and not over(),
    )
