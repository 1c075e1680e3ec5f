"""Feeds and articles: who polls which host, what a poll changed, and the articles that a search or a trend asks for.

A host is polled by one worker at a time: `claim` holds it for a while, `settle` extends that, `release` ends it. A
worker that dies holds it no longer than that. All instants are the database's.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Interval,
    Row,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.dialects.postgresql import insert as upsert

from atra.scout.addresses import host_of, same_site
from atra.scout.likeness import likeness, numbers
from atra.scout.records import Article, Feed, Item
from atra.scout.trends import Mention
from atra.storage.database import storable, transaction
from atra.storage.tables import articles, feed_hosts, feeds

LEASE_S = 180.0
"""For how long a host is held without a settled feed."""

_now = func.clock_timestamp()
_ENGLISH = literal("english", REGCONFIG)
_LONGEST_WAIT = timedelta(
    days=10
)  # nothing is put off for longer, so what is further away was written by a wrong clock
_ALIKE = 0.8
_NEAR_DAYS = 30
_ONE_AT_A_TIME = 0x5C0  # the advisory lock under which duplicates are looked for


@dataclass(frozen=True)
class Host:
    """The right to poll one host's feeds, until another worker has it; `now` is the database's."""

    name: str
    fence: int
    now: datetime
    feeds: tuple[Feed, ...]


class ScoutStore:
    """Keeps feeds and articles. Texts are kept as they come: cleaning them is the caller's part."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Feeds

    def add(self, address: str, title: str = "") -> tuple[Feed, bool]:
        """Follow an address; return its feed, and whether it is new. One that was retired is asked again.

        Args:
            address: see `atra.scout.addresses.to_follow`.
        """
        host = host_of(address)
        with transaction(self._engine) as db:
            _look_at(db, host)
            row = {"address": address, "host": host, "title": storable(title)}
            made = db.execute(upsert(feeds).values(row).on_conflict_do_nothing().returning(*_FEED)).one_or_none()
            if made:
                return _feed(made), True
            again = {"state": "active", "reason": "", "failures": 0, "next_at": _now}
            retired = and_(feeds.c.address == address, feeds.c.state == "retired")
            db.execute(update(feeds).where(retired).values(again))
            return _feed(db.execute(select(*_FEED).where(feeds.c.address == address)).one()), False

    def remove(self, feed_id: int) -> Feed | None:
        """Forget a feed with its articles, and return it as it was; None where there is none."""
        with transaction(self._engine) as db:
            gone = db.execute(delete(feeds).where(feeds.c.id == feed_id).returning(*_FEED)).one_or_none()
            db.execute(delete(feed_hosts).where(~exists().where(feeds.c.host == feed_hosts.c.host)))
        return None if gone is None else _feed(gone)

    def feeds(self) -> list[Feed]:
        """Return every feed, in order of their addresses."""
        with transaction(self._engine) as db:
            return [_feed(row) for row in db.execute(select(*_FEED).order_by(feeds.c.address))]

    def counts(self) -> dict[int, int]:
        """Return how many articles are kept of each feed that has some."""
        query = select(articles.c.feed_id, func.count()).group_by(articles.c.feed_id)
        with transaction(self._engine) as db:
            return {feed_id: int(count) for feed_id, count in db.execute(query)}

    # Polling

    def due(self) -> int:
        """Return how many hosts have feeds to be polled now, and nobody who polls them."""
        with transaction(self._engine) as db:
            return int(db.execute(select(func.count()).select_from(feed_hosts).where(*_FREE)).scalar_one())

    def hurry(self, wait_s: float) -> int:
        """Make due every feed that was not polled within these seconds and met with no fault; return how many.

        What a host asked for with 429 or 503 stays.
        """
        healthy = and_(feeds.c.state == "active", feeds.c.failures == 0)
        rested = or_(feeds.c.polled_at.is_(None), feeds.c.polled_at <= _now - _seconds(wait_s))
        with transaction(self._engine) as db:
            hurried = update(feeds).where(healthy, rested).values(next_at=_now).returning(feeds.c.host)
            names = db.execute(hurried).scalars().all()
            db.execute(update(feed_hosts).where(feed_hosts.c.host.in_(set(names))).values(_LOOK))
        return len(names)

    def claim(self, *, most: int = 20) -> Host | None:
        """Take a host whose feeds are due, and those of its feeds, longest due first; None where there is none.

        Args:
            most: feeds of one host that are polled in one go.
        """
        oldest = select(feed_hosts.c.host).where(*_FREE).order_by(feed_hosts.c.due_at).limit(1)
        with transaction(self._engine) as db:
            name = db.execute(oldest.with_for_update(skip_locked=True)).scalar_one_or_none()
            if name is None:
                return None
            taken = update(feed_hosts).where(feed_hosts.c.host == name)
            taken = taken.values(leased_until=_now + _seconds(LEASE_S), fence=feed_hosts.c.fence + 1)
            held = db.execute(taken.returning(feed_hosts.c.fence, _now.label("now"))).one()
            waiting = and_(feeds.c.host == name, feeds.c.state == "active", _has_come(feeds.c.next_at))
            query = select(*_FEED).where(waiting).order_by(feeds.c.next_at).limit(most)
            return Host(name, held.fence, held.now, tuple(_feed(row) for row in db.execute(query)))

    def settle(self, host: Host, feed: Feed, wait_s: float, items: Sequence[Item] = (), *, well: bool) -> int | None:
        """Keep what a poll found, extend the hold on the host, and return how many articles are new.

        None where the host is another worker's by now, which polls the feed again: nothing is kept then.

        Args:
            feed: as the poll left it; its instants are the database's.
            wait_s: after how long it is asked again.
            items: what its document holds, cleaned.
            well: whether the poll met with no fault.
        """
        with transaction(self._engine) as db:
            mine = and_(feed_hosts.c.host == host.name, feed_hosts.c.fence == host.fence)
            held = update(feed_hosts).where(mine).values(leased_until=_now + _seconds(LEASE_S))
            if not db.execute(held).rowcount:
                return None
            first = select(feeds.c.fetched_at.is_(None)).where(feeds.c.id == feed.id).with_for_update()
            is_first = db.execute(first).scalar_one_or_none()
            if is_first is None:  # removed meanwhile
                return 0
            _write(db, _unless_followed(db, feed), wait_s, well=well)
            return _keep(db, feed, items, first=is_first) if items else 0

    def release(self, host: Host, pause_s: float = 0.0) -> None:
        """Let others have the host when its next feed is due, and not before the pause that it asked for."""
        soonest = select(func.min(feeds.c.next_at)).where(feeds.c.host == host.name, feeds.c.state == "active")
        mine = and_(feed_hosts.c.host == host.name, feed_hosts.c.fence == host.fence)
        due = func.greatest(soonest.scalar_subquery(), _now + _seconds(pause_s))
        waits = case((soonest.scalar_subquery().is_not(None), due), else_=None)
        with transaction(self._engine) as db:
            db.execute(
                update(feed_hosts)
                .where(mine)
                .values(due_at=waits, not_before=_now + _seconds(pause_s), leased_until=None)
            )

    # Articles

    def search(
        self,
        words: Iterable[str],
        limit: int = 20,
        before: datetime | None = None,
        *,
        since: datetime | None = None,
    ) -> list[Article]:
        """Return the articles that speak of any of these words, the best match first; duplicates are left out.

        Words count by their English stems, those of a title more than those of a text, and stop words not at all.

        Args:
            before: only articles that were published and seen before this instant.
            since: only those published at or after it.
        """
        wanted = [func.plainto_tsquery(_ENGLISH, storable(word)) for word in words]
        if not wanted:
            return []
        query: ColumnElement[Any] = wanted[0]
        for one in wanted[1:]:
            query = query.op("||")(one)
        day = func.coalesce(articles.c.published_at, articles.c.seen_at)
        matching = articles.c.words.op("@@", is_comparison=True)(query)
        found: list[ColumnElement[bool]] = [matching, articles.c.duplicate_of.is_(None)]
        if before is not None:
            found += [day < before, articles.c.seen_at < before]
        if since is not None:
            found.append(day >= since)
        rank = func.ts_rank_cd(articles.c.words, query, 1)
        return self._articles(select(*_ARTICLE).where(*found).order_by(rank.desc(), articles.c.id.desc()).limit(limit))

    def recent(self, limit: int = 20, *, since: datetime | None = None) -> list[Article]:
        """Return the newest articles with a date, newest first; duplicates are left out."""
        dated: list[ColumnElement[bool]] = [articles.c.published_at.is_not(None), articles.c.duplicate_of.is_(None)]
        if since is not None:
            dated.append(articles.c.published_at >= since)
        query = select(*_ARTICLE).where(*dated)
        return self._articles(query.order_by(articles.c.published_at.desc(), articles.c.id.desc()).limit(limit))

    def articles(self, ids: Collection[int]) -> dict[int, Article]:
        """Return those of these articles that are kept, by id."""
        return {one.id: one for one in self._articles(select(*_ARTICLE).where(articles.c.id.in_(list(ids))))}

    def mentions(self, since: datetime) -> list[Mention]:
        """Return what each dated article since then speaks of; one that says what another said counts once."""
        query = select(articles.c.id, articles.c.published_at, articles.c.subjects).where(
            articles.c.published_at >= since, articles.c.duplicate_of.is_(None)
        )
        with transaction(self._engine) as db:
            return [Mention(str(row.id), row.published_at.date(), frozenset(row.subjects)) for row in db.execute(query)]

    def now(self) -> datetime:
        """Return the database's instant."""
        with transaction(self._engine) as db:
            return db.execute(select(_now)).scalar_one()  # type: ignore[no-any-return]

    def _articles(self, query: Any) -> list[Article]:
        with transaction(self._engine) as db:
            return [_article(row) for row in db.execute(query.join(feeds, feeds.c.id == articles.c.feed_id))]


_FEED = [column for column in feeds.c if column.name not in {"host", "added_at"}]
_ARTICLE = [
    *(articles.c[name] for name in ("id", "feed_id", "address", "title", "text", "published_at", "seen_at")),
    *(articles.c[name] for name in ("subjects", "duplicate_of")),
    func.coalesce(func.nullif(feeds.c.title, ""), feeds.c.address).label("feed"),
]
_OF_POLLS = (
    *("address", "title", "state", "reason", "etag", "last_modified", "validated", "digest", "interval_s", "failures"),
    *("moved_to", "moved_seen"),
)


def _seconds(seconds: float) -> ColumnElement[timedelta]:
    return literal(timedelta(seconds=seconds), Interval)


def _has_come(instant: ColumnElement[Any]) -> ColumnElement[bool]:
    """Say whether this is due; what is further away than anything is ever put off was written by a wrong clock."""
    return or_(instant <= _now, instant > _now + literal(_LONGEST_WAIT, Interval))


_LOOK = {"due_at": func.greatest(_now, feed_hosts.c.not_before)}
_FREE = (
    _has_come(feed_hosts.c.due_at),
    or_(feed_hosts.c.leased_until.is_(None), _has_come(feed_hosts.c.leased_until)),
)


def _look_at(db: Connection, host: str) -> None:
    """Have a host looked at that may have got a feed; what it asked for stays."""
    db.execute(
        upsert(feed_hosts).values(host=host, due_at=_now).on_conflict_do_update(index_elements=["host"], set_=_LOOK)
    )


def _unless_followed(db: Connection, feed: Feed) -> Feed:
    """Return the feed; retired where it has moved to an address that another one has."""
    other = db.execute(select(feeds.c.id).where(feeds.c.address == feed.address, feeds.c.id != feed.id)).scalar()
    if other is None:
        return feed
    kept = feed.past[-1] if feed.past else feed.address
    reason = f"it moved to {feed.address}, which is followed as feed {other}"
    return replace(feed, address=kept, past=feed.past[:-1], state="retired", reason=reason)


def _write(db: Connection, feed: Feed, wait_s: float, *, well: bool) -> None:
    """Write the feed as the poll left it."""
    host = host_of(feed.address)
    _look_at(db, host)
    values = {name: getattr(feed, name) for name in _OF_POLLS}
    texts = {name: storable(value) for name, value in values.items() if isinstance(value, str)}
    instants = {"polled_at": _now, "next_at": _now + _seconds(wait_s), **({"fetched_at": _now} if well else {})}
    row = {**values, **texts, **instants, "past": list(feed.past), "host": host}
    db.execute(update(feeds).where(feeds.c.id == feed.id).values(row))


def _keep(db: Connection, feed: Feed, items: Sequence[Item], *, first: bool) -> int:
    """Keep what is new and what has changed; return how many are new.

    Args:
        first: whether this is the feed's first poll, whose items without a date may be old.
    """
    by_key = {storable(one.key): one for one in items}
    query = select(articles.c.id, articles.c.key, articles.c.digest).where(articles.c.feed_id == feed.id)
    known = {row.key: row for row in db.execute(query.where(articles.c.key.in_(list(by_key))))}
    for key, row in known.items():
        if row.digest != _digest(by_key[key]):
            db.execute(update(articles).where(articles.c.id == row.id).values(_texts(by_key[key])))
    new = [one for key, one in by_key.items() if key not in known]
    if new:
        # Two feeds that bring the same article at one moment would else not see each other's.
        db.execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
    same = _by_address(db, feed, new)
    for one in reversed(new):  # feeds begin with the newest, and ids grow with time
        _insert(db, feed, one, same, first=first)
    return len(new)


def _insert(db: Connection, feed: Feed, one: Item, same: dict[str, tuple[int, str]], *, first: bool) -> None:
    """Keep one new item.

    Args:
        same: by address, the article of another feed that stands for it, and that feed's address.
    """
    address = storable(one.address)
    older, of = same.get(address, (None, ""))
    # Who writes of a page on another site, and is polled before that site's own feed, must not speak for it.
    first_hand = older is not None and same_site(address, feed.address) and not same_site(address, of)
    duplicate_of = None if first_hand else older or _alike(db, feed, one)
    date = one.published_at
    published_at = func.least(literal(date, DateTime(timezone=True)), _now) if date else None if first else _now
    own = {"feed_id": feed.id, "key": storable(one.key), "address": address}
    row = {**_texts(one), **own, "duplicate_of": duplicate_of, "published_at": published_at}
    made: int = db.execute(insert(articles).values(row).returning(articles.c.id)).scalar_one()
    if first_hand:
        copies = or_(articles.c.id == older, articles.c.duplicate_of == older)
        db.execute(update(articles).where(copies).values(duplicate_of=made))


def _by_address(db: Connection, feed: Feed, new: Sequence[Item]) -> dict[str, tuple[int, str]]:
    """Return the articles of other feeds that stand for these addresses already: id, and address of the feed.

    Within one feed the key decides alone: there are feeds whose items all link to one page.
    """
    wanted = [storable(one.address) for one in new if one.address]
    query = select(articles.c.id, articles.c.address, feeds.c.address.label("of")).join(feeds)
    query = query.where(articles.c.address.in_(wanted), articles.c.duplicate_of.is_(None))
    query = query.where(articles.c.feed_id != feed.id)
    return {row.address: (row.id, row.of) for row in db.execute(query)} if wanted else {}


def _alike(db: Connection, feed: Feed, one: Item) -> int | None:
    """Return the article of another feed that says nearly the same, if there is one.

    Within one feed nearly the same is how two releases are told, so there the key decides alone.
    """
    if not one.bands:
        return None
    query = select(articles.c.id, articles.c.title, articles.c.sketch).where(
        articles.c.bands.overlap(list(one.bands)),
        articles.c.feed_id != feed.id,
        articles.c.duplicate_of.is_(None),
        articles.c.seen_at > _now - literal(timedelta(days=_NEAR_DAYS), Interval),
    )
    told = numbers(one.title)
    near = [row for row in db.execute(query.limit(100)) if numbers(row.title) == told]
    best = max(near, key=lambda row: likeness(row.sketch, one.sketch), default=None)
    return best.id if best is not None and likeness(best.sketch, one.sketch) >= _ALIKE else None


def _texts(one: Item) -> dict[str, Any]:
    """Return what may change of an article while it stays the same."""
    return {
        "title": storable(one.title),
        "text": storable(one.text),
        "digest": _digest(one),
        "subjects": [storable(subject) for subject in one.subjects],
        "sketch": list(one.sketch),
        "bands": list(one.bands),
    }


def _digest(one: Item) -> str:
    said = f"{one.title}\n{one.text}"
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()


def _feed(row: Row[Any]) -> Feed:
    return Feed(**{**row._mapping, "past": tuple(row.past)})


def _article(row: Row[Any]) -> Article:
    return Article(**{**row._mapping, "subjects": tuple(row.subjects)})
