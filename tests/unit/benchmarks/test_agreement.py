"""Whether two sources of a program do the same, judged in real boxes."""

import pytest

from atra.sandbox.bubblewrap import BubblewrapSandbox
from benchmarks.agreement import compare_made_up, made_up_inputs, recorded_inputs, same
from benchmarks.encoding import encode
from benchmarks.programs import CONFIGURATION, Program

CORRECT = "def evens(numbers):\n    for n in numbers:\n        if n % 2 == 0:\n            yield n\n"
TESTS = (
    "import pytest\n\nfrom programs.evens import evens\n\n\n"
    "@pytest.mark.parametrize('numbers, expected', [([1, 2], [2]), ([], []), ([4, 6], [4, 6])])\n"
    "def test_evens(numbers, expected):\n    assert list(evens(numbers)) == expected\n"
)
PROGRAM = Program(
    "evens", "", CORRECT, {"pytest.ini": CONFIGURATION, "programs/__init__.py": "", "tests/test_evens.py": TESTS}
)


@pytest.fixture(scope="module")
def recorded():
    return recorded_inputs(PROGRAM, BubblewrapSandbox())


def test_the_tests_inputs_are_recorded(recorded) -> None:
    """Each call that a test makes is one input."""
    assert [given["value"] for given in recorded] == [[[1, 2]], [[]], [[4, 6]]]


@pytest.mark.parametrize(
    ("source", "agrees"),
    [
        (CORRECT, True),
        ("def evens(numbers):\n    return (n for n in numbers if not n & 1)\n", True),
        ("def evens(numbers):\n    return (n for n in numbers if n % 4 != 1)\n", False),
        ("def evens(numbers):\n    raise ValueError\n", False),
        ("def evens(numbers):\n    while len(numbers) > 2:\n        pass\n    yield from numbers[1:]\n", False),
        ("import os\n\n\ndef evens(numbers):\n    os._exit(0)\n", False),
    ],
    ids=["itself", "another-way", "wrong-on-three", "raises", "hangs", "ends-the-process"],
)
def test_made_up_inputs_tell_sources_apart(source: str, agrees: bool, recorded) -> None:
    """Only a source that does the same on all of them agrees, and the first difference is shown."""
    inputs = made_up_inputs(PROGRAM, recorded, seed=0)[:60]

    found = compare_made_up(PROGRAM, source, inputs, BubblewrapSandbox())

    assert (found.same == found.of > 0, found.difference == "") == (agrees, agrees)


def test_square_roots_may_be_off_by_what_was_asked_for() -> None:
    """Two approximations of the same root mean the same within twice the error allowed."""
    given = encode([2, 0.1], [])
    truth, near, far = ({"ended": "returned", "value": value, "nodes": []} for value in (1.4, 1.55, 1.7))

    assert same("sqrt", given, truth, near)
    assert not same("sqrt", given, truth, far)
