"""The one list of the evidence experts: department, voice, and who may veto."""

from collections.abc import Callable
from dataclasses import dataclass

from atra.war_room.case import Case
from atra.war_room.experts import data_flow, history, localisation, risk, strategy, suite
from atra.war_room.records import Ballot


@dataclass(frozen=True)
class Expert:
    """A seat: its department, which is its name on ballots too, how it speaks, and whether it may veto."""

    department: str
    speak: Callable[[Case], Ballot]
    may_veto: bool = False


EXPERTS: tuple[Expert, ...] = (
    Expert("localisation", localisation.speak),
    Expert("history", history.speak),
    Expert("data_flow", data_flow.speak),
    Expert("tests", suite.speak),
    Expert("risk", risk.speak, may_veto=True),
    Expert("strategy", strategy.speak),
)
