"""Where the bug may be: the spectrum, the tracebacks, definitions, and what to do without coverage."""

import dataclasses
import math

import pytest

from atra.meta_architect.localisation import diagnose, expected_values, is_test
from atra.meta_architect.records import Diagnosis, Reproduction
from atra.sandbox.reports import Frame, TestResult

CART = """RATE = 0.2
UNUSED = 1

def total(items,
          tax=RATE):
    amount = 0
    for item in items:
        amount += (item.price *
                   item.number)
    if amount < 0:
        return 0
    return amount + tax
"""
SOURCES = {
    "shop/__init__.py": "",
    "shop/cart.py": CART,
    "shop/other.py": "def other():\n    return 1\n",
    "tests/test_cart.py": "from shop.cart import total\n\ndef test_one():\n    assert total([]) == 417\n",
}
TEST = "tests/test_cart.py::test_one"


def failing(*frames: Frame, message: str = "") -> TestResult:
    return TestResult(TEST, "failed", 0.1, "AttributeError", message, frames)


def reproduction(*frames: Frame) -> Reproduction:
    return Reproduction(
        failing=(failing(*frames, message="no 'price' here, but 7"),),
        passing=("tests/test_cart.py::test_two",),
        lines={TEST: {"shop/cart.py": (6, 7, 8, 9), "tests/test_cart.py": (4,)}},
        passing_hits={"shop/cart.py": {6: 3, 7: 3, 10: 3, 12: 3}},
    )


def scores(diagnosis: Diagnosis) -> dict[tuple[str, int], float]:
    return {(place.path, place.line): place.score for place in diagnosis.places}


def test_lines_that_only_failing_tests_ran_come_first() -> None:
    """The spectrum follows Ochiai; lines inside a statement count for its first line."""
    found = scores(diagnose(reproduction(), SOURCES))

    assert next(iter(found)) == ("shop/cart.py", 8)
    assert found["shop/cart.py", 8] == pytest.approx(0.8)
    assert found["shop/cart.py", 6] == pytest.approx(0.8 / math.sqrt(1 * (1 + 3)))
    assert ("shop/cart.py", 9) not in found
    assert ("shop/cart.py", 12) not in found


def test_the_innermost_frame_outside_the_tests_is_most_suspect() -> None:
    """A traceback lifts its innermost line above lines of the same spectrum, the frames round it less."""
    frames = (
        Frame("tests/test_cart.py", 4, "test_one"),
        Frame("shop/cart.py", 6, "total"),
        Frame("shop/cart.py", 7, "total"),
    )

    found = scores(diagnose(reproduction(*frames), SOURCES))

    assert (
        found["shop/cart.py", 7]
        > found["shop/cart.py", 6]
        > scores(diagnose(reproduction(), SOURCES))["shop/cart.py", 6]
    )


def test_what_a_suspect_function_leans_on_is_suspect_too() -> None:
    """Its own header and the constants that it reads run while importing, so no test's lines hold them."""
    found = scores(diagnose(reproduction(), SOURCES))

    assert {("shop/cart.py", 4), ("shop/cart.py", 1)} <= found.keys()
    assert ("shop/cart.py", 2) not in found


def test_tests_and_protected_paths_are_never_places() -> None:
    """Whatever ran there, no patch may go there."""
    places = diagnose(reproduction(), SOURCES, protected=lambda path: path == "shop/cart.py").places

    assert places == ()


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("tests/helper.py", True),
        ("shop/test_cart.py", True),
        ("shop/cart_test.py", True),
        ("conftest.py", True),
        (".venv/lib/python3.11/site-packages/x.py", True),
        ("shop/cart.py", False),
        ("shop/testimony.py", False),
        ("src/latest.py", False),
    ],
)
def test_tests_are_known_by_their_paths(path: str, verdict: bool) -> None:
    """Folders and names as pytest's conventions have them, and code that others wrote."""
    assert is_test(path) is verdict


def test_without_coverage_everything_is_a_little_suspect() -> None:
    """Files that the failing test imports come before others, functions that it names before all."""
    bare = dataclasses.replace(reproduction(), lines={}, passing_hits={})

    places = diagnose(bare, SOURCES).places

    assert {place.path for place in places} == {"shop/cart.py", "shop/other.py"}
    assert [place.path for place in places] == sorted(place.path for place in places)
    assert places[0].reasons == ("in a function that the tests name",)


def test_code_that_only_a_process_of_the_tests_runs_is_suspect() -> None:
    """Where all that was traced lies in the tests, everything else is a little suspect."""
    elsewhere = dataclasses.replace(reproduction(), lines={TEST: {"tests/test_cart.py": (4,)}}, passing_hits={})

    found = scores(diagnose(elsewhere, SOURCES))

    assert ("shop/cart.py", 8) in found


def test_the_order_does_not_depend_on_how_the_facts_are_ordered() -> None:
    """Equal facts give equal diagnoses; ties go by path and line."""
    facts = reproduction()
    turned = dict(reversed(SOURCES.items()))

    assert diagnose(facts, turned) == diagnose(facts, SOURCES)


def test_a_file_that_cannot_be_read_is_no_place() -> None:
    """A syntax error in one file leaves the others."""
    places = diagnose(reproduction(), {**SOURCES, "shop/cart.py": "def (:\n", "shop/other.py": "x = 1\n"}).places

    assert all(place.path != "shop/cart.py" for place in places)


def test_errors_and_expected_values_go_along() -> None:
    """Types and messages as the tests gave them; values from assertions first, then from messages."""
    diagnosis = diagnose(reproduction(), SOURCES)

    assert diagnosis.error_types == ("AttributeError",)
    assert diagnosis.errors == (("AttributeError", "no 'price' here, but 7"),)
    assert diagnosis.expected == ("417", "'price'", "7")


def test_values_are_found_without_the_tests_source() -> None:
    """Where the test's file is not given, the message alone speaks."""
    assert expected_values([failing(message="assert 3 == -4.5")], {}) == ("3", "-4.5")
