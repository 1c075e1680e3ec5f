"""Whatever a seat says, what is kept of it is sound."""

from hypothesis import given
from hypothesis import strategies as st

from atra.war_room.ballots import LONGEST_TEXT, MOST_EVIDENCE, sound
from atra.war_room.records import Ballot, Evidence

OPTIONS = ("a", "b", "c")
ANY = st.builds(
    Ballot,
    expert=st.just("one"),
    department=st.just("one"),
    kind=st.just("model"),
    ranking=st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=8).map(tuple),
    probability=st.floats(),
    evidence=st.lists(st.builds(Evidence, st.text(), st.text()), max_size=30).map(tuple),
    vetoes=st.dictionaries(st.sampled_from(["a", "z"]), st.text()),
    abstained=st.sampled_from(["", "no idea"]),
)


@given(ANY)
def test_what_is_kept_is_sound(ballot: Ballot):
    """Known options once each, a probability, little text; either a ranking or a reason; and sound stays sound."""
    kept = sound(ballot, OPTIONS)

    assert set(kept.ranking) <= set(OPTIONS)
    assert len(set(kept.ranking)) == len(kept.ranking)
    assert 0 <= kept.probability <= 1
    assert len(kept.evidence) <= MOST_EVIDENCE
    assert set(kept.vetoes) <= set(OPTIONS)
    assert bool(kept.ranking) != bool(kept.abstained)
    assert sound(kept, OPTIONS) == kept


def test_the_order_of_what_is_known_stays():
    """And long words are cut where they end in an ellipsis."""
    ballot = Ballot("one", "one", "model", ("c", "x", "a", "c"), 0.7, (Evidence("w" * 5000),), {"b": "v" * 5000})

    kept = sound(ballot, OPTIONS)

    assert (kept.ranking, kept.probability) == (("c", "a"), 0.7)
    assert len(kept.evidence[0].text) == len(kept.vetoes["b"]) == LONGEST_TEXT
    assert kept.evidence[0].text.endswith("w…")
