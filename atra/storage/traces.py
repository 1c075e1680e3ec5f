"""Traces as they were kept: added once, never changed, and at most revoked."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, exists, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from atra.core.records import from_json, to_json
from atra.distillation.policy import Rule
from atra.distillation.traces import Origin, Permission, Trace
from atra.storage.brains import learned_from
from atra.storage.data_sets import hold_data_sets, withdraw_revoked
from atra.storage.database import storable, transaction
from atra.storage.tables import judgements, runs, trace_runs, traces, training_rules

_BATCH = 1000
_now = func.clock_timestamp()
_left = trace_runs.c
_ORIGIN = tuple(field.name for field in fields(Origin))


@dataclass(frozen=True)
class Revoked:
    """How many traces were revoked now, and the ids of the data sets that were withdrawn with them.

    Args:
        brains: the ids of those that learned from a withdrawn data set, or were trained from one that did.
    """

    traces: int = 0
    data_sets: tuple[str, ...] = ()
    brains: tuple[str, ...] = ()


class TraceStore:
    """Keeps traces. They are kept as they come: redacting them is the caller's part."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, *given: Trace) -> int:
        """Keep traces; return how many were new. One that is there already stays as it is, revoked or not.

        Another run that left the same words is noted with it: it can be revoked by either.
        """
        known = [_storable(trace) for trace in given]
        rows = {trace.id: _row(trace) for trace in reversed(known)}
        if not rows:
            return 0
        put = insert(traces).values([rows[key] for key in sorted(rows)]).on_conflict_do_nothing()
        left = sorted({(trace.id, trace.origin.run_id) for trace in known if trace.origin.run_id})
        with transaction(self._engine) as db:
            count = len(db.execute(put.returning(traces.c.id)).all())
            if left:
                db.execute(insert(trace_runs).values(left).on_conflict_do_nothing())
            return count

    def get(self, trace_id: str) -> Trace | None:
        """Return a trace by its id."""
        with transaction(self._engine) as db:
            row = db.execute(select(traces).where(traces.c.id == trace_id)).one_or_none()
        return None if row is None else _trace(row)

    def of_run(self, run_id: str) -> list[Trace]:
        """Return the traces that a run left, oldest first."""
        query = select(traces).where(_left_by(run_id)).order_by(traces.c.created_at, traces.c.id)
        with transaction(self._engine) as db:
            return [_trace(row) for row in db.execute(query)]

    def all(self) -> Iterator[Trace]:
        """Yield every trace that is not revoked, by id; a short transaction for each thousand."""
        last = ""
        while True:
            query = select(traces).where(traces.c.id > last, traces.c.revoked_at.is_(None))
            with transaction(self._engine) as db:
                rows = db.execute(query.order_by(traces.c.id).limit(_BATCH)).all()
            yield from map(_trace, rows)
            if len(rows) < _BATCH:
                return
            last = rows[-1].id

    def since(self, instant: datetime) -> int:
        """Return how many traces were kept after this instant."""
        query = select(func.count()).select_from(traces).where(traces.c.created_at > instant)
        with transaction(self._engine) as db:
            return int(db.execute(query).scalar_one())

    def revoke(
        self,
        why: str,
        *,
        ids: Sequence[str] = (),
        provider: str | None = None,
        model: str | None = None,
        tenant: str | None = None,
        run_id: str | None = None,
    ) -> Revoked:
        """Take back the permission for traces for good, and withdraw every data set that holds one of them.

        Args:
            ids: these, of those that all other arguments say together. Without any argument, none.
            model: may hold `*` for any letters.
        """
        wanted: list[ColumnElement[bool]] = [traces.c.id.in_(ids)] if ids else []
        for column, value in ((traces.c.provider, provider), (traces.c.tenant, tenant)):
            wanted += [column == value] if value is not None else []
        if run_id is not None:
            wanted.append(_left_by(run_id))
        if model is not None:
            wanted.append(traces.c.model.like(_pattern(model), escape="\\"))
        if not wanted:
            return Revoked()
        gone = (
            update(traces)
            .where(traces.c.revoked_at.is_(None), *wanted)
            .values(revoked_at=_now, revoked_why=storable(why))
        )
        with transaction(self._engine) as db:
            hold_data_sets(db)
            count = db.execute(gone).rowcount
            withdrawn = tuple(withdraw_revoked(db))
            return Revoked(count, withdrawn, tuple(learned_from(db, withdrawn)))

    def decide(self, rule: Rule) -> None:
        """Keep what somebody decided about learning from traces; it counts before what was decided earlier."""
        with transaction(self._engine) as db:
            db.execute(insert(training_rules).values(rule=to_json(rule)))

    def decided(self) -> list[tuple[Rule, datetime]]:
        """Return what was decided and when, newest first."""
        with transaction(self._engine) as db:
            rows = db.execute(select(training_rules).order_by(training_rules.c.id.desc())).all()
        return [(from_json(Rule, row.rule), row.decided_at) for row in rows]

    def unlearned(self, kind: str, outcome: str, source: str, days: int) -> Iterator[str]:
        """Yield the ids of runs that ended so in the last days and left no trace of this source yet, oldest first."""
        has_one = exists().where(_left.run_id == runs.c.id, _left.trace_id == traces.c.id, traces.c.source == source)
        ended = runs.c.kind == kind, runs.c.outcome == outcome, runs.c.ended_at > _now - timedelta(days=days), ~has_one
        last: tuple[Any, str] | None = None
        while True:
            query = select(runs.c.ended_at, runs.c.id).where(*ended)
            if last is not None:
                query = query.where(tuple_(runs.c.ended_at, runs.c.id) > last)
            with transaction(self._engine) as db:
                rows = db.execute(query.order_by(runs.c.ended_at, runs.c.id).limit(_BATCH)).all()
            yield from (row.id for row in rows)
            if len(rows) < _BATCH:
                return
            last = (rows[-1].ended_at, rows[-1].id)

    def regressed(self) -> list[str]:
        """Return the ids of repairs whose traces count as proved, and whose failure came back although it was in."""
        watch = exists().where(runs.c.id == func.concat("w", func.substr(_left.run_id, 2)), runs.c.kind == "watch")
        kept = _left.trace_id == traces.c.id, traces.c.source == "repair", traces.c.revoked_at.is_(None), watch
        with transaction(self._engine) as db:
            return list(db.execute(select(_left.run_id).where(*kept).distinct()).scalars())

    def right_experts(self, run_id: str) -> set[str]:
        """Return the seats of a room that were right, as a verified repair judged them later."""
        query = select(judgements.c.expert).where(judgements.c.run_id == run_id, judgements.c.right)
        with transaction(self._engine) as db:
            return set(db.execute(query).scalars())

    def counts(self) -> list[tuple[str, str, str, str, bool, int, int]]:
        """Return (source, provider, model, kind, allowed at capture, how many, how many of them revoked)."""
        by = (traces.c.source, traces.c.provider, traces.c.model, traces.c.kind, traces.c.allowed)
        query = select(*by, func.count(), func.count(traces.c.revoked_at)).group_by(*by).order_by(*by)
        with transaction(self._engine) as db:
            return [tuple(row) for row in db.execute(query)]


def _left_by(run_id: str) -> ColumnElement[bool]:
    return traces.c.id.in_(select(_left.trace_id).where(_left.run_id == run_id))


def _pattern(model: str) -> str:
    for special in ("\\", "%", "_"):
        model = model.replace(special, f"\\{special}")
    return model.replace("*", "%")


def _storable(trace: Trace) -> Trace:
    """Return the trace as the database can hold it; its id is of these words."""
    words: dict[str, Any] = {name: storable(getattr(trace, name)) for name in ("prompt", "reasoning", "answer")}
    told = asdict(trace.origin)
    origin: dict[str, Any] = {
        name: storable(value) if isinstance(value, str) else value for name, value in told.items()
    }
    return replace(trace, **words, origin=Origin(**origin))


def _row(trace: Trace) -> dict[str, Any]:
    return {
        "id": trace.id,
        "kind": trace.kind,
        "prompt": trace.prompt,
        "reasoning": trace.reasoning,
        "answer": trace.answer,
        **asdict(trace.origin),
        "allowed": trace.permission.allowed,
        "why": trace.permission.why,
        "policy": trace.permission.policy,
    }


def _trace(row: Row[Any]) -> Trace:
    return Trace(
        row.prompt,
        row.reasoning,
        row.answer,
        row.kind,
        Origin(**{name: getattr(row, name) for name in _ORIGIN}),
        Permission(row.allowed, row.why, row.policy),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
