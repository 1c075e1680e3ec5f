"""What was learned of the order of candidates: it moves chances about, and the shipped weights are sound."""

import ast

import pytest

from atra.meta_architect.learned import Surroundings, chances, known_weights
from atra.meta_architect.records import Diagnosis, Place
from atra.meta_architect.scope import Scope
from atra.meta_architect.source import Source
from atra.meta_architect.stream import candidates, propose, shares_of
from atra.meta_architect.templates import TEMPLATES
from atra.meta_architect.templates.spot import Spot

TEXT = "def f(items, limit):\n    total = 0\n    while total < limit:\n        total += items[0]\n    return total\n"


def spot(line: int) -> Spot:
    source = Source("a.py", TEXT)
    return Spot(source, Scope(source), source.by_line[line][0])


def test_weights_move_chances_and_keep_their_sum() -> None:
    """A feature with a weight makes its proposals likelier at the cost of the others."""
    found = list(propose(spot(3), shares_of(TEMPLATES, {})))
    priors = [prior for _, _, prior in found]

    raised = chances(spot(3), found, {"template boundary": 2.0, "template variable": -2.0})

    assert sum(raised) == pytest.approx(sum(priors))
    moved = {template.name: new / old for (template, _, old), new in zip(found, raised, strict=True)}
    assert moved["variable"] < moved["comparison-operator"] < 1.5
    assert moved["variable"] == pytest.approx(moved["comparison-operator"] * 0.1353, rel=0.01)


def test_without_weights_the_priors_stay() -> None:
    """What a template says of its proposals is all there is then."""
    found = list(propose(spot(4), shares_of(TEMPLATES, {})))

    assert chances(spot(4), found, {}) == [prior for _, _, prior in found]


def test_the_stream_follows_the_weights() -> None:
    """The same candidates come in another order."""
    diagnosis = Diagnosis((Place("a.py", 3, 1.0),))
    plain = [item.template for item in candidates({"a.py": TEXT}, diagnosis, weights={})]
    raised = [item.template for item in candidates({"a.py": TEXT}, diagnosis, weights={"template moved": 4.0})]

    assert raised.index("moved") < plain.index("moved")
    assert len(raised) == pytest.approx(len(plain), abs=3)


def test_features_tell_what_is_brought() -> None:
    """A name from elsewhere in the function is known; the kind of statement stands with the family."""
    found = list(propose(spot(4), shares_of(TEMPLATES, {})))
    template, proposal, _ = next(one for one in found if one[0].name == "variable" and one[1].edits[0].text == "limit")

    seen = dict(Surroundings(spot(4)).features(template, proposal))

    assert seen["template variable"] == seen["family name in AugAssign"] == 1.0
    assert (seen["names known in the function"], seen["names known in the statement"]) == (1.0, 0.0)


def test_the_shipped_weights_speak_of_features_that_there_are() -> None:
    """A template that was renamed or taken out leaves no weight behind; none is beyond what may count."""
    names = {f"template {item.name}" for item in TEMPLATES}
    kinds = {f"family {item.family} in {kind.__name__}" for item in TEMPLATES for kind in ast.stmt.__subclasses__()}
    weights = known_weights()

    strange = {name for name in weights if name.startswith(("template ", "family "))} - names - kinds

    assert not strange
    assert all(abs(weight) < 8 for weight in weights.values())
