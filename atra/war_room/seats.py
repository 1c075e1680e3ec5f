"""Who sits in a room, and what the room is asked: the records that a run of a room begins with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from atra.core.records import from_json
from atra.core.runs import following
from atra.war_room.case import Region
from atra.war_room.records import Kind, Option

Task = Literal["code", "question"]
"""What a room is about: a failing suite, or a free question. Experts are judged by each apart."""

MOST_SEATS = 5

ROOM = "room"
"""Where in a run's input stands what the room is asked; in that of a repair that a room started, the room's id."""

HINTS = "hints"
"""Where in a repair's input stand the hints of the room that started it."""

PREFIX = "m"
"""Of the ids of rooms."""


@dataclass(frozen=True)
class Seat:
    """One place in a room.

    Args:
        expert: its name on ballots; unique in the room.
        department: what it speaks for.
        kind: `evidence` looks at the case and needs no model; `model` argues.
        may_veto: whether its vetoes count.
        model: the configured model that fills it.
        part: what a model is told to look at.
        red_team: it looks for what is wrong with the obvious answer.
    """

    expert: str
    department: str
    kind: Kind
    may_veto: bool = False
    model: str = ""
    part: str = ""
    red_team: bool = False


@dataclass(frozen=True)
class Asked:
    """What a room is opened with.

    Args:
        task: what kind of question it is.
        question: in words.
        seats: three to five where there are that many; fixed from the opening on.
        options: what may be decided; of a room on code they are found in it.
        context: text by the name it is quoted under: files given with a question, as they were then.
        notes: what is to be told of how the room was filled.
        deadline_s: from the opening to the latest decision.
        budget_usd: what its models may cost.
        budget_tokens: and how many tokens they may take.
        repair: whether a decision on code starts a repair with its hints.
        hold: whether it waits for people until its deadline, however clear the experts are.
    """

    task: Task
    question: str
    seats: tuple[Seat, ...]
    options: tuple[Option, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    deadline_s: float = 300.0
    budget_usd: float = 1.0
    budget_tokens: int = 200_000
    repair: bool = False
    hold: bool = False


def asked_of(given: Mapping[str, Any]) -> Asked:
    """Return what a room was opened with, from its run's input."""
    return from_json(Asked, given[ROOM])


def repair_after(room_id: str) -> str:
    """Return the id of the repair that a room's decision starts: there is one at most."""
    return following(room_id, "h")


@dataclass(frozen=True)
class Agenda:
    """What is decided among, and where in the code the options lie; none does on a free question."""

    options: tuple[Option, ...]
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Claim:
    """What one seat found, without its name: what the others see of it in the exchange round."""

    option: str
    evidence: tuple[str, ...]
