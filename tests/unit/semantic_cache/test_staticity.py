"""How long an answer lasts, by what its question asks for."""

import pytest

from atra.semantic_cache.staticity import DAY_S, HOUR_S, USUAL_S, ttl_of


@pytest.mark.parametrize(
    ("question", "ttl_s"),
    [
        ("What is the price of gold?", HOUR_S),
        ("Is the build server down right now?", HOUR_S),
        ("What is the latest version of Celery?", DAY_S),
        ("What is new in Python this week?", DAY_S),
        ("Which Redis versions are supported?", 7 * DAY_S),
        ("Who is the maintainer of kombu?", 7 * DAY_S),
        ("What is a semaphore?", 90 * DAY_S),
        ("How do I restart a worker?", 90 * DAY_S),
        ("tell me about the gate", USUAL_S),
        ("", USUAL_S),
    ],
)
def test_the_faster_it_changes_the_shorter_it_is_kept(question: str, ttl_s: float) -> None:
    assert ttl_of(question) == ttl_s
    assert ttl_of(question.upper()) == ttl_s
