"""What war-rooms leave behind: ballots, one decision each, and how right each expert turned out to be."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, Integer, Row, and_, cast, exists, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert

from atra.core.records import from_json, to_json
from atra.storage.database import transaction
from atra.storage.tables import ballots, decisions, judgements, runs, steps
from atra.war_room.calibration import Record
from atra.war_room.case import PastRepair
from atra.war_room.records import Ballot, Decision

_now = func.clock_timestamp()
_REMEMBERED_DAYS = 90


class RoomStore:
    """Keeps ballots and decisions. Ballots are kept as they come: redacting them is the caller's part."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def cast(self, run_id: str, ballot: Ballot) -> Ballot:
        """Keep a ballot, and return it as it stands now: when it was cast, and whether it was late.

        Late is what comes after the room's deadline, after its decision, or after its end. An expert's first ballot of
        a round stays, so a task delivered twice votes once; a person may change theirs while the room is open.
        """
        room = select(
            func.coalesce(
                func.bool_or(
                    or_(
                        runs.c.state == "ended",
                        and_(runs.c.deadline_at.is_not(None), runs.c.deadline_at <= _now),
                        exists().where(decisions.c.run_id == run_id),
                    )
                ),
                True,
            )
        ).where(runs.c.id == run_id)
        late = room.scalar_subquery()
        row = {"run_id": run_id, "expert": ballot.expert, "round": ballot.round, "ballot": to_json(ballot)}
        put = insert(ballots).values({**row, "late": late})
        changed = {"ballot": put.excluded.ballot, "late": put.excluded.late, "cast_at": _now}
        by_person = and_(put.excluded.ballot["kind"].astext == "person", ~put.excluded.late)
        with transaction(self._engine) as db:
            # A decision under way is waited for, in a statement before the one that asks whether there is one.
            db.execute(select(runs.c.id).where(runs.c.id == run_id).with_for_update(read=True, key_share=True))
            db.execute(
                put.on_conflict_do_update(index_elements=list(ballots.primary_key), set_=changed, where=by_person)
            )
            this = and_(ballots.c.run_id == run_id, ballots.c.expert == ballot.expert, ballots.c.round == ballot.round)
            return _ballot(db.execute(select(ballots).where(this)).one())

    def ballots(self, run_id: str) -> list[Ballot]:
        """Return every ballot of the room, in order of round and expert."""
        with transaction(self._engine) as db:
            return _ballots(db, run_id)

    def decide(self, run_id: str, reduce: Callable[[list[Ballot]], Decision]) -> Decision:
        """Keep the room's decision unless there is one already; return the one that counts.

        Args:
            reduce: makes the decision of the ballots; quick, for no ballot is cast meanwhile, so that every one that is
                kept as in time has been counted.
        """
        with transaction(self._engine) as db:
            db.execute(select(runs.c.id).where(runs.c.id == run_id).with_for_update())
            known = select(decisions.c.decision).where(decisions.c.run_id == run_id)
            if db.execute(known).scalar_one_or_none() is None:
                decision = reduce(_ballots(db, run_id))
                db.execute(insert(decisions).values(run_id=run_id, decision=to_json(decision)))
            return from_json(Decision, db.execute(known).scalar_one())

    def decision(self, run_id: str) -> Decision | None:
        """Return the room's decision, if there is one by now."""
        with transaction(self._engine) as db:
            kept = db.execute(select(decisions.c.decision).where(decisions.c.run_id == run_id)).scalar_one_or_none()
        return None if kept is None else from_json(Decision, kept)

    def judge(
        self, run_id: str, task: str, right: Mapping[str, bool], cast_ballots: Iterable[Ballot], options: int
    ) -> None:
        """Keep whether each expert's first choice was right; what was judged once stays as it is.

        Args:
            task: the kind of question, for experts differ in what they are good at.
            right: by expert.
            cast_ballots: where their probabilities stand; the latest of an expert counts.
            options: among how many they chose.
        """
        said = {ballot.expert: ballot for ballot in sorted(cast_ballots, key=lambda one: one.round)}
        rows = [
            {
                "run_id": run_id,
                "expert": expert,
                "task": task,
                "right": was_right,
                "probability": said[expert].probability,
                "options": options,
            }
            for expert, was_right in sorted(right.items())
            if expert in said
        ]
        if rows:
            with transaction(self._engine) as db:
                db.execute(insert(judgements).on_conflict_do_nothing(), rows)

    def records(self, task: str) -> dict[str, Record]:
        """Return how each expert did at this kind of task so far."""
        hit = cast(judgements.c.right, Integer)
        query = (
            select(
                judgements.c.expert,
                func.count(),
                func.sum(hit),
                func.sum(func.power(judgements.c.probability - hit, 2)),
                func.sum(1.0 / judgements.c.options),
            )
            .where(judgements.c.task == task)
            .group_by(judgements.c.expert)
        )
        with transaction(self._engine) as db:
            return {
                expert: Record(int(count), int(right), float(brier), float(chance))
                for expert, count, right, brier, chance in db.execute(query)
            }

    def past(self, repository: str, limit: int = 100) -> tuple[PastRepair, ...]:
        """Return the newest repairs that fixed something in a repository in the last 90 days, newest first.

        One did not hold whose failure came back although its fix was in.
        """
        watch = runs.alias()
        regressed = exists().where(watch.c.id == func.concat("w", func.substr(runs.c.id, 2)), watch.c.kind == "watch")
        proof, found = steps.alias(), steps.alias()
        winner = proof.c.output["winner"]["candidate"]
        query = (
            select(
                found.c.output["failing"][0]["error_type"].astext.label("error_type"),
                winner["template"].astext.label("template"),
                winner["path"].astext.label("path"),
                winner["generator"].astext.label("generator"),
                (~regressed).label("held"),
            )
            .join(proof, and_(proof.c.run_id == runs.c.id, proof.c.name.in_(("verify", "prove"))))
            .join(found, and_(found.c.run_id == runs.c.id, found.c.name == "reproduce"))
            .where(runs.c.kind == "self_repair", runs.c.outcome == "fixed")
            .where(runs.c.created_at > _now - text(f"interval '{_REMEMBERED_DAYS} days'"))
            .where(runs.c.input["repository"].astext == repository, winner["path"].astext.is_not(None))
            .order_by(runs.c.created_at.desc(), runs.c.id)
            .limit(limit)
        )
        with transaction(self._engine) as db:
            return tuple(
                PastRepair(row.error_type or "", row.template, row.path, row.held, row.generator)
                for row in db.execute(query)
            )


def _ballots(db: Connection, run_id: str) -> list[Ballot]:
    query = select(ballots).where(ballots.c.run_id == run_id).order_by(ballots.c.round, ballots.c.expert)
    return [_ballot(row) for row in db.execute(query)]


def _ballot(row: Row[Any]) -> Ballot:
    return replace(from_json(Ballot, row.ballot), cast_at=row.cast_at, late=row.late)
