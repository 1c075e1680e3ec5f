"""The scout's store on the real database: who polls what, which articles are one, and what a search finds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from atra.scout.likeness import bands, sketch
from atra.scout.records import Feed, Item
from atra.storage.database import connect
from atra.storage.scout import Host, ScoutStore

ONE, TWO = "https://one.example/feed", "https://two.example/rss"
LONG = (
    "The laboratory said on Monday that the new model reads a million words at once, answers in half the time of the "
    "one before, and will be given to everybody who asks for it before the end of the year."
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = connect(database_url)
    yield made
    made.dispose()


@pytest.fixture
def store(engine: Engine) -> ScoutStore:
    return ScoutStore(engine)


def item(key: str, title: str = "", text: str = "", *, days_ago: float | None = 0, address: str = "") -> Item:
    at = None if days_ago is None else datetime.now(UTC) - timedelta(days=days_ago)
    made = sketch(text)
    return Item(key, address, title or key, text, at, (), made, bands(made))


def claimed(store: ScoutStore, address: str = ONE) -> tuple[Host, Feed]:
    """Follow the address and take its host."""
    store.add(address)
    host = store.claim()
    while host and not any(feed.address == address for feed in host.feeds):
        host = store.claim()
    assert host is not None
    return host, next(feed for feed in host.feeds if feed.address == address)


def keep(store: ScoutStore, address: str, *items: Item) -> int | None:
    """Poll the address once, finding these."""
    with store._engine.begin() as db:
        db.execute(text("UPDATE feeds SET next_at = now()"))
        db.execute(text("UPDATE feed_hosts SET due_at = now(), leased_until = NULL"))
    host, feed = claimed(store, address)
    new = store.settle(host, feed, 900, items, well=True)
    store.release(host)
    return new


def test_an_address_is_followed_once(store: ScoutStore):
    """Asked twice, it is one feed; a retired one is asked again, and a removed one takes its articles along."""
    first, new = store.add(ONE, "One")
    again, newer = store.add(ONE)

    assert (new, newer, again.id, again.title) == (True, False, first.id, "One")
    host, feed = claimed(store)
    store.settle(host, replace(feed, state="retired", reason="gone"), 900, [item("a")], well=False)
    assert store.feeds()[0].state == "retired"
    assert store.add(ONE)[0].state == "active"
    assert store.remove(first.id) is not None
    assert (store.feeds(), store.recent(), store.remove(first.id), store.due()) == ([], [], None, 0)


def test_a_host_is_polled_by_one_at_a_time(store: ScoutStore):
    """Many workers at once share the hosts out; each host, with all its due feeds, goes to one of them."""
    for number in range(12):
        for name in ("a", "b"):
            store.add(f"https://host{number}.example/{name}")

    with ThreadPoolExecutor(8) as workers:
        taken = [host for host in workers.map(lambda _: store.claim(), range(20)) if host]

    assert sorted(host.name for host in taken) == sorted({f"host{number}.example" for number in range(12)})
    assert all(len(host.feeds) == 2 for host in taken)
    assert (store.claim(), store.due()) == (None, 0)


def test_a_feed_is_let_alone_until_its_time(store: ScoutStore, engine: Engine):
    """Whoever restarts finds nothing due before then."""
    host, feed = claimed(store)
    store.settle(host, replace(feed, etag='"x"'), 900, well=True)
    store.release(host)
    left = store.feeds()[0]

    assert store.claim() is None
    assert left.next_at is not None
    assert timedelta(seconds=890) < left.next_at - datetime.now(UTC) <= timedelta(seconds=900)
    assert (left.etag, left.polled_at, left.fetched_at is not None) == ('"x"', left.fetched_at, True)
    with engine.begin() as db:
        db.execute(text("UPDATE feeds SET next_at = now() - interval '1 s'"))
        db.execute(text("UPDATE feed_hosts SET due_at = now() - interval '1 s'"))
    assert store.claim() is not None


def test_a_worker_that_died_is_followed_by_another(store: ScoutStore, engine: Engine):
    """When its hold is over the host is due again, and what the first one still brings is not kept."""
    host, feed = claimed(store)
    assert store.claim() is None
    with engine.begin() as db:
        db.execute(text("UPDATE feed_hosts SET leased_until = now() - interval '1 s'"))

    second = store.claim()

    assert second is not None
    assert store.settle(host, feed, 900, [item("late")], well=True) is None
    assert store.settle(second, feed, 900, [item("kept")], well=True) == 1
    store.release(host)
    assert store.claim() is None, "who lost the host cannot give it away"
    assert [one.title for one in store.recent()] == ["kept"]


def test_what_a_host_asks_for_is_obeyed(store: ScoutStore):
    """After a 429 none of its feeds is due, old or new, however often somebody asks."""
    host, feed = claimed(store)
    store.settle(host, feed, 0, well=True)
    store.release(host, pause_s=600)

    store.add("https://one.example/other")
    assert (store.hurry(0), store.claim(), store.due()) == (2, None, 0)


def test_polls_can_be_hurried(store: ScoutStore):
    """Not those that were polled a moment ago, and not those that are let alone for a fault."""
    for address, failures in ((ONE, 0), (TWO, 3)):
        host, feed = claimed(store, address)
        store.settle(host, replace(feed, failures=failures), 3000, well=not failures)
        store.release(host)

    assert store.hurry(900) == 0
    assert store.hurry(0) == 1
    assert [host.name for host in iter(store.claim, None) if host] == ["one.example"]


def test_a_clock_that_jumped_stops_nothing(store: ScoutStore, engine: Engine):
    """What a clock a year ahead put off or held is due now."""
    claimed(store)
    with engine.begin() as db:
        db.execute(text("UPDATE feeds SET next_at = now() + interval '1 y'"))
        db.execute(text("UPDATE feed_hosts SET due_at = now() + interval '1 y', leased_until = now() + interval '1 y'"))

    host = store.claim()

    assert host is not None
    assert [feed.address for feed in host.feeds] == [ONE]


def test_a_feed_that_moved_is_polled_at_its_new_host(store: ScoutStore):
    """Under its new name, one host at a time still; the old host has nothing to do."""
    host, feed = claimed(store)
    moved = replace(feed, address="https://new.example/feed", past=(ONE,))
    store.settle(host, moved, 0, well=True)
    store.release(host)

    again = store.claim()

    assert again is not None
    assert (again.name, again.feeds[0].id, again.feeds[0].past) == ("new.example", feed.id, (ONE,))
    assert store.claim() is None


def test_a_feed_that_moved_to_another_is_retired(store: ScoutStore):
    """Two feeds of one address would be polled twice."""
    other, _ = store.add(TWO)
    host, feed = claimed(store)
    store.settle(host, replace(feed, address=TWO, past=(ONE,)), 0, well=True)

    left = next(one for one in store.feeds() if one.id == feed.id)
    assert (left.address, left.state, left.past) == (ONE, "retired", ())
    assert f"followed as feed {other.id}" in left.reason


def test_an_article_is_kept_once(store: ScoutStore):
    """Polled again it is the same; what its feed corrects is corrected."""
    assert keep(store, ONE, item("a", "First", "text"), item("b")) == 2
    assert keep(store, ONE, item("a", "First", "text"), item("c")) == 1
    assert keep(store, ONE, item("a", "First, corrected", "text")) == 0

    assert sorted(one.title for one in store.recent()) == ["First, corrected", "b", "c"]
    assert store.counts() == {store.feeds()[0].id: 3}


def test_dates_are_not_believed_blindly(store: ScoutStore):
    """One ahead of now is now; one without is now, unless the feed had it when it was first read."""
    keep(store, ONE, item("old", days_ago=None), item("ahead", days_ago=-400), item("dated", days_ago=2))
    keep(store, ONE, item("new", days_ago=None))

    assert [one.title for one in store.recent()] == ["new", "ahead", "dated"]
    assert all(one.published_at and one.published_at <= datetime.now(UTC) for one in store.recent())
    assert [one.title for one in store.search(["old"])] == ["old"]


def test_one_address_is_one_article(store: ScoutStore):
    """Two feeds that bring it bring one article; the second is known, and is not shown."""
    address = "https://paper.example/a"
    keep(store, ONE, item("1", "Seen", address=address))
    keep(store, TWO, item("x", "Seen elsewhere", address=address), item("y", "Other", address=f"{address}2"))

    assert sorted(one.title for one in store.recent()) == ["Other", "Seen"]
    keep(store, ONE, item("2", "Links to the same page", address=address))
    assert len(store.recent()) == 3, "within one feed the key decides"
    assert len(store.mentions(datetime.now(UTC) - timedelta(days=1))) == 3


def test_nobody_speaks_for_another_site(store: ScoutStore):
    """An article's own site comes first, though another feed brought its address earlier."""
    address = "https://two.example/launch"
    keep(store, ONE, item("fake", "They gave up", address=address))
    keep(store, "https://three.example/f", item("copy", "They say they gave up", address=address))
    keep(store, TWO, item("true", "We launched", address=address))

    assert [one.title for one in store.recent()] == ["We launched"]
    true = store.recent()[0]
    assert {one.duplicate_of for one in store.articles(range(1, 9)).values()} == {None, true.id}


def test_nearly_the_same_words_are_one_article(store: ScoutStore):
    """From another feed, and with the same numbers in the title; within one feed two releases are two."""
    keep(store, ONE, item("1", "Model 2 is out", LONG), item("2", "Model 3 is out", LONG))
    keep(store, TWO, item("1", "Out now: model 2", f"{LONG} Read more."), item("2", "Model 4 is out", LONG))

    assert sorted(one.title for one in store.recent()) == ["Model 2 is out", "Model 3 is out", "Model 4 is out"]


def test_a_search_finds_articles_by_their_words(store: ScoutStore):
    """By stems, a title before a text, any of the words; nothing for stop words alone."""
    keep(
        store,
        ONE,
        item("1", "Embeddings", "about vectors", days_ago=3),
        item("2", "Weather", "an embedding of rain", days_ago=1),
        item("3", "Sports", "nothing else"),
    )

    assert [one.title for one in store.search(["embedded", "rocket"])] == ["Embeddings", "Weather"]
    assert [one.title for one in store.search(["the", "of"])] == []
    assert store.search([]) == store.search(["'; DROP TABLE feeds --", "\0 & | !"]) == []
    assert [one.feed for one in store.search(["sports"])] == [ONE]
    day_ago = datetime.now(UTC) - timedelta(days=2)
    assert [one.title for one in store.search(["embedding"], since=day_ago)] == ["Weather"]
    assert store.search(["embedding"], before=day_ago) == [], "nothing that was not there yet is found"


def test_what_postgresql_cannot_keep_costs_nothing(store: ScoutStore):
    """A NUL or half a character in a feed is replaced."""
    assert keep(store, ONE, item("\0k", "a\0b \ud800", "x\0", address="")) == 1
    assert [one.title for one in store.recent()] == ["a\ufffdb ?"]
    assert keep(store, ONE, item("\0k", "a\0b \ud800", "x\0")) == 0


ASKED = {
    "SELECT host FROM feed_hosts WHERE due_at <= now() ORDER BY due_at LIMIT 1": "ix_feed_hosts_due_at",
    "SELECT id FROM feeds WHERE host = 'h7.example' AND next_at <= now()": "ix_feeds_host_next_at",
    "SELECT id FROM articles WHERE bands && ARRAY[7, 8]": "ix_articles_bands",
    "SELECT id FROM articles WHERE words @@ plainto_tsquery('english', 'word7')": "ix_articles_words",
    "SELECT id FROM articles WHERE address = 'https://a.example/7'": "ix_articles_address",
    "SELECT id FROM articles WHERE published_at > now() AND duplicate_of IS NULL": "ix_articles_published_at",
}


def test_what_is_asked_often_is_found_by_an_index(engine: Engine):
    """With many feeds and articles, every poll and every search reads a few rows."""
    with engine.begin() as db:
        db.execute(text(
            "INSERT INTO feed_hosts (host, due_at) SELECT 'h' || n || '.example', now() + n * interval '1 s'"
            " FROM generate_series(1, 3000) n"
        ))  # fmt: skip
        db.execute(text("INSERT INTO feeds (address, host, next_at) SELECT host, host, due_at FROM feed_hosts"))
        db.execute(text(
            "INSERT INTO articles (feed_id, key, address, title, text, digest, subjects, sketch, bands, published_at)"
            " SELECT id, n, 'https://a.example/' || id, 'title word' || id, 'text', '', '{}', '{}',"
            " ARRAY[id::int, id::int + 1], now() - id * interval '1 min' FROM feeds, generate_series(1, 4) n"
        ))  # fmt: skip
        for name in ("feed_hosts", "feeds", "articles"):
            db.execute(text(f"ANALYZE {name}"))
        plans = {query: "\n".join(db.execute(text(f"EXPLAIN {query}")).scalars()) for query in ASKED}

    assert {query: index for query, index in ASKED.items() if index not in plans[query]} == {}
