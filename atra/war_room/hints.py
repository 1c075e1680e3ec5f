"""What a room tells the next repair: where to look first, what to try, and what to leave alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from atra.war_room.case import Region
from atra.war_room.records import Ballot, Decision

_PLACES = 10


@dataclass(frozen=True)
class HintedPlace:
    """Lines of a file to look at. `score` is 1 for the place that the room put first, 1/2 for the second, and so on."""

    path: str
    first: int
    last: int
    score: float


@dataclass(frozen=True)
class HintedPatch:
    """New contents by path that `model` wrote and that passed the suite in the room; the repair proves them again."""

    model: str
    after: Mapping[str, str]


@dataclass(frozen=True)
class Hints:
    """Advice for one repair; none of it is proved, and the tests still decide.

    Args:
        places: most suspect first; empty when the room came to no decision.
        templates: families to try first, best first.
        settings: names and values of the search's settings.
        generator: `templates` or `model/NAME`; empty for no advice.
        forbidden: paths that a seat with that right vetoed; no patch may touch them without a person.
        patches: to be tried before anything else.
    """

    places: tuple[HintedPlace, ...] = ()
    templates: tuple[str, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict)
    generator: str = ""
    forbidden: tuple[str, ...] = ()
    patches: tuple[HintedPatch, ...] = ()


def hints_of(
    decision: Decision,
    ballots: Sequence[Ballot],
    regions: Iterable[Region],
    weights: Mapping[str, float],
    vetoers: frozenset[str],
) -> Hints:
    """Return what the room's decision and its ballots advise.

    The places are the decided region and those that came next, less what is vetoed; undecided rooms name none, but
    their vetoes stand. Advice is taken by the weight of who gave it, and of equal weight by name.
    """
    known = {region.id: region for region in regions}
    vetoed = {one for ballot in ballots if ballot.expert in vetoers and not ballot.late for one in ballot.vetoes}
    advisers = sorted(
        (ballot for ballot in ballots if not ballot.late),
        key=lambda ballot: (-weights.get(ballot.expert, 1.0), ballot.expert, -ballot.round),
    )
    settings: dict[str, float] = {}
    for ballot in reversed(advisers):
        settings |= ballot.advice.settings
    return Hints(
        places=_places(decision, known, vetoed) if decision.outcome == "decided" else (),
        templates=tuple(dict.fromkeys(name for ballot in advisers for name in ballot.advice.templates)),
        settings=settings,
        generator=next((ballot.advice.generator for ballot in advisers if ballot.advice.generator), ""),
        forbidden=tuple(sorted({known[one].path for one in vetoed if one in known})),
    )


def _places(decision: Decision, known: Mapping[str, Region], vetoed: set[str]) -> tuple[HintedPlace, ...]:
    first = [decision.option] if decision.option is not None else []
    order = dict.fromkeys([*first, *decision.tally.order])
    wanted = [known[id_] for id_ in order if id_ in known and id_ not in vetoed]
    return tuple(
        HintedPlace(region.path, region.first, region.last, round(1 / rank, 4))
        for rank, region in enumerate(wanted[:_PLACES], 1)
    )
