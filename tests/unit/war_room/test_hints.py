"""Hints: the decided place first, what is vetoed never, advice by weight."""

from atra.core.records import from_json, to_json
from atra.war_room.consensus import decide
from atra.war_room.hints import Hints, hints_of
from atra.war_room.records import Advice, Ballot, Option
from tests.unit.war_room.cases import CASE, INIT, ROUNDED, TOTAL

OPTIONS = tuple(Option(region.id, region.name) for region in CASE.regions)
RISK = frozenset({"risk"})
INIT_FIRST = next(region.first for region in CASE.regions if region.id == INIT)


def ballot(expert: str, *ranking: str, **more: object) -> Ballot:
    return Ballot(expert, expert, "evidence", ranking, **more)  # type: ignore[arg-type]


def hints(room: list[Ballot], **weights: float) -> Hints:
    decision = decide(OPTIONS, room, len(room), weights, vetoers=RISK)
    return hints_of(decision, room, CASE.regions, weights, RISK)


def test_places_in_the_rooms_order():
    """The decided region is first, with its lines; what comes second counts half."""
    found = hints([ballot("a", ROUNDED, TOTAL), ballot("b", ROUNDED, INIT), ballot("c", TOTAL, ROUNDED)])

    assert [(place.path, place.first, place.last) for place in found.places[:2]] == [
        ("shop/money.py", 1, 4),
        ("shop/cart.py", 10, 12),
    ]
    assert [place.score for place in found.places[:2]] == [1.0, 0.5]
    assert found.forbidden == ()


def test_a_veto_takes_the_place_out():
    """What the risk seat vetoed is no place, and its path is forbidden; another seat's veto is not heard."""
    room = [
        ballot("a", ROUNDED, TOTAL, vetoes={ROUNDED: "no"}),
        ballot("b", ROUNDED, INIT),
        ballot("risk", TOTAL, vetoes={INIT: "protected"}),
    ]

    found = hints(room)

    assert found.forbidden == ("shop/cart.py",)
    assert found.places[0].path == "shop/money.py"
    assert INIT_FIRST not in {place.first for place in found.places if place.path == "shop/cart.py"}


def test_no_decision_names_no_place():
    """A vetoed room advises nothing, and still forbids."""
    room = [ballot("a", TOTAL), ballot("b", TOTAL), ballot("risk", TOTAL, vetoes={TOTAL: "protected"})]

    found = hints(room)

    assert (found.places, found.forbidden) == ((), ("shop/cart.py",))


def test_advice_goes_by_weight():
    """The heavier adviser's templates, settings and generator come first."""
    room = [
        ballot("a", ROUNDED, advice=Advice(("names", "calls"), "templates", {"samples": 1})),
        ballot("b", ROUNDED, advice=Advice(("operators", "names"), "model/x", {"samples": 4})),
    ]

    found = hints(room, a=0.5, b=2.0)

    assert found.templates == ("operators", "names", "calls")
    assert (found.generator, found.settings) == ("model/x", {"samples": 4})


def test_hints_travel_as_json():
    """The next repair reads what the room wrote."""
    found = hints([ballot("a", ROUNDED, advice=Advice(("names",)))])

    assert from_json(Hints, to_json(found)) == found
