"""When a brain is taken out of service, from what it did on its last questions."""

import pytest

from atra.llm.records import Reply
from atra.local_brain.health import Bounds, Outcome, breach, use_of

BOUNDS = Bounds(window=20, least=10, most=0.3)


@pytest.mark.parametrize(
    ("outcomes", "ill"),
    [
        ([], False),
        (["error"] * 9, False),
        (["error"] * 10, True),
        (["unsure"] * 20, False),
        (["answered"] * 14 + ["slow"] * 3 + ["empty"] * 3, False),
        (["answered"] * 13 + ["slow"] * 3 + ["empty"] * 4, True),
        (["answered"] * 20 + ["error"] * 20, False),
        (["error"] * 7 + ["answered"] * 100, True),
    ],
    ids=["nothing", "too few", "all", "never sure", "at the bound", "above it", "long ago", "lately"],
)
def test_it_is_ill_where_more_than_the_bound_went_wrong_lately(outcomes: list[Outcome], ill: bool):
    """Passing on is no illness; what is older than the window is forgotten; with too few nothing is said."""
    assert bool(breach(outcomes, BOUNDS)) is ill


def test_it_says_what_is_wrong():
    """A person reads it beside the brain that was taken out."""
    told = breach(["error"] * 5 + ["truncated"] * 3 + ["answered"] * 12, BOUNDS)

    assert told == "of its last 20 questions 8 went ill (5 error, 3 truncated); 30% are borne"


@pytest.mark.parametrize(
    ("mean", "outcome"), [(-0.1, "answered"), (-0.9, "unsure"), (float("nan"), "unsure"), (None, "unsure")]
)
def test_a_sureness_that_is_no_number_is_none(mean: float | None, outcome: Outcome):
    """Nothing is given of which nobody knows how sure it is."""
    assert use_of(Reply("7", finish="stop", mean_logprob=mean), 0.1, -0.5, 9.0).outcome == outcome
