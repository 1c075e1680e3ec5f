"""Runs and steps: claim, heartbeat, settle, and finding what is stuck.

All instants are the database's (`clock_timestamp()`), so a worker whose clock jumps neither loses nor steals a step.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Interval, Row, and_, cast, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from atra.core.errors import AmbiguousRun, LeaseLost, RunConflict, UnknownRun
from atra.core.records import to_json
from atra.core.runs import OVERDUE, Claim, Ending, Excused, Opening, Plan, Pulse, Refusal, Run, Step
from atra.storage.database import storable, transaction
from atra.storage.tables import paths, runs, steps

_now = func.clock_timestamp()

PATIENCE_S = 10.0
"""How long a message may lie in a queue before the run is sent again the first time; doubled with every sending."""

_LONGEST_PATIENCE_S = 600.0
_NAMED = 5  # of several runs that could be meant


def _after(seconds: float | ColumnElement[float]) -> ColumnElement[Any]:
    return _now + cast(func.make_interval(0, 0, 0, 0, 0, 0, seconds), Interval)


class RunStore:
    """Keeps runs and steps. Safe to share between threads; each call is one transaction."""

    def __init__(self, engine: Engine, *, patience_s: float = PATIENCE_S) -> None:
        self._engine = engine
        self._patience_s = patience_s

    def open(
        self,
        run_id: str,
        plan: Plan,
        given: Mapping[str, Any],
        failure_id: str | None = None,
        *,
        decided: Mapping[str, Any] | None = None,
    ) -> Run:
        """Write down that this flow should happen, and return it; opening the same id again changes nothing.

        Args:
            decided: why, where the orchestrator decided it for a failure; see `Opening`.

        Raises:
            RunConflict: the failure has another open run.
        """
        try:
            with transaction(self._engine) as db:
                _open(db, Opening(run_id, plan, given, failure_id, decided))
        except IntegrityError as error:
            raise RunConflict(failure_id, self._open_run_of(failure_id)) from error
        return self.get(run_id)

    def get(self, run_id: str) -> Run:
        """Return the run.

        Raises:
            UnknownRun: there is none with this id.
        """
        with transaction(self._engine) as db:
            row = db.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
        if row is None:
            raise UnknownRun(run_id)
        return _run(row)

    def find(self, prefix: str) -> Run:
        """Return the one run whose id starts with the prefix.

        Raises:
            UnknownRun: none does.
            AmbiguousRun: several do; the newest of them are named.
        """
        these = select(runs).where(runs.c.id.startswith(prefix, autoescape=True))
        with transaction(self._engine) as db:
            rows = db.execute(these.order_by(runs.c.created_at.desc()).limit(_NAMED + 1)).all()
        if not rows:
            raise UnknownRun(prefix)
        if len(rows) > 1 or not prefix:
            more = ", …" if len(rows) > _NAMED else ""
            raise AmbiguousRun(prefix, ", ".join(row.id for row in rows[:_NAMED]) + more)
        return _run(rows[0])

    def recent(self, limit: int = 20, *, failure_id: str | None = None) -> list[Run]:
        """Return the newest runs, newest first."""
        query = select(runs).order_by(runs.c.created_at.desc(), runs.c.id).limit(limit)
        if failure_id is not None:
            query = query.where(runs.c.failure_id == failure_id)
        with transaction(self._engine) as db:
            return [_run(row) for row in db.execute(query)]

    def steps(self, run_id: str) -> list[Step]:
        """Return the run's steps in order of position and shard."""
        query = select(steps).where(steps.c.run_id == run_id).order_by(steps.c.position, steps.c.shard)
        with transaction(self._engine) as db:
            return [_step(row) for row in db.execute(query)]

    def outputs(self, run_id: str, name: str) -> list[Any]:
        """Return what the settled shards of a step put out, in order of shard."""
        query = (
            select(steps.c.output)
            .where(steps.c.run_id == run_id, steps.c.name == name, steps.c.state == "settled")
            .order_by(steps.c.shard)
        )
        with transaction(self._engine) as db:
            return list(db.execute(query).scalars())

    def claim(
        self, run_id: str, name: str, shard: int, *, owner: str, lease_s: float, max_attempts: int
    ) -> Claim | Refusal:
        """Take the step for `lease_s` seconds, or say why it cannot be taken now.

        A lease that ran out counts as an attempt; the attempt after the last one allowed ends the run as `error`, or,
        where the step is excusable, settles it as excused.
        """
        this = and_(steps.c.run_id == run_id, steps.c.name == name, steps.c.shard == shard)
        with transaction(self._engine) as db:
            run_row = db.execute(select(runs).where(runs.c.id == run_id).with_for_update(key_share=True)).one_or_none()
            if run_row is None:
                raise UnknownRun(run_id)
            step = db.execute(select(steps, (steps.c.lease_until > _now).label("held")).where(this)).one()
            if why := _refusal(db, run_row, step):
                return Refusal(why)  # type: ignore[arg-type]
            if step.excusable and (why := _excuse(step, run_row, db, max_attempts)):
                _settle_excused(db, this, why)
                return Refusal("settled")
            if step.attempt >= max_attempts:
                reason = f"step {name} ended without a result {step.attempt} times; it is not tried again"
                last = step.error or {}
                reason += f"; the last time: {last['error']:.200}" if last.get("error") else ""
                error = {**last, "type": "Poison", "error": reason}
                db.execute(update(steps).where(this).values(state="failed", error=error, lease_until=None))
                _end(db, run_id, Ending("error", reason))
                return Refusal("poison")
            taken = db.execute(
                update(steps)
                .where(this)
                .values(
                    state="leased",
                    owner=owner,
                    attempt=steps.c.attempt + 1,
                    fence=steps.c.fence + 1,
                    lease_until=_after(lease_s),
                    started_at=func.coalesce(steps.c.started_at, _now),
                )
                .returning(steps.c.attempt, steps.c.fence)
            ).one()
            _set_due(db, run_id, _first_lease_end(run_id))
        return Claim(_run(run_row), name, shard, taken.attempt, taken.fence, step.excusable)

    def forfeit(self, is_dead: Callable[[str], bool]) -> int:
        """End the leases of dead owners, so that their steps can be claimed at once; return how many there were.

        Args:
            is_dead: whether an owner, as it was named when it claimed, is known to be dead.
        """
        held = and_(steps.c.state == "leased", steps.c.lease_until > _now)
        of_open = select(steps.c.owner, steps.c.run_id).join(
            runs, and_(runs.c.id == steps.c.run_id, runs.c.state == "open")
        )
        with transaction(self._engine) as db:
            found = db.execute(of_open.where(held)).all()
            dead = {owner for owner in {row.owner for row in found} if owner and is_dead(owner)}
            if not dead:
                return 0
            ids = {row.run_id for row in found if row.owner in dead}
            _hold(db, *ids)
            ended = update(steps).where(held, steps.c.owner.in_(dead), steps.c.run_id.in_(ids))
            count = db.execute(ended.values(lease_until=_now)).rowcount
            db.execute(update(runs).where(runs.c.id.in_(ids), runs.c.state == "open").values(due_at=_now))
        return count

    def heartbeat(self, claim: Claim, lease_s: float, progress: Mapping[str, Any] | None = None) -> Pulse:
        """Extend the lease and write down how far the work is; learn whether it is still ours and still wanted."""
        values: dict[str, Any] = {"lease_until": _after(lease_s)}
        if progress is not None:
            values["progress"] = dict(progress)
        with transaction(self._engine) as db:
            _hold(db, claim.run.id)
            held = db.execute(update(steps).where(held_by(claim)).values(values)).rowcount == 1
            if held:
                # Not earlier than it was: a dead shard that nobody has taken over yet is sent again ever more rarely.
                _set_due(db, claim.run.id, func.greatest(runs.c.due_at, _first_lease_end(claim.run.id)))
            row = db.execute(
                select(runs.c.cancel_requested, runs.c.state).where(runs.c.id == claim.run.id)
            ).one_or_none()
        return Pulse(held and row is not None and row.state == "open", row is None or row.cancel_requested)

    def got_further(self, claim: Claim) -> None:
        """Let attempts before this one no longer count: a step that goes on where it was is no poison."""
        with transaction(self._engine) as db:
            db.execute(update(steps).where(held_by(claim)).values(attempt=1))

    def settle(self, claim: Claim, output: Any, ending: Ending | None = None) -> None:
        """Write down the step's output and, with an ending, end the run and open the next, in one transaction.

        No next run is opened where its failure has an open one by now.

        Raises:
            LeaseLost: another worker took the step, or the run is over; nothing was written.
        """
        with transaction(self._engine) as db:
            _hold(db, claim.run.id)
            open_run = exists().where(runs.c.id == claim.run.id, runs.c.state == "open")
            done = db.execute(
                update(steps)
                .where(held_by(claim), open_run)
                .values(state="settled", output=output, error=None, lease_until=None, settled_at=_now)
            )
            if done.rowcount != 1:
                raise LeaseLost(claim.run.id, claim.name)
            if ending is not None:
                _end(db, claim.run.id, ending)
                if ending.then is not None:
                    with contextlib.suppress(IntegrityError), db.begin_nested():
                        _open(db, ending.then)
            else:
                db.execute(
                    update(runs).where(runs.c.id == claim.run.id).values(due_at=_after(self._patience_s), dispatches=1)
                )

    def release(self, claim: Claim, error: Mapping[str, Any]) -> None:
        """Give the step back after a transient failure, so that it can be claimed again at once."""
        with transaction(self._engine) as db:
            _hold(db, claim.run.id)
            db.execute(update(steps).where(held_by(claim)).values(state="ready", error=dict(error), lease_until=None))
            db.execute(
                update(runs)
                .where(runs.c.id == claim.run.id, runs.c.state == "open")
                .values(due_at=_after(self._patience_s))
            )

    def excuse_overdue(self, limit: int = 100) -> int:
        """Settle, as excused, what is late in runs whose deadline has passed; return how many runs go on now.

        Who still works on such a step has lost it. Only steps whose turn has come are excused here; a later one is when
        it is claimed.
        """
        earlier = steps.alias()
        waiting = exists().where(
            earlier.c.run_id == steps.c.run_id, earlier.c.position < steps.c.position, earlier.c.state != "settled"
        )
        late = (
            select(runs.c.id)
            .where(runs.c.state == "open", runs.c.deadline_at <= _now)
            .where(exists().where(steps.c.run_id == runs.c.id, _unsettled_excusable(), ~waiting))
            .order_by(runs.c.deadline_at)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
        )
        with transaction(self._engine) as db:
            ids = list(db.execute(late).scalars())
            turn = and_(steps.c.run_id.in_(ids), _unsettled_excusable(), ~waiting)
            _settle_excused(db, turn, OVERDUE)
            db.execute(update(runs).where(runs.c.id.in_(ids)).values(due_at=_now))
        return len(ids)

    def excuse(self, claim: Claim, why: str) -> None:
        """Settle an excusable step that failed; the run goes on without it.

        Raises:
            LeaseLost: another worker took the step, or the run went on without it; nothing was written.
        """
        with transaction(self._engine) as db:
            _hold(db, claim.run.id)
            if not _settle_excused(db, held_by(claim), why):
                raise LeaseLost(claim.run.id, claim.name)

    def fail(self, claim: Claim, error: Mapping[str, Any], ending: Ending) -> None:
        """End the run because this step cannot succeed.

        Raises:
            LeaseLost: another worker took the step; nothing was written.
        """
        with transaction(self._engine) as db:
            _hold(db, claim.run.id)
            done = db.execute(
                update(steps)
                .where(held_by(claim))
                .values(state="failed", error=dict(error), lease_until=None, settled_at=_now)
            )
            if done.rowcount != 1:
                raise LeaseLost(claim.run.id, claim.name)
            _end(db, claim.run.id, ending)

    def cancel(self, run_id: str) -> None:
        """Ask the run to stop: at the next heartbeat where a step is held, else at once."""
        with transaction(self._engine) as db:
            asked = db.execute(
                update(runs).where(runs.c.id == run_id, runs.c.state == "open").values(cancel_requested=True)
            )
            held = exists().where(steps.c.run_id == run_id, steps.c.state == "leased", steps.c.lease_until > _now)
            if asked.rowcount and not db.execute(select(held)).scalar_one():
                _end(db, run_id, Ending("cancelled", "cancelled on request"))

    def take_due(self, limit: int = 100) -> list[Run]:
        """Return open runs of which nothing was heard for too long, and count a sending for each.

        Several sweepers may ask at once: each run is handed to one. A run that lies in a long queue is sent again ever
        more rarely, so copies do not pile up.
        """
        overdue = (
            select(runs.c.id)
            .where(runs.c.state == "open", runs.c.due_at <= _now)
            .order_by(runs.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
        )
        with transaction(self._engine) as db:
            rows = db.execute(_sent(self._patience_s).where(runs.c.id.in_(overdue)).returning(runs)).all()
        return [_run(row) for row in rows]

    def mark_sent(self, run_id: str) -> None:
        """Count a sending, and let the run be until its patience ends."""
        with transaction(self._engine) as db:
            db.execute(_sent(self._patience_s).where(runs.c.id == run_id, runs.c.state == "open"))

    def count_open(self) -> int:
        """Return how many runs are open."""
        with transaction(self._engine) as db:
            return int(db.execute(select(func.count()).where(runs.c.state == "open")).scalar_one())

    def counts(self) -> dict[str, int]:
        """Return how many runs are open, overdue, and ended, and how many steps of open runs are leased."""
        overdue = and_(runs.c.state == "open", runs.c.due_at <= _now)
        with transaction(self._engine) as db:
            row = db.execute(
                select(
                    func.count().filter(runs.c.state == "open"),
                    func.count().filter(overdue),
                    func.count().filter(runs.c.state == "ended"),
                )
            ).one()
            held = and_(steps.c.run_id == runs.c.id, steps.c.state == "leased", steps.c.lease_until > _now)
            leased = select(func.count()).select_from(runs.join(steps, held)).where(runs.c.state == "open")
            return dict(zip(("open", "overdue", "ended"), row, strict=True)) | {
                "leased": db.execute(leased).scalar_one()
            }

    def _open_run_of(self, failure_id: str | None) -> str | None:
        with transaction(self._engine) as db:
            return db.execute(
                select(runs.c.id).where(runs.c.failure_id == failure_id, runs.c.state == "open")
            ).scalar_one_or_none()


def _refusal(db: Connection, run: Row[Any], step: Row[Any]) -> str | None:
    if step.state == "settled":
        return "settled"
    if run.state == "ended":
        return "ended"
    if step.state == "leased" and step.held:
        return "leased"
    earlier = exists().where(
        steps.c.run_id == run.id, steps.c.position < step.position, or_(steps.c.state != "settled")
    )
    return "early" if db.execute(select(earlier)).scalar_one() else None


def _unsettled_excusable() -> ColumnElement[bool]:
    return and_(steps.c.excusable, steps.c.state != "settled")


def _excuse(step: Row[Any], run: Row[Any], db: Connection, max_attempts: int) -> str:
    """Return why a step that may be excused is not given out any more; nothing where it is."""
    if step.attempt >= max_attempts:
        last = (step.error or {}).get("error", "")
        return f"it ended without a result {step.attempt} times" + (f"; the last time: {last:.200}" if last else "")
    late = run.deadline_at is not None and db.execute(select(run.deadline_at <= _now)).scalar_one()
    return OVERDUE if late else ""


def _settle_excused(db: Connection, these: ColumnElement[bool], why: str) -> int:
    """Settle steps without their work; a later fence keeps whoever still works on one from writing."""
    return db.execute(
        update(steps)
        .where(these)
        .values(
            state="settled",
            fence=steps.c.fence + 1,
            output=to_json(Excused(storable(why))),
            lease_until=None,
            settled_at=_now,
        )
    ).rowcount


def _hold(db: Connection, *run_ids: str) -> None:
    """Lock runs before their steps. Whoever writes to steps begins so: in one order nobody waits in a circle."""
    db.execute(select(runs.c.id).where(runs.c.id.in_(run_ids)).order_by(runs.c.id).with_for_update(key_share=True))


def held_by(claim: Claim) -> ColumnElement[bool]:
    """Return the condition under which a step is still held by this claim."""
    return and_(
        steps.c.run_id == claim.run.id,
        steps.c.name == claim.name,
        steps.c.shard == claim.shard,
        steps.c.state == "leased",
        steps.c.fence == claim.fence,
    )


def _open(db: Connection, opening: Opening) -> None:
    plan = opening.plan
    row: dict[str, Any] = {"id": opening.run_id, "kind": plan.kind, "input": dict(opening.given)}
    row["failure_id"] = opening.failure_id
    if plan.deadline_s is not None:
        row["deadline_at"] = _after(plan.deadline_s)
    rows = [
        {
            "run_id": opening.run_id,
            "name": name,
            "shard": shard,
            "position": position,
            "excusable": name in plan.excusable,
        }
        for position, (name, shards) in enumerate(plan.steps)
        for shard in range(shards)
    ]
    opened = db.execute(insert(runs).values(row).on_conflict_do_nothing(index_elements=[runs.c.id]))
    if opened.rowcount:
        db.execute(insert(steps), rows)
        if opening.decided is not None:
            why = {**opening.decided, "failure_id": opening.failure_id, "run_id": opening.run_id}
            db.execute(insert(paths).values(why))


def _end(db: Connection, run_id: str, ending: Ending) -> None:
    db.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.state == "open")
        .values(state="ended", outcome=ending.outcome, reason=storable(ending.reason), ended_at=_now)
    )


def _first_lease_end(run_id: str) -> Any:
    """A run is due when the first lease of its held steps ends: a shard may be dead while others go on."""
    return (
        select(func.min(steps.c.lease_until))
        .where(steps.c.run_id == run_id, steps.c.state == "leased")
        .scalar_subquery()
    )


def _set_due(db: Connection, run_id: str, due_at: Any) -> None:
    db.execute(update(runs).where(runs.c.id == run_id, runs.c.state == "open").values(due_at=due_at))


def _sent(patience_s: float) -> Any:
    wait = func.least(patience_s * func.power(2, func.least(runs.c.dispatches, 10)), _LONGEST_PATIENCE_S)
    return update(runs).values(dispatches=runs.c.dispatches + 1, due_at=_after(wait))


def _run(row: Row[Any]) -> Run:
    return Run(**row._mapping)


def _step(row: Row[Any]) -> Step:
    return Step(**row._mapping)
