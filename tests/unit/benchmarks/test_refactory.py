"""Reading student programs, what is promised of their arguments, and how a run is summed up."""

import zipfile
from pathlib import Path

import pytest

from benchmarks.assignments import correct_submissions, promises, read_sample
from benchmarks.encoding import encode
from benchmarks.refactory import Row, total

FILES = {
    "data/question_1/ans/input_001.txt": "top((3, 1))\n",
    "data/question_1/ans/output_001.txt": "3\n",
    "data/question_1/code/wrong/wrong_1_001.py": "def top(items):\r\n    return items[1]\r\n",
    "data/question_1/code/wrong/wrong_1_002.py": "def top(items):\n    return 1\n",
    "data/question_1/code/correct/correct_1_001.py": "def top(items):\n    return max(items)\n",
    "data/question_1/code/reference/reference.py": "def top(items):\n    return sorted(items)[-1]\n",
    "data/question_1/code/global.py": "import math\n",
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A checkout's archive with one assignment."""
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        for name, text in FILES.items():
            packed.writestr(name, text)
    return tmp_path / "data.zip"


def test_a_submission_becomes_a_repository_with_the_assignments_calls(archive: Path) -> None:
    """The shared imports stand before the program, the calls are its tests; a sample is the same for the same seed."""
    first, second = read_sample(archive, 5, seed=0)

    assert first.program.defective == "import math\ndef top(items):\n    return items[1]\n"
    assert "def test_001():\n    assert top((3, 1)) == 3\n" in first.program.files["tests/test_calls.py"]
    assert second.name == "wrong_1_002"
    assert read_sample(archive, 1, seed=3) == read_sample(archive, 1, seed=3)
    assert correct_submissions(archive, "question_1") == ["def top(items):\n    return max(items)\n"]


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ([2, [1, 5, 9]], True),
        ([2, []], True),
        ([-2, [1, 5]], False),
        ([2, [5, 1]], False),
        ([2, [1, 1]], False),
        ([2, ["a"]], False),
        ([2.0, [1]], False),
    ],
)
def test_what_holds_for_every_recorded_call_is_promised(arguments: list[object], kept: bool) -> None:
    """Kind, sign, order and no repeats; the empty list of one call promises nothing of what lists hold."""
    known = [encode([3, [1, 2, 3]], []), encode([0, []], [])]

    assert promises(known)(encode(arguments, [])) is kept


def test_sums_tell_seen_from_unseen_and_count_what_was_searched() -> None:
    """What passes as it is, or cannot be read, is left out; repairs are sorted by their confidence."""
    rows = [
        Row("question_1", "a", "plausible", confidence=0.85, statements=1, correct=True),
        Row("question_1", "b", "missed", statements=2),
        Row("question_2", "c", "plausible", confidence=0.3, statements=5, correct=False),
        Row("question_2", "d", "passes"),
    ]

    told = total(rows)
    sums = {row["assignment"]: row for row in told["by_assignment"]}

    assert (sums["seen"]["programs"], sums["unseen"]["programs"], sums["unseen"]["left_out"]) == (2, 1, 1)
    assert (sums["seen"]["one_repaired"], sums["seen"]["two_statements"], sums["seen"]["two_repaired"]) == (1, 1, 0)
    counts = [(row["repairs"], row["correct"]) for row in told["reliability"]]
    assert counts == [(0, 0), (1, 0), (0, 0), (0, 0), (1, 1)]
