"""Edits: made all at once, undone by their reverse, shown as a diff that git applies."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.edits import Edit, apply, by_path, diff, edits_between

TEXTS = st.text(alphabet="ab\né\r\n\t", max_size=60)


@st.composite
def texts_with_edits(draw: st.DrawFn):
    text = draw(TEXTS)
    ends = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=8)))
    pairs = [(ends[i], ends[i + 1]) for i in range(0, len(ends) - 1, 2)]
    return text, [Edit("a.py", start, end, draw(TEXTS)) for start, end in pairs]


@given(texts_with_edits())
def test_the_reverse_restores_the_text(given_text):
    """Each edit's reverse, at the place where it landed, gives the base text back."""
    text, edits = given_text
    reverse, shift = [], 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        start = edit.start + shift
        reverse.append(Edit("a.py", start, start + len(edit.text), text[edit.start : edit.end]))
        shift += len(edit.text) - (edit.end - edit.start)

    assert apply(apply(text, edits), reverse) == text


@pytest.mark.parametrize(
    "edits",
    [[(0, 3), (2, 4)], [(0, 9)], [(-1, 1)], [(3, 2)]],
    ids=["overlap", "beyond the end", "before the start", "backwards"],
)
def test_edits_that_do_not_fit_are_refused(edits):
    """Overlapping edits and edits outside the text are errors, never a guess."""
    with pytest.raises(ValueError):
        apply("abcde", [Edit("a.py", start, end, "x") for start, end in edits])


def test_edits_are_grouped_by_file():
    """A patch of two files gives each file its own edits, in order."""
    one, two, three = Edit("b.py", 5, 6, "x"), Edit("a.py", 0, 1, "y"), Edit("b.py", 1, 2, "z")

    assert by_path((one, two, three)) == {"a.py": [two], "b.py": [three, one]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("a", "b"),
        ("a\n", "a"),
        ("a\r\nb\r\n", "a\r\nB\r\n"),
        ("é\n", "è\n"),
        ("a\x0cb\n", "A\x0cb\n"),
    ],
    ids=["line", "no last line end", "line end lost", "crlf", "accents", "form feed"],
)
def test_git_applies_the_diff(tmp_path: Path, before: str, after: str):
    """What is shown is what git would do."""
    (tmp_path / "a.py").write_bytes(before.encode())
    patch = diff({"a.py": before}, {"a.py": after})

    subprocess.run(("git", "apply", "-"), cwd=tmp_path, input=patch.encode(), check=True)

    assert (tmp_path / "a.py").read_bytes() == after.encode()


def test_git_makes_and_removes_files_by_the_diff(tmp_path: Path):
    """A side that is missing is a file that was not there, or is gone."""
    (tmp_path / "old.py").write_text("a\n")

    patch = diff({"old.py": "a\n"}, {"new.py": "b\nc"})
    subprocess.run(("git", "apply", "-"), cwd=tmp_path, input=patch.encode(), check=True)

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("new.py", "b\nc")]


@given(TEXTS, TEXTS)
def test_the_edits_between_two_texts_lead_from_one_to_the_other(before: str, after: str):
    """Whatever the line ends, and none where nothing changed."""
    edits = edits_between("a.py", before, after)

    assert apply(before, edits) == after
    assert bool(edits) == (before != after)


def test_the_edits_between_two_texts_replace_the_lines_that_differ_only():
    """Lines that both have are in no edit, also between two changes; a file that was not there is one edit."""
    before, after = "a\nb\nc\nd\ne\n", "a\nB\nc\nd\ne\nf\n"

    assert edits_between("a.py", before, after) == (Edit("a.py", 2, 4, "B\n"), Edit("a.py", 10, 10, "f\n"))
    assert edits_between("a.py", "", "x = 1\n") == (Edit("a.py", 0, 0, "x = 1\n"),)


def test_edits_of_many_equal_lines_are_found_in_a_moment():
    """A long file of lines that are all alike is no trap."""
    before, after = "x\n" + "same\n" * 5000 + "y\n", "z\n" + "same\n" * 5000 + "w\n"
    began = time.monotonic()
    assert apply(before, edits_between("a.txt", before, after)) == after
    assert time.monotonic() - began < 3
