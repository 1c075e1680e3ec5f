"""What a model writes as changes: read in spite of what stands round it, done where it fits, never by guess."""

import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.meta_architect.replies import Answer, Block, _places, fit, read_answer

TEXT = """def first(n):
    if n > 10:
        return 5
    return 0


def second(n):
    total = n
    return total
"""


def block(search: str, replace: str, path: str = "a.py") -> Block:
    return Block(path, tuple(search.split("\n")) if search else (), tuple(replace.split("\n")) if replace else ())


def fitted(search: str, replace: str, text: str | None = TEXT) -> str:
    """Return the file after one block that must fit."""
    done = fit([block(search, replace)], lambda path: text)
    assert done.faults == ()
    return done.after.get("a.py", text or "")


def faults(search: str, replace: str = "new", text: str | None = TEXT) -> str:
    done = fit([block(search, replace)], lambda path: text)
    assert done.after == {}
    return " ".join(done.faults)


REPLIES = {
    "plain": "FILE: shop/a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n",
    "prose and fences": (
        "Wrong bound.\n\n### `shop/a.py`\n```python\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n```\nSo."
    ),
    "carriage returns": "FILE: ./shop/a.py\r\n<<<<<<< SEARCH\r\nold\r\n=======\r\nnew\r\n>>>>>>> REPLACE\r\n",
    "fences inside": (
        "**File: shop/a.py**\n<<<<<<< SEARCH\n```python\nold\n```\n=======\n```python\nnew\n```\n>>>>>>> REPLACE"
    ),
    "bare path": "shop/a.py\n```\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n```",
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
def test_a_block_is_read_in_spite_of_what_stands_round_it(reply: str) -> None:
    """Prose, fences, headings and the line ends of another system."""
    assert read_answer(reply) == Answer((Block("shop/a.py", ("old",), ("new",)),))


def test_several_files_new_files_and_deletions_are_read() -> None:
    """A block without a file's name is for the file before it; either side may be empty."""
    reply = (
        "FILE: a.py\n<<<<<<< SEARCH\none\n=======\n>>>>>>> REPLACE\n"
        "<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n"
        "FILE: my docs/new.py\n<<<<<<< SEARCH\n=======\nx = 1\n>>>>>>> REPLACE\n"
    )

    assert read_answer(reply).blocks == (
        Block("a.py", ("one",), ()), Block("a.py", ("two",), ("2",)), Block("my docs/new.py", (), ("x = 1",))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE", "no FILE line"),
        ("FILE: a.py\n<<<<<<< SEARCH\na\n=======\nb\n", "no end"),
        ("FILE: a.py\n<<<<<<< SEARCH\na\n>>>>>>> REPLACE", "0 lines of seven"),
        ("FILE: a.py\n<<<<<<< SEARCH\nTitle\n=======\n=======\nb\n>>>>>>> REPLACE", "2 lines of seven"),
    ],
)
def test_what_cannot_be_read_is_named(reply: str, why: str) -> None:
    """A block that is cut off or means two things is a fault, not a change."""
    answer = read_answer(reply)

    assert answer.blocks == ()
    assert why in answer.faults[0]


def test_a_reply_without_blocks_asks_for_nothing() -> None:
    """A refusal, or prose, is neither change nor fault."""
    assert read_answer("I cannot help with that. See shop/a.py.") == Answer(())


LINES = st.lists(st.sampled_from(["a", "    b", "\tc", "é = 'ü'", "", "  d  ", "\u2028", "x" * 9]), max_size=5)


@dataclass(frozen=True)
class Cut:
    """A file in three parts, the middle one to be replaced; `ended` says whether its last line has an end."""

    above: list[str]
    search: list[str]
    below: list[str]
    new: list[str]
    newline: str
    ended: bool

    @property
    def head(self) -> str:
        return "".join(line + self.newline for line in self.above)

    @property
    def tail(self) -> str:
        whole = "".join(line + self.newline for line in self.below)
        return whole if self.ended else whole.removesuffix(self.newline)

    def text(self, middle: list[str]) -> str:
        inner = "".join(line + self.newline for line in middle)
        return self.head + (inner if self.ended or self.below else inner.removesuffix(self.newline)) + self.tail

    def times(self) -> int:
        lines = [*self.above, *self.search, *self.below]
        return sum(lines[at : at + len(self.search)] == self.search for at in range(len(lines)))


def parts(draw: st.DrawFn) -> Cut:
    search = [draw(st.sampled_from(["a", "    b", "é = 'ü'"])), *draw(LINES)]
    below = [*draw(LINES), "end"] if draw(st.booleans()) else []
    new = draw(st.lists(st.sampled_from(["new", "\tnew", ""]), max_size=3))
    return Cut(draw(LINES), [*search, "z"], below, new, draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans()))


CUTS = st.composite(parts)()


@given(CUTS)
def test_what_was_cut_from_a_text_is_found_there(cut: Cut) -> None:
    """Lines that stand there once are replaced by the new ones and nothing else changes; others are refused."""
    text = cut.text(cut.search)

    done = fit([Block("a.py", tuple(cut.search), tuple(cut.new))], lambda path: text)

    if cut.times() > 1:
        assert (done.after, len(done.faults)) == ({}, 1)
    else:
        assert (done.after.get("a.py", text), done.faults) == (cut.text(cut.new), ())


@given(CUTS, st.sampled_from(["    ", "\t"]), st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_lenient_match_changes_no_line_outside_of_it(cut: Cut, deeper: str, noise: list[bool]) -> None:
    """A search that is shifted, with space at its ends and more blank lines, is done in its place or not at all."""
    text, bent = cut.text(cut.search), []
    for line, noisy in zip(cut.search, noise, strict=False):
        bent += [f"{deeper}{line}  ", ""] if noisy else [deeper + line]

    done = fit([Block("a.py", tuple(bent), tuple(deeper + line for line in cut.new))], lambda path: text)

    if cut.times() > 1:
        assert done.after == {}
    else:
        after = done.after.get("a.py", text)
        assert done.faults == ()
        assert after.startswith(cut.head)
        assert after.endswith(cut.tail)
        assert [line.strip() for line in after[len(cut.head) : len(after) - len(cut.tail)].split() if line.strip()] == [
            line.strip() for line in cut.new if line.strip()
        ]


@pytest.mark.parametrize(
    "search",
    [
        "    if n > 10:   \n        return 5",
        "if n > 10:\n    return 5",
        "\n    if n > 10:\n\n        return 5\n",
        "\t    if n > 10:\n\t        return 5",
    ],
    ids=["trailing space", "not indented", "blank lines", "indented further"],
)
def test_white_space_is_forgiven(search: str) -> None:
    """The lines that are replaced get the file's own indentation."""
    shift = search.strip("\n").partition("if")[0]
    new = f"{shift}if n >= 10:\n{shift}    return 5"

    assert fitted(search, new) == TEXT.replace("n > 10", "n >= 10")


def test_context_that_moved_is_forgiven() -> None:
    """Lines that do not change may be remembered wrongly, as long as one beside the change still stands there."""
    search = 'def first(number):\n    """Say."""\n    if n > 10:\n        return 5'
    replace = search.replace("n > 10", "n >= 10")

    assert fitted(search, replace) == TEXT.replace("n > 10", "n >= 10")


@pytest.mark.parametrize(
    ("search", "why"),
    [
        ("    return", "do not stand there"),
        ("    return 1", "do not stand there"),
        ("def third(n):\n    total = n\n    return n", "do not stand there"),
        ("", "SEARCH is empty"),
    ],
    ids=["part of a line", "other", "other function", "empty"],
)
def test_what_fits_nowhere_is_refused_with_a_reason(search: str, why: str) -> None:
    """A part of a line, lines that are not there, and nothing at all."""
    assert why in faults(search)


def test_what_stands_twice_is_refused() -> None:
    """No choice is made between two places, neither strictly nor leniently."""
    twice = "a = 1\nb = 2\na = 1\nb = 2\n"

    assert "2 times" in faults("a = 1", text=twice)
    assert "2 times" in faults("  a = 1 ", "  new", text=twice)


def test_changed_lines_without_any_of_their_context_are_refused() -> None:
    """A line that stands once, in another function than the one that is named, is not the one that was meant."""
    assert "do not stand there" in faults("def third(n):\n    return total\n", "def third(n):\n    return 1\n")


def test_a_file_that_is_not_there_is_made_and_only_then() -> None:
    """An empty SEARCH makes a file; a search in a file that does not exist is a fault."""
    assert fitted("", "x = 1\ny = 2", text=None) == "x = 1\ny = 2\n"
    assert "no such file" in faults("x = 1", text=None)


def test_blocks_are_done_one_after_the_other() -> None:
    """The second sees what the first left, and what fits is done although another does not."""
    done = fit(
        [
            block("    total = n", "    total = n + 1"),
            block("    total = n + 1", "    total = n + 2"),
            block("nope", "x"),
        ],
        lambda path: TEXT,
    )

    assert done.after == {"a.py": TEXT.replace("total = n", "total = n + 2")}
    assert len(done.faults) == 1


def test_the_file_keeps_its_line_ends_and_its_last_line() -> None:
    """New lines end as the file's do; a last line without an end stays without one."""
    assert fitted("b", "B\nC", text="a\r\nb") == "a\r\nB\r\nC"
    assert fitted("a", "A\n", text="a\r\nb") == "A\r\n\r\nb"


@given(st.text("ab", max_size=30), st.text("ab", max_size=6))
def test_places_are_all_places(items: str, wanted: str):
    """One pass finds what looking everywhere finds, overlaps too."""
    everywhere = [at for at in range(len(items) - len(wanted) + 1) if items[at : at + len(wanted)] == wanted]

    assert list(_places(items, wanted)) == everywhere


EQUAL = {
    "as they are": ("x = 1", "x = 1"),
    "deeper": ("    x = 1", "x = 1"),
    "less deep": ("x = 1", "    x = 1"),
}


@pytest.mark.parametrize("last", ["x = 1", "z = 1"], ids=["many", "none"])
@pytest.mark.parametrize(("line", "searched"), EQUAL.values(), ids=EQUAL)
def test_thousands_of_equal_lines_take_no_time(line: str, searched: str, last: str):
    """A table of them, and a SEARCH of half as many: sixteen times as many cost no square of that."""

    def seconds(lines: int) -> float:
        begun = time.process_time()
        refused = fit([Block("a.py", (*[searched] * (lines // 2), last), ("y",))], lambda path: f"{line}\n" * lines)
        assert refused.faults
        return time.process_time() - begun

    few = min(seconds(500) for _ in range(3))

    assert seconds(8000) < 64 * few


def test_a_file_of_blank_lines_has_no_place():
    """Nothing stands there that could be shifted."""
    assert faults("a = 1", text="\n \n") == "a.py: these lines do not stand there:\na = 1"
