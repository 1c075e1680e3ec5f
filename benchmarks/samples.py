"""Three small programs with a defect each, of the size of QuixBugs', for measuring without a checkout."""

from benchmarks.programs import CONFIGURATION, Program

_ROMAN = '''def roman(number):
    """Return a number from 1 to 3999 in Roman numerals."""
    values = [
        (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
        (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
    ]
    written = ""
    for value, letters in values:
        while number >= value:
            written += letters
            number -= value
    return written
'''

_ROMAN_TESTS = """import pytest

from programs.roman import roman


@pytest.mark.parametrize(
    ("number", "written"),
    [(1, "I"), (3, "III"), (4, "IV"), (14, "XIV"), (49, "XLIX"), (90, "XC"), (400, "CD"), (1994, "MCMXCIV")],
)
def test_roman(number, written):
    assert roman(number) == written
"""

_MERGED = '''def merged(intervals):
    """Return the intervals with those that touch or overlap joined, in order."""
    out = []
    for start, end in sorted(intervals):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out
'''

_MERGED_TESTS = """import pytest

from programs.merged import merged


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([], []),
        ([(1, 2)], [(1, 2)]),
        ([(3, 4), (1, 2)], [(1, 2), (3, 4)]),
        ([(1, 5), (2, 3)], [(1, 5)]),
        ([(1, 3), (2, 6)], [(1, 6)]),
        ([(1, 2), (2, 4)], [(1, 4)]),
        ([(1, 4), (6, 8), (3, 6)], [(1, 8)]),
    ],
)
def test_merged(intervals, expected):
    assert merged(intervals) == expected
"""

_LUHN = '''def valid(card):
    """Tell whether the digits of a card's number have the right sum (Luhn)."""
    digits = [int(char) for char in card if char.isdigit()]
    total = 0
    for place, digit in enumerate(reversed(digits)):
        if place % 2 == 1:
            digit *= 2
            if digit > 9:
                digit -= 9
        total += digit
    return len(digits) > 1 and total % 10 == 0
'''

_LUHN_TESTS = """import pytest

from programs.luhn import valid


@pytest.mark.parametrize("card", ["4539 3195 0343 6467", "59", "8273 1232 7352 0562", "0000 0"])
def test_valid(card):
    assert valid(card)


@pytest.mark.parametrize("card", ["1", "0", "8273 1232 7352 0569", "055b 444 286"])
def test_invalid(card):
    assert not valid(card)
"""


def _sample(name: str, correct: str, right: str, wrong: str, tests: str) -> Program:
    files = {"pytest.ini": CONFIGURATION, "programs/__init__.py": "", f"tests/test_{name}.py": tests}
    return Program(name, correct.replace(right, wrong), correct, files)


SAMPLES = (
    _sample("roman", _ROMAN, "number >= value", "number > value", _ROMAN_TESTS),
    _sample("merged", _MERGED, "max(out[-1][1], end)", "end", _MERGED_TESTS),
    _sample("luhn", _LUHN, "place % 2 == 1", "place % 2 == 0", _LUHN_TESTS),
)
