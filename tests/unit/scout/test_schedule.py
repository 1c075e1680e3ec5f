"""When a feed is asked again, whatever servers, documents and clocks say."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.scout.records import Hints
from atra.scout.schedule import (
    DAY_S,
    HOUR_S,
    LEAST_S,
    LONGEST_PAUSE_S,
    UNKNOWN_S,
    asked_for,
    retry_after,
    rhythm,
    wait_after_failure,
    wait_after_success,
)

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)  # a Monday
DATE = "Mon, 23 Nov 2026 12:30:00 GMT"


def every(gap_s: float, count: int = 12) -> list[datetime]:
    return [NOW - timedelta(seconds=gap_s * number) for number in range(count)]


@pytest.mark.parametrize(
    ("published", "seconds"),
    [
        ([], UNKNOWN_S),
        (every(60), LEAST_S),
        (every(4 * HOUR_S, 21), 4 * HOUR_S * 19 / 20 / 2),
        (every(30 * DAY_S), DAY_S),
        ([NOW + timedelta(days=400)] * 12, LEAST_S),
        ([NOW - timedelta(days=99)] * 12, DAY_S),
    ],
    ids=["unknown", "minutes", "hours", "months", "a clock ahead", "silent"],
)
def test_a_feed_is_asked_as_often_as_it_brings_something(published: list[datetime], seconds: float):
    """Half its usual gap, from a quarter of an hour to a day."""
    assert rhythm(published, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"cache-control": "max-age=600"}, 600),
        ({"cache-control": 'public, MAX-AGE="600", must-revalidate', "age": "100"}, 500),
        ({"cache-control": "no-store, max-age=-5"}, 0),
        ({"cache-control": "s-maxage=9, max-age=60", "expires": "Mon, 23 Nov 2026 14:30:00 GMT"}, 60),
        ({"expires": "Mon, 23 Nov 2026 14:30:00 GMT"}, 7200),
        ({"expires": "Mon, 23 Nov 2020 14:30:00 GMT", "date": "Mon, 23 Nov 2020 13:30:00 GMT"}, 3600),
        ({"expires": "0"}, 0),
        ({"expires": "Mon, 23 Nov 99999 14:30:00 GMT"}, 0),
        ({"cache-control": "max-age=" + "9" * 400}, 999_999_999_999),
        ({"cache-control": "max-age=\u0663"}, 0),
    ],
    ids=str,
)
def test_servers_say_how_long_a_document_is_good(headers: dict[str, str], seconds: float):
    """By max-age, else Expires, by the server's own clock; what cannot be read says nothing."""
    assert asked_for(headers, Hints(), NOW) == seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        ("Mon, 23 Nov 2026 12:40:00 GMT", 600),
        ("Mon, 23 Nov 2020 12:40:00 GMT", 0),
        ("soon", 0),
        ("", 0),
        ("-5", 0),
        ("9" * 300, LONGEST_PAUSE_S),
    ],
    ids=["seconds", "a date", "a past date", "words", "nothing", "negative", "for ever"],
)
def test_retry_after_has_two_forms(said: str, seconds: float):
    """Both count, up to a week."""
    assert retry_after({"retry-after": said, "date": DATE}, NOW + timedelta(days=3)) == seconds


texts = st.text(max_size=40)


@given(st.dictionaries(st.sampled_from(["cache-control", "expires", "date", "age", "retry-after"]), texts))
def test_no_header_is_a_fault(headers: dict[str, str]):
    """Whatever a server writes, a pause comes out."""
    assert 0 <= retry_after(headers, NOW) <= LONGEST_PAUSE_S
    assert asked_for(headers, Hints(), NOW) >= 0


hours = st.frozensets(st.integers(0, 23))
weekdays = st.frozensets(st.integers(0, 6))


@given(st.floats(0, 1e12), st.floats(0, 1e12), hours, weekdays, st.integers(0, 10**9))
def test_a_wait_has_bounds_and_skips_what_is_skipped(
    interval_s: float, wanted_s: float, skip_hours: frozenset[int], skip_days: frozenset[int], seed: int
):
    """Never under a quarter of an hour; never in an hour or on a day that is skipped, unless all are."""
    hints = Hints(0.0, skip_hours, skip_days)
    wait_s = wait_after_success(interval_s, wanted_s, hints, NOW, random.Random(seed))
    at = NOW + timedelta(seconds=wait_s)

    assert LEAST_S <= wait_s <= DAY_S * 1.1 + 8 * DAY_S
    if len(skip_hours) < 24 and len(skip_days) < 7:
        assert at.hour not in skip_hours
        assert at.weekday() not in skip_days


def test_what_a_document_asks_for_is_a_lower_bound():
    """A ttl of three hours holds a feed that writes every minute; one of ten minutes hastens nobody."""
    rng = random.Random(1)
    slow = wait_after_success(rhythm(every(60), NOW), asked_for({}, Hints(3 * HOUR_S), NOW), Hints(), NOW, rng)
    quick = wait_after_success(rhythm(every(4 * HOUR_S), NOW), asked_for({}, Hints(600), NOW), Hints(), NOW, rng)

    assert 3 * HOUR_S <= slow <= 3.3 * HOUR_S
    assert quick >= HOUR_S


@given(st.integers(1, 500), st.floats(0, LONGEST_PAUSE_S), st.integers(0, 10**9))
def test_failures_double_the_wait(failures: int, pause_s: float, seed: int):
    """Up to a day and its spread; what Retry-After asks for is never undercut."""
    wait_s = wait_after_failure(failures, pause_s, random.Random(seed))

    assert wait_s >= max(LEAST_S, pause_s)
    assert wait_s <= max(min(LEAST_S * 2 ** (failures - 1), DAY_S), pause_s) * 1.2


def test_feeds_do_not_come_back_together():
    """Waits are spread, so that a thousand feeds added at one moment are not polled at one moment for ever."""
    waits = {wait_after_success(HOUR_S, 0, Hints(), NOW, random.Random(seed)) for seed in range(50)}

    assert len(waits) == 50
    assert max(waits) - min(waits) > 200
