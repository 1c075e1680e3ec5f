"""Who sits in a room: ATRA's own seats, those of the settings, or those that a person names, each with its model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atra.core.errors import BadInput
from atra.core.settings import ExpertSettings, Settings
from atra.llm.prompting import filled
from atra.war_room.experts.registry import EXPERTS
from atra.war_room.seats import MOST_SEATS, Seat, Task

PROMPTS = Path(__file__).parent / "prompts"

LEAST_SEATS = 3
"""Fewer cannot outvote one who is wrong."""

ENOUGH_HELD = 3
"""From so many repairs that held on the strategy expert has something to go by."""

EVIDENCE: Mapping[str, Seat] = {
    one.department: Seat(one.department, one.department, "evidence", one.may_veto) for one in EXPERTS
}

MODELS: Mapping[str, Seat] = {
    name: Seat(name, department, "model", may_veto, part=filled(PROMPTS, f"part_{name}").strip(), red_team=red_team)
    for name, department, may_veto, red_team in (
        ("ml", "ML", False, False),
        ("risk", "Risk", True, False),
        ("strategy", "Strategy", False, False),
        ("reviewer", "Review", False, False),
        ("red_team", "Red team", False, True),
    )
}
"""Seats that a model fills and that need no entry in the settings."""

_QUESTION = ("ml", "risk", "strategy", "red_team")
_CODE = ("localisation", "tests", "risk")
_CODE_MODELS = ("reviewer", "red_team")


@dataclass(frozen=True)
class Filled:
    """The seats of a room, and what is to be told of how they were filled."""

    seats: tuple[Seat, ...]
    notes: tuple[str, ...] = ()


def fill(task: Task, settings: Settings, *, wanted: Sequence[str] = (), models: bool = True, held: int = 0) -> Filled:
    """Return three to five seats with different names, one of those that models fill being the red team.

    A room on a question has no seat where no model may be asked, and a note says so.

    Args:
        wanted: names of experts; without them those of `[war_room]`, and without these ATRA's own, followed by those of
            `[experts]` as far as there is room.
        models: whether models may be asked at all.
        held: how many repairs of this repository held.

    Raises:
        BadInput: the experts that are named cannot sit together, or one names a model that is not configured.
    """
    models = models and bool(settings.models)
    known = _known(task, settings)
    if task == "question" and not models and not wanted:
        return Filled((), (_nobody(settings, known),))
    listed = settings.war_room.code if task == "code" else settings.war_room.question
    notes: list[str] = []
    if settings.models and not models and not wanted and (left := [one for one in listed if _is_model(known, one)]):
        notes.append(f"{', '.join(left)} of [war_room] sit out: no model may be asked here, so ATRA's own seats decide")
        listed = ()
    named = tuple(wanted or listed)
    if named:
        _check(named, known, settings, models)
    else:
        named, more = _chosen(task, settings, known, models, held)
        notes += more
    seats = _one_red_team([known[name] for name in named])
    for seat in seats:
        _check_model(seat, settings)
    return Filled(tuple(_deal(seats, list(settings.models))), tuple(notes))


def _known(task: Task, settings: Settings) -> dict[str, Seat]:
    """Return every seat of rooms of this kind by its name. On code the name of an evidence expert is that expert's."""
    configured = {name: _configured(name, entry) for name, entry in settings.experts.items()}
    return {**MODELS, **configured, **(EVIDENCE if task == "code" else {})}


def _configured(name: str, entry: ExpertSettings) -> Seat:
    return Seat(name, entry.department, "model", entry.may_veto, entry.model or "", entry.prompt, entry.red_team)


def _is_model(known: Mapping[str, Seat], name: str) -> bool:
    return name in known and known[name].kind == "model"


def _chosen(
    task: Task, settings: Settings, known: Mapping[str, Seat], models: bool, held: int
) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of ATRA's own seats with the configured ones that find room, and notes on those that do not."""
    own = _own(task, models, held)
    more = [name for name in settings.experts if models and name not in own and _is_model(known, name)]
    if any(known[name].red_team for name in more):
        own = tuple(name for name in own if name != "red_team" or name in settings.experts)
    seated = (*own, *more)[:MOST_SEATS]
    left = [name for name in more if name not in seated]
    notes = [f"no room for {', '.join(left)}: name the seats in [war_room] {task}, or with --experts"] if left else []
    if hidden := [name for name in settings.experts if models and not _is_model(known, name)]:
        notes.append(f"[experts.{hidden[0]}] sits in rooms on questions only: on code an evidence expert has that name")
    return seated, notes


def _own(task: Task, models: bool, held: int) -> tuple[str, ...]:
    if task == "question":
        return _QUESTION
    if models:
        return (*_CODE, *_CODE_MODELS)
    return (*_CODE, "data_flow", "strategy" if held >= ENOUGH_HELD else "history")


def _check(named: Sequence[str], known: Mapping[str, Seat], settings: Settings, models: bool) -> None:
    for name in named:
        if name not in known:
            if name in EVIDENCE:
                raise BadInput(f"the expert {name} looks at failing tests, and this room is on a question")
            raise BadInput(f"there is no expert {name}; there are {', '.join(sorted(known))}")
        if _is_model(known, name) and not models:
            raise BadInput(f"the expert {name} needs a model, and {_why_none(settings)}")
    if twice := [name for name, times in Counter(named).items() if times > 1]:
        raise BadInput(f"the expert {twice[0]} is named twice")
    if not LEAST_SEATS <= len(named) <= MOST_SEATS:
        raise BadInput(f"a war-room has {LEAST_SEATS} to {MOST_SEATS} experts, and {len(named)} are named")


def _one_red_team(seats: Sequence[Seat]) -> list[Seat]:
    """Return the seats with one red team among those that models fill: the first that is one, else the last of all."""
    models = [seat.expert for seat in seats if seat.kind == "model"]
    chosen = next((seat.expert for seat in seats if seat.red_team), models[-1] if models else "")
    return [replace(seat, red_team=seat.expert == chosen) for seat in seats]


def _check_model(seat: Seat, settings: Settings) -> None:
    if seat.model and seat.model not in settings.models:
        raise BadInput(f"[experts.{seat.expert}] names the model {seat.model}, and there is no [models.{seat.model}]")


def _deal(seats: Sequence[Seat], names: Sequence[str]) -> list[Seat]:
    """Return the seats with a model each: the least used one next, the red team's another than the first seat's."""
    dealt = list(seats)
    models = [at for at, seat in enumerate(dealt) if seat.kind == "model"]
    if not models:
        return dealt
    apart = (models[0], next(at for at in models if dealt[at].red_team))
    used = Counter(seat.model for seat in dealt)
    for at in dict.fromkeys((*apart, *models)):
        if dealt[at].model:
            continue
        taken = {dealt[other].model for other in apart} if at in apart else set()
        name = min([name for name in names if name not in taken] or names, key=lambda name: used[name])
        used[name] += 1
        dealt[at] = replace(dealt[at], model=name)
    return dealt


def _nobody(settings: Settings, known: Mapping[str, Seat]) -> str:
    """Return what is missing for a question, who would speak with it, and who needs nothing but failing tests."""
    would = _departments(known[name] for name in dict.fromkeys((*_QUESTION, *settings.experts)))
    able = _departments(EVIDENCE.values())
    return (
        f"nobody can speak: {_why_none(settings)}. With a model ([models.NAME] in atra.toml, docs/models.md) "
        f"{would} would. {able} need none, but they look at failing tests only: `atra war-room --repair RUN`"
    )


def _departments(seats: Iterable[Seat]) -> str:
    *names, last = dict.fromkeys(seat.department for seat in seats)
    return f"{', '.join(names)} and {last}"


def _why_none(settings: Settings) -> str:
    return "no model may be asked here" if settings.models else "no model is configured"
