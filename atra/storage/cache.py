"""The semantic cache's truth: entries, who was served which of them, and where the promise about errors stands.

A hit costs one round trip for each tier. Look-ups are counted without waiting for the disk: a crash of the server may
forget the last of them, never an entry. All instants are the database's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from random import uniform
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Float,
    and_,
    any_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from atra.core.errors import DatabaseUnavailable
from atra.core.records import from_json, to_json
from atra.semantic_cache.bound import Sample, Standing
from atra.semantic_cache.cache import Found
from atra.semantic_cache.records import Counts, Entry, Fresh, Page, Row, Scope
from atra.storage.database import Prepared, apart, quick, statement, storable, told, transaction
from atra.storage.tables import cache_entries, cache_lookups, cache_standing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

R = TypeVar("R")

_REMEMBERED = timedelta(days=30)  # a look-up that nobody judged, or whose entry is no more
_GONE = timedelta(days=7)  # a view that read nothing for longer finds out when it looks an entry up
_BATCH = 5_000
_FLOOR_USD = 0.001  # what an answer is worth that cost nothing: somebody waited for it
_FADE_S = 30 * 86_400.0
_IN_USE = "55P03"  # lock_not_available
_FULL = ("too many", "connection slots")  # a refusal to connect comes without its code
_LONGEST_QUEUE_S = 60.0

_now = func.clock_timestamp()
_written = text("(pg_current_xact_id()::text)::bigint")
_e, _l, _s = cache_entries.c, cache_lookups.c, cache_standing.c
_LIVE = and_(_e.state == text("'live'"), _e.expires_at > _now)
_AGE_S = func.extract("epoch", _now - _e.created_at).cast(Float)
_ENTRY = (
    *(one for one in cache_entries.c if one.name not in ("parts", "embedder", "vector", "written")),
    _AGE_S.label("age_s"),
)
_EXACT = Prepared(
    "atra_cache_exact",
    select(*_ENTRY).where(_e.scope == bindparam("scope"), _e.key == bindparam("key"), _LIVE),
    "scope",
    "key",
)

_SERVED = ("scope", "asked", "tier", "entry_id", "similarity", "probability", "saved_usd")
_LOOKED_UP = Prepared(
    "atra_cache_looked_up",
    insert(cache_lookups).values({name: bindparam(name, type_=_l[name].type) for name in _SERVED}).returning(_l.id),
    *_SERVED,
)

_of_ids = _e.id == any_(bindparam("ids", type_=ARRAY(BigInteger)))
_READ = Prepared(
    "atra_cache_read",
    select(*_ENTRY, _e.vector).where(
        _of_ids, _e.scope == bindparam("scope"), _e.embedder == bindparam("embedder"), _LIVE
    ),
    "ids",
    "scope",
    "embedder",
)

_NEW = ("scope", "parts", "key", "question", "answer", "meta", "sources", "topics", "cost_usd", "predicted")
_given: dict[str, Any] = {name: bindparam(name, type_=_e[name].type) for name in (*_NEW, "embedder", "vector")}
_given["expires_at"] = _now + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("ttl_s"))
_put = insert(cache_entries).values(_given)
_anew: dict[str, Any] = {name: _put.excluded[name] for name in _given}
_anew |= {"created_at": _now, "written": _written, "right": 0, "wrong": 0}  # what was judged was another answer
_PUT = _put.on_conflict_do_update(
    index_elements=["scope", "key"], index_where=_e.state == "live", set_=_anew
).returning(*_ENTRY, _e.written)

_horizon = text("(pg_snapshot_xmin(pg_current_snapshot())::text)::bigint AS horizon")
_rows = (
    select(
        _e.id,
        _e.written,
        case((and_(_LIVE, _e.embedder == bindparam("by")), _e.vector)).label("vector"),
    )
    .where(
        _e.scope == bindparam("scope"),
        tuple_(_e.written, _e.id) > tuple_(bindparam("after_written"), bindparam("after_id")),
    )
    .order_by(_e.written, _e.id)
    .limit(bindparam("most"))
    .subquery("rows")
)
_moment = select(_horizon).subquery("moment")
_PAGE = select(text("moment.horizon"), _rows).select_from(_moment.outerjoin(_rows, true()))
_PAGE = _PAGE.order_by(_rows.c.written, _rows.c.id)
_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")
_CLUSTER = text(
    "SELECT system_identifier || '/' || oid FROM pg_control_system(), pg_database WHERE datname = current_database()"
)


class CacheStore:
    """Keeps entries, look-ups and the standing. Texts are kept as they come: redacting them is the caller's part."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._quick, self._durable = (
            quick(engine, (_EXACT, _READ, _LOOKED_UP), durable=False),
            quick(engine, (), durable=True),
        )
        self._apart = apart(engine).execution_options(isolation_level="AUTOCOMMIT")

    # What `atra.semantic_cache.cache.Store` asks for

    def exact(self, scope: str, key: str) -> Entry | None:
        """Return the entry of this key that may be served now."""
        found = self._quickly(lambda db: _EXACT.rows(db, {"scope": scope, "key": key}))
        return _entry(found[0]) if found else None

    def read(self, scope: str, embedder: str, ids: Sequence[int]) -> list[Found]:
        """Return those of the entries that may be served now, each with what was judged of it."""
        import numpy as np

        asked = {"scope": scope, "embedder": embedder, "ids": list(ids)}
        found = self._quickly(lambda db: _READ.rows(db, asked))
        return [
            Found(_entry(row), None if row.vector is None else np.frombuffer(row.vector, dtype="<f4")) for row in found
        ]

    def looked_up(
        self,
        scope: str,
        asked: str,
        tier: str,
        entry: Entry | None,
        similarity: float | None,
        probability: float | None,
    ) -> int:
        """Keep that somebody asked and what he was served; return the look-up's id."""
        row = {
            "scope": scope,
            "asked": storable(asked),
            "tier": tier,
            "entry_id": entry.id if entry else None,
            "similarity": similarity,
            "probability": probability,
            "saved_usd": entry.cost_usd if entry else 0.0,
        }
        return int(self._quickly(lambda db: _LOOKED_UP.rows(db, row))[0].id)

    def put(
        self, scope: Scope, key: str, question: str, fresh: Fresh, ttl_s: float, embedder: str, vector: "Vector | None"
    ) -> tuple[Entry, Row]:
        """Keep an answer in the place of the one of this key; durable when it returns."""
        data = None if vector is None else vector.astype("<f4").tobytes()
        row = {
            "scope": scope.key,
            "parts": asdict(scope),
            "key": key,
            "question": storable(question),
            "answer": storable(fresh.answer),
            "meta": dict(fresh.meta),
            "sources": [storable(one) for one in fresh.sources],
            "topics": [storable(one) for one in fresh.topics],
            "cost_usd": fresh.cost_usd,
            "predicted": fresh.predicted,
            "embedder": embedder,
            "vector": data,
            "ttl_s": ttl_s,
        }
        kept = self._quickly(lambda db: db.execute(_PUT, row).one(), durable=True)
        return _entry(kept), Row(kept.id, kept.written, data)

    def invalidate(
        self, why: str, ids: Sequence[int], scope: str | None, topics: Sequence[str], sources: Sequence[str]
    ) -> int:
        """Let no entry be served that has one of the ids, topics or sources, or is of the scope; return how many."""
        any_of: list[ColumnElement[bool]] = []
        if ids:
            any_of.append(_e.id.in_(list(ids)))
        if scope is not None:
            any_of.append(_e.scope == scope)
        if topics:
            any_of.append(_e.topics.overlap(list(topics)))
        if sources:
            any_of.append(_e.sources.overlap(list(sources)))
        if not any_of:
            return 0
        with transaction(self._engine) as db:
            return _gone(db, and_(_e.state == "live", or_(*any_of)), why)

    def judge(self, lookup: int, right: bool, by: str, learn: Callable[[Standing, Sample], Standing]) -> Entry | None:
        """Keep whether a hit was right, once; return its entry, None where nothing was judged.

        An answer that has taken the place of the one that was served is neither praised nor blamed for it.

        Args:
            learn: called for a hit by meaning, one at a time among all processes.
        """
        this = select(cache_lookups).where(_l.id == lookup, _l.right.is_(None), _l.entry_id.is_not(None))
        with transaction(self._engine) as db:
            hit = db.execute(this.with_for_update()).one_or_none()
            if hit is None:
                return None
            db.execute(update(cache_lookups).where(_l.id == lookup).values(right=right, judged_by=by, judged_at=_now))
            if hit.tier == "semantic":
                db.execute(insert(cache_standing).values(standing=to_json(Standing())).on_conflict_do_nothing())
                known = db.execute(select(_s.standing).with_for_update()).scalar_one()
                count = "right" if right else "wrong"
                this_answer = and_(_e.id == hit.entry_id, _e.created_at <= hit.at)
                db.execute(update(cache_entries).where(this_answer).values({count: _e[count] + 1}))
                learnt = learn(from_json(Standing, known), Sample(hit.probability, right))
                db.execute(update(cache_standing).values(standing=to_json(learnt)))
            elif not right:
                this_answer = and_(_e.id == hit.entry_id, _e.created_at <= hit.at, _e.state == "live")
                _gone(db, this_answer, f"judged wrong by {by}")
            return _entry(db.execute(select(*_ENTRY).where(_e.id == hit.entry_id)).one())

    def standing(self) -> Standing:
        """Return what is known of the error now."""
        known = self._quickly(lambda db: db.execute(select(_s.standing)).scalar_one_or_none())
        return Standing() if known is None else from_json(Standing, known)

    def counts(self, days: float) -> Counts:
        """Return what the cache did in so many days."""
        lately = _l.at > _now - timedelta(days=days)
        tiers = select(
            _l.tier,
            func.count().label("asked"),
            func.sum(_l.saved_usd).label("saved_usd"),
            func.count(_l.right).label("judged"),
            func.count().filter(_l.right.is_(False)).label("wrong"),
        ).where(lately)
        entries = select(
            func.count().label("live"),
            func.count().filter(_e.predicted).label("predicted"),
            func.count().filter(_e.vector.is_(None)).label("unembedded"),
        ).where(_LIVE)
        with transaction(self._engine) as db:
            rows = db.execute(tiers.group_by(_l.tier).order_by(_l.tier)).all()
            kept = db.execute(entries).one()
        return Counts(
            {row.tier: row.asked for row in rows},
            sum(row.saved_usd for row in rows),
            sum(row.judged for row in rows),
            sum(row.wrong for row in rows),
            kept.live,
            kept.predicted,
            kept.unembedded,
        )

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Wait until nobody else has the turn, and have it for as long as the block runs.

        The lock is its connection's: whoever is killed has it no more. Each wait is short, for a signal is not heeded
        during one. Who gets no connection, because as many wait as the server takes, comes again.
        """
        with ExitStack() as held:
            with told():
                db = held.enter_context(closing(self._connected()))
                db.execute(text("SET lock_timeout = '500ms'"))
                while not _took(db, name):
                    pass
            yield

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Say whether nobody else is at it; if so, nobody else will be for as long as the block runs."""
        with ExitStack() as held:
            with told():
                db = held.enter_context(closing(self._apart.connect()))
                first = bool(db.execute(_TRY_LOCK, {"name": name}).scalar_one())
            yield first
            if first:  # a closed connection's lock stays until the server notices: the next one would find it held
                with suppress(SQLAlchemyError):  # whoever lost the connection has lost the lock with it
                    db.execute(_UNLOCK, {"name": name})

    # What a view asks for, see `atra.semantic_cache.view.Rows`

    def page(self, scope: str, embedder: str, after: tuple[int, int], limit: int) -> Page:
        """Return the rows after this (written, id), the first `limit` of them."""
        asked = {"scope": scope, "by": embedder, "after_written": after[0], "after_id": after[1], "most": limit}
        found = self._quickly(lambda db: db.execute(_PAGE, asked).all())
        rows = (Row(row.id, row.written, row.vector and bytes(row.vector)) for row in found if row.id is not None)
        return Page(tuple(rows), found[0].horizon)

    def cluster(self) -> str:
        """Return what tells this database from another, whose transactions count differently."""
        return str(self._quickly(lambda db: db.execute(_CLUSTER).scalar_one()))

    # For people

    def entry(self, entry_id: int) -> tuple[Entry, Scope] | None:
        """Return an entry with its hits and its scope; None where there is none."""
        found = self._entries(_e.id == entry_id, 1)
        return found[0] if found else None

    def entries(self, words: str = "", most: int = 50) -> list[tuple[Entry, Scope]]:
        """Return entries that may be served, newest first; those whose question holds the words, if some are given."""
        said = and_(*(_e.question.icontains(word, autoescape=True) for word in words.split())) if words else true()
        return self._entries(and_(_LIVE, said), most)

    def unjudged(self, most: int, share: float) -> list[tuple[int, str, Entry]]:
        """Return hits by meaning that wait to be judged: look-up, what was asked, and what was served.

        Those whose answer was replaced since are left out: what was served then is no more.

        Args:
            share: of the hits, which are drawn by their ids, so that every process draws the same.
        """
        drawn = func.mod(func.abs(func.hashint8(_l.id)), 10_000) < int(share * 10_000)
        waits = and_(_l.tier == "semantic", _l.right.is_(None), _l.judged_by.is_(None), drawn)
        served = and_(_e.id == _l.entry_id, _e.created_at <= _l.at)
        query = select(_l.id.label("lookup"), _l.asked, *_ENTRY).join(cache_entries, served)
        with transaction(self._engine) as db:
            rows = db.execute(query.where(waits).order_by(_l.at).limit(most)).all()
        return [(row.lookup, row.asked, _entry(row)) for row in rows]

    def answer_to(self, scope: str, key: str) -> str | None:
        """Return the answer that is kept for the question with this key, without counting it as served."""
        found = self.exact(scope, key)
        return found.answer if found else None

    def passed_over(self, lookup: int, by: str) -> None:
        """Keep that a hit cannot be judged by this judge, so that it is not asked again."""
        with transaction(self._engine) as db:
            db.execute(update(cache_lookups).where(_l.id == lookup, _l.right.is_(None)).values(judged_by=by))

    # Housekeeping

    def tidy(self, *, max_entries: int) -> dict[str, int]:
        """Let go what has expired and what is worth least beyond `max_entries`, and forget what nobody needs.

        What an entry is worth: what a hit on it saves, by the hits of the last month, fading with age.

        Returns:
            how many of each were `expired`, `evicted`, `forgotten`, and look-ups `forgotten_lookups`.
        """
        return {
            "expired": self._in_batches(lambda db: _gone(db, _some(_expired()), "expired")),
            "evicted": self._evict(max_entries),
            "forgotten": self._in_batches(_forget_entries),
            "forgotten_lookups": self._in_batches(_forget_lookups),
            "renumbered": self._in_batches(_renumber),
        }

    def unembedded(self, embedder: str, most: int, after: int = 0) -> list[tuple[int, int, str]]:
        """Return entries beyond the id `after` without a vector of this embedder: id, written, question."""
        lacks = or_(_e.vector.is_(None), _e.embedder != embedder)
        short = func.length(_e.question) <= 1000
        query = (
            select(_e.id, _e.written, _e.question).where(_LIVE, lacks, short, _e.id > after).order_by(_e.id).limit(most)
        )
        found = self._quickly(lambda db: db.execute(query).all())
        return [(row.id, row.written, row.question) for row in found]

    def embedded(self, entry_id: int, written: int, embedder: str, vector: "Vector") -> Row | None:
        """Give an entry its vector, unless it was written since; return it as a view sees it."""
        this = and_(_e.id == entry_id, _e.written == written)
        data = vector.astype("<f4").tobytes()
        change = update(cache_entries).where(this).values(embedder=embedder, vector=data, written=_written)
        now = self._quickly(lambda db: db.execute(change.returning(_e.written)).scalar_one_or_none(), durable=True)
        return None if now is None else Row(entry_id, now, data)

    def _connected(self) -> Connection:
        until = monotonic() + _LONGEST_QUEUE_S
        while True:
            try:
                return self._apart.connect()
            except OperationalError as error:
                if not any(said in str(error.orig) for said in _FULL) or monotonic() > until:
                    raise
            sleep(uniform(0.2, 1.0))  # noqa: S311 - so that not all come again at once

    def _quickly(self, work: Callable[[Connection], R], *, durable: bool = False) -> R:
        """Do one statement; once more where its connection had died meanwhile, for none was asked whether it lives."""
        engine = self._durable if durable else self._quick
        try:
            with statement(engine) as db:
                return work(db)
        except DatabaseUnavailable:
            with statement(engine) as db:
                return work(db)

    def _entries(self, which: ColumnElement[bool], most: int) -> list[tuple[Entry, Scope]]:
        hits = select(func.count()).where(_l.entry_id == _e.id).scalar_subquery().label("hits")
        query = select(*_ENTRY, _e.parts, hits).where(which).order_by(_e.created_at.desc(), _e.id).limit(most)
        with transaction(self._engine) as db:
            rows = db.execute(query).all()
        return [(_entry(row, hits=row.hits), from_json(Scope, row.parts)) for row in rows]

    def _evict(self, max_entries: int) -> int:
        hits = select(func.count()).where(_l.entry_id == _e.id, _l.at > _now - _REMEMBERED).scalar_subquery()
        worth = (_e.cost_usd + _FLOOR_USD) * (1 + hits) * func.exp(-_AGE_S / _FADE_S)
        with transaction(self._engine) as db:
            over = db.execute(select(func.count()).where(_e.state == "live")).scalar_one() - max_entries
            if over <= 0:
                return 0
            least = select(_e.id).where(_e.state == "live").order_by(worth, _e.id).limit(min(over, 10 * _BATCH))
            return _gone(db, _e.id.in_(least), "worth least")

    def _in_batches(self, work: Callable[[Connection], int]) -> int:
        done = 0
        while True:
            with transaction(self._engine) as db:
                some = work(db)
            done += some
            if some < _BATCH:
                return done


def _took(db: Connection, name: str) -> bool:
    try:
        db.execute(text("SELECT pg_advisory_lock(hashtextextended(:name, 0))"), {"name": name})
        return True
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != _IN_USE:
            raise
        return False


def _expired() -> ColumnElement[bool]:
    return and_(_e.state == "live", _e.expires_at <= _now)


def _some(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the first of them that nobody else is changing, as many as one transaction takes."""
    return _e.id.in_(select(_e.id).where(which).limit(_BATCH).with_for_update(skip_locked=True))


def _gone(db: Connection, which: ColumnElement[bool], why: str) -> int:
    """Mark entries as gone, with the moment of it as their expiry; views learn of it by their new `written`."""
    ended = func.least(_e.expires_at, _now)
    change = update(cache_entries).where(which).values(state="gone", why=why, written=_written, expires_at=ended)
    return int(db.execute(change).rowcount)


def _forget_entries(db: Connection) -> int:
    old = and_(_e.state == "gone", _e.expires_at < _now - _GONE)
    return int(db.execute(delete(cache_entries).where(_some(old))).rowcount)


def _forget_lookups(db: Connection) -> int:
    old = and_(_l.at < _now - _REMEMBERED, or_(_l.right.is_(None), _l.entry_id.is_(None)))
    some = select(_l.id).where(old).limit(_BATCH).with_for_update(skip_locked=True)
    return int(db.execute(delete(cache_lookups).where(_l.id.in_(some))).rowcount)


def _renumber(db: Connection) -> int:
    """Give rows that came from another database, whose transactions counted further, a number of this one's."""
    ahead = _e.written > _written
    return int(db.execute(update(cache_entries).where(_some(ahead)).values(written=_written)).rowcount)


def _entry(row: Any, hits: int = 0) -> Entry:
    return Entry(
        id=row.id,
        scope=row.scope,
        key=row.key,
        question=row.question,
        answer=row.answer,
        sources=tuple(row.sources),
        topics=tuple(row.topics),
        cost_usd=row.cost_usd,
        predicted=row.predicted,
        meta=row.meta,
        created_at=row.created_at,
        expires_at=row.expires_at,
        age_s=max(0.0, row.age_s),
        state=row.state,
        why=row.why,
        hits=hits,
        right=row.right,
        wrong=row.wrong,
    )
