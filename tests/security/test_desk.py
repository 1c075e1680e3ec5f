"""The desk against a hostile tree, a hostile asking and a hostile interpreter: a clear sentence, or a clear end."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from atra.core.errors import BoxFailed
from atra.sandbox import desk as desks
from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.desk import Desk
from atra.sandbox.project import make_project

LARGEST = 25_000
"""Characters of one answer: what is shown, and a line that says how much is not."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose names are as long and as strange as git can keep them."""
    root = tmp_path_factory.mktemp("hostile")
    (root / "shop").mkdir()
    (root / "shop" / "cart.py").write_text("def total():\n    return 1\n")
    far = root.joinpath("long", *["é" * 120] * 14)
    far.mkdir(parents=True)
    for number in range(420):
        (far / f"{number:03}{'é' * 100}.txt").write_text(f"needle {'é' * 600}\n")
    Path(os.fsdecode(os.fsencode(root) + b"/half\xe9.py")).write_text("half = 1\n")
    (root / "control.txt").write_bytes(b"a" * 9000 + b"\0\x1b[2J\xed\xa0\x80 needle\n")
    (root / "lines.txt").write_bytes(b"\n" * 4_000_000)
    return root


@pytest.fixture(scope="module")
def desk(tree: Path) -> Iterator[Desk]:
    with Desk(make_project(str(tree)), BubblewrapSandbox(), str(tree)) as opened:
        yield opened


def test_names_of_any_length_make_no_answer_too_long(desk: Desk):
    """What is shown has room in a conversation, and what is not is counted."""
    listed, found = desk.list("long"), desk.search("needle", "long")

    assert len(listed) < LARGEST
    assert "more; name a folder or a pattern" in listed
    assert len(found) < LARGEST
    assert int(found.rpartition("and ")[2].removesuffix(" more")) > 400


def test_what_is_no_text_harms_nothing(desk: Desk):
    """Names and contents that no encoding knows, and a file of four million lines."""
    assert "half" in desk.list()
    assert desk.read("half?.py") == "there is no half?.py"
    assert "… (" in desk.read("control.txt")
    assert desk.read("lines.txt", 10**30, 10**40) == "lines.txt has 4000000 lines"
    assert len(desk.read("lines.txt")) < LARGEST


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(" * 9000 + ")" * 9000, "that is no regular expression"),
        ("x{1,4294967294}", "nothing"),
        ("((((a{1,900}){1,900}){1,900}){1,900})b", "nothing"),
        ("x{99999999999999999999}", "that is no regular expression"),
        ("(?P<a>x)(?P<a>y)", "that is no regular expression"),
        ("a\0b", "nothing"),
        ("", "there is nothing to search for"),
    ],
)
def test_patterns_of_any_kind_are_answered(desk: Desk, pattern: str, said: str):
    """And the same desk answers the next one."""
    assert desk.search(pattern, "shop", regex=True).startswith(said)
    assert desk.search("def total") == "shop/cart.py:1: def total():"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("x" * 300, "too long a name"),
        ("/".join("a" * 3000), "too deep a path"),
        ("shop/cart.py/below.py", "below a file"),
        ("shop", "in a folder's place"),
        ("half\ud800.py", "no name"),
        ("surrogate.py", "\ud800"),
        ("huge.py", "x" * (4 * 2**20 + 1)),
    ],
    ids=["long", "deep", "below a file", "folder", "no name", "no text", "huge"],
)
def test_what_cannot_be_put_is_refused_in_a_sentence(desk: Desk, path: str, text: str):
    """And what can be put is there."""
    assert 0 < len(desk.put(path, text)) < 1000
    assert desk.put("shop/new.py", "new = 1\n") == ""
    assert "new = 1" in desk.read("shop/new.py")


def test_a_secret_that_cannot_be_taken_away_opens_no_desk(tree: Path):
    """Rather no desk than one that shows it; where it can be, the rest is shown."""
    project = make_project(str(tree))
    closed = Desk(project, BubblewrapSandbox(), str(tree), without=["shop"])
    with closed, pytest.raises(BoxFailed, match="shop could not be kept from the desk"):
        closed.list("long")
    with Desk(project, BubblewrapSandbox(), str(tree), without=["shop/cart.py"]) as opened:
        assert opened.list("shop") == "nothing"


def test_folders_in_folders_do_not_keep_a_box_from_standing(tmp_path: Path):
    """Hundreds of them are packed and walked through in a moment, without the `.git` of any."""
    at = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(450):
            os.mkdir("d")
            os.chdir("d")
        os.mkdir(".git")
        Path(".git", "config").write_text("needle\n")
        Path("seen.txt").write_text("needle\n")
    finally:
        os.chdir(at)
    began = time.monotonic()

    with Desk(make_project(str(tmp_path)), BubblewrapSandbox(), str(tmp_path)) as desk:
        assert desk.list() == f"{'d/' * 450}seen.txt"
        assert desk.search("needle").endswith("seen.txt:1: needle")
    assert time.monotonic() - began < 10


SAID = {
    "endless": b"\xff\xff\xff\xff" + b"x" * 4096,
    "deep": (200_000).to_bytes(4, "big") + b"[" * 200_000,
    "no object": (4).to_bytes(4, "big") + b"[17]",
    "no answer in it": (2).to_bytes(4, "big") + b"{}",
    "no JSON": (4).to_bytes(4, "big") + b"\xff\xfe\x00{",
    "cut": (100).to_bytes(4, "big") + b"{",
    "nothing": b"",
}


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
def test_an_interpreter_that_is_none_ends_the_asking(tmp_path: Path, said: bytes):
    """A repository brings its own interpreter, and what that says is not believed."""
    python = tmp_path / "python"
    answering = f"import os\nos.write(int(os.environ['ATRA_RESULT_FD']), {said!r})\n"
    python.write_text(f"#!{sys.executable} -IS\n{answering}")
    python.chmod(0o755)
    project = replace(make_project(str(tmp_path)), python=str(python))

    with Desk(project, BubblewrapSandbox(), str(tmp_path)) as desk, pytest.raises(BoxFailed):
        desk.list()


def test_an_interpreter_that_is_silent_ends_the_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Within the time for an answer, twice."""
    monkeypatch.setattr(desks, "_ANSWER_S", 0.5)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 600\n")
    python.chmod(0o755)
    project, began = replace(make_project(str(tmp_path)), python=str(python)), time.monotonic()

    with Desk(project, BubblewrapSandbox(), str(tmp_path)) as desk, pytest.raises(BoxFailed, match="does not answer"):
        desk.list()
    assert time.monotonic() - began < 15
