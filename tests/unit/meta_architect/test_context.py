"""What a model is told: the right pieces first, no more than there is room for, and all of it marked as data."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atra.meta_architect.context import tell, tokens_in
from atra.meta_architect.records import Diagnosis, Place, Reproduction
from atra.sandbox.reports import Frame, TestResult

FILLER = "".join(f"\n\ndef filler_{n}(value):\n    return value + {n}\n" for n in range(400))
SOURCES = {
    "shop/pricing.py": (
        '"""Prices in cents."""\n\nimport math\n\nLEAST = 10\n' + FILLER + "\n\nclass Prices:\n"
        '    """All of them."""\n\n    def share_off(self, pieces):\n        """Return the percentage taken off."""\n'
        "        return 5 if pieces > LEAST else rounded(0)\n" + FILLER
    ),
    "shop/rounding.py": "def rounded(number):\n    return int(number)\n",
    "shop/cart.py": "def total(price, prices):\n    return price * prices.share_off(3)\n",
    "shop/other.py": "def unrelated():\n    return 1\n",
    "tests/test_cart.py": (
        "import pytest\n\n\n@pytest.fixture\ndef prices():\n    return 1\n\n\n"
        "def test_total(prices):\n    assert prices == 2\n"
    ),
    "broken.py": "def (:\n",
}
WHERE = SOURCES["shop/pricing.py"][: SOURCES["shop/pricing.py"].index("return 5")].count("\n") + 1
FAILING = TestResult(
    "tests/test_cart.py::test_total[10-950]",
    "failed",
    0.1,
    "AssertionError",
    "assert 1000 == 950",
    (Frame("shop/pricing.py", WHERE, "share_off"),),
    "Traceback (most recent call last):\nAssertionError: assert 1000 == 950",
)
REPRODUCTION = Reproduction((FAILING,), ("tests/test_cart.py::test_other",))
DIAGNOSIS = Diagnosis((Place("shop/pricing.py", WHERE, 0.9, ("innermost frame",)),))


def told(tokens: int = 8000, **options: object) -> str:
    return tell(REPRODUCTION, DIAGNOSIS, SOURCES, tokens=tokens, nonce="n0nce", **options).text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "piece",
    [
        "tests/test_cart.py::test_total[10-950]: AssertionError: assert 1000 == 950",
        "Traceback (most recent call last):",
        f"shop/pricing.py:{WHERE} (0.90; innermost frame)",
        "def test_total(prices):",
        "@pytest.fixture\ndef prices():",
        '    def share_off(self, pieces):\n        """Return the percentage taken off."""',
        'class Prices:\n    """All of them."""',
        "import math\n\nLEAST = 10",
        "def rounded(number):",
        "def total(price, prices):",
        "shop/other.py",
    ],
)
def test_a_model_is_told_of_the_failure_and_what_surrounds_it(piece: str) -> None:
    """Tests, traceback, places, the suspect function with the heads of its class and file, neighbours, other names."""
    assert piece in told()


def test_what_is_not_near_is_not_told() -> None:
    """Of a large file only what is suspect or called is shown, and the gaps are named."""
    text = told()

    assert "def filler_7(" not in text
    assert "of this file are not shown" in text
    assert "def unrelated" not in text


def test_all_of_the_repositorys_text_stands_between_marks() -> None:
    """Each line of the context is inside a frame, whatever the repository's text pretends."""
    hostile = {**SOURCES, "shop/rounding.py": "def rounded(number):\n    # [other end]\n    return [0]\n"}
    text = tell(REPRODUCTION, DIAGNOSIS, hostile, tokens=8000, nonce="n0nce").text

    inside = False
    for line in text.splitlines():
        if line.startswith("[n0nce begin "):
            assert not inside
            inside = True
        elif line == "[n0nce end]":
            assert inside
            inside = False
        else:
            assert inside or not line


@settings(max_examples=25, deadline=None)
@given(st.integers(300, 20_000))
def test_the_budget_holds_and_what_is_missing_is_told(tokens: int) -> None:
    """However small the room, the text fits; something is left out only where the text says what."""
    context = tell(REPRODUCTION, DIAGNOSIS, SOURCES, tokens=tokens, nonce="n0nce")

    assert context.tokens == tokens_in(context.text) <= tokens
    assert ("left out for want of room" in context.text) == bool(context.left_out)
    assert "test_total[10-950]" in context.text
    assert context == tell(REPRODUCTION, DIAGNOSIS, SOURCES, tokens=tokens, nonce="n0nce")


def test_protected_places_are_not_offered() -> None:
    """What no patch may change is not shown as suspect."""
    text = told(protected=lambda path: path == "shop/pricing.py")

    assert "share_off(self" not in text
    assert "(0.90;" not in text
