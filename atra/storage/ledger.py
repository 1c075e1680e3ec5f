"""The ledger of model calls: what is reserved and what was spent, by run and by day.

Reservations are made one after the other, under a lock of the whole database, so that what many workers reserve at the
same time never adds up to more than a budget. A day is one of UTC, by the database's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Connection, Engine, Interval, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert

from atra.llm.budget import Bill, Budgets, Reservation, Spent, Wanted, fit
from atra.storage.database import storable, transaction
from atra.storage.tables import model_calls

_LOCK = 0x41_54_52_41
_MOST_USD = Decimal(9_999_999)  # what the columns hold; a server may claim to have used any number of tokens
_MOST_TOKENS = 2**31 - 1

_counted_usd = func.coalesce(model_calls.c.cost_usd, model_calls.c.reserved_usd)
_counted_tokens = func.coalesce(
    cast(model_calls.c.input_tokens, BigInteger) + model_calls.c.output_tokens, model_calls.c.reserved_tokens
)
# Not `clock_timestamp()`: that may change while a statement runs, so no index could be used.
_today = func.date_trunc("day", func.statement_timestamp(), "UTC")


@dataclass(frozen=True)
class Call:
    """One call of a model.

    `cost_usd` is what counts of it: while it is `reserved` or where it was `lost`, the most that it can cost. Tokens
    are None as long as nobody has said them.
    """

    id: int
    purpose: str
    name: str
    provider: str
    model: str
    state: str
    cost_usd: float
    input_tokens: int | None
    output_tokens: int | None
    finish: str | None
    error: str | None
    seconds: float | None
    created_at: datetime

    @property
    def tokens(self) -> int:
        """What it took, both ways, as far as it is known."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)


@dataclass(frozen=True)
class Spending:
    """What the calls of one configured model came to over some days, and how much of that today."""

    name: str
    calls: int
    cost_usd: float
    today_usd: float


class LedgerStore:
    """Keeps the ledger, see `atra.llm.budget.Ledger`. Safe to share between threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(self, wanted: Wanted, budgets: Budgets) -> Reservation:
        """Write a call down before it is made; see `Ledger.reserve`."""
        with transaction(self._engine) as db:
            db.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            granted = fit(wanted, _spent(db, wanted.run_id), budgets)
            row = {
                "run_id": wanted.run_id,
                "purpose": wanted.purpose,
                "name": wanted.name,
                "provider": wanted.provider,
                "model": wanted.model,
                "reserved_usd": granted.usd(granted.attempts),
                "reserved_tokens": min(granted.attempts * granted.attempt_tokens, _MOST_TOKENS),
            }
            made = db.execute(insert(model_calls).values(row).returning(model_calls.c.id)).scalar_one()
        return Reservation(made, granted)

    def settle(self, reservation: Reservation, bill: Bill) -> None:
        """Replace the worst case by what the call came to; a call that is settled stays as it is."""
        usage = bill.usage
        tokens = (
            {
                "input_tokens": min(usage.input_tokens, _MOST_TOKENS),
                "output_tokens": min(usage.output_tokens, _MOST_TOKENS),
                "cached_input_tokens": min(usage.cached_input_tokens, _MOST_TOKENS),
                "reasoning_tokens": min(usage.reasoning_tokens, _MOST_TOKENS),
            }
            if usage
            else {}
        )
        named = {"model": storable(bill.model)} if bill.model else {}
        self._close(
            reservation, bill, {"state": "settled", "cost_usd": min(bill.cost_usd, _MOST_USD), **tokens, **named}
        )

    def lose(self, reservation: Reservation, bill: Bill) -> None:
        """Note that nobody knows what the call cost; one that surely cost nothing is settled at that."""
        if bill.cost_usd:
            self._close(reservation, bill, {"state": "lost", "reserved_usd": min(bill.cost_usd, _MOST_USD)})
        else:
            nothing = {"cost_usd": 0, "input_tokens": 0, "output_tokens": 0}
            self._close(reservation, bill, {"state": "settled", **nothing})

    def spent(self, run_id: str | None) -> Spent:
        """Return what is used or reserved by the run and today."""
        with transaction(self._engine) as db:
            return _spent(db, run_id)

    def calls(self, run_id: str) -> list[Call]:
        """Return the run's calls in the order in which they were reserved."""
        columns = [column for column in model_calls.c if column.name in Call.__annotations__]
        query = select(*columns, _counted_usd.label("counted")).where(model_calls.c.run_id == run_id)
        with transaction(self._engine) as db:
            rows = db.execute(query.order_by(model_calls.c.id)).all()
        return [Call(**{**_without(row._mapping, "counted"), "cost_usd": float(row.counted)}) for row in rows]

    def spending(self, days: int = 7) -> list[Spending]:
        """Return what each model came to today and on the days before, `days` in all; the dearest first."""
        since = _today - cast(func.make_interval(0, 0, 0, days - 1), Interval)
        today = func.sum(_counted_usd).filter(model_calls.c.created_at >= _today)
        total = func.sum(_counted_usd)
        query = (
            select(model_calls.c.name, func.count(), total, func.coalesce(today, 0))
            .where(model_calls.c.created_at >= since)
            .group_by(model_calls.c.name)
            .order_by(total.desc(), model_calls.c.name)
        )
        with transaction(self._engine) as db:
            return [Spending(name, int(n), float(all_), float(now)) for name, n, all_, now in db.execute(query)]

    def _close(self, reservation: Reservation, bill: Bill, values: Mapping[str, Any]) -> None:
        closing = {
            "finish": bill.finish or None,
            "error": storable(bill.error) or None,
            "seconds": bill.seconds,
            "settled_at": func.clock_timestamp(),
        }
        with transaction(self._engine) as db:
            db.execute(
                update(model_calls)
                .where(model_calls.c.id == reservation.id, model_calls.c.state == "reserved")
                .values(**closing, **values)
            )


def _spent(db: Connection, run_id: str | None) -> Spent:
    day = select(func.coalesce(func.sum(_counted_usd), 0)).where(model_calls.c.created_at >= _today)
    run = select(func.coalesce(func.sum(_counted_usd), 0), func.coalesce(func.sum(_counted_tokens), 0))
    day_usd = db.execute(day).scalar_one()
    if run_id is None:
        return Spent(day_usd=day_usd)
    run_usd, run_tokens = db.execute(run.where(model_calls.c.run_id == run_id)).one()
    return Spent(run_usd, int(run_tokens), day_usd)


def _without(row: Mapping[Any, Any], name: str) -> dict[str, Any]:
    return {str(key): value for key, value in row.items() if key != name}
