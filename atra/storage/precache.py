"""What was answered before anybody asked, and what became of it. All instants are the database's.

Who was served which entry stands with the cache's look-ups; a prediction is credited by the first of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, Integer, and_, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from atra.precache.records import Tally
from atra.semantic_cache.records import Entry
from atra.storage.database import storable, transaction
from atra.storage.tables import cache_lookups, predictions

_now = func.clock_timestamp()
_p, _l = predictions.c, cache_lookups.c
_LEARNED_FROM = timedelta(days=90)  # what was asked before then says little of what is asked now
_LET_ALONE = timedelta(days=7)
_REMEMBERED = timedelta(days=180)
_SERVED = and_(_l.entry_id == _p.entry_id, _l.at >= _p.made_at, _l.at < _p.expires_at, _l.right.is_not(False))


@dataclass(frozen=True)
class Planned:
    """A question that a run is to answer, and the article that should.

    Args:
        template, subject: how it was made; see `atra.precache.records.Candidate`.
        probability: that it is asked in time, as it was expected.
        said: the sentence that it was made from, if it was made from one.
    """

    question: str
    template: str
    subject: str
    article: int
    probability: float
    said: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of the questions of one template.

    Args:
        waiting: those whose answers may still be asked for.
        asked, wasted: those that were asked in time, and those that expired unasked.
        hits: how often their answers were served.
    """

    template: str
    predicted: int
    waiting: int
    asked: int
    wasted: int
    hits: int
    cost_usd: float
    saved_usd: float


class PrecacheStore:
    """Keeps predictions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, run_id: str, planned: Planned, entry: Entry) -> bool:
        """Keep that this run has answered the question; return whether that is new."""
        row = {
            "run_id": run_id,
            "question": storable(planned.question),
            "template": planned.template,
            "subject": storable(planned.subject),
            "article": planned.article,
            "probability": planned.probability,
            "cost_usd": entry.cost_usd,
            "entry_id": entry.id,
            "made_at": entry.created_at,
            "expires_at": entry.expires_at,
        }
        with transaction(self._engine) as db:
            return bool(db.execute(insert(predictions).values(row).on_conflict_do_nothing()).rowcount)

    def unanswered(self, run_id: str, planned: Planned) -> None:
        """Keep that nothing answered the question, so that no other is passed over for it in the next seven days."""
        row = {
            "run_id": run_id,
            "question": storable(planned.question),
            "template": planned.template,
            "subject": storable(planned.subject),
            "article": planned.article,
            "probability": planned.probability,
            "cost_usd": 0.0,
            "state": "unanswered",
            "expires_at": _now + _LET_ALONE,
        }
        with transaction(self._engine) as db:
            db.execute(insert(predictions).values(row).on_conflict_do_nothing())

    def settle(self) -> tuple[int, int]:
        """Credit what was served, write off what has expired unserved, forget what is old; return the first two counts.

        A hit that was judged wrong is none.
        """
        waiting = _p.state == "waiting"
        served = exists().where(_SERVED)
        change = update(predictions)
        with transaction(self._engine) as db:
            asked = db.execute(change.where(waiting, served).values(state="asked", settled_at=_now)).rowcount
            over = and_(waiting, _p.expires_at <= _now, ~served)
            wasted = db.execute(change.where(over).values(state="wasted", settled_at=_now)).rowcount
            db.execute(delete(predictions).where(_p.made_at < _now - _REMEMBERED))
        return int(asked), int(wasted)

    def tallies(self) -> tuple[dict[str, Tally], dict[tuple[str, str], Tally]]:
        """Return what became of the predictions of the last ninety days, by template and by template and subject."""
        lately = and_(_p.state != "waiting", _p.settled_at > _now - _LEARNED_FROM)
        counts = (func.count().filter(_p.state == "asked"), func.count().filter(_p.state == "wasted"))
        subject = func.lower(_p.subject).label("subject")
        query = select(_p.template, subject, *counts).where(lately).group_by(_p.template, subject)
        by_subject: dict[tuple[str, str], Tally] = {}
        by_template: dict[str, Tally] = {}
        with transaction(self._engine) as db:
            for template, name, asked, wasted in db.execute(query):
                by_subject[template, name] = Tally(asked, wasted)
                known = by_template.get(template, Tally())
                by_template[template] = Tally(known.asked + asked, known.wasted + wasted)
        return by_template, by_subject

    def tried(self) -> list[str]:
        """Return the questions that are not tried now: an answer is kept for them, or there was none; newest first."""
        query = select(_p.question).where(_p.state.in_(("waiting", "asked", "unanswered")), _p.expires_at > _now)
        with transaction(self._engine) as db:
            return list(db.execute(query.order_by(_p.id.desc())).scalars())

    def asked(self, scope: str, most: int = 200) -> list[str]:
        """Return what was asked lately in this scope, each question once, newest first."""
        last = func.max(_l.at)
        query = select(_l.asked).where(_l.scope == scope).group_by(_l.asked).order_by(last.desc()).limit(most)
        with transaction(self._engine) as db:
            return list(db.execute(query).scalars())

    def report(self, days: float) -> list[Outcome]:
        """Return what became of the predictions of so many days by template, most hits first."""
        hits = select(func.count()).where(_SERVED).scalar_subquery()
        saved = select(func.coalesce(func.sum(_l.saved_usd), 0.0)).where(_SERVED).scalar_subquery()
        each = (
            select(_p.template, _p.state, _p.cost_usd, hits.label("hits"), saved.label("saved_usd"))
            .where(_p.made_at > _now - timedelta(days=days), _p.state != "unanswered")
            .subquery()
        )
        states: Sequence[Any] = [func.count().filter(each.c.state == one) for one in ("waiting", "asked", "wasted")]
        sums: Mapping[str, Any] = {name: func.sum(each.c[name]) for name in ("cost_usd", "saved_usd")}
        of_hits = func.sum(each.c.hits).cast(Integer)
        query = select(each.c.template, func.count(), *states, of_hits, *sums.values()).group_by(each.c.template)
        with transaction(self._engine) as db:
            rows = [Outcome(*row) for row in db.execute(query)]
        return sorted(rows, key=lambda one: (-one.hits, one.template))
