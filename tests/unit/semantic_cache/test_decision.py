"""The hit decision as it ships: what may be served for what, and that its arithmetic is that of its description."""

import json
import subprocess
import sys
from base64 import b64encode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atra.llm.minilm import MiniLM
from atra.semantic_cache.decision import SHIPPED, Decider, Layer, Trees
from atra.semantic_cache.features import NAMES

TEXTS = st.text(max_size=60)


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def likely(minilm: MiniLM, asked: str, kept: str) -> float:
    one, two = minilm.embed([asked, kept])
    return Decider.shipped().probability(asked, kept, float(one @ two), one, two)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("How do I read a file in Python?", "How can I read a file in Python?"),
        ("What is the best way to learn Rust?", "What's the best way to learn rust"),
        ("Please tell me what Celery is", "What is Celery?"),
    ],
)
def test_the_same_in_other_words_is_likely(minilm: MiniLM, asked: str, kept: str):
    """Little words, contractions, politeness."""
    assert likely(minilm, asked, kept) > 0.85


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("Who won the World Cup in 2018?", "Who won the World Cup in 2022?"),
        ("Is Postgres 17 still supported?", "Is Postgres 18 still supported?"),
        ("Can a lion kill a tiger?", "Can a tiger kill a lion?"),
        ("Why does Redis start after a reboot?", "Why does Redis not start after a reboot?"),
        ("How do I enable logging in Django?", "How do I disable logging in Django?"),
        ("How do I sort a list in Java?", "How do I sort a list in Go?"),
        ("What is the weather like in Rome in March?", "What is the weather like in Rome in August?"),
        ("Where was Marie Curie born?", "When was Marie Curie born?"),
    ],
)
def test_what_has_another_answer_is_not(minilm: MiniLM, asked: str, kept: str):
    """However near the vectors are."""
    assert likely(minilm, asked, kept) < 0.75


@settings(max_examples=40, deadline=None)
@given(asked=TEXTS, kept=TEXTS)
def test_it_is_a_probability_whichever_question_is_asked(minilm: MiniLM, asked: str, kept: str):
    """Also of texts that are no questions; and without vectors, or with another model's."""
    one, two = minilm.embed([asked, kept])
    decider, cosine = Decider.shipped(), float(one @ two)

    said = decider.probability(asked, kept, cosine, one, two)

    assert 0 < said < 1
    assert said == pytest.approx(decider.probability(kept, asked, cosine, two, one), abs=1e-5)
    without = decider.probability(asked, kept, cosine)
    assert 0 < without < 1
    assert decider.probability(asked, kept, cosine, one[:100], two[:100]) == without


def test_it_needs_no_numpy_to_load_or_to_decide_by_words():
    """Where no vectors are, none of their library is asked for."""
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from atra.semantic_cache.decision import Decider\n"
        "print(Decider.shipped().probability('What is it?', 'what is it', 0.99) > 0.5)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "True"


def test_the_layer_is_a_hidden_layer_over_difference_and_product():
    """On two units: the first sees the differences, the second one product."""
    matrix = np.array([[127, 0], [127, 0], [0, 0], [0, 127]], np.int8)
    facts = {
        "dim": 2,
        "width": 2,
        "matrix": b64encode(matrix.tobytes()).decode(),
        "scale": [1 / 127, 1 / 127],
        "bias": [-0.1, 0.0],
        "out": [2.0, 3.0, -1.0],
        "guess": [-1.0, 2.0],
    }
    layer = Layer(facts)
    one, two = np.array([0.6, 0.8], np.float32), np.array([0.8, 0.6], np.float32)

    assert layer.score(one, two) == pytest.approx(2 * (0.4 - 0.1) + 3 * 0.48 - 1, abs=1e-6)
    assert layer.score(one, one) == pytest.approx(3 * 0.64 - 1, abs=1e-6)
    assert layer.guess(0.5) == 0


def test_trees_add_up():
    """Each from its root to one leaf; a number at the threshold goes low."""
    nodes = [[1, 0.5, 1, 2], [-1, 1.0, 0, 0], [-1, -2.0, 0, 0], [-1, 0.25, 0, 0]]
    trees = Trees({"start": 0.125, "roots": [0, 3], "nodes": nodes})

    assert trees.score([9.0, 0.5]) == 0.125 + 1.0 + 0.25
    assert trees.score([9.0, 0.6]) == 0.125 - 2.0 + 0.25


def test_a_decision_that_was_fitted_to_other_features_is_refused():
    """Rather than read the wrong numbers."""
    facts = json.loads(SHIPPED.read_text(encoding="utf-8"))

    with pytest.raises(ValueError, match="train it again"):
        Decider({**facts, "names": list(NAMES[1:])})
