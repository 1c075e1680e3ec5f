"""The three ways of trying candidates say the same of each, in real boxes."""

from atra.sandbox.bubblewrap import BubblewrapSandbox
from benchmarks.candidates_per_second import WAYS, measure
from benchmarks.samples import SAMPLES


def test_three_ways_agree_on_the_same_candidates() -> None:
    """Each way gives every candidate one verdict and one time; all find the known repair and nothing else plausible."""
    roman = SAMPLES[0]

    row = measure(roman, BubblewrapSandbox(), count=4, rounds=2)

    assert (row["candidates"], row["plausible"], row["disagreements"]) == (4, 1, 0)
    assert all(row[f"{name}_ms"] > 0 for name in WAYS)
