"""The promise about wrong hits: laws of the threshold, the account and the bound that is shown."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.records import from_json, to_json
from atra.semantic_cache.bound import HIGHEST, LOWEST, Sample, Standing, at_most, threshold_of, to_judge, updated

PROMISES = st.floats(0.005, 0.4)
JUDGED = st.lists(st.booleans(), max_size=60)


def after(judged: list[bool], max_error: float) -> Standing:
    standing = Standing()
    for right in judged:
        standing = updated(standing, Sample(0.99, right), max_error)
    return standing


@pytest.mark.parametrize("max_error", [0.005, 0.02, 0.1, 0.4])
def test_before_any_judgement_the_model_is_believed(max_error: float):
    """The least likely hit is wrong a fifth more often than was promised, the mean of them less often."""
    assert threshold_of(Standing(), max_error) == pytest.approx(max(LOWEST, 1 - 1.2 * max_error))


@given(judged=JUDGED, max_error=PROMISES)
def test_a_wrong_hit_never_loosens_and_a_right_one_never_tightens(judged: list[bool], max_error: float):
    """Whatever came before."""
    standing = after(judged, max_error)
    threshold = threshold_of(standing, max_error)

    wrong = threshold_of(updated(standing, Sample(0.99, False), max_error), max_error)
    right = threshold_of(updated(standing, Sample(0.99, True), max_error), max_error)

    assert LOWEST <= right <= threshold + 1e-12
    assert threshold - 1e-12 <= wrong <= max(HIGHEST, 1 - 1.2 * max_error)


@given(max_error=st.floats(0.02, 0.4), seed=st.integers(0, 1000), trap=st.floats(0.0, HIGHEST))
def test_the_promise_is_kept_in_the_long_run_against_any_questions(max_error: float, seed: int, trap: float):
    """But for what chance may cost, as long as what is served at the highest threshold is right."""
    rng, standing = random.Random(seed), Standing()
    for _ in range(400):
        probability = rng.random() ** 0.2
        if probability >= threshold_of(standing, max_error):
            standing = updated(standing, Sample(probability, probability >= trap), max_error)

    assert standing.wrong <= max_error * standing.judged + 6 * (4 + standing.wrong) ** 0.5 + 1


def test_wrong_hits_tighten_it_and_right_ones_loosen_it_again():
    """One wrong hit among the first ones, and then a hundred right ones."""
    thresholds = [threshold_of(after(judged, 0.1), 0.1) for judged in ([], [False], [False] + [True] * 100)]

    assert thresholds[1] > thresholds[0] + 0.05
    assert thresholds[2] < thresholds[0]


@given(judged=JUDGED, max_error=PROMISES)
def test_it_counts_what_was_judged(judged: list[bool], max_error: float):
    """All of them; the account is what is left of what was allowed, and never too full."""
    standing = after(judged, max_error)

    assert (standing.judged, standing.wrong) == (len(judged), judged.count(False))
    assert standing.account <= max_error * len(judged) - judged.count(False) + 1e-9
    assert standing.account <= 4 * (4 + standing.wrong) ** 0.5


def test_all_hits_are_judged_until_the_account_is_filled():
    """And again once wrong ones came."""
    filled = after([True] * 300, 0.02)

    assert to_judge(Standing()) == 1
    assert 0 < to_judge(filled) < 1
    assert to_judge(updated(updated(filled, Sample(0.99, False), 0.02), Sample(0.99, False), 0.02)) == 1


def test_what_was_long_ago_does_not_count_as_lately():
    """Two epochs of right hits, and the wrong ones before them are out of sight."""
    standing = after([False] * 50 + [True] * 600, 0.02)

    assert standing.wrong == 50
    assert standing.bound > 50 / 650
    assert standing.bound_lately < 0.06


@given(judged=st.integers(0, 5000), share=st.floats(0, 1), unsure=st.floats(0.001, 0.5))
def test_the_bound_is_above_what_was_seen(judged: int, share: float, unsure: float):
    """And below 1, higher with one more wrong, lower with one more right."""
    wrong = int(judged * share)

    bound = at_most(judged, wrong, unsure)

    assert wrong / max(1, judged) <= bound <= 1
    assert at_most(judged + 1, wrong + 1, unsure) >= bound - 1 / (judged + 1)
    assert at_most(judged + 1, wrong, unsure) <= bound


def test_the_bound_holds_at_all_times_at_once():
    """In 300 streams whose error goes up and down it is exceeded at any moment in fewer than one of twenty."""
    rng, broken = random.Random(7), 0
    for _ in range(300):
        wrong = expected = 0.0
        for judged in range(1, 400):
            error = 0.02 if judged < 200 else 0.15
            expected += error
            wrong += rng.random() < error
            if expected / judged > at_most(judged, int(wrong), 0.05):
                broken += 1
                break

    assert broken <= 15


@given(judged=JUDGED)
def test_a_standing_survives_the_database(judged: list[bool]):
    """To JSON and back it is the same."""
    standing = after(judged, 0.02)

    assert from_json(Standing, to_json(standing)) == standing


def test_it_tells_people_where_it_stands():
    """In one sentence, with or without judgements."""
    assert str(Standing()) == "no hit in other words was judged yet"
    assert str(after([True] * 299 + [False], 0.02)).startswith("1 of 300 judged hits were wrong, at most ")
