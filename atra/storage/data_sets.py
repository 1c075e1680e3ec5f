"""Data sets that were built: what each holds, and whether it may still be learned from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Row, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from atra.storage.database import transaction
from atra.storage.tables import data_set_rows, data_sets, traces

_BATCH = 5000
_REVOKED = "a trace it holds was revoked"


@dataclass(frozen=True)
class DataSet:
    """A data set as it is known here; `withdrawn_at` since when nothing may be learned from it."""

    id: str
    path: str
    summary: Mapping[str, Any]
    created_at: datetime
    withdrawn_at: datetime | None = None
    withdrawn_why: str = ""


class DataSetStore:
    """Keeps data sets; their rows lie in files."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, id: str, path: str, summary: Mapping[str, Any], trace_ids: Iterable[str]) -> DataSet:
        """Keep what was built, and return it as it stands: withdrawn where a trace was revoked while it was built.

        One that is known already stays as it is.
        """
        waiting = iter(trace_ids)
        with transaction(self._engine) as db:
            hold_data_sets(db)
            put = insert(data_sets).values(id=id, path=path, summary=dict(summary)).on_conflict_do_nothing()
            if db.execute(put.returning(data_sets.c.id)).one_or_none():
                while batch := [{"data_set_id": id, "trace_id": one} for one in islice(waiting, _BATCH)]:
                    db.execute(insert(data_set_rows), batch)
                withdraw_revoked(db)
            return _data_set(db.execute(select(data_sets).where(data_sets.c.id == id)).one())

    def recent(self, limit: int = 20) -> list[DataSet]:
        """Return the newest data sets first."""
        query = select(data_sets).order_by(data_sets.c.created_at.desc(), data_sets.c.id).limit(limit)
        with transaction(self._engine) as db:
            return [_data_set(row) for row in db.execute(query)]

    def find(self, prefix: str) -> list[DataSet]:
        """Return the data sets whose ids begin so, at most two."""
        query = select(data_sets).where(data_sets.c.id.startswith(prefix, autoescape=True)).limit(2)
        with transaction(self._engine) as db:
            return [_data_set(row) for row in db.execute(query)]

    def holding(self, trace_id: str) -> list[str]:
        """Return the ids of the data sets that hold this trace."""
        query = select(data_set_rows.c.data_set_id).where(data_set_rows.c.trace_id == trace_id)
        with transaction(self._engine) as db:
            return sorted(db.execute(query).scalars())


def hold_data_sets(db: Connection) -> None:
    """Let nobody else register or revoke until this transaction ends, so that neither overlooks the other."""
    db.execute(text("LOCK TABLE data_sets IN SHARE ROW EXCLUSIVE MODE"))


def withdraw_revoked(db: Connection) -> list[str]:
    """Withdraw every data set that holds a revoked trace and is not withdrawn; return their ids."""
    revoked = exists().where(
        data_set_rows.c.data_set_id == data_sets.c.id,
        data_set_rows.c.trace_id == traces.c.id,
        traces.c.revoked_at.is_not(None),
    )
    gone = update(data_sets).where(data_sets.c.withdrawn_at.is_(None), revoked)
    stamped = gone.values(withdrawn_at=func.clock_timestamp(), withdrawn_why=_REVOKED)
    return sorted(db.execute(stamped.returning(data_sets.c.id)).scalars())


def _data_set(row: Row[Any]) -> DataSet:
    return DataSet(row.id, row.path, row.summary, row.created_at, row.withdrawn_at, row.withdrawn_why)
