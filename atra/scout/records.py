"""What the scout knows: feeds and how they are getting on, what a poll brought, and the articles that are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Feed:
    """A feed that is followed, as it was when it was read.

    Args:
        state: `active`; `retired` when it is asked no more.
        reason: why it was retired, or what kept its last poll from bringing anything; empty when that went well.
        etag, last_modified: what `validated` sent along with the last document, word for word.
        validated: the address that sent them; no other is told.
        digest: SHA-256 of the last document, hexadecimal; the same bytes are not read twice.
        interval_s: how long it is let alone after a poll that went well.
        failures: polls in a row that brought nothing for a fault.
        fetched_at: the last poll that went well.
        polled_at: the last poll.
        next_at: before then it is not asked.
        moved_to: where permanent redirects led in the last `moved_seen` polls in a row.
        past: its addresses before this one, oldest first.
    """

    id: int
    address: str
    title: str = ""
    state: str = "active"
    reason: str = ""
    etag: str = ""
    last_modified: str = ""
    validated: str = ""
    digest: str = ""
    interval_s: float = 3600.0
    failures: int = 0
    fetched_at: datetime | None = None
    polled_at: datetime | None = None
    next_at: datetime | None = None
    moved_to: str = ""
    moved_seen: int = 0
    past: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fetched:
    """What came back for an address.

    Args:
        status: of the last response; 0 where none came.
        address: the one that was asked last, behind all redirects.
        permanent: where the redirects led that call themselves permanent, up to the first that does not; empty if none.
        headers: of the last response, names in small letters.
        body: decompressed; empty where there is a fault.
        fault: why nothing usable came, in words; empty where something did, or a 304.
    """

    status: int
    address: str
    permanent: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fault: str = ""


@dataclass(frozen=True)
class Hints:
    """What a document says of how often it wants to be asked.

    Args:
        ttl_s: RSS `ttl`, or the period of the syndication module; 0 where it says nothing.
        skip_hours: hours of the day, UTC, in which it stays as it is.
        skip_days: days of the week, Monday 0, in which it does.
    """

    ttl_s: float = 0.0
    skip_hours: frozenset[int] = frozenset()
    skip_days: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Item:
    """One entry of a feed's document: plain text, without markup and without characters that steer.

    Args:
        key: what tells it from the other entries of its feed.
        address: canonical, see `atra.scout.addresses`; empty where it has none.
        text: what the feed says of it, or all of it, as the feed likes.
        published_at: None where it does not say.
        subjects: what it speaks of, see `atra.scout.subjects`.
        sketch: see `atra.scout.likeness`; empty for a text that is too short to be told from others.
        bands: parts of the sketch that are looked up by an index.
    """

    key: str
    address: str
    title: str
    text: str
    published_at: datetime | None = None
    subjects: tuple[str, ...] = ()
    sketch: tuple[int, ...] = ()
    bands: tuple[int, ...] = ()


@dataclass(frozen=True)
class Document:
    """A feed's document that was read; items in its own order."""

    title: str
    items: tuple[Item, ...]
    hints: Hints = Hints()


@dataclass(frozen=True)
class Article:
    """An article that is kept.

    Args:
        feed: the title of its feed, or the address of one that has none.
        published_at: as its feed says, but never later than `seen_at`; for one that says nothing, when it was first
            seen, unless it stood in the feed already when that was first polled.
        subjects: names, versions and packages that it speaks of.
        duplicate_of: the article that says the same, by address or by words; it is not found by a search.
    """

    id: int
    feed_id: int
    feed: str
    address: str
    title: str
    text: str
    published_at: datetime | None
    seen_at: datetime
    subjects: tuple[str, ...] = ()
    duplicate_of: int | None = None
