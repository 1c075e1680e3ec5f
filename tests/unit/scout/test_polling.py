"""What polls mean: validators, moves, faults, and the end of a feed."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from atra.scout.polling import Verdict, digest, judge
from atra.scout.records import Document, Feed, Fetched, Hints, Item

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
AT = "https://one.example/feed"
NEW = "https://new.example/feed"
FEED = Feed(7, AT, etag='"old"', validated=AT, digest="d", interval_s=3600)
BODY = b"<rss/>"


def verdict(came: Fetched, document: Document | None = None, feed: Feed = FEED) -> Verdict:
    return judge(feed, came, document, NOW, random.Random(1))


def read(title: str = "", *ages_h: float, ttl_s: float = 0) -> Document:
    items = tuple(Item(str(age), "", "", "", NOW - timedelta(hours=age)) for age in ages_h)
    return Document(title, items, Hints(ttl_s))


def test_what_came_is_remembered():
    """Its validators, word for word, with the address that gave them, and what it calls itself."""
    headers = {"etag": 'W/"new"', "last-modified": "yesterday"}
    found = verdict(Fetched(200, NEW, headers=headers, body=BODY), read("One"), replace(FEED, failures=4, reason="x"))

    assert found.well
    assert (found.feed.etag, found.feed.last_modified, found.feed.validated) == ('W/"new"', "yesterday", NEW)
    assert (found.feed.title, found.feed.digest) == ("One", digest(BODY))
    assert (found.feed.failures, found.feed.reason) == (0, "")


def test_validators_that_are_gone_are_forgotten():
    """A server that gives none any more is asked without."""
    assert verdict(Fetched(200, AT, body=BODY), read()).feed.etag == ""


def test_nothing_new_changes_little():
    """After a 304 the validators stay, and it is asked a little less often."""
    found = verdict(Fetched(304, AT))

    assert (found.feed.etag, found.feed.digest, found.well) == ('"old"', "d", True)
    assert found.feed.interval_s == pytest.approx(3600 * 1.05)


def test_a_document_sets_the_rhythm():
    """How often it brings something, and no more often than it asks for, even when it is not sent again."""
    hours = verdict(Fetched(200, AT, body=BODY), read("", *range(0, 40, 4)))
    asked = verdict(Fetched(200, AT, body=BODY), read("", *range(0, 40, 4), ttl_s=6 * 3600))

    assert hours.feed.interval_s == pytest.approx(36 * 3600 / 10 / 2)
    assert asked.feed.interval_s == 6 * 3600
    assert verdict(Fetched(304, AT), feed=asked.feed).wait_s >= 6 * 3600


def test_a_move_is_believed_when_it_holds():
    """Three good polls in a row that lead to one place; the old address is remembered."""
    came = Fetched(200, NEW, permanent=NEW, body=BODY)
    feed = FEED
    seen = []
    for _ in range(3):
        feed = verdict(came, read(), feed).feed
        seen.append((feed.address, feed.moved_seen))

    assert seen == [(AT, 1), (AT, 2), (NEW, 0)]
    assert feed.past == (AT,)


@pytest.mark.parametrize(
    "between",
    [
        Fetched(200, AT, body=BODY),
        Fetched(500, NEW, permanent=NEW, fault="it answers 500"),
        Fetched(200, AT, permanent="https://third.example/", body=BODY),
        Fetched(0, NEW, permanent=NEW, fault="it redirects in a circle"),
    ],
    ids=["not moved", "an error there", "elsewhere", "a circle"],
)
def test_a_move_that_does_not_hold_is_none(between: Fetched):
    """Anything else in between, and it is counted anew."""
    came = Fetched(200, NEW, permanent=NEW, body=BODY)
    feed = verdict(came, read(), verdict(came, read()).feed).feed

    feed = verdict(between, None, feed).feed
    feed = verdict(came, read(), feed).feed

    assert (feed.address, feed.moved_seen) == (AT, 1)


def test_no_move_leads_away_from_https():
    """It is followed, and not kept."""
    came = Fetched(200, "http://one.example/feed", permanent="http://one.example/feed", body=BODY)
    feed = FEED
    for _ in range(5):
        feed = verdict(came, read(), feed).feed

    assert (feed.address, feed.moved_seen) == (AT, 0)


def test_gone_is_gone():
    """410 retires a feed; one that is only met behind a passing redirect does not."""
    gone = verdict(Fetched(410, AT, fault="it answers 410"))
    elsewhere = verdict(Fetched(410, NEW, fault="it answers 410"))
    moved = verdict(Fetched(410, NEW, permanent=NEW, fault="it answers 410"))

    assert (gone.feed.state, moved.feed.state, elsewhere.feed.state) == ("retired", "retired", "active")
    assert gone.feed.reason == "it is gone for good (410)"


def test_faults_add_up():
    """Each doubles the wait; the feed stays, with what it said last and why it failed."""
    feed, waits = FEED, []
    for _ in range(5):
        found = verdict(Fetched(404, AT, fault="it answers 404"), feed=feed)
        feed = found.feed
        waits.append(found.wait_s)

    assert (feed.failures, feed.state, feed.reason, feed.etag) == (5, "active", "it answers 404", '"old"')
    assert all(later > 1.5 * sooner for sooner, later in pairwise(waits))
    assert not found.well


@pytest.mark.parametrize(
    ("status", "address", "headers", "pause_s"),
    [
        (429, AT, {"retry-after": "7200"}, 7200),
        (503, AT, {}, 900),
        (503, NEW, {"retry-after": "7200"}, 0),
        (500, AT, {"retry-after": "7200"}, 0),
    ],
    ids=["asked", "unsaid", "another host", "another fault"],
)
def test_a_busy_host_is_let_alone(status: int, address: str, headers: dict[str, str], pause_s: float):
    """All of its feeds, where it is the host itself that asks for it; this feed in any case."""
    found = verdict(Fetched(status, address, headers=headers, fault="x"))

    assert found.pause_s == pause_s
    assert found.wait_s >= float(headers.get("retry-after", 0))
