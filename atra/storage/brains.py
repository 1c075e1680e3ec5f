"""Versions of the brain as the database knows them: which one serves, what each was shown to be worth, how it does.

This is the truth; the link on the disk follows it. Whoever takes the place of another says whose: where somebody was
first, nothing changes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql

from atra.core.errors import BadInput
from atra.core.records import from_json, to_json
from atra.local_brain.confidence import Calibration
from atra.local_brain.evaluation import EvaluationSet, Said
from atra.local_brain.gate import Verdict
from atra.local_brain.health import Outcome
from atra.local_brain.leading import Measured
from atra.local_brain.versions import Lineage, Version
from atra.storage.data_sets import hold_data_sets
from atra.storage.database import storable, storable_json, transaction
from atra.storage.tables import (
    brain_answers,
    brain_changes,
    brain_evaluations,
    brain_uses,
    brains,
    data_set_rows,
    data_sets,
    runs,
    trace_runs,
)

State = Literal["candidate", "serving", "retired", "refused"]
Side = Literal["candidate", "present"]

_now = func.clock_timestamp()
_b, _e = brains.c, brain_evaluations.c
_REMEMBERED = timedelta(days=30)


@dataclass(frozen=True)
class Brain:
    """A version as it stands.

    Args:
        why: it is in this state.
        withdrawn: why nothing may be made of what it learned from; empty where all is well.
        leads: whether repairs come sooner where it says where to look; None until that is measured.
        served_at: since when it serves, or when it last began to.
    """

    id: str
    path: str
    lineage: Lineage
    state: State
    why: str
    calibration: Calibration | None
    leads: Measured | None
    withdrawn: str
    added_at: datetime
    served_at: datetime | None


@dataclass(frozen=True)
class Evaluation:
    """A candidate against what served then.

    Args:
        against: the id of a brain, the folder of a base model, or empty for nothing.
        target: the hash of what it is to be better at.
        tries: the evaluations that were opened before on a target that shares a question with this one.
        verdict: None until it is judged.
    """

    id: str
    brain_id: str
    against: str
    target: str
    sets: Sequence[dict[str, Any]]
    tries: int
    contaminated: int | None
    verdict: Verdict | None
    opened_at: datetime


@dataclass(frozen=True)
class Change:
    """Who began to serve in whose place; empty ids for nobody."""

    brain_id: str
    replaced: str
    kind: Literal["promotion", "override", "rollback"]
    why: str
    at: datetime


class BrainStore:
    """Keeps versions, what they were shown to be worth, and which one serves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, version: Version) -> Brain:
        """Take a version that was admitted as a candidate, and return it; one that is known stays as it is.

        This is what a training calls when `versions.admit` has given it a version: nothing else makes a candidate.
        """
        row = {
            "id": version.id,
            "path": str(version.path),
            "lineage": to_json(version.lineage),
            "data_set": version.lineage.data_set,
        }
        with transaction(self._engine) as db:
            db.execute(postgresql.insert(brains).values(row).on_conflict_do_nothing())
        return self.get(version.id)

    def get(self, id: str) -> Brain:
        """Return a brain by its id or by the beginning of it.

        Raises:
            BadInput: none begins so, or several do.
        """
        found = [one for one in self.all() if id and one.id.startswith(id)]
        if len(found) != 1:
            raise BadInput(f"several brains begin with {id}" if found else f"there is no brain {id[:64]}")
        return found[0]

    def all(self) -> list[Brain]:
        """Return every brain, newest first."""
        with transaction(self._engine) as db:
            return _all(db)

    def serving(self) -> str:
        """Return the id of the brain that serves; empty where none does."""
        with transaction(self._engine) as db:
            return _serving(db)

    def promote(self, id: str, *, replacing: str, why: str, override: bool = False) -> bool:
        """Let the brain serve in the place of another; return whether it does: not where somebody else was first.

        Args:
            replacing: the id of the one that serves; empty for none.

        Raises:
            BadInput: what it learned from was withdrawn.
        """
        with transaction(self._engine) as db:
            _hold(db)
            if _serving(db) != replacing:
                return False
            brain = next(one for one in _all(db) if one.id == id)
            if brain.withdrawn:
                raise BadInput(f"brain {id[:12]} may not serve: {brain.withdrawn}")
            if id != replacing:
                _change(db, id, replacing, "override" if override else "promotion", why, left="retired")
        return True

    def retired(self) -> list[Brain]:
        """Return the brains that served before and may again, the last one first."""
        with transaction(self._engine) as db:
            return _retired(db)

    def roll_back(self, id: str, why: str, *, lost: Collection[str] = ()) -> str | None:
        """Take this brain out of service for good, and put the one before it back; None where it does not serve.

        Args:
            lost: the ids of those that cannot be used, though they may.

        Returns:
            The id of the brain that serves now: of those that served before, the last that may still be used. Empty
            where there is none.
        """
        with transaction(self._engine) as db:
            _hold(db)
            if not id or _serving(db) != id:
                return None
            before = next((one.id for one in _retired(db) if one.id not in lost), "")
            _change(db, before, id, "rollback", why, left="refused")
        return before

    def ancestry(self, id: str) -> list[Brain]:
        """Return the brain and those it was trained from, as far as they are known."""
        known = {one.id: one for one in self.all()}
        return list(_ancestry(known[id], known))

    def changes(self, limit: int = 20) -> list[Change]:
        """Return who took whose place, newest first."""
        query = select(brain_changes).order_by(brain_changes.c.id.desc()).limit(limit)
        with transaction(self._engine) as db:
            rows = db.execute(query).all()
        return [Change(row.brain_id or "", row.replaced or "", row.kind, row.why, row.at) for row in rows]

    def open_evaluation(self, id: str, against: str, sets: Sequence[EvaluationSet]) -> Evaluation:
        """Note that this brain is to be compared on these sets, and return that; the same again is the same one.

        It counts as a try on its target from now on, judged or not: nobody looks twice for the price of one. A target
        is looked at again where one of its questions is: an item that is changed, added or left out makes no fresh one.
        """
        told = [{"name": one.name, "kind": one.kind, "hash": one.hash, "items": len(one.items)} for one in sets]
        target = next(one for one in sets if one.kind == "target")
        key = sha256(storable_json([id, against, sorted(one.hash for one in sets)]).encode()).hexdigest()
        row = {"id": key, "brain_id": id, "against": against, "target": target.hash, "sets": told}
        questions = target.questions
        looked_at = or_(_e.target == target.hash, _e.questions.overlap(questions))
        with transaction(self._engine) as db:
            _hold(db)
            if db.execute(select(_e.id).where(_e.id == key)).one_or_none() is None:
                tries = db.execute(select(func.count()).where(looked_at)).scalar_one()
                db.execute(insert(brain_evaluations).values(**row, questions=questions, tries=tries))
        return self.evaluation(key)

    def evaluation(self, id: str) -> Evaluation:
        """Return an evaluation by its id."""
        with transaction(self._engine) as db:
            return _evaluation(db.execute(select(brain_evaluations).where(_e.id == id)).one())

    def evaluations(self, brain_id: str) -> list[Evaluation]:
        """Return a brain's evaluations, newest first."""
        query = select(brain_evaluations).where(_e.brain_id == brain_id).order_by(_e.opened_at.desc(), _e.id)
        with transaction(self._engine) as db:
            return [_evaluation(row) for row in db.execute(query)]

    def keep_answer(self, evaluation: str, side: Side, set: str, said: Said) -> None:
        """Keep what one side said to an item; what is there stays."""
        row = {**to_json(said), "said": storable(said.said), "evaluation_id": evaluation, "side": side, "set": set}
        with transaction(self._engine) as db:
            db.execute(postgresql.insert(brain_answers).values(row).on_conflict_do_nothing())

    def answers(self, evaluation: str) -> dict[tuple[Side, str], list[Said]]:
        """Return what was said, by side and set, in order of the items' ids."""
        kept = brain_answers.c
        query = select(brain_answers).where(kept.evaluation_id == evaluation).order_by(kept.item)
        found: dict[tuple[Side, str], list[Said]] = {}
        with transaction(self._engine) as db:
            for row in db.execute(query):
                said = Said(row.item, row.right, row.trace, row.seconds, row.confidence, row.said)
                found.setdefault((row.side, row.set), []).append(said)
        return found

    def settle(self, evaluation: str, verdict: Verdict, contaminated: int, calibration: Calibration) -> None:
        """Keep what an evaluation came to, once, and with its brain how sure it can be.

        Items that it had learned from say nothing of that: then what was known of it before stays.
        A candidate that was not good enough is refused, and one that was is a candidate again; what serves or served
        stays what it is.
        """
        judged = {"verdict": to_json(verdict), "contaminated": contaminated, "judged_at": _now}
        these = update(brain_evaluations).where(_e.id == evaluation, _e.verdict.is_(None)).returning(_e.brain_id)
        state = "candidate" if verdict.promote else "refused"
        why = "; ".join(f"{check.name}: {check.said}" for check in verdict.checks if not check.passed)
        with transaction(self._engine) as db:
            if (of := db.execute(these.values(judged)).scalar_one_or_none()) is None:
                return
            if not contaminated:
                db.execute(update(brains).where(_b.id == of).values(calibration=to_json(calibration)))
            new = update(brains).where(_b.id == of, _b.state.in_(("candidate", "refused")), _b.served_at.is_(None))
            db.execute(new.values(state=state, why=why))

    def keep_leads(self, id: str, measured: Measured) -> None:
        """Keep whether repairs come sooner by this brain's leads; the last measurement counts."""
        with transaction(self._engine) as db:
            db.execute(update(brains).where(_b.id == id).values(leads=to_json(measured)))

    def unlearned_repairs(self, id: str, days: int) -> list[str]:
        """Return the repairs of the last days that were proved and that this brain did not learn from, newest first."""
        held = select(trace_runs.c.run_id).join(data_set_rows, data_set_rows.c.trace_id == trace_runs.c.trace_id)
        learned = held.where(data_set_rows.c.data_set_id.in_([one.lineage.data_set for one in self.ancestry(id)]))
        fixed = runs.c.kind == "self_repair", runs.c.outcome == "fixed", runs.c.ended_at > _now - timedelta(days=days)
        query = select(runs.c.id).where(*fixed, runs.c.id.not_in(learned)).order_by(runs.c.ended_at.desc(), runs.c.id)
        with transaction(self._engine) as db:
            return list(db.execute(query).scalars())

    def use(self, id: str, outcome: Outcome, seconds: float, confidence: float | None) -> None:
        """Keep how the brain did on one question."""
        row = {"brain_id": id, "outcome": outcome, "seconds": seconds, "confidence": confidence}
        with transaction(self._engine) as db:
            db.execute(insert(brain_uses).values(row))

    def uses(self, id: str, limit: int) -> list[Outcome]:
        """Return how the brain did on its last questions since it last began to serve, newest first."""
        since = select(_b.served_at).where(_b.id == id).scalar_subquery()
        these = brain_uses.c.brain_id == id, brain_uses.c.at >= since
        query = select(brain_uses.c.outcome).where(*these).order_by(brain_uses.c.id.desc()).limit(limit)
        with transaction(self._engine) as db:
            return list(db.execute(query).scalars())

    def forget(self) -> None:
        """Forget uses that are older than a month."""
        with transaction(self._engine) as db:
            db.execute(delete(brain_uses).where(brain_uses.c.at < _now - _REMEMBERED))


def learned_from(db: Connection, withdrawn: Sequence[str]) -> list[str]:
    """Return the ids of the brains that learned from one of these data sets, themselves or through their base."""
    held = {one.id: one for one in _all(db) if one.withdrawn}
    return sorted(
        id for id, one in held.items() if any(found.lineage.data_set in withdrawn for found in _ancestry(one, held))
    )


def _hold(db: Connection) -> None:
    """Let nobody else change what serves, nor withdraw a data set, until this transaction ends."""
    hold_data_sets(db)
    db.execute(text("LOCK TABLE brains IN SHARE ROW EXCLUSIVE MODE"))


def _all(db: Connection) -> list[Brain]:
    withdrawn = func.coalesce(data_sets.c.withdrawn_why, "").label("withdrawn")
    joined = brains.outerjoin(data_sets, and_(data_sets.c.id == _b.data_set, data_sets.c.withdrawn_at.is_not(None)))
    query = select(brains, withdrawn).select_from(joined).order_by(_b.added_at.desc(), _b.id)
    return _with_ancestors([_brain(row) for row in db.execute(query)])


def _retired(db: Connection) -> list[Brain]:
    """Return the brains that served before and may again, the last one first."""
    usable = [one for one in _all(db) if one.state == "retired" and one.served_at and not one.withdrawn]
    return sorted(usable, key=lambda one: one.served_at or one.added_at, reverse=True)


def _serving(db: Connection) -> str:
    return db.execute(select(_b.id).where(_b.state == "serving")).scalar_one_or_none() or ""


def _change(db: Connection, id: str, replaced: str, kind: str, why: str, *, left: State) -> None:
    """Take one out of service, put another in, and note both."""
    why = storable(why)
    if replaced:
        db.execute(update(brains).where(_b.id == replaced).values(state=left, why=why))
    if id:
        db.execute(update(brains).where(_b.id == id).values(state="serving", why=why, served_at=_now))
    row = {"brain_id": id or None, "replaced": replaced or None, "kind": kind, "why": why}
    db.execute(insert(brain_changes).values(row))


def _with_ancestors(found: list[Brain]) -> list[Brain]:
    """Return the brains, each withdrawn too where one that it was trained from is."""
    known = {one.id: one for one in found}
    why = {one.id: next((old.withdrawn for old in _ancestry(one, known) if old.withdrawn), "") for one in found}
    return [replace(one, withdrawn=why[one.id]) for one in found]


def _ancestry(brain: Brain, known: Mapping[str, Brain]) -> Iterator[Brain]:
    """Yield the brain, the one it was trained from, and so on, as far as they are known."""
    seen = set()
    found: Brain | None = brain
    while found is not None and found.id not in seen:
        yield found
        seen.add(found.id)
        found = known.get(found.lineage.base.rstrip("/").rpartition("/")[2])


def _brain(row: Row[Any]) -> Brain:
    return Brain(
        row.id,
        row.path,
        from_json(Lineage, row.lineage),
        row.state,
        row.why,
        None if row.calibration is None else from_json(Calibration, row.calibration),
        None if row.leads is None else from_json(Measured, row.leads),
        row.withdrawn,
        row.added_at,
        row.served_at,
    )


def _evaluation(row: Row[Any]) -> Evaluation:
    verdict = None if row.verdict is None else from_json(Verdict, row.verdict)
    return Evaluation(
        row.id, row.brain_id, row.against, row.target, row.sets, row.tries, row.contaminated, verdict, row.opened_at
    )
