"""Cleaning: markup becomes words, and nothing is left that styles, steers or hides."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.scout.cleaning import plain, text_of


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one</p><p>two</p>", "one two"),
        ("a<br>b<b>c</b>", "a bc"),
        ("x &lt;b&gt; &amp;amp; y", "x <b> &amp; y"),
        ("<script>alert(1)</script><style>p{}</style>seen", "seen"),
        ("<iframe src=x>hidden</iframe><noscript>no</noscript>ok", "ok"),
        ("<p onclick='x()'>a</p><!-- hidden -->b", "a b"),
        ("<a href='javascript:x'>link</a>", "link"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("&#27;[31mred&#8238;&#0;", "[31mred\ufffd"),
        ("<svg><desc><script>x</script></desc></svg>y", "y"),
        ("<<b>script>x", "<script>x"),
        ("", ""),
    ],
    ids=str,
)
def test_markup_becomes_what_is_seen(markup: str, text: str):
    """Blocks are kept apart, entities are undone once, what is hidden stays hidden."""
    assert text_of(markup, 999) == text


@pytest.mark.parametrize(
    "hidden",
    [
        *("\x1b[2J", "\x9b31m", "\x07", "\x7f", "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u00ad", "\ue000"),
        *("\ud800", "\U000e0041\U000e0042", "\ufe0f", "\u115f", "\U0010ffff", "\u2028"),
    ],
    ids=ascii,
)
def test_nothing_hidden_is_left(hidden: str):
    """Escapes, directions, letters without width, tags, private letters, halves of letters."""
    assert plain(f"a{hidden}b", 99).replace(" ", "") in {"ab", "a[2Jb", "a31mb"}


@given(st.text(max_size=300), st.integers(1, 50))
def test_plain_text_is_one_short_line(text: str, most: int):
    """Every character of it is seen, or a space between two that are."""
    for cleaned in (plain(text, most), text_of(text, most), text_of(f"<p>{text}</p>", most)):
        assert len(cleaned) <= most
        assert cleaned == " ".join(cleaned.split())
        assert not {unicodedata.category(one) for one in cleaned} & {"Cc", "Cs", "Co"}


def test_piles_of_marks_are_cut():
    """A letter with a hundred accents on it reaches over other lines."""
    assert plain("a" + "\u0301" * 100 + "b", 99) == "a" + "\u0301" * 4 + "b"


def test_long_markup_is_cut_first():
    """Nothing of any length keeps it busy."""
    assert text_of("<div>" * 1_000_000 + "x", 99) == ""
