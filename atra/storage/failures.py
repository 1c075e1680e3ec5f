"""Failures by repository and fingerprint: counted, with the newest report kept."""

from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from atra.core.errors import UnknownFailure
from atra.core.records import from_json, to_json
from atra.core.runs import new_id
from atra.self_repair.records import Failure, Report
from atra.storage.database import storable, transaction
from atra.storage.tables import failures, reports

_now = func.clock_timestamp()
_LONGEST_ID = 100
_KEPT_DAYS = 30


class FailureStore:
    """Keeps failures. Reports are kept as they come: redacting them is the caller's part."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, report: Report, fingerprint: str, path: str, reason: str) -> Failure:
        """Count this report under its fingerprint and return the failure as it stands now; asked twice, count once.

        A report without an id is counted every time. The state stays as it is: whether a repaired failure that is
        reported again is a regression depends on the revision. What is said of a regressed one stays said.

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
        newest = {name: fresh[name] for name in ("error_type", "message", "origin", "latest")}
        decided = {name: _unless_regressed(failures.c[name], fresh[name]) for name in ("path", "reason")}
        counted = insert(failures).values(fresh)
        counted = counted.on_conflict_do_update(
            index_elements=[failures.c.repository, failures.c.fingerprint],
            set_={
                **newest,
                **decided,
                "count": failures.c.count + 1,
                "urgent": or_(failures.c.urgent, counted.excluded.urgent),
                "last_seen_at": _now,
            },
        )
        this = and_(failures.c.repository == fresh["repository"], failures.c.fingerprint == fingerprint)
        with transaction(self._engine) as db:
            if report.id:
                db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(fingerprint, 0))))
                taken = failures.join(reports, and_(reports.c.failure_id == failures.c.id, reports.c.id == _id(report)))
                if known := db.execute(select(failures).select_from(taken).where(this)).one_or_none():
                    return _failure(known)
            row = db.execute(counted.returning(failures)).one()
            if report.id:
                _remember(db, row.id, report)
            return _failure(row)

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
        """Note that a repair of this failure was committed; what was said of an earlier one that failed is over."""
        anew = {"path": "repair", "reason": "repaired again, after an earlier fix had failed"}
        values = {
            name: case((failures.c.state == "regressed", said), else_=failures.c[name]) for name, said in anew.items()
        }
        with transaction(self._engine) as db:
            db.execute(update(failures).where(failures.c.id == failure_id).values(state="repaired", **values))

    def mark_open(self, failure_id: str) -> None:
        """Note that the repair of this failure is undone."""
        with transaction(self._engine) as db:
            this = and_(failures.c.id == failure_id, failures.c.state == "repaired")
            db.execute(update(failures).where(this).values(state="open"))

    def mark_regressed(self, failure_id: str, reason: str) -> None:
        """Note that this failure came back although its fix is in: it is urgent from now on, and for more than one."""
        values = {"state": "regressed", "urgent": True, "path": "escalate", "reason": storable(reason)}
        with transaction(self._engine) as db:
            db.execute(update(failures).where(failures.c.id == failure_id).values(values))

    def say(self, failure_id: str, path: str, reason: str) -> None:
        """Write down what is done about the newest report, and why."""
        with transaction(self._engine) as db:
            said = update(failures).where(failures.c.id == failure_id, failures.c.state != "regressed")
            db.execute(said.values(path=path, reason=storable(reason)))

    def count_open(self) -> int:
        """Return how many failures are open or came back after their repair."""
        with transaction(self._engine) as db:
            return int(db.execute(select(func.count()).where(failures.c.state.in_(("open", "regressed")))).scalar_one())


def _id(report: Report) -> str:
    return storable(report.id)[:_LONGEST_ID]


def _remember(db: Connection, failure_id: str, report: Report) -> None:
    """Write down that the report was counted, and forget those that nobody sends again."""
    row = {"failure_id": failure_id, "id": _id(report), "revision": storable(report.revision)[:_LONGEST_ID]}
    db.execute(insert(reports).values(row))
    db.execute(delete(reports).where(reports.c.received_at < _now - text(f"interval '{_KEPT_DAYS} days'")))


def _unless_regressed(column: Column[Any], value: Any) -> Any:
    return case((failures.c.state == "regressed", column), else_=value)


def _failure(row: Row[Any]) -> Failure:
    known = dict(row._mapping)
    return Failure(**{**known, "latest": from_json(Report, known["latest"])})
