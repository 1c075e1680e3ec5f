"""Polling feeds: hosts are taken as threads get free, each by one worker at a time, and what came of them is kept."""

import random
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from importlib.metadata import distributions

from atra.core.settings import ScoutSettings
from atra.scout.fetching import Manners, fetch
from atra.scout.polling import Verdict, digest, judge
from atra.scout.reader import Readers, Unread, reading
from atra.scout.records import Document, Feed
from atra.storage.scout import Host
from atra.wiring import Wiring

_READERS = 2
_HOST_S = 120.0  # after so long the rest of a host's feeds waits for its next turn, well before the hold on it is over
_REST_S = 0.2

# Packages whose names are common words, which stand in articles about anything.
_COMMON = frozenset(
    {"attrs", "build", "click", "flower", "idna", "mock", "nodes", "packaging", "pip", "rich", "requests", "safety"}
    | {"six", "tables", "test", "toml", "tornado", "trio", "vine", "wheel"}
)


@dataclass(frozen=True)
class Polled:
    """What one poll brought.

    Args:
        new: articles that were not there before; None where another worker had taken the feed over.
        fault: why it brought nothing; empty where it went well.
    """

    feed: Feed
    new: int | None
    fault: str


def manners_of(settings: ScoutSettings) -> Manners:
    """Return how servers are asked by these settings."""
    made = Manners(private=settings.allow_private, total_s=settings.timeout_s)
    return replace(made, user_agent=settings.user_agent) if settings.user_agent else made


def known_names(settings: ScoutSettings) -> frozenset[str]:
    """Return what counts as a name wherever it stands: packages that are installed here, and what the settings add."""
    installed = {(one.metadata["Name"] or "").casefold() for one in distributions()}
    return frozenset({*(installed - _COMMON - {""}), *map(str.casefold, settings.names)})


def poll(wired: Wiring, *, over: Callable[[], bool], told: Callable[[Polled], None] = lambda polled: None) -> int:
    """Poll every feed that is due, hosts side by side and the feeds of a host one after the other; return how many.

    Args:
        over: says that no other host is to be begun.
        told: is given every poll as it ends, in the threads that made them.

    Raises:
        DatabaseUnavailable: it is gone; hosts that were begun are taken up when the hold on them is over.
    """
    settings = wired.settings.scout
    threads = settings.threads
    under_way: set[Future[int]] = set()
    count = 0
    with reading(_READERS, known_names(settings)) as readers, ThreadPoolExecutor(threads) as pool:
        while True:
            host = wired.scout.claim() if len(under_way) < threads and not over() else None
            if host:
                under_way.add(pool.submit(_poll_host, wired, host, readers, told))
                continue
            if not under_way:
                return count
            done, under_way = wait(under_way, timeout=_REST_S, return_when=FIRST_COMPLETED)
            count += sum(one.result() for one in done)


def _poll_host(wired: Wiring, host: Host, readers: Readers, told: Callable[[Polled], None]) -> int:
    """Poll the feeds of one host, one after the other, until it asks to be let alone; return how many."""
    begun, count, pause_s = time.monotonic(), 0, 0.0
    for feed in host.feeds:
        if pause_s or time.monotonic() - begun > _HOST_S:
            break
        if count:
            time.sleep(wired.settings.scout.gap_s)
        verdict, document = _ask(feed, host, readers, manners_of(wired.settings.scout))
        items = document.items if document else ()
        new = wired.scout.settle(host, verdict.feed, verdict.wait_s, items, well=verdict.well)
        told(Polled(verdict.feed, new, "" if verdict.well else verdict.feed.reason))
        count, pause_s = count + 1, verdict.pause_s
        if new is None:
            return count
    wired.scout.release(host, pause_s)
    return count


def _ask(feed: Feed, host: Host, readers: Readers, manners: Manners) -> tuple[Verdict, Document | None]:
    came = fetch(feed, manners)
    document = None
    if came.status == 200 and not came.fault and digest(came.body) != feed.digest:
        read = readers.read(came.body, came.headers, came.address)
        if isinstance(read, Unread):
            came = replace(came, body=b"", fault=read.why)
        else:
            document = read
    return judge(feed, came, document, host.now, random.Random()), document  # noqa: S311 - spread, not secrecy
