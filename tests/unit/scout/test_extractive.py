"""Answers in the words of a text: the sentence that speaks of what is asked, with its source; none where none does."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.scout.extractive import Passage, answer

AT = datetime(2026, 11, 20, tzinfo=UTC)
RELEASE = Passage(
    "The maintainers of Kestrel published version 4.2 on 20 November. It reads feeds twice as fast as before. "
    "Thirty people worked on it. Windows is not supported any more.",
    title="Kestrel 4.2 is out",
    address="https://news.example/kestrel",
    published_at=AT,
    source="article:1",
)
COOKING = Passage("Boil the noodles for ten minutes. Salt the water.", title="Noodles", source="article:2")


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("When was Kestrel 4.2 published?", "20 November"),
        ("How many people worked on Kestrel?", "Thirty people"),
        ("Is Windows supported by Kestrel?", "Windows is not supported"),
    ],
)
def test_the_sentence_that_speaks_of_it_is_given_with_its_source(question: str, part: str) -> None:
    found = answer(question, [COOKING, RELEASE])
    assert found is not None
    assert part in found.text
    assert found.passages[0] == RELEASE
    assert 0.5 <= found.confidence <= 1.0


@pytest.mark.parametrize("question", ["", "What is it?", "Who won the regatta?", "When were the noodles invented?"])
def test_none_is_given_where_none_speaks_of_it(question: str) -> None:
    assert answer(question, [COOKING, RELEASE]) is None
    assert answer(question, []) is None


def test_what_is_given_steers_no_terminal_and_is_short() -> None:
    hostile = Passage("Kestrel \x1b[2J\u202e was published on 3 May \x07" + "and on " * 4000, title="Kestrel")
    found = answer("When was Kestrel published?", [hostile])
    assert found is not None
    assert len(found.text) <= 801
    assert not set(found.text) & set("\x1b\x07\n\u202e")


@given(st.text(max_size=80), st.lists(st.text(max_size=200), max_size=4))
def test_whatever_it_is_given_it_quotes_or_says_nothing(question: str, texts: list[str]) -> None:
    found = answer(question, [Passage(text, title="t") for text in texts])
    if found is not None:
        assert found.text
        assert found.passages
