"""Failures by repository and fingerprint: counted, with the newest report kept."""

from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, case, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from atra.core.errors import UnknownFailure
from atra.core.records import from_json, to_json
from atra.core.runs import new_id
from atra.self_repair.records import Failure, Report
from atra.storage.database import storable, transaction
from atra.storage.tables import failures

_now = func.clock_timestamp()


class FailureStore:
    """Keeps failures. Reports are kept as they come: redacting them is the caller's part."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, report: Report, fingerprint: str, path: str, reason: str) -> Failure:
        """Count this report under its fingerprint and return the failure as it stands now.

        A failure that was repaired and comes back is open again.

        Args:
            report: redacted.
            fingerprint: what reports of one failure share.
            path: what triage decided.
            reason: why, in words.
        """
        fresh = {
            "id": new_id("f"),
            "repository": storable(report.repository),
            "fingerprint": fingerprint,
            "error_type": storable(report.error_type),
            "message": storable(report.message),
            "origin": report.origin,
            "urgent": report.urgent,
            "path": path,
            "reason": storable(reason),
            "latest": to_json(report),
        }
        newest = {name: fresh[name] for name in ("error_type", "message", "origin", "path", "reason", "latest")}
        counted = insert(failures).values(fresh)
        counted = counted.on_conflict_do_update(
            index_elements=[failures.c.repository, failures.c.fingerprint],
            set_={
                **newest,
                "count": failures.c.count + 1,
                "urgent": or_(failures.c.urgent, counted.excluded.urgent),
                "state": case((failures.c.state == "repaired", "open"), else_=failures.c.state),
                "last_seen_at": _now,
            },
        )
        with transaction(self._engine) as db:
            return _failure(db.execute(counted.returning(failures)).one())

    def get(self, failure_id: str) -> Failure:
        """Return the failure.

        Raises:
            UnknownFailure: there is none with this id.
        """
        with transaction(self._engine) as db:
            row = db.execute(select(failures).where(failures.c.id == failure_id)).one_or_none()
        if row is None:
            raise UnknownFailure(failure_id)
        return _failure(row)

    def recent(self, limit: int = 20, *, repository: str | None = None) -> list[Failure]:
        """Return the failures seen last, newest first."""
        wanted: ColumnElement[bool] = literal_column("true")
        if repository is not None:
            wanted = failures.c.repository == repository
        query = select(failures).where(wanted).order_by(failures.c.last_seen_at.desc(), failures.c.id).limit(limit)
        with transaction(self._engine) as db:
            return [_failure(row) for row in db.execute(query)]

    def mark_repaired(self, failure_id: str) -> None:
        """Note that a repair of this failure was committed."""
        with transaction(self._engine) as db:
            db.execute(update(failures).where(failures.c.id == failure_id).values(state="repaired"))

    def count_open(self) -> int:
        """Return how many failures are open."""
        with transaction(self._engine) as db:
            return int(db.execute(select(func.count()).where(failures.c.state == "open")).scalar_one())


def _failure(row: Row[Any]) -> Failure:
    known = dict(row._mapping)
    return Failure(**{**known, "latest": from_json(Report, known["latest"])})
