"""The desk in a real box: what an agent may look at, what harms nothing, and that a dead box costs no work."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atra.sandbox.bubblewrap import BubblewrapSandbox
from atra.sandbox.desk import Desk
from atra.sandbox.project import make_project


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    (root / "shop").mkdir()
    (root / "shop" / "cart.py").write_text("".join(f"line_{number} = {number}\n" for number in range(1, 1001)))
    (root / "shop" / "names.py").write_text("def total():\n    return 'é'\n", encoding="utf-8")
    (root / "conf").mkdir()
    (root / "conf" / ".env").write_text("PASSWORD=canary\n")
    (root / "conf" / "plain.ini").write_text("debug = 0\n")
    (root / "picture.png").write_bytes(b"\x89PNG\0\0")
    (root / "huge.txt").write_text("x" * 5_000_000)
    (root / "wide.txt").write_text("y" * 100_000)
    (root / "redos.txt").write_text("a" * 60 + "!\n")
    (root / "passwords").symlink_to("/etc/passwd")
    (root / "etc").symlink_to("/etc")
    os.mkfifo(root / "pipe")
    (root / "many").mkdir()
    for number in range(600):
        (root / "many" / f"file{number:03}.txt").write_text("needle\n")
    return root


@pytest.fixture(scope="module")
def desk(tree: Path) -> Iterator[Desk]:
    project = make_project(str(tree))
    with Desk(project, BubblewrapSandbox(), str(tree), without=["conf/.env", "conf/gone"]) as opened:
        yield opened


def test_files_are_listed(desk: Desk):
    """Below a folder, by a pattern; links and pipes are no files."""
    assert desk.list("shop") == "shop/cart.py\nshop/names.py"
    assert desk.list(pattern="*.py") == "shop/cart.py\nshop/names.py"
    assert "passwords" not in desk.list()
    assert "pipe" not in desk.list()
    assert desk.list("many").endswith("and 200 more; name a folder or a pattern")
    assert desk.list("nowhere") == "there is no nowhere"


def test_lines_are_read_with_their_numbers(desk: Desk):
    """The lines asked for; a long file comes in parts, and says how long it is."""
    assert desk.read("shop/cart.py", 2, 3) == "shop/cart.py, lines 2 to 3 of 1000\n    2  line_2 = 2\n    3  line_3 = 3"
    assert desk.read("shop/cart.py").startswith("shop/cart.py, lines 1 to 400 of 1000\n")
    assert desk.read("shop/cart.py", 2000) == "shop/cart.py has 1000 lines"
    assert "'é'" in desk.read("shop/names.py")
    assert len(desk.read("wide.txt")) < 1000


def test_text_is_found_with_its_place(desk: Desk):
    """A text as it stands, or a regular expression; many hits are counted."""
    assert desk.search("total()") == "shop/names.py:1: def total():"
    assert desk.search(r"line_99\d = ", regex=True, path="shop").count("\n") == 9
    assert desk.search("needle").endswith("and 500 more")
    assert desk.search("not there at all") == "nothing"
    assert "no regular expression" in desk.search("(", regex=True)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/etc/passwd", "no path of this repository"),
        ("../../etc/passwd", "no path of this repository"),
        ("shop/../../x", "no path of this repository"),
        (".git/config", "no path of this repository"),
        ("passwords", "is a link"),
        ("etc/hostname", "etc is a link"),
        ("pipe", "is no plain file"),
        ("shop", "is no plain file"),
        ("picture.png", "is no text"),
        ("huge.txt", "has more than"),
        ("a\0b", "no path of this repository"),
        ("", "is no plain file"),
    ],
)
def test_what_is_no_plain_file_of_the_tree_is_refused(desk: Desk, path: str, said: str):
    """Whatever a model asks for, it gets one clear sentence; and the file beside it can be read."""
    assert said in desk.read(path)
    assert "def total" in desk.read("shop/names.py")


@pytest.mark.parametrize("path", ["/tmp/x", "../x", "etc/x", "passwords", ".git/hooks/pre-commit", "pipe", "shop"])
def test_what_is_no_plain_file_is_not_written(desk: Desk, path: str):
    """And one in the tree is."""
    assert desk.put(path, "x") != ""
    assert desk.put("shop/new/file.py", "value = 1\r\n") == ""
    assert "value = 1" in desk.read("shop/new/file.py")


def test_what_is_left_out_is_not_there(desk: Desk):
    """Neither listed, nor read, nor found, also after the box was opened again; its neighbour is."""
    assert desk._box is not None
    desk._box.close()

    assert desk.list("conf") == "conf/plain.ini"
    assert desk.read("conf/.env") == "there is no conf/.env"
    assert desk.search("canary") == "nothing"


def test_a_pattern_without_end_costs_its_time_only(desk: Desk):
    """The asking is broken off, and the next one is answered."""
    began = time.monotonic()

    assert "took longer" in desk.search(r"(a+)+$", "redos.txt", regex=True)
    assert time.monotonic() - began < 15
    assert desk.list("shop").startswith("shop/cart.py")


def test_the_hosts_tree_is_never_written(desk: Desk, tree: Path):
    """What is put is put in the box."""
    desk.put("shop/cart.py", "changed = True\n")

    assert desk.read("shop/cart.py").endswith("1  changed = True")
    assert (tree / "shop" / "cart.py").read_text().startswith("line_1")


def test_a_box_that_ends_is_opened_again_as_it_was(desk: Desk):
    """What was put before is there."""
    desk.put("shop/kept.py", "kept = 1\n")
    assert desk._box is not None
    desk._box.close()

    assert "kept = 1" in desk.read("shop/kept.py")
