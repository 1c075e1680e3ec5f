"""The stream of candidates: ranked, readable, without doubles, the same in every shard, the right fix in it."""

import ast
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atra.core.edits import Edit, apply
from atra.meta_architect.records import Candidate, Diagnosis, Place
from atra.meta_architect.stream import candidates, shard
from atra.meta_architect.templates import TEMPLATES
from tests.unit.meta_architect.corpus import BUGS, Bug

WORST_RANK = 1000
"""No fix of the corpus stands behind this place although every statement is equally suspect."""


def everywhere(text: str, errors: tuple[tuple[str, str], ...] = ()) -> Diagnosis:
    """Suspect every statement alike."""
    lines = {node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)}
    return Diagnosis(tuple(Place("a.py", line, 0.5) for line in sorted(lines)), errors=errors)


def stream_of(bug: Bug) -> list[Candidate]:
    return list(candidates({"a.py": bug.text}, everywhere(bug.text, bug.errors)))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_fix_is_in_the_stream(bug: Bug) -> None:
    """Each bug's known fix is proposed, early enough to be tried."""
    wanted = ast.dump(ast.parse(bug.fixed))

    stream = islice(candidates({"a.py": bug.text}, everywhere(bug.text, bug.errors)), WORST_RANK)

    assert any(ast.dump(ast.parse(apply(bug.text, item.patch))) == wanted for item in stream)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(BUGS), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["    ", "\t", "  "]))
def test_every_candidate_can_be_read_and_taken_back(bug: Bug, newline: str, unit: str) -> None:
    """Whatever the file's line ends and indentation, a candidate gives Python, and its reverse gives the file again."""
    text = bug.text.replace("    ", unit).replace("\n", newline)

    for item in candidates({"a.py": text}, everywhere(text, bug.errors)):
        changed = apply(text, item.patch)
        ast.parse(changed)
        assert apply(changed, reverse(text, item)) == text
        assert newline == "\n" or "\n" not in changed.replace("\r\n", "")


def reverse(text: str, item: Candidate) -> list[Edit]:
    """Return the edits that undo the candidate's."""
    undo: list[Edit] = []
    shift = 0
    for edit in sorted(item.patch):
        start = edit.start + shift
        undo.append(Edit(edit.path, start, start + len(edit.text), text[edit.start : edit.end]))
        shift += len(edit.text) - (edit.end - edit.start)
    return undo


@pytest.mark.parametrize("bug", BUGS[::3], ids=lambda bug: bug.name)
def test_the_stream_is_the_same_twice_and_never_repeats_itself(bug: Bug) -> None:
    """Equal arguments give equal streams; no two candidates give the same file, none gives the old one."""
    once, again = stream_of(bug), stream_of(bug)

    results = {apply(bug.text, item.patch) for item in once}
    assert once == again
    assert len(results) == len(once)
    assert bug.text not in results


PRINT_DIGEST = """
import hashlib
from tests.unit.meta_architect.corpus import BUGS
from tests.unit.meta_architect.test_stream import stream_of
print(hashlib.sha256(repr([stream_of(bug) for bug in BUGS[::3]]).encode()).hexdigest())
"""


def test_the_stream_is_the_same_in_every_process() -> None:
    """Shards run in processes whose string hashes differ; none may iterate over a set as it comes."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }

    assert len(digests) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(1, 9))
def test_shards_partition_the_stream(length: int, shards: int) -> None:
    """Every item is in exactly one shard, in order."""
    parts = [list(shard(range(length), index, shards)) for index in range(shards)]

    assert sorted(item for part in parts for item in part) == list(range(length))
    assert all(part == sorted(part) for part in parts)


def test_a_more_suspect_place_comes_first() -> None:
    """What one template proposes at two like statements comes in the order of suspicion."""
    text = "def f(a, b):\n    x = a < b\n    y = b < a\n    return x, y\n"
    places = (Place("a.py", 3, 0.9), Place("a.py", 2, 0.1))

    lines = [item.line for item in candidates({"a.py": text}, Diagnosis(places)) if item.template == "off-by-one"]

    assert lines == sorted(lines, reverse=True)
    assert set(lines) == {2, 3}


def test_no_place_starves_another() -> None:
    """Equally suspect statements all have a candidate among the first hundred."""
    text = "def f(a, b):\n" + "".join(f"    x{n} = a + b - {n}\n" for n in range(2, 10)) + "    return x2\n"

    lines = {item.line for item in islice(candidates({"a.py": text}, everywhere(text)), 100)}

    assert set(range(2, 10)) <= lines


def test_hints_turn_templates_up_and_off() -> None:
    """A factor for a template moves what it proposes forward; 0 leaves it out."""
    text = "def f(a, b):\n    return a < b and a - b\n"
    sources, suspects = {"a.py": text}, everywhere(text)

    first = next(candidates(sources, suspects, hints={"connective": 1000}))
    rest = {item.template for item in candidates(sources, suspects, hints={"name": 0})}

    assert first.template == "connective"
    assert not rest & {template.name for template in TEMPLATES if template.family == "name"}


def test_a_large_repository_starts_at_once() -> None:
    """The first candidates of thousands of suspect statements come without opening them all."""
    text = "".join(f"def f{n}(a, b):\n    c = a + b * {n}\n    return c - a\n" for n in range(1500))
    places = tuple(Place("a.py", line, 0.5) for line in range(1, 4501))
    began = time.process_time()

    first = list(islice(candidates({"a.py": text}, Diagnosis(places)), 100))

    assert len(first) == 100
    assert time.process_time() - began < 5


def test_files_that_cannot_be_read_are_left_out() -> None:
    """A file with a syntax error and one that is not given have no candidates."""
    places = (Place("broken.py", 1, 0.9), Place("absent.py", 1, 0.8), Place("a.py", 1, 0.1))

    stream = list(candidates({"broken.py": "def (:\n", "a.py": "x = 1 + y\n"}, Diagnosis(places)))

    assert stream
    assert {item.path for item in stream} == {"a.py"}
