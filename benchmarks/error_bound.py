"""Whether the promised share of wrong hits is kept while the questions change, and what the promise costs in hits.

A stream is a sequence of look-ups, each with its nearest kept question: pairs of Quora that the decision was not fitted
to, our own families TEST, and definitions of computer science. In its second half, or in turns, its nature changes
without notice. Every look-up at or above the threshold is a hit; all hits are judged, or by chance the share that
`to_judge` advises. The promise counts as kept unless so many hits were wrong that the promised share would bring as
many in less than one of twenty streams. Beside it stands what no one can have: the best fixed threshold, chosen after
the whole stream was seen.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import exp, lgamma, log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atra.semantic_cache.bound import Sample, Standing, threshold_of, to_judge, updated
from benchmarks import results
from benchmarks.duplicates import read, vectors_of
from benchmarks.qqp import definitions, scored
from benchmarks.question_pairs import TEST, Pair, pairs
from benchmarks.train_decision import KEPT

_LOOKUPS, _RUNS = 6000, 100
_PROMISES, _JUDGING = (0.02, 0.05, 0.1, 0.2), ("all", "as advised")

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Pool:
    """Pairs to draw from: the cosine, the probability and the truth of each."""

    cosine: Numbers
    said: Numbers
    same: Flags

    def drawn(self, rng: np.random.Generator, count: int, share_same: float | None = None) -> "Pool":
        """Return so many, each at most once while they last; `share_same` of them duplicates if that is said."""
        if share_same is None:
            return self._at(_some(rng, np.arange(len(self.same)), count))
        right = round(count * share_same)
        where = [_some(rng, np.flatnonzero(self.same), right), _some(rng, np.flatnonzero(~self.same), count - right)]
        return self._at(rng.permutation(np.concatenate(where)))

    def _at(self, where: NDArray[np.int64]) -> "Pool":
        return Pool(self.cosine[where], self.said[where], self.same[where])


Stream = Callable[[Mapping[str, Pool], np.random.Generator], Pool]


def main() -> None:
    """Run every kind of stream many times under every promise, and write how it went."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--checkout", type=Path, required=True, help="of zilliztech/GPTCache")
    arguments.add_argument("--parade", type=Path, required=True, help="a checkout of heyunh2015/PARADE_dataset")
    arguments.add_argument("--vectors", type=Path, default=KEPT, help="where vectors are kept between runs")
    arguments.add_argument("--runs", type=int, default=_RUNS)
    arguments.add_argument("--json", type=Path, default=results.FOLDER / "error_bound.json")
    given = arguments.parse_args()
    pools = {
        "quora": _pool([pair for pair in read(given.checkout) if pair.family == "test"], given.vectors),
        "own": _pool(pairs(TEST, 200), None),
        "definitions": _pool(definitions(given.parade), given.vectors),
    }
    rows = [
        _row(kind, stream, pools, promise, judging, given.runs)
        for kind, stream in STREAMS.items()
        for promise in _PROMISES
        for judging in _JUDGING
    ]
    totals = {
        f"kept at {promise} judging {judging}": round(1 - float(np.mean([row["refuted"] for row in some])), 4)
        for promise in _PROMISES
        for judging in _JUDGING
        if (some := [row for row in rows if (row["promise"], row["judging"]) == (promise, judging)])
    }
    facts = {**results.about(datetime.now(UTC)), "lookups": _LOOKUPS, "runs": given.runs}
    results.write(given.json, facts, totals, rows)
    shown = [{key: f"{value:.3f}" if isinstance(value, float) else value for key, value in row.items()} for row in rows]
    results.console().print(results.table("the promise", shown, list(rows[0])))
    results.console().print(totals)


def _row(
    kind: str, stream: Stream, pools: Mapping[str, Pool], promise: float, judging: str, runs: int
) -> dict[str, Any]:
    found = [_run(stream, pools, promise, judging, seed) for seed in range(runs)]
    mean = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    mean["wrong"] = sum(one["wrong"] * one["hits"] for one in found) / (sum(one["hits"] for one in found) or 1)
    return {"stream": kind, "promise": promise, "judging": judging, **{key: round(v, 4) for key, v in mean.items()}}


def _run(stream: Stream, pools: Mapping[str, Pool], promise: float, judging: str, seed: int) -> dict[str, float]:
    """Serve one stream.

    Returns:
        `hits` a look-up, the share of `wrong` ones and of `judged` ones, whether that is what was promised (`below`) or
        so much more that a cache which is wrong just as often as promised would come to it once in twenty streams
        (`refuted`); and hits a look-up with the best fixed thresholds: of the probability and of the cosine as often
        wrong as was promised, and of the probability as often wrong as this was.
    """
    rng = np.random.default_rng(seed)
    asked = stream(pools, rng)
    standing, hits, wrong = Standing(), 0, 0
    for said, right in zip(asked.said.tolist(), asked.same.tolist(), strict=True):
        if said >= threshold_of(standing, promise):
            hits, wrong = hits + 1, wrong + (not right)
            if rng.random() < (1 if judging == "all" else to_judge(standing)):
                standing = updated(standing, Sample(said, right), promise)
    return {
        "hits": hits / len(asked.said),
        "wrong": wrong / max(1, hits),
        "below": float(wrong <= promise * hits),
        "judged": standing.judged / max(1, hits),
        "refuted": float(_chance(hits, wrong, promise) < 0.05),
        "best_fixed": _best_fixed(asked.said, asked.same, promise),
        "best_fixed_equal": _best_fixed(asked.said, asked.same, wrong / max(1, hits)),
        "best_fixed_cosine": _best_fixed(asked.cosine, asked.same, promise),
    }


def _best_fixed(scores: Numbers, same: Flags, promise: float) -> float:
    """Return the hits a look-up of the lowest threshold that keeps the promise on the stream as a whole."""
    order = np.argsort(-scores, kind="stable")
    count = np.arange(1, len(scores) + 1)
    kept = np.flatnonzero(np.cumsum(~same[order]) <= promise * count)
    return float(count[kept[-1]] / len(scores)) if len(kept) else 0.0


def _chance(hits: int, wrong: int, share: float) -> float:
    """Return how likely so many wrong hits or more are, if each is wrong with this probability."""
    ways = (lgamma(hits + 1) - lgamma(k + 1) - lgamma(hits - k + 1) for k in range(wrong))
    return 1 - sum(exp(way + k * log(share) + (hits - k) * log(1 - share)) for k, way in enumerate(ways))


def _some(rng: np.random.Generator, where: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    whole = [rng.permutation(where) for _ in range(-(-count // len(where)))]
    return np.concatenate(whole)[:count] if whole else where[:0]


def _joined(*parts: Pool) -> Pool:
    return Pool(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("cosine", "said", "same")))


def _mixed(rng: np.random.Generator, *parts: Pool) -> Pool:
    whole = _joined(*parts)
    return whole._at(rng.permutation(len(whole.same)))


def _pool(chosen: list[Pair], kept: Path | None) -> Pool:
    cosines, said, _ = scored(chosen, vectors_of([one for pair in chosen for one in (pair.one, pair.two)], kept))
    return Pool(cosines, said, np.array([pair.same for pair in chosen]))


_HALF = _LOOKUPS // 2

STREAMS: Mapping[str, Stream] = {
    "steady": lambda pools, rng: pools["quora"].drawn(rng, _LOOKUPS),
    "traps come": lambda pools, rng: _joined(
        pools["quora"].drawn(rng, _HALF),
        _mixed(rng, pools["quora"].drawn(rng, _HALF // 2), pools["own"].drawn(rng, _HALF // 2, 0.1)),
    ),
    "fewer duplicates": lambda pools, rng: _joined(
        pools["quora"].drawn(rng, _HALF, 0.5), pools["quora"].drawn(rng, _HALF, 0.1)
    ),
    "another field": lambda pools, rng: _joined(
        pools["quora"].drawn(rng, _HALF), pools["definitions"].drawn(rng, _HALF, 0.2)
    ),
    "in turns": lambda pools, rng: _joined(
        *(
            part
            for _ in range(_LOOKUPS // 1500)
            for part in (
                pools["quora"].drawn(rng, 500, 0.5),
                pools["quora"].drawn(rng, 500, 0.1),
                pools["own"].drawn(rng, 500),
            )
        )
    ),
}


if __name__ == "__main__":
    main()
