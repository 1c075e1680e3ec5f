"""Paths: what the orchestrator decided of each failure, with all it knew, and what it asks the database for that."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from atra.core.records import from_json, to_json
from atra.orchestrator.paths import Path, Situation
from atra.storage.database import transaction
from atra.storage.tables import failures, paths, reports

_now = func.statement_timestamp()  # not `clock_timestamp()`: that may change meanwhile, so no index could be used
_MOST_COUNTED = 1000
_KEPT = 200


@dataclass(frozen=True)
class Decided:
    """A decision as it was taken: the path's name, why, on what knowledge, and the run that it started, if any."""

    failure_id: str
    name: str
    reasons: tuple[str, ...]
    situation: Situation
    run_id: str | None
    taken_at: datetime


def row_of(path: Path, situation: Situation) -> dict[str, Any]:
    """Return what is kept of a decision, for who keeps it in the transaction that opens its run."""
    return {"name": path.name, "reasons": to_json(path)["reasons"], "situation": to_json(situation)}


class PathStore:
    """Keeps decisions. Of a failure all that started a run stay, and the newest 200 of the others."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self, failure_id: str, path: Path, situation: Situation, run_id: str | None = None) -> None:
        """Keep a decision."""
        row = {**row_of(path, situation), "failure_id": failure_id, "run_id": run_id}
        with transaction(self._engine) as db:
            db.execute(insert(paths).values(row))
            _forget(db, failure_id)

    def of(self, failure_id: str, limit: int = 20) -> list[Decided]:
        """Return the newest decisions on a failure, newest first."""
        query = select(paths).where(paths.c.failure_id == failure_id)
        with transaction(self._engine) as db:
            rows = db.execute(query.order_by(paths.c.taken_at.desc(), paths.c.id.desc()).limit(limit)).all()
        return [_decided(row) for row in rows]

    def of_run(self, run_id: str) -> Decided | None:
        """Return the decision that started the run; None where a person or another run did."""
        query = select(paths).where(paths.c.run_id == run_id).order_by(paths.c.id).limit(1)
        with transaction(self._engine) as db:
            row = db.execute(query).one_or_none()
        return None if row is None else _decided(row)

    def lately(self, failure_id: str, window: timedelta) -> tuple[datetime, int]:
        """Return the time by the database's clock, and how many reports of a failure came within the window before.

        At least 1 and at most 1000. Reports without an id have no time of their own: they count while the failure is
        younger than the window, when all of its reports are known to have come within it, and not after that.
        """
        since = _now - window
        came = select(reports.c.id).where(reports.c.failure_id == failure_id, reports.c.received_at > since)
        counted = select(func.count()).select_from(came.limit(_MOST_COUNTED).subquery()).scalar_subquery()
        known = case((failures.c.first_seen_at > since, failures.c.count), else_=counted)
        query = select(_now, func.least(func.greatest(known, 1), _MOST_COUNTED)).where(failures.c.id == failure_id)
        with transaction(self._engine) as db:
            at, count = db.execute(query).one()
        return at, int(count)


def _forget(db: Connection, failure_id: str) -> None:
    """Forget old decisions that started nothing: a failure that is reported all day long makes one each time."""
    idle = (paths.c.failure_id == failure_id) & paths.c.run_id.is_(None)
    newest = select(paths.c.id).where(idle).order_by(paths.c.taken_at.desc(), paths.c.id.desc())
    last = newest.offset(_KEPT).limit(1).scalar_subquery()
    db.execute(delete(paths).where(idle, paths.c.id <= last))


def _decided(row: Row[Any]) -> Decided:
    situation = from_json(Situation, row.situation)
    return Decided(row.failure_id, row.name, tuple(row.reasons), situation, row.run_id, row.taken_at)
