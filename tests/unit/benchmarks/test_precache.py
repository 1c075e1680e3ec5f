"""What the measurement of pre-caching calls right, and what it lets a date see."""

from datetime import date
from pathlib import Path

import pytest

from benchmarks.precache import Asked, Decision, Kept, features, is_right, load
from tests.targets import make_repository

QUESTION = Asked(date(2023, 1, 6), "Which company bought Figma?", "Adobe", ("Apple", "Meta", "Oracle"))


@pytest.mark.parametrize(
    ("said", "right"),
    [
        pytest.param("ADOBE, the firm, bought it.", True, id="as words, whatever the case and the marks"),
        pytest.param("Adobe's deal is done.", True, id="a possessive"),
        pytest.param("Adobes are bricks.", False, id="within a word"),
        pytest.param("Adobe outbid Apple.", False, id="with another choice"),
        pytest.param("Somebody bought it.", False, id="without it"),
    ],
)
def test_an_answer_is_right_with_the_right_choice_alone(said: str, right: bool) -> None:
    """A text that holds two choices has chosen none."""
    assert is_right(QUESTION, said) is right


def test_nothing_after_the_last_year_is_read(tmp_path: Path) -> None:
    """Neither by the folder's name nor by the date inside."""
    row = '{"question_date": "%s", "question_sentence": "%s", "choices": ["a", "b"], "answer": ["0"]}\n'
    kept = row % ("2024/12/27", "kept") + row % ("2025/01/03", "by its date")
    files = {"past/2024/20241227_qa.jsonl": kept, "past/2025/20250103_qa.jsonl": row % ("2024/12/30", "by its folder")}
    quiz, news = load(make_repository(tmp_path / "quiz", files))

    assert [(one.question, one.right) for one in quiz] == [("kept", "a")]
    assert not news


def test_the_decision_learns_that_nearer_is_likelier() -> None:
    """From cosines alone, where nothing else differs."""
    kept = Kept("Adobe buys what?", "Figma", date(2023, 1, 5), "a", predicted=True)
    rows = [features(QUESTION, kept, cosine / 100) for cosine in range(100)]
    decision = Decision(rows, [at > 70 for at in range(100)])

    assert decision.probability(rows[95]) > 0.5 > decision.probability(rows[20])
