"""From a checkout in the form of QuixBugs' to repositories of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.programs import make_repository, read_all
from benchmarks.samples import SAMPLES

TEST = """import pytest
from load_testdata import load_json_testcases

if pytest.use_correct:
    from correct_python_programs.double import double
else:
    from python_programs.double import double


testdata = load_json_testcases(double.__name__)


@pytest.mark.parametrize("input_data,expected", testdata)
def test_double(input_data, expected):
    if not pytest.run_slow and input_data == [9]:
        pytest.skip("Takes too long!")
    assert double(*input_data) == expected
"""
GRAPH_TEST = """import pytest
from node import Node

if pytest.use_correct:
    from correct_python_programs.follow import follow
else:
    from python_programs.follow import follow


def test1():
    last = Node(2)
    assert follow(Node(1, last)) is last
"""
NODE = """class Node:
    def __init__(self, value=None, successor=None):
        self.value, self.successor = value, successor
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        "python_programs/double.py": "def double(n):\n    return n + 2\n",
        "correct_python_programs/double.py": "def double(n):\n    return n * 2\n",
        "python_testcases/test_double.py": TEST,
        "json_testcases/double.json": "[[2], 4]\n[[5], 10]\n[[9], 18]\n",
        "python_programs/follow.py": "def follow(node):\n    return node\n",
        "correct_python_programs/follow.py": "def follow(node):\n    return node.successor\n",
        "python_testcases/test_follow.py": GRAPH_TEST,
        "python_testcases/node.py": NODE,
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def outcomes(folder: Path) -> list[str]:
    """Return what pytest prints per test, as `id OUTCOME`."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--no-header", "."]
    printed = subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
    return re.findall(r"^(tests/.*? (?:PASSED|FAILED|SKIPPED))", printed, re.MULTILINE)


def test_the_defective_program_fails_its_published_tests(checkout: Path, tmp_path: Path) -> None:
    """One case passes by chance, one fails, the one skipped as slow stays skipped; each has an id of its own."""
    double, _ = read_all(checkout)

    make_repository(double, tmp_path / "made" / "double")

    assert outcomes(tmp_path / "made" / "double") == [
        "tests/test_double.py::test_double[case0] PASSED",
        "tests/test_double.py::test_double[case1] FAILED",
        "tests/test_double.py::test_double[case2] SKIPPED",
    ]


def test_the_correct_program_passes_tests_on_nodes(checkout: Path, tmp_path: Path) -> None:
    """A test of linked structures finds its node class in the package."""
    _, follow = read_all(checkout)

    follow.write(tmp_path / "made", follow.correct)

    assert outcomes(tmp_path / "made") == ["tests/test_follow.py::test1 PASSED"]


def test_a_repository_has_one_commit_and_a_clean_tree(checkout: Path, tmp_path: Path) -> None:
    """What is repaired is what was published."""
    folder = tmp_path / "made"

    make_repository(read_all(checkout)[0], folder)

    assert git(folder, "rev-list", "--count", "HEAD") == "1"
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "show", "HEAD:programs/double.py") == "def double(n):\n    return n + 2"


def test_another_folder_is_refused(tmp_path: Path) -> None:
    """The message says what was expected."""
    with pytest.raises(FileNotFoundError, match="QuixBugs"):
        read_all(tmp_path)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_is_wrong_by_one_failing_test_at_least(sample, tmp_path: Path) -> None:
    """The samples' correct sources pass, the defective ones do not."""
    sample.write(tmp_path / "correct", sample.correct)
    sample.write(tmp_path / "defective", sample.defective)

    assert not [line for line in outcomes(tmp_path / "correct") if not line.endswith("PASSED")]
    assert [line for line in outcomes(tmp_path / "defective") if line.endswith("FAILED")]


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
