"""Questions that news may raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.precache.questions import completed, questions, sentences, spoken_of
from atra.precache.records import Interest, Story

DEAL = Story(
    "article:1", "Adobe buys Figma for $20 billion", "On Thursday the two firms told Bloomberg of it in a statement."
)


def asked(story: Story, *interests: Interest) -> dict[str, str]:
    return {one.question: one.template for one in questions(story, interests)}


def test_a_headline_asks_for_each_name_and_amount_in_it() -> None:
    """Each gap is a question of its own."""
    assert asked(DEAL) == {
        "Who or what buys Figma for $20 billion?": "headline",
        "Adobe buys what for $20 billion?": "headline",
        "Adobe buys Figma for how much?": "headline",
        "On Thursday the two firms told what of it in a statement?": "sentence",
    }


@pytest.mark.parametrize(
    ("title", "question"),
    [
        pytest.param("Kestrel was begun in 2019", "Kestrel was begun in when?", id="a year"),
        pytest.param("Rates rose by 4 percent", "Rates rose by what share?", id="a share"),
        pytest.param("Some 120 people fled", "Some how many people fled?", id="a count"),
        pytest.param("Kestrel 4.2 is out on 20 November", "Who or what is out on 20 November?", id="a version"),
        pytest.param("Gold at 4.2 million a bar", "Gold at how many a bar?", id="a large count"),
        pytest.param("Is Kestrel dead?", "Is Kestrel dead?", id="a headline that asks"),
    ],
)
def test_what_is_missing_is_asked_for_by_its_kind(title: str, question: str) -> None:
    """A year is a when, a share a share, a count a how many."""
    assert question in asked(Story("article:1", title, ""))


def test_a_version_is_no_count() -> None:
    """Nobody asks how many."""
    assert list(asked(Story("article:1", "They published version 4.2 on time", ""))) == []


def test_a_version_is_asked_about_as_one() -> None:
    """What changed, and which is the latest."""
    made = asked(Story("article:1", "", "", subjects=("Celery 5.6",)), Interest("celery", "dependency", "shop"))
    assert made == {
        "What is new in Celery 5.6?": "new",
        "What changed in Celery 5.6?": "changed",
        "What is the latest version of Celery?": "latest",
        "How does the new Celery affect shop?": "affects",
    }


def test_a_topic_is_asked_for_its_news() -> None:
    """What the settings name has no repository that it would affect."""
    made = asked(Story("article:1", "", "", subjects=("Rust",)), Interest("rust", "topic"))
    assert made == {"What is new in Rust?": "new", "What is the latest news about Rust?": "news"}


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        pytest.param("", "It is out.", id="none"),
        pytest.param("It is out", "It is out.", id="there already"),
        pytest.param("Kestrel 4.2 is out", "Kestrel 4.2 is out. It is out.", id="a headline"),
        pytest.param("Out at last!", "Out at last! It is out.", id="a sentence with its mark"),
    ],
)
def test_a_quotation_begins_with_the_sentence_that_was_asked_about(said: str, whole: str) -> None:
    """What the gap left out stands there."""
    assert completed(said, "It is out.") == whole


def test_names_are_counted_once_for_each_story() -> None:
    """As a subject or a whole word of the title."""
    told = [Story("1", "New in Redis: Redis", ""), Story("2", "Predis grows", "", subjects=("redis",))]
    assert spoken_of(told, ["Redis", "celery"]) == {"Redis": 2}


@given(st.text(max_size=300), st.text(max_size=600))
def test_any_text_gives_bounded_questions_each_once(title: str, text: str) -> None:
    """Hostile texts make no long questions and no endless ones."""
    story = Story("article:1", title, text)
    made = [one.question for one in questions(story)]
    assert len({one.casefold() for one in made}) == len(made)
    assert all(len(one) < 330 and "\n" not in one for one in made)
    assert len(sentences(story)) <= 5
