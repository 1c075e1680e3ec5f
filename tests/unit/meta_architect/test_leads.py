"""Leads move places up and hide none."""

from hypothesis import given
from hypothesis import strategies as st

from atra.meta_architect.leads import Lead, follow, recent
from atra.meta_architect.records import Diagnosis, Place

PLACES = st.lists(
    st.builds(Place, st.sampled_from(["a.py", "b.py"]), st.integers(1, 30), st.floats(0.001, 1)),
    min_size=1,
    max_size=20,
    unique_by=lambda place: (place.path, place.line),
)
LEADS = st.lists(
    st.builds(Lead, st.sampled_from(["a.py", "c.py"]), st.integers(1, 15), st.integers(1, 30), st.floats(0, 1)),
    max_size=5,
)


def test_a_place_that_a_lead_names_comes_first():
    """The surest lead counts, its reason is told, and scores stay within what the largest was."""
    places = (Place("a.py", 1, 0.5, ("ran",)), Place("b.py", 9, 0.4), Place("b.py", 20, 0.1))
    leads = (Lead("b.py", 8, 10, 1.0, "the room"), Lead("b.py", 1, 30, 0.2, "a guess"))

    found = follow(Diagnosis(places, ("ValueError",)), leads)

    assert [(place.path, place.line) for place in found.places] == [("b.py", 9), ("a.py", 1), ("b.py", 20)]
    assert found.places[0].reasons == ("the room",)
    assert found.places[0].score == 0.5
    assert found.error_types == ("ValueError",)


@given(PLACES, LEADS)
def test_no_place_is_lost_and_the_rest_keeps_its_order(places: list[Place], leads: list[Lead]):
    """Whatever the leads say."""
    given_places = tuple(sorted(places, key=lambda place: (-place.score, place.path, place.line)))
    found = follow(Diagnosis(given_places), leads).places

    assert {(place.path, place.line) for place in found} == {(place.path, place.line) for place in places}
    assert all(0 <= place.score <= 1 for place in found)
    assert [place.score for place in found] == sorted((place.score for place in found), reverse=True)
    if not leads:
        assert found == given_places


@given(PLACES)
def test_a_lead_to_nowhere_changes_no_order(places: list[Place]):
    """One for another file does not."""
    given_places = tuple(sorted(places, key=lambda place: (-place.score, place.path, place.line)))
    found = follow(Diagnosis(given_places), [Lead("z.py", 1, 99, 1.0)]).places

    assert {(one.path, one.line) for one in found} == {(one.path, one.line) for one in given_places}
    assert max(one.score for one in found) <= max(one.score for one in given_places) + 1e-6


def test_what_was_written_last_is_looked_at_first():
    """A statement is as new as its newest line; what is older than the lines that are named has no lead."""
    sources = {"a.py": "x = 1\ny = (\n    2,\n    3,\n)\nz = 4\n", "b.py": "def (:\n"}

    leads = recent(sources, {"a.py": {2: 3, 4: 0, 6: 1}, "b.py": {1: 0}})

    assert [(lead.path, lead.first, lead.why) for lead in leads] == [
        ("a.py", 2, "written by the last commit"),
        ("a.py", 6, "written by the last commit but 1"),
    ]
    places = tuple(Place("a.py", line, 0.5, ("ran",)) for line in (1, 2, 6))
    assert [place.line for place in follow(Diagnosis(places), leads).places] == [2, 6, 1]
