"""What a poll means for a feed: what is kept of it, when it is asked again, whether it has moved or is gone."""

import random
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from atra.scout.addresses import host_of
from atra.scout.records import Document, Feed, Fetched, Hints
from atra.scout.schedule import (
    LEAST_S,
    MOST_S,
    UNKNOWN_S,
    asked_for,
    retry_after,
    rhythm,
    wait_after_failure,
    wait_after_success,
)

_SIGHTINGS = 3
_SLOWING = 1.05  # per poll that brings nothing
_BUSY = frozenset({429, 503})
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Verdict:
    """What follows from a poll.

    Args:
        feed: as it is kept from now on.
        wait_s: after how long it is asked again.
        pause_s: for how long its whole host is let alone, as it asked for.
        well: whether there was no fault.
    """

    feed: Feed
    wait_s: float
    pause_s: float = 0.0
    well: bool = True


def digest(body: bytes) -> str:
    """Return what two documents share only if they are the same bytes."""
    return sha256(body).hexdigest()


def judge(feed: Feed, came: Fetched, document: Document | None, now: datetime, rng: random.Random) -> Verdict:
    """Return what follows from what came for a feed.

    Args:
        document: what was read in it; None where nothing came, or the same as last time.
        now: the database's instant.
    """
    if came.status == 410 and came.address in (feed.address, came.permanent):
        return Verdict(replace(feed, state="retired", reason="it is gone for good (410)"), 0.0, well=False)
    if came.fault:
        return _failed(feed, came, now, rng)
    hints = document.hints if document else Hints()
    interval_s = _interval(feed, document, now)
    kept = replace(feed, reason="", failures=0, interval_s=interval_s)
    if came.status == 200:
        etag, last_modified = (came.headers.get(name, "") for name in ("etag", "last-modified"))
        kept = replace(kept, etag=etag, last_modified=last_modified, validated=came.address, digest=digest(came.body))
    if document and document.title:
        kept = replace(kept, title=document.title)
    wait_s = wait_after_success(interval_s, asked_for(came.headers, hints, now), hints, now, rng)
    return Verdict(_moved(kept, came.permanent), wait_s)


def _interval(feed: Feed, document: Document | None, now: datetime) -> float:
    """Return how long the feed is let alone by its own rhythm, and by what its last document asked for."""
    if document is None:
        return min(feed.interval_s * _SLOWING, MOST_S)
    dated = [item.published_at for item in document.items if item.published_at]
    return max(rhythm(dated, now) if dated else UNKNOWN_S, min(document.hints.ttl_s, MOST_S))


def _failed(feed: Feed, came: Fetched, now: datetime, rng: random.Random) -> Verdict:
    pause_s = retry_after(came.headers, now)
    failures = feed.failures + 1
    kept = replace(feed, reason=came.fault[:_LONGEST_REASON], failures=failures, moved_to="", moved_seen=0)
    busy = came.status in _BUSY and host_of(came.address) == host_of(feed.address)
    host_s = max(pause_s, LEAST_S) if busy else 0.0
    return Verdict(kept, wait_after_failure(failures, pause_s, rng), host_s, well=False)


def _moved(feed: Feed, permanent: str) -> Feed:
    """Return the feed at its new address, once three good polls in a row were led there for good.

    It stays where it is while the redirect is younger, or leads from https to http.
    """
    safe = permanent.startswith("https:") or not feed.address.startswith("https:")
    if not permanent or permanent == feed.address or not safe:
        return replace(feed, moved_to="", moved_seen=0)
    seen = feed.moved_seen + 1 if permanent == feed.moved_to else 1
    if seen < _SIGHTINGS:
        return replace(feed, moved_to=permanent, moved_seen=seen)
    return replace(feed, address=permanent, past=(*feed.past, feed.address), moved_to="", moved_seen=0)
