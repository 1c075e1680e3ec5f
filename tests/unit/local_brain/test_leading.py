"""Whether leads help: by a sign test over repairs, and by what they save."""

import pytest

from atra.local_brain.leading import Measured, Replayed, measure


def repairs(*pairs: tuple[int, int]) -> list[Replayed]:
    return [Replayed(str(number), *pair) for number, pair in enumerate(pairs)]


@pytest.mark.parametrize(
    ("replayed", "tries", "helps"),
    [
        ([], 0, False),
        ([(100, 50)] * 5, 0, False),
        ([(100, 50)] * 6, 0, True),
        ([(100, 50)] * 6, 1, False),
        ([(100, 95)] * 6, 0, False),
        ([(100, 50)] * 6 + [(100, 1000)], 0, False),
        ([(100, 50)] * 20 + [(100, 120)], 0, True),
        ([(100, 100)] * 50, 0, False),
    ],
    ids=["none", "too few", "enough", "a second look", "saves little", "one is lost", "nearly all", "no difference"],
)
def test_leads_help_where_repairs_come_sooner_beyond_chance(replayed: list[tuple[int, int]], tries: int, helps: bool):
    """Six of six is below the level of a first look (1 / 64), and not below that of a second."""
    assert measure(repairs(*replayed), tries=tries).helps is helps


def test_what_was_seen_is_told():
    """Counts and medians, for whoever decides."""
    assert measure(repairs((10, 5), (10, 10), (100, 200)), tries=2) == Measured(3, 1, 1, 10, 10, 0.75, 3, False)
