"""What the hit decision is fitted to and tested on: nothing of the one is in the other."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.duplicates import read
from benchmarks.error_bound import _best_fixed, _chance
from benchmarks.qqp import _recall
from benchmarks.question_pairs import FIT, TEST, Family, pairs


def templates(families: dict[str, Family]) -> set[frozenset[str]]:
    return {frozenset(both) for family in families.values() for both in family.templates}


def exchanged(families: dict[str, Family]) -> set[str]:
    return {word for family in families.values() for group in family.changed for word in group if word}


def test_nothing_that_is_fitted_to_is_tested_with():
    """No family, no pair of templates, no word that is exchanged, and so no pair."""
    assert not FIT.keys() & TEST.keys()
    assert not templates(FIT) & templates(TEST)
    assert not exchanged(FIT) & exchanged(TEST)
    both = [{frozenset((pair.one, pair.two)) for pair in pairs(families, 10_000)} for families in (FIT, TEST)]
    assert not both[0] & both[1]


@pytest.mark.parametrize("families", [FIT, TEST], ids=["fit", "test"])
def test_every_family_makes_pairs_of_two_different_questions(families: dict[str, Family]):
    """Both labels occur, all blanks are filled, and the same seed makes the same pairs."""
    made = pairs(families, 200)

    assert {pair.family for pair in made} == set(families)
    assert {pair.same for pair in made} == {True, False}
    assert all(pair.one != pair.two and "{" not in pair.one + pair.two for pair in made)
    assert made == pairs(families, 200)


@given(edges=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans()), min_size=1, max_size=80))
def test_no_question_is_in_two_parts(tmp_path_factory: pytest.TempPathFactory, edges: list[tuple[int, int, bool]]):
    """However questions are joined."""
    rows = [{"text_a": f"question {a}", "text_b": f"question {b}", "label": int(same)} for a, b, same in edges]

    made = read(checkout(tmp_path_factory.mktemp("checkout"), rows))

    assert [(pair.one, pair.two, pair.same) for pair in made] == [
        (row["text_a"], row["text_b"], bool(row["label"])) for row in rows
    ]
    part: dict[str, str] = {}
    for pair in made:
        assert part.setdefault(pair.one, pair.family) == part.setdefault(pair.two, pair.family) == pair.family


def checkout(folder: Path, rows: list[dict[str, object]]) -> Path:
    """Return a folder that holds the archive as the repository does."""
    data = json.dumps(rows).encode()
    place = folder / "examples" / "benchmark"
    place.mkdir(parents=True)
    with tarfile.open(place / "similiar_qqp_full.json.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("examples/benchmark/similiar_qqp_full.json")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return folder


def test_recall_is_that_of_the_lowest_threshold_that_is_precise_enough():
    """Equal scores are served together or not at all."""
    same = np.array([True, True, False, True, False])

    assert _recall(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), same, 0.75) == 1.0
    assert _recall(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), same, 0.9) == pytest.approx(2 / 3, abs=1e-4)
    assert _recall(np.array([0.9, 0.8, 0.8, 0.8, 0.5]), same, 0.9) == pytest.approx(1 / 3, abs=1e-4)
    assert _recall(np.array([0.1, 0.2, 0.9, 0.3, 0.8]), same, 0.9) == 0.0


def test_the_best_fixed_threshold_serves_as_much_as_the_promise_allows():
    """Counted on the whole stream."""
    same = np.array([True, False, True, True])

    assert _best_fixed(np.array([0.9, 0.1, 0.8, 0.7]), same, 0.2) == 0.75
    assert _best_fixed(np.array([0.9, 0.1, 0.8, 0.7]), same, 0.25) == 1.0
    assert _best_fixed(np.array([0.1, 0.9, 0.2, 0.3]), same, 0.2) == 0.0


def test_the_chance_of_wrong_hits_is_that_of_coins():
    """The upper tail of the binomial distribution."""
    assert _chance(10, 0, 0.5) == 1
    assert _chance(2, 1, 0.1) == pytest.approx(0.19)
    assert _chance(10, 10, 0.5) == pytest.approx(0.5**10)
