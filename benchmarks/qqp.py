"""How many duplicates the hit decision finds at a given precision, beside a threshold on the cosine, in one run.

On the part of the Quora pairs that shares no question with what the decision was fitted to; and, where a checkout of
heyunh2015/PARADE_dataset is given, on definitions of computer science, a kind of text it has never seen.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atra.semantic_cache.decision import Decider
from benchmarks import results
from benchmarks.duplicates import Vectors, facts_of, read, vectors_of
from benchmarks.question_pairs import Pair
from benchmarks.train_decision import KEPT

_PRECISIONS = (0.8, 0.9, 0.95)
_DRAWS = 200

Numbers = NDArray[np.float64]


def main() -> None:
    """Score the pairs both ways and write what was found."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--checkout", type=Path, required=True, help="of zilliztech/GPTCache")
    arguments.add_argument("--parade", type=Path, help="a checkout of heyunh2015/PARADE_dataset")
    arguments.add_argument("--vectors", type=Path, default=KEPT, help="where vectors are kept between runs")
    arguments.add_argument("--json", type=Path, default=results.FOLDER / "qqp.json")
    given = arguments.parse_args()
    sets = {"quora": [pair for pair in read(given.checkout) if pair.family == "test"]}
    if given.parade:
        sets["parade"] = definitions(given.parade)
    rows: list[dict[str, Any]] = []
    calibration: list[dict[str, Any]] = []
    for name, chosen in sets.items():
        vectors = vectors_of([one for pair in chosen for one in (pair.one, pair.two)], given.vectors)
        cosines, said, without = scored(chosen, vectors)
        same = np.array([pair.same for pair in chosen])
        for what, scores in (("cosine", cosines), ("decision", said), ("decision without vectors", without)):
            rows.append({"pairs": name, "by": what, **_recalls(scores, same)})
        calibration += [{"pairs": name, **one} for one in _bins(said, same)]
    facts = {**results.about(datetime.now(UTC)), "sets": {name: facts_of(chosen) for name, chosen in sets.items()}}
    results.write(given.json, facts, {"calibration": calibration}, rows)
    shown = [{**row, **{key: f"{value:.3f}" for key, value in row.items() if isinstance(value, float)}} for row in rows]
    results.console().print(results.table("share of the duplicates found at a precision", shown, list(rows[0])))
    results.console().print(results.table("what is said and what is so", calibration, list(calibration[0])))


def scored(chosen: Sequence[Pair], vectors: Vectors) -> tuple[Numbers, Numbers, Numbers]:
    """Return each pair's cosine, its probability, and the one without the vectors (but with the cosine)."""
    decider = Decider.shipped()
    cosines, said, without = [], [], []
    for pair in chosen:
        one, two = vectors[pair.one], vectors[pair.two]
        cosine = float(one @ two)
        cosines.append(cosine)
        said.append(decider.probability(pair.one, pair.two, cosine, one, two))
        without.append(decider.probability(pair.one, pair.two, cosine))
    return np.array(cosines), np.array(said), np.array(without)


def _recalls(scores: Numbers, same: NDArray[np.bool_]) -> dict[str, float]:
    """Return the recall at each precision with the 95 % interval of a bootstrap over pairs."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(same), len(same)) for _ in range(_DRAWS)]
    found: dict[str, float] = {}
    for precision in _PRECISIONS:
        name = f"at_{precision:.2f}"
        found[name] = _recall(scores, same, precision)
        low, high = np.quantile([_recall(scores[draw], same[draw], precision) for draw in draws], [0.025, 0.975])
        found[f"{name}_low"], found[f"{name}_high"] = round(float(low), 4), round(float(high), 4)
    return found


def _recall(scores: Numbers, same: NDArray[np.bool_], precision: float) -> float:
    order = np.argsort(-scores, kind="stable")
    right, count = np.cumsum(same[order]), np.arange(1, len(same) + 1)
    last = np.append(scores[order][1:] != scores[order][:-1], True)  # of equal scores all or none is served
    kept = last & (right >= precision * count)
    return round(float(right[kept].max() / same.sum()), 4) if kept.any() else 0.0


def _bins(said: Numbers, same: NDArray[np.bool_]) -> list[dict[str, Any]]:
    edges = [0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 1.0]
    rows = []
    for low, high in pairwise(edges):
        inside = (said >= low) & (said < high)
        if inside.any():
            row = {"from": f"{low:.2f}", "to": f"{high:.2f}", "count": int(inside.sum())}
            rows.append({**row, "said": f"{said[inside].mean():.3f}", "so": f"{same[inside].mean():.3f}"})
    return rows


def definitions(checkout: Path) -> list[Pair]:
    """Return the test pairs of a checkout of heyunh2015/PARADE_dataset: definitions of like terms."""
    lines = (checkout / "PARADE_test.txt").read_text(encoding="utf-8").splitlines()[1:]
    cells = [line.split("\t") for line in lines]
    return [Pair("parade", row[3], row[4], row[1] == "1") for row in cells if len(row) == 5]


if __name__ == "__main__":
    main()
