"""The parts of `inside.py` that need no box: options, edits, code that is compared, files that are put back."""

import os
from collections.abc import Callable
from pathlib import Path
from types import CodeType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atra.core import edits as core_edits
from atra.core import texts
from atra.sandbox import inside


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["-q", "tests", "-k", "a and b"], ["-q", "tests", "-k", "a and b"]),
        (["--cov=app", "--cov-report", "xml", "-v"], ["-v"]),
        (["--cov", "app", "--no-cov-on-fail", "-ra"], ["-ra"]),
        (["-n", "auto", "tests"], ["tests"]),
        (["-n4", "-nauto", "--dist=loadfile", "--dist", "each"], []),
        (["-x", "--maxfail=1", "--maxfail", "2", "--lf", "--pdb", "tests"], ["tests"]),
        (["--timeout", "5", "--timeout=5", "--reruns", "2", "-s"], ["-s"]),
        (["-p", "no:name", "--strict-markers", "--strict-config"], ["-p", "no:name", "--strict-markers"]),
        (["--junitxml=report.xml", "--html", "report.html", "--durations=5"], ["--durations=5"]),
        (["--covfefe", "-nope"], ["--covfefe", "-nope"]),
    ],
)
def test_options_that_have_no_place_in_a_box_are_dropped(given: list[str], kept: list[str]) -> None:
    """With their values, and no others."""
    assert inside.without_dropped(given) == kept


EDIT = st.tuples(st.integers(0, 60), st.integers(0, 60), st.text(max_size=5))


@given(st.text(max_size=60), st.lists(EDIT, max_size=4))
def test_edits_mean_what_they_mean_to_atra(text: str, given: list[tuple[int, int, str]]) -> None:
    """What runs inside makes the same text, or refuses the same edits, as `atra.core.edits`."""
    try:
        expected = core_edits.apply(text, [core_edits.Edit("f", *edit) for edit in given])
    except ValueError:
        with pytest.raises(ValueError):
            inside.changed(text, given)
        return

    assert inside.changed(text, given) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"x = 1\n",
        b"\xef\xbb\xbfx = 1\r\n",
        "# -*- coding: latin-1 -*-\nx = '\xfc'\n".encode("latin-1"),
        "x = '\u20ac\U0001f600'\r\n".encode(),
    ],
    ids=["plain", "byte-order-mark", "latin-1", "utf-8"],
)
def test_text_is_what_it_is_to_atra(tmp_path: Path, data: bytes) -> None:
    """Offsets count the same characters inside and outside, and unchanged text gives the same bytes."""
    (tmp_path / "code.py").write_bytes(data)

    source = inside.SourceText(str(tmp_path / "code.py"))

    assert source.text == texts.decode(data)
    assert source.edited([]) == data


SAME = {
    "moved": ("def f():\n    return 1\n", "\n\n# a comment\ndef f():\n    return 1\n"),
    "spaces": ("def f(a, b):\n    return a+b\n", "def f(a, b):\n\n    return (a + b)\n"),
    "class-moved": ("class C:\n    def f(self): self.x = 1\n", "\nclass C:\n    def f(self): self.x = 1\n"),
}
DIFFERENT = {
    "literal": ("x = 1", "x = 2"),
    "float": ("x = 1", "x = 1.0"),
    "boolean": ("x = 1", "x = True"),
    "minus-zero": ("x = 0.0", "x = -0.0"),
    "in-a-tuple": ("x = (1, 2)", "x = (1, 2.0)"),
    "name": ("x = y", "x = z"),
    "operator": ("x = y + 1", "x = y - 1"),
    "default": ("def f(a=1): 0", "def f(a=2): 0"),
    "decorator": ("@a\ndef f(): 0", "@b\ndef f(): 0"),
    "base": ("class C(A): 0", "class C(B): 0"),
    "annotated": ("x: int = 1", "x: int = 2"),
}


def compiled(text: str) -> CodeType:
    return compile(text, "f.py", "exec")


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_code_that_does_the_same_is_alike(one: str, other: str) -> None:
    """Places in the file do not matter."""
    assert inside.alike(compiled(one), compiled(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_code_that_does_something_else_is_not_alike(one: str, other: str) -> None:
    """Constants count with their types, and everything that runs at import does."""
    assert not inside.alike(compiled(one), compiled(other))


TEXT = '''\
"""Doc."""
from __future__ import annotations

A = 1; B = 2


@dec
# why
def f(x: Nowhere):
    return x


class C:
    y = 1

    def g(self):
        return 2
'''


@pytest.mark.parametrize("old", ["Doc", "B = 2", "return x", "@dec", "y = 1", "return 2"])
def test_a_piece_compiles_to_what_the_whole_has_there(old: str) -> None:
    """A piece's functions equal those of the whole file, lines and future features included."""
    start = TEXT.index(old)

    (pair,) = inside.Pieces("f.py", TEXT).compiled([(start, start + len(old), old)])

    assert pair[0] == pair[1]
    whole = functions_in(compile(TEXT, "f.py", "exec"))
    assert functions_in(pair[0]) <= whole


def functions_in(code: CodeType) -> set[CodeType]:
    found = set()
    for one in inside.inner_codes(code):
        found |= functions_in(one) | ({one} if one.co_flags & inside.OPTIMIZED else set())
    return found


def test_an_edit_that_needs_what_follows_compiles_the_whole() -> None:
    """A string opened in one statement and closed in the next is no syntax error."""
    text = "a = 1\nb = '''x'''\n"

    (pair,) = inside.Pieces("f.py", text).compiled([(4, 5, "'''"), (13, 17, " + x")])

    assert [set(code.co_names) for code in pair] == [{"a", "b"}, {"a", "x"}]


def spoil_contents(folder: Path) -> None:
    times = (folder / "a").stat()
    (folder / "a").write_text("two")
    os.utime(folder / "a", ns=(times.st_atime_ns, times.st_mtime_ns))


def spoil_names(folder: Path) -> None:
    (folder / "a").rename(folder / "sub/renamed")
    (folder / "new").mkdir()
    (folder / "new/file").touch()


def spoil_kinds(folder: Path) -> None:
    (folder / "a").unlink()
    (folder / "a").mkdir()
    (folder / "link").unlink()
    (folder / "link").write_text("no link")
    (folder / "sub/b").unlink()
    (folder / "sub").rmdir()
    (folder / "sub").symlink_to("/")


def spoil_modes(folder: Path) -> None:
    (folder / "a").chmod(0o600)
    (folder / "sub").chmod(0o700)


@pytest.mark.parametrize("spoil", [spoil_contents, spoil_names, spoil_kinds, spoil_modes])
def test_files_are_put_back(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Contents, names, kinds and modes are as they were, twice over."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("one")
    (tmp_path / "sub/b").write_text("b")
    (tmp_path / "link").symlink_to("a")
    before = state(tmp_path)
    files = inside.Files([str(tmp_path)])

    for _ in range(2):
        spoil(tmp_path)
        assert state(tmp_path) != before
        assert files.put_back()
        assert state(tmp_path) == before


def state(folder: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        content = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else ""
        found[str(path)] = (path.lstat().st_mode, content)
    return found


def test_a_property_that_fails_is_not_made_small() -> None:
    """It fails as before, with fewer calls than where hypothesis looks for the smallest example and explains it."""

    def calls_until_it_fails(hasten: bool) -> int:
        calls = 0

        @settings(database=None, derandomize=True)
        @given(numbers=st.lists(st.integers()))
        def small(numbers: list[int]) -> None:
            nonlocal calls
            calls += 1
            assert sum(numbers) < 1000

        if hasten:
            inside.end_at_first_failure(SimpleNamespace(obj=small))
        with pytest.raises(AssertionError):
            small()
        return calls

    assert calls_until_it_fails(hasten=True) < calls_until_it_fails(hasten=False) / 2


def test_a_test_without_properties_is_left_alone() -> None:
    """Whatever hangs on it."""

    def plain() -> None: ...

    for item in (SimpleNamespace(obj=plain), SimpleNamespace(), SimpleNamespace(obj=None)):
        inside.end_at_first_failure(item)

    assert vars(plain) == {}
