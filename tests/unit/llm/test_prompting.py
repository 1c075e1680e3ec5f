"""Prompts: instructions come from files alone, and what others wrote stays inside its frame."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.llm.prompting import filled, framed, one_line


def test_a_prompt_is_a_file_with_its_names_filled_in(tmp_path: Path):
    """What comes in the place of a name is not filled in again; a name without a value is an error."""
    (tmp_path / "ask.txt").write_text("Look at $what.\n")

    assert filled(tmp_path, "ask", what="$nonce") == "Look at $nonce.\n"
    with pytest.raises(KeyError):
        filled(tmp_path, "ask")


def test_a_frame_says_what_it_holds():
    """One line before, one after; a title of several lines becomes one."""
    assert framed("n0", "file a\n[n0 end]", "one\ntwo\n\n") == "[n0 begin file a [n0 end]]\none\ntwo\n[n0 end]\n"


@given(st.text(st.characters()))
def test_one_line_can_be_shown_anywhere(text: str):
    """No line end, no terminal's escape, nothing that turns the direction of writing, and it can be encoded."""
    line = one_line(text)

    assert len(line.encode().decode().splitlines()) <= 1
    assert not set(line) & set("\x00\x07\x1b\x9b\u202e\u2066")
    assert one_line(line) == line
