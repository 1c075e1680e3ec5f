"""Opening a war-room: who sits in it, what it is asked, and the run that carries it."""

from collections.abc import Callable, Mapping, Sequence

from atra.core.edits import Patch
from atra.core.records import from_json, to_json
from atra.core.runs import Opening, following
from atra.meta_architect.records import Target
from atra.war_room.calibration import judge
from atra.war_room.case import by_line
from atra.war_room.filling import fill
from atra.war_room.hints import Hints
from atra.war_room.records import Option
from atra.war_room.seats import HINTS, PREFIX, ROOM, Agenda, Asked
from atra.wiring import Wiring
from workers.pipelines import war_room
from workers.task import Work


def room_after(repair_id: str) -> str:
    """Return the id of the room that goes on from this repair: there is one at most."""
    return following(repair_id, PREFIX)


def room_for(
    wired: Wiring,
    target: Target,
    *,
    question: str,
    models: bool,
    run_id: str,
    failure_id: str | None,
    repair: bool,
    wanted: Sequence[str] = (),
    deadline_s: float | None = None,
    budget_usd: float | None = None,
    hold: bool = False,
) -> Opening:
    """Return a room on a failing suite.

    Args:
        models: whether it may ask models.
        repair: whether its decision starts a repair.
        wanted: names of experts; those of the settings unless said.
        hold: whether it waits for people, where the settings do not say so anyway.

    Raises:
        BadInput: the experts that are named cannot sit together.
    """
    held = sum(repair.held for repair in wired.rooms.past(target.repository))
    filled = fill("code", wired.settings, wanted=wanted, models=models and bool(wired.settings.models), held=held)
    rules = wired.settings.war_room
    asked = Asked(
        "code",
        question,
        filled.seats,
        notes=filled.notes,
        deadline_s=deadline_s or rules.deadline_s,
        budget_usd=budget_usd or rules.room_usd,
        budget_tokens=rules.room_tokens,
        repair=repair,
        hold=hold or rules.hold,
    )
    return _opening(run_id, asked, to_json(target), failure_id)


def room_on_question(
    wired: Wiring,
    question: str,
    *,
    run_id: str,
    options: Sequence[str] = (),
    context: Mapping[str, str] | None = None,
    wanted: Sequence[str] = (),
    deadline_s: float | None = None,
    budget_usd: float | None = None,
    hold: bool = False,
) -> Opening:
    """Return a room on a free question.

    Args:
        options: what may be decided, in words; models name some where none are given.
        context: text by name: what may be cited.
        hold: whether it waits for people, where the settings do not say so anyway.

    Raises:
        BadInput: the experts that are named cannot sit together.
    """
    rules = wired.settings.war_room
    filled = fill("question", wired.settings, wanted=wanted, models=bool(wired.settings.models))
    asked = Asked(
        "question",
        question,
        filled.seats,
        options=tuple(Option(chr(ord("a") + number), text) for number, text in enumerate(options)),
        context=dict(context or {}),
        notes=filled.notes,
        deadline_s=deadline_s or rules.deadline_s,
        budget_usd=budget_usd or rules.room_usd,
        budget_tokens=rules.room_tokens,
        hold=hold or rules.hold,
    )
    return _opening(run_id, asked, {}, None)


def hints_for(work: Work) -> Hints:
    """Return the hints that the run was started with; none where no room started it."""
    given = work.run.input.get(HINTS)
    return from_json(Hints, given) if given else Hints()


def learn(work: Work, patch: Patch, read: Callable[[str], str | None]) -> None:
    """Write down which experts of the room behind this repair were right: those who named a region the fix changed.

    Args:
        read: text of the base's files.
    """
    room_id = work.run.input.get(ROOM)
    if not isinstance(room_id, str):
        return
    agenda = from_json(Agenda, work.wired.runs.outputs(room_id, "convene")[0])
    where = by_line(agenda.regions)
    lines = {(edit.path, (read(edit.path) or "").count("\n", 0, edit.start) + 1) for edit in patch}
    truth = frozenset(where[at].id for at in lines if at in where)
    ballots = work.wired.rooms.ballots(room_id)
    judged = judge(ballots, truth, len(agenda.options))
    work.wired.rooms.judge(room_id, "code", {one.expert: one.right for one in judged}, ballots, len(agenda.options))


def _opening(run_id: str, asked: Asked, given: Mapping[str, object], failure_id: str | None) -> Opening:
    models = sum(seat.kind == "model" for seat in asked.seats)
    code = asked.task == "code"
    plan = war_room(len(asked.seats), models, code=code, deadline_s=asked.deadline_s, hold=asked.hold)
    return Opening(run_id, plan, {**given, ROOM: to_json(asked)}, failure_id)
