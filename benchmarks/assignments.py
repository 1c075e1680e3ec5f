"""Reads the student programs of a Refactory checkout and writes each as a small repository with its tests.

`data.zip` of githubhuyang/refactory (Hu, Ahmed, Mechtaev, Leong, Roychoudhury 2019, ASE) holds five assignments of an
introductory course: wrong and correct submissions, a reference, and calls with what they must return.
"""

import random
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmarks.encoding import decode
from benchmarks.inputs import Input
from benchmarks.programs import CONFIGURATION, Program

UNSEEN = ("question_2", "question_5")
"""The assignments that nobody looked at while the search was built."""


@dataclass(frozen=True)
class Submission:
    """One wrong program, as `defective` of its program; `correct` is the reference."""

    assignment: str
    name: str
    program: Program


def read_sample(archive: Path, size: int, seed: int, only: Sequence[str] = ()) -> list[Submission]:
    """Return a sample of the wrong submissions, those of one assignment after those of the one before.

    The sample is drawn from all assignments together; `only` then keeps those of some.
    """
    with zipfile.ZipFile(archive) as packed:
        names = sorted(name for name in packed.namelist() if PurePosixPath(name).match("data/*/code/wrong/*.py"))
        chosen = sorted(random.Random(seed).sample(names, min(size, len(names))))
        kept = [name for name in chosen if not only or _assignment(name) in only]
        return [_read(packed, name) for name in kept]


def correct_submissions(archive: Path, assignment: str) -> list[str]:
    """Return the texts of the assignment's correct submissions; the search is never shown them."""
    with zipfile.ZipFile(archive) as packed:
        names = [
            name for name in packed.namelist() if PurePosixPath(name).match(f"data/{assignment}/code/correct/*.py")
        ]
        return [_text(packed, name) for name in sorted(names)]


def promises(inputs: Sequence[Input]) -> Callable[[Input], bool]:
    """Return what tells whether arguments are like all these: in kind, order, sign, and in repeating nothing.

    What an assignment promises of its arguments is not written down where a program could read it; what holds for every
    recorded call is taken for a promise.
    """
    known = [_facts(one) for one in inputs]
    shared = [frozenset.intersection(*(facts[at][1] for facts in known)) for at in range(len(known[0]))]
    kinds = [{facts[at][0] for facts in known} for at in range(len(known[0]))]

    def kept(given: Input) -> bool:
        facts = zip(_facts(given), kinds, shared, strict=True)
        return all(kind in known_kinds and held >= promised for (kind, held), known_kinds, promised in facts)

    return kept


def _facts(given: Input) -> list[tuple[str, frozenset[str]]]:
    arguments, _ = decode(given)
    return [(type(value).__name__, frozenset(_held(value))) for value in arguments]


def _held(value: object) -> list[str]:
    if isinstance(value, int | float):
        return [name for name, true in (("not negative", value >= 0), ("positive", value > 0)) if true]
    if not isinstance(value, list | tuple | str):
        return []
    items = list(value)
    held = [name for name, true in (("not empty", bool(items)), ("no repeats", _distinct(items))) if true]
    if all(isinstance(item, int | float) for item in items):
        held += ["numbers"]
        held += ["sorted"] if items == sorted(items) else []
        held += ["no negative"] if all(item >= 0 for item in items) else []
    widths = {len(item) if isinstance(item, tuple | list) else -1 for item in items}
    if len(widths) <= 1:
        held += [f"width {width}" for width in (widths or range(-1, 10))]
        for column in range(max(widths, default=9)):
            held += [f"column {column} repeats nothing"] if _distinct([item[column] for item in items]) else []
    return held


def _distinct(items: list[object]) -> bool:
    return len({repr(item) for item in items}) == len(items)


def _read(packed: zipfile.ZipFile, name: str) -> Submission:
    assignment = _assignment(name)
    folder = f"data/{assignment}"
    shared = _text(packed, f"{folder}/code/global.py") if f"{folder}/code/global.py" in packed.namelist() else ""
    head = f"{shared.strip()}\n" if shared.strip() else ""
    inputs = [item for item in packed.namelist() if PurePosixPath(item).match(f"{folder}/ans/input_*.txt")]
    pairs = [(_text(packed, item), _text(packed, item.replace("/input_", "/output_"))) for item in sorted(inputs)]
    function = pairs[0][0].partition("(")[0].strip()
    tests = "\n\n".join(
        f"def test_{number:03}():\n    assert {call.strip()} == {answer.strip()}\n"
        for number, (call, answer) in enumerate(dict(pairs).items(), 1)
    )
    files = {
        "pytest.ini": CONFIGURATION,
        "programs/__init__.py": "",
        "tests/test_calls.py": f"from programs.{function} import *\n\n\n{tests}",
    }
    wrong, reference = _text(packed, name), _text(packed, f"{folder}/code/reference/reference.py")
    return Submission(assignment, PurePosixPath(name).stem, Program(function, head + wrong, head + reference, files))


def _assignment(name: str) -> str:
    return PurePosixPath(name).parts[1]


def _text(packed: zipfile.ZipFile, name: str) -> str:
    return packed.read(name).decode("utf-8", "replace").replace("\r\n", "\n").replace("\ufeff", "")
