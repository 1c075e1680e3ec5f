"""Which pairs of our own families TEST are served: such as must not be and such as must, beside cosine thresholds."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from atra.semantic_cache.bound import Standing, threshold_of
from benchmarks import results
from benchmarks.duplicates import vectors_of
from benchmarks.qqp import scored
from benchmarks.question_pairs import TEST, pairs

_MAX_ERROR = 0.02  # the promise that ATRA ships with


def main() -> None:
    """Score each family, and write the share of it that is served."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", type=Path, default=results.FOLDER / "must_not_hit.json")
    given = arguments.parse_args()
    chosen = pairs(TEST, 200)
    cosines, said, _ = scored(chosen, vectors_of([one for pair in chosen for one in (pair.one, pair.two)]))
    first = threshold_of(Standing(), _MAX_ERROR)
    ways = {
        "cosine 0.90": cosines >= 0.90,
        "cosine 0.95": cosines >= 0.95,
        "cosine 0.98": cosines >= 0.98,
        f"decision {first:.3f}": said >= first,
        "decision 0.90": said >= 0.90,
        "decision 0.80": said >= 0.80,
    }
    names = np.array([pair.family for pair in chosen])
    rows = [
        {
            "must": "hit" if family.same else "miss",
            "family": name,
            "pairs": int((names == name).sum()),
            **{way: round(float(served[names == name].mean()), 4) for way, served in ways.items()},
        }
        for name, family in TEST.items()
    ]
    totals = [
        {
            "must": must,
            "family": "mean of the families",
            "pairs": sum(row["pairs"] for row in rows if row["must"] == must),
            **{way: round(float(np.mean([row[way] for row in rows if row["must"] == must])), 4) for way in ways},
        }
        for must in ("miss", "hit")
    ]
    facts = {**results.about(datetime.now(UTC)), "max_error": _MAX_ERROR}
    results.write(given.json, facts, {"means": totals}, rows)
    shown = [
        {key: f"{value:.2f}" if isinstance(value, float) else value for key, value in row.items()}
        for row in rows + totals
    ]
    results.console().print(results.table("share that is served", shown, list(rows[0])))


if __name__ == "__main__":
    main()
