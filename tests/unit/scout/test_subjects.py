"""What articles speak of: names are found, common words are not, and no text keeps it busy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.scout.subjects import MOST, subjects_of


@pytest.mark.parametrize(
    ("title", "text", "found"),
    [
        ("OpenAI releases GPT-5.2", "GPT-5.2 can read more. Sam Altman said so.", {"OpenAI", "GPT-5.2", "Sam Altman"}),
        ("PostgreSQL 18 is out", "It is faster.", {"PostgreSQL", "PostgreSQL 18"}),
        ("A release of Python 3.15.0", "", {"Python", "Python 3.15.0"}),
        ("How We Built A Search Engine In Rust", "Rust is fast. We used Tantivy.", {"Rust", "Tantivy"}),
        ("", "There was news from London, Paris and Rome.", {"London", "Paris", "Rome"}),
        ("", "There was a prize for Google DeepMind's AlphaFold.", {"Google DeepMind", "DeepMind", "AlphaFold"}),
        ("Anthropic raises money", "Anthropic said it needs it.", {"Anthropic"}),
        ("Researchers warn", "Researchers said that other researchers agree.", set()),
        ("some numpy and Requests were updated", "", {"numpy", "Requests"}),
        ("Show HN: I made a database", "", set()),
        ("BREAKING NEWS: MARKETS FALL TODAY", "", set()),
        ("", "", set()),
    ],
    ids=[
        *("products", "a version", "three numbers", "a headline in large letters", "a list", "a genitive"),
        *("only at the beginning", "a common word at the beginning", "known names", "none", "shouted", "nothing"),
    ],
)
def test_names_are_found(title: str, text: str, found: set[str]):
    """Where large letters say so, or where the name is known here."""
    assert set(subjects_of(title, text, frozenset({"numpy", "requests"}))) == found


@given(st.text(max_size=300), st.text(max_size=600))
def test_any_text_has_a_few_short_subjects(title: str, text: str):
    """At most twelve, none twice, none long."""
    found = subjects_of(title, text)

    assert len(found) <= MOST
    assert len({one.casefold() for one in found}) == len(found)
    assert all(0 < len(one) <= 80 for one in found)
