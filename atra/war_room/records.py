"""The facts of one room: what is asked, what each expert says, what is decided and who disagreed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["evidence", "model", "person"]
Outcome = Literal["decided", "no_consensus", "expired"]


@dataclass(frozen=True)
class Option:
    """One thing that may be decided. `id` is short and stands in ballots; `text` is for people."""

    id: str
    text: str


@dataclass(frozen=True)
class Evidence:
    """One observation and where it can be looked up: a path with a line, a commit, a test, a file given as context."""

    text: str
    reference: str = ""


@dataclass(frozen=True)
class Advice:
    """How to go about it, beside where: what a seat would tell the next repair.

    Args:
        templates: families that fixed the like before, best first.
        generator: `templates`, or `model/NAME`, whichever fixed the like before; empty for no opinion.
        settings: names and values of the search's settings.
    """

    templates: tuple[str, ...] = ()
    generator: str = ""
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ballot:
    """What one seat says in one round.

    Args:
        ranking: ids of options, best first; what is not named stands below all that is, tied.
        probability: in [0, 1], that the first of the ranking is right; judged later, never a weight.
        vetoes: id of an option -> why it must not be taken; counts only from a seat that may veto.
        abstained: why there is no opinion; then the ranking is empty.
        cast_at: when it reached the database, by its clock.
        late: it came after the deadline; kept, not counted.
        advice: for the repair that follows; no part of the vote.
        patch: edits that the seat proposes for its first choice, as a model writes them; the tests decide on it.
    """

    expert: str
    department: str
    kind: Kind
    ranking: tuple[str, ...] = ()
    probability: float = 0.5
    evidence: tuple[Evidence, ...] = ()
    vetoes: Mapping[str, str] = field(default_factory=dict)
    abstained: str = ""
    round: int = 1
    cast_at: datetime | None = None
    late: bool = False
    cost_usd: float = 0.0
    advice: Advice = Advice()
    patch: str = ""


@dataclass(frozen=True)
class Dissent:
    """A counted ballot whose first choice was not taken."""

    expert: str
    department: str
    preferred: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Tally:
    """How the counted ballots of one round compare the options.

    Args:
        order: ids of options, best first; those of `tied` are in order of their ids.
        scores: Copeland score per option in [0, 1]: the share of other options it beats, a draw counting half.
        margin: in [0, 1], how far the first option's weighted support against its strongest rival exceeds the rival's;
            1 where there is one option only.
        tied: the options that no rule could tell from the first one, itself included; one id when it stands alone.
        counted: how many ballots had an opinion and came in time.
        needed: the quorum.
    """

    order: tuple[str, ...]
    scores: Mapping[str, float]
    margin: float
    tied: tuple[str, ...]
    counted: int
    needed: int


@dataclass(frozen=True)
class Decision:
    """How a room ended.

    `no_consensus` and `expired` change nothing: a person is asked. `settled_by` is what made the decision: the vote, a
    judge after a tie, the tests of proposed patches, or a person.
    """

    outcome: Outcome
    option: str | None
    reason: str
    tally: Tally
    dissent: tuple[Dissent, ...] = ()
    rounds: int = 1
    settled_by: Literal["vote", "judge", "tests", "person", "nobody"] = "nobody"
    changed_votes: int = 0  # first choices that changed in the exchange round
