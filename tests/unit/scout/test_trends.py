"""Bursts: planted ones are found where they are, steady subjects and busy days are none, and time takes them away."""

import random
from datetime import date, timedelta
from itertools import pairwise, product
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.scout.trends import Mention, _gain, _raised, bursts, sparkline, trends

TODAY = date(2026, 11, 23)


def mention(name: str, days_ago: int, *subjects: str) -> Mention:
    return Mention(name, TODAY - timedelta(days=days_ago), frozenset(subjects))


def test_a_planted_burst_is_found_where_it_is():
    """Twice a day, then ten times a day for four days, among a hundred articles a day."""
    counts = [(2, 100)] * 12 + [(10, 100)] * 4 + [(2, 100)] * 8
    found = bursts(counts)

    assert [(one.first, one.last) for one in found] == [(12, 15)]
    assert found[0].weight > 10


@pytest.mark.parametrize(
    "counts",
    [
        [],
        [(0, 100)] * 9,
        [(3, 100)] * 30,
        [(5, 5)] * 9,
        [(1, 10), (10, 100), (2, 20)] * 5,
        [(0, 0)] * 5 + [(2, 50)] * 9,
    ],
    ids=["nothing", "never", "steady", "always", "a busy day of everything", "days without articles"],
)
def test_what_is_as_usual_is_no_burst(counts: list[tuple[int, int]]):
    """A share that does not rise is none, however much is written."""
    assert bursts(counts) == []


days = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 80)).map(lambda pair: (pair[0], sum(pair))), max_size=25)


@given(days)
def test_bursts_are_apart_in_order_and_worth_something(counts: list[tuple[int, int]]):
    """Each pays for its change of state, and no two touch."""
    found = bursts(counts)

    assert all(0 <= one.first <= one.last < len(counts) and one.weight > 0 for one in found)
    assert all(one.last + 1 < other.first for one, other in pairwise(found))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)).map(lambda p: (p[0], sum(p))), min_size=1, max_size=9))
def test_no_other_sequence_of_states_is_better(counts: list[tuple[int, int]]):
    """The states found are worth as much as the best of all sequences, tried one by one."""
    relevant, total = sum(hits for hits, _ in counts), sum(of for _, of in counts)
    if not 0 < relevant < total:
        return
    usual = relevant / total
    gains = [_gain(hits, of, usual, min(2 * usual, (1 + usual) / 2)) for hits, of in counts]
    up = log(max(2, len(counts)))

    def worth(states: tuple[bool, ...]) -> float:
        ups = sum(now and not before for before, now in zip((False, *states), states, strict=False))
        return sum(gain for gain, state in zip(gains, states, strict=True) if state) - up * ups

    found = [any(first <= day <= last for first, last in _raised(gains, up)) for day in range(len(counts))]
    assert worth(tuple(found)) == pytest.approx(max(map(worth, product((False, True), repeat=len(counts)))))


def background(chance: random.Random) -> list[Mention]:
    words = [f"word {number}" for number in range(40)]
    return [mention(f"a{ago}-{number}", ago, *chance.sample(words, 3)) for ago in range(30) for number in range(40)]


def test_what_bursts_stands_first_with_its_articles():
    """A new subject among a month of ordinary ones, with the articles that made it."""
    fresh = [mention(f"new {ago} {number}", ago, "GPT-9", "word 1") for ago in (1, 0) for number in range(6)]
    found = trends([*background(random.Random(3)), *fresh], TODAY)

    assert (found[0].subject, found[0].rising) == ("GPT-9", True)
    assert set(found[0].articles) == {one.article for one in fresh}
    assert found[0].articles[0].startswith("new 0")
    assert sum(found[0].counts) == 12


def test_a_burst_fades():
    """The same burst, looked at later, counts less and rises no more."""
    spoken = [*background(random.Random(4)), *(mention(f"x {number}", 10, "outage") for number in range(12))]
    scores = [
        next(one for one in trends(spoken, TODAY + timedelta(days=later), days=30 + later) if one.subject == "outage")
        for later in (0, 3, 6)
    ]

    assert scores[0].score > scores[1].score > scores[2].score
    assert not scores[0].rising


def test_an_article_counts_once_and_the_future_not_at_all():
    """The same article from three feeds is one; a date ahead of today is somebody's wrong clock."""
    spoken = [
        *background(random.Random(5)),
        *[mention("same", 0, "echo")] * 9,
        *(mention(f"f{n}", -2, "later") for n in range(9)),
    ]
    subjects = {one.subject for one in trends(spoken, TODAY, most=100)}

    assert not subjects & {"echo", "later"}


def test_the_order_of_articles_is_nothing():
    """Trends depend on what was written, not on which feed was read first."""
    chance = random.Random(6)
    spoken = [*background(chance), *(mention(f"n{number}", 0, "burst", "other") for number in range(8))]

    assert trends(chance.sample(spoken, len(spoken)), TODAY) == trends(spoken, TODAY)


@pytest.mark.parametrize(("counts", "line"), [([], ""), ([0, 0], "  "), ([1, 2, 4, 8], "▁▂▄█"), ([0, 100, 1], " █▁")])
def test_a_sparkline_shows_every_count_above_nothing(counts: list[int], line: str):
    """The smallest count still shows; nothing is blank."""
    assert sparkline(counts) == line
