"""A run is a flow that should happen; its steps say how far it is. These are the records, storage keeps them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def new_id(prefix: str) -> str:
    """Return a fresh id: the prefix and 12 letters or digits (59 bits), easy to read out and to type."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(12))


def following(run_id: str, prefix: str) -> str:
    """Return the id of the run of this kind that goes on from another one; from one run there is one of a kind."""
    return prefix + run_id[1:]


@dataclass(frozen=True)
class Run:
    """One flow, from the asking to its end.

    `due_at` is when it is sent again if nothing is heard of it; `deadline_at` when it goes on without the steps that
    may be excused.
    """

    id: str
    kind: str
    state: Literal["open", "ended"]
    outcome: str | None
    reason: str | None
    input: Mapping[str, Any]
    failure_id: str | None
    cancel_requested: bool
    dispatches: int
    due_at: datetime
    deadline_at: datetime | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def urgent(self) -> bool:
        """Whether its steps wait in a queue of their own; it goes on to what follows from it."""
        return bool(self.input.get("urgent"))


@dataclass(frozen=True)
class Step:
    """One step of a run. Shards of one name share a position; a position starts when all before it are settled.

    One that is `excusable` never ends its run: where it fails, is poison, or is late, it settles with an `Excused`.
    """

    run_id: str
    name: str
    shard: int
    position: int
    excusable: bool
    state: Literal["ready", "leased", "settled", "failed"]
    attempt: int
    fence: int
    owner: str | None
    lease_until: datetime | None
    progress: Mapping[str, Any] | None
    output: Any
    error: Mapping[str, Any] | None
    started_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True)
class Claim:
    """The right to work on a step, until the lease ends or a later fence is given out."""

    run: Run
    name: str
    shard: int
    attempt: int
    fence: int
    excusable: bool = False


OVERDUE = "the deadline passed"


@dataclass(frozen=True)
class Excused:
    """The output of a step that the run went on without, and why; `OVERDUE` where it was merely late."""

    excused: str


@dataclass(frozen=True)
class Refusal:
    """Why a step cannot be claimed now.

    `settled`: it is done; `ended`: its run is over; `leased`: somebody holds it; `early`: a step before it is not done;
    `poison`: it was tried too often, and its run has just been ended with that reason.
    """

    why: Literal["settled", "ended", "leased", "early", "poison"]


@dataclass(frozen=True)
class Plan:
    """The steps of a flow: (name, number of shards) in order.

    Args:
        excusable: names of steps that the flow can go on without.
        deadline_s: how long after its opening the flow goes on without those that are not settled.
    """

    kind: str
    steps: tuple[tuple[str, int], ...] = field(default=())
    excusable: frozenset[str] = frozenset()
    deadline_s: float | None = None


@dataclass(frozen=True)
class Opening:
    """A run that another one opens with its own end: in the same transaction, so that neither stands alone.

    `decided` is the orchestrator's decision for it, as a row (`atra.storage.paths.row_of`); it is kept with the run.
    """

    run_id: str
    plan: Plan
    given: Mapping[str, Any]
    failure_id: str | None = None
    decided: Mapping[str, Any] | None = None

    def hurried(self, urgent: bool) -> "Opening":
        """Return the same opening, of an urgent run where it is urgent; see `Run.urgent`."""
        return replace(self, given={**self.given, "urgent": True}) if urgent else self


@dataclass(frozen=True)
class Ending:
    """How a run ends: an outcome for programs, a sentence for people, and the run that goes on from it, if any."""

    outcome: str
    reason: str
    then: Opening | None = None


@dataclass(frozen=True)
class Pulse:
    """What a heartbeat learns: whether the step is still held, and whether the run is to be cancelled."""

    held: bool
    cancelled: bool
