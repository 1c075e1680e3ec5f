"""Polling for real: a feed server on the loopback, the database, and many pollers at once."""

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from atra.core.settings import ScoutSettings, Settings
from atra.wiring import Wiring, use
from tests.feeding import FeedServer, Handler, Reply, entry, moved, rss
from workers.polling import Polled, known_names, poll

SCOUT = ScoutSettings(allow_private=("127.0.0.0/8",), gap_s=0.0, timeout_s=5.0, threads=4, names=("frobnicator",))


@pytest.fixture
def wired(settings: Settings) -> Wiring:
    return use(settings.model_copy(update={"scout": SCOUT}))


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as serving:
        yield serving


def again(wired: Wiring) -> list[Polled]:
    """Let time pass until every feed is due, and poll."""
    with wired.engine.begin() as db:
        db.execute(text("UPDATE feeds SET next_at = now() WHERE state = 'active'"))
        db.execute(text("UPDATE feed_hosts SET due_at = now() WHERE EXISTS "
                        "(SELECT 1 FROM feeds WHERE feeds.host = feed_hosts.host AND state = 'active')"))  # fmt: skip
    polled: list[Polled] = []
    poll(wired, over=lambda: False, told=polled.append)
    return polled


def test_a_feed_is_polled_and_left_alone(wired: Wiring, server: FeedServer):
    """Its articles are there, with what they speak of; asked again, nothing is due."""
    server.plays["/f"] = Reply(rss(entry(1, "the frobnicator meets PyTorch"), entry(2)))
    wired.scout.add(server.url("/f"))

    assert poll(wired, over=lambda: False) == 1
    assert poll(wired, over=lambda: False) == 0

    assert [one.title for one in wired.scout.search(["frobnicator"])] == ["Entry 1"]
    assert {"frobnicator", "PyTorch"} <= set(wired.scout.search(["frobnicator"])[0].subjects)
    assert (wired.scout.feeds()[0].title, len(server.asked)) == ("A feed", 1)


def test_nothing_new_is_not_read_again(wired: Wiring, server: FeedServer):
    """By a 304, or by the same bytes; what is new is found."""
    told = {"etag": '"1"'}
    server.plays["/f"] = Reply(rss(entry(1)), headers=told)
    wired.scout.add(server.url("/f"))

    assert [one.new for one in again(wired)] == [1]
    assert [(one.new, one.fault) for one in again(wired)] == [(0, "")]
    server.plays["/f"] = Reply(status=304)
    assert [(one.new, one.fault) for one in again(wired)] == [(0, "")]
    server.plays["/f"] = Reply(rss(entry(2), entry(1)), headers=told)
    assert [one.new for one in again(wired)] == [1]
    assert [asked.get("if-none-match") for _, asked in server.asked] == [None, '"1"', '"1"', '"1"']


def test_a_feed_that_moves_is_followed(wired: Wiring, server: FeedServer):
    """After three polls it is asked at its new address alone."""
    server.plays["/old"] = moved("/new", 301)
    server.plays["/new"] = Reply(rss(entry(1)), headers={"etag": '"1"'})
    wired.scout.add(server.url("/old"))
    for _ in range(4):
        again(wired)

    assert server.paths() == ["/old", "/new"] * 3 + ["/new"]
    assert wired.scout.feeds()[0].past == (server.url("/old"),)
    assert {asked.get("if-none-match") for path, asked in server.asked if path == "/old"} == {None}


def test_faults_are_told_and_wait(wired: Wiring, server: FeedServer):
    """Each says what it was; only one that is gone for good is retired."""
    faults = {
        "/404": (Reply(status=404), "it answers 404"),
        "/410": (Reply(status=410), "it is gone for good (410)"),
        "/page": (Reply(b"<html><body>hello</body></html>"), "it is no feed"),
        "/circle": (moved("/circle"), "it redirects in a circle"),
    }
    for path, (play, _) in faults.items():
        server.plays[path] = play
        wired.scout.add(server.url(path))

    again(wired)

    found = {feed.address.removeprefix(server.url("")): feed for feed in wired.scout.feeds()}
    assert {path: feed.reason for path, feed in found.items()} == {path: said for path, (_, said) in faults.items()}
    assert [path for path, feed in found.items() if feed.state == "retired"] == ["/410"]
    now = datetime.now(UTC)
    assert all(
        feed.next_at and feed.next_at > now + timedelta(minutes=14) for path, feed in found.items() if path != "/410"
    )


def test_a_busy_host_is_not_asked_for_its_other_feeds(wired: Wiring, server: FeedServer):
    """After a 429 the others wait as long as it asked for."""
    for path in ("/a", "/b", "/c"):
        server.plays[path] = Reply(status=429, headers={"retry-after": "3600"})
        wired.scout.add(server.url(path))

    assert poll(wired, over=lambda: False) == 1
    assert wired.scout.hurry(0) == 2
    assert (poll(wired, over=lambda: False), len(server.asked)) == (0, 1)


def test_a_host_is_asked_one_thing_at_a_time(wired: Wiring):
    """Hosts side by side, the feeds of each one after the other, whoever polls."""
    hosts = [f"127.0.0.{number}" for number in range(1, 5)]
    inside, most = Counter[str](), Counter[str]()
    lock, met = threading.Lock(), threading.Barrier(3, timeout=30)

    def play(handler: Handler, host: str) -> None:
        with lock:
            inside[host] += 1
            most[host] = max(most[host], inside[host])
        if handler.path == "/0" and host != hosts[3]:
            met.wait()  # three hosts are asked at one moment, or this breaks
        with lock:
            inside[host] -= 1
        handler.send_error(404)

    with ExitStack() as stack:
        for host in hosts:
            server = stack.enter_context(FeedServer(host=host))
            for number in range(5):
                server.plays[f"/{number}"] = partial(play, host=host)
                wired.scout.add(server.url(f"/{number}"))
        with ThreadPoolExecutor(3) as pollers:
            counts = list(pollers.map(lambda _: poll(wired, over=lambda: False), range(3)))

    assert sum(counts) == 20
    assert most == dict.fromkeys(hosts, 1)


def test_many_pollers_ask_for_each_feed_once(wired: Wiring):
    """However they race."""
    with ExitStack() as stack:
        servers = [stack.enter_context(FeedServer(host=f"127.0.1.{number}")) for number in range(1, 9)]
        for server in servers:
            for number in range(3):
                server.plays[f"/{number}"] = Reply(rss(entry(number, f"of {server.host} {number}")))
                wired.scout.add(server.url(f"/{number}"))
        with ThreadPoolExecutor(4) as pollers:
            list(pollers.map(lambda _: poll(wired, over=lambda: False), range(4)))

        assert [sorted(server.paths()) for server in servers] == [["/0", "/1", "/2"]] * 8
    assert len(wired.scout.feeds()) == 24
    assert sum(wired.scout.counts().values()) == 24


def test_polling_stops_when_it_is_told_to(wired: Wiring, server: FeedServer):
    """No other host is begun; the rest is due for the next one."""
    server.plays["/f"] = Reply(rss(entry(1)))
    wired.scout.add(server.url("/f"))

    assert poll(wired, over=lambda: True) == 0
    assert (wired.scout.due(), server.asked) == (1, [])


POLLER = "from atra.wiring import wiring; from workers.polling import poll; poll(wiring(), over=lambda: False)"


def test_a_poller_that_is_killed_is_followed_by_another(wired: Wiring, server: FeedServer, tmp_path: Path):
    """In the middle of a feed; when its hold on the host is over, the feed is polled, and what came first is there."""
    asked = threading.Event()

    def play(handler: Handler) -> None:
        asked.set()
        server.ending.wait(30)

    server.plays.update({"/a": Reply(rss(entry(1))), "/b": play})
    for path in ("/a", "/b"):
        wired.scout.add(server.url(path))
    known = {"ATRA_DATABASE_URL": wired.settings.database_url, "ATRA_REDIS_URL": wired.settings.redis_url}
    variables = {name: url.get_secret_value() for name, url in known.items() if url}
    variables |= {"ATRA_SCOUT": SCOUT.model_dump_json(), "ATRA_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    with subprocess.Popen((sys.executable, "-P", "-c", POLLER), env=variables) as poller:
        assert asked.wait(30)
        poller.kill()

    assert poll(wired, over=lambda: False) == 0, "the host is held"
    with wired.engine.begin() as db:
        db.execute(text("UPDATE feed_hosts SET leased_until = clock_timestamp()"))
    server.plays["/b"] = Reply(rss(entry(2)))
    assert poll(wired, over=lambda: False) == 1
    assert [path for path in server.paths() if path == "/a"] == ["/a"]
    assert sum(wired.scout.counts().values()) == 2


def test_known_names_are_no_common_words():
    """What is installed here counts, but for packages that are called like things."""
    names = known_names(ScoutSettings(names=("MyThing",)))

    assert {"sqlalchemy", "celery", "mything"} <= names
    assert not {"click", "rich", "requests"} & names
