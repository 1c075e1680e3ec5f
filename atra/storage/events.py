"""The journal of a step: what it did, event by event, enough to go on after a kill and to be replayed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from atra.core.errors import LeaseLost
from atra.core.runs import Claim
from atra.storage.database import transaction
from atra.storage.runs import held_by
from atra.storage.tables import events, steps


@dataclass(frozen=True)
class Event:
    """One entry of a step's journal. `position` counts from 0 within the step and shard, without gaps."""

    step: str
    shard: int
    position: int
    event: Mapping[str, Any]
    created_at: datetime


class EventStore:
    """Keeps journals. Safe to share between threads; what is written must be redacted by now."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, claim: Claim, event: Mapping[str, Any]) -> int:
        """Write the next event of the step that is held by this claim, and return its position.

        The step's row is locked meanwhile, so the events of a worker that lost its step never stand among those of the
        one that took it over.

        Raises:
            LeaseLost: another worker took the step, or it is settled; nothing was written.
        """
        this = _of(claim.run.id, claim.name, claim.shard)
        with transaction(self._engine) as db:
            locked = select(steps.c.fence).where(held_by(claim)).with_for_update(key_share=True)
            if db.execute(locked).one_or_none() is None:
                raise LeaseLost(claim.run.id, claim.name)
            position = db.execute(select(func.coalesce(func.max(events.c.position) + 1, 0)).where(*this)).scalar_one()
            db.execute(
                insert(events).values(
                    run_id=claim.run.id, step=claim.name, shard=claim.shard, position=position, event=dict(event)
                )
            )
        return int(position)

    def of(self, run_id: str, step: str | None = None, shard: int | None = None) -> list[Event]:
        """Return the run's events, or those of one step or shard, in order of step, shard and position."""
        query = (
            select(events.c.step, events.c.shard, events.c.position, events.c.event, events.c.created_at)
            .where(*_of(run_id, step, shard))
            .order_by(events.c.step, events.c.shard, events.c.position)
        )
        with transaction(self._engine) as db:
            return [Event(**row._mapping) for row in db.execute(query)]


def _of(run_id: str, step: str | None, shard: int | None) -> list[Any]:
    wanted = ((events.c.run_id, run_id), (events.c.step, step), (events.c.shard, shard))
    return [column == value for column, value in wanted if value is not None]
