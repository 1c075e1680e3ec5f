"""Asking a model what the news will have people ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atra.llm.chat import ChatModel
from atra.llm.prompting import filled, framed, one_line
from atra.llm.records import Message, Request
from atra.llm.structured import Unreadable, ask_for
from atra.precache.records import Candidate, Interest, Story

STORIES = 20
"""Articles that one call is told."""

_PROMPTS = Path(__file__).parent / "prompts"
_TEXT, _LONGEST, _NAMED = 800, 200, 40  # characters of an article and of a question; interests that are named


@dataclass(frozen=True)
class Proposed:
    """One question of a model, and the article that answers it, by its number from 1."""

    question: str
    article: int
    subject: str = ""


@dataclass(frozen=True)
class Proposals:
    """What a model says."""

    questions: tuple[Proposed, ...]


def propose(
    model: ChatModel, stories: Sequence[Story], interests: Sequence[Interest], *, most: int, nonce: str
) -> list[Candidate]:
    """Return what the model expects to be asked about the first `STORIES` of these, at most `most`, likeliest first.

    What it says in another shape, and questions on articles that do not exist, are left out.

    Raises:
        What `ChatModel.reply` raises.
    """
    told = stories[:STORIES]
    named = ", ".join(one_line(one.name) for one in interests[:_NAMED]) or "software"
    system = Message("system", filled(_PROMPTS, "propose", nonce=nonce, most=str(most), interests=named))
    data = "".join(
        framed(nonce, f"article {number}: {one.title}", one.text[:_TEXT]) for number, one in enumerate(told, start=1)
    )
    said = ask_for(model, Request((system, Message("user", data)), max_output_tokens=4000, effort="low"), Proposals)
    if isinstance(said, Unreadable):
        return []
    return [
        Candidate(question, "model", one_line(one.subject)[:_LONGEST], told[one.article - 1])
        for one in said.value.questions[:most]
        if 1 <= one.article <= len(told) and 5 < len(question := one_line(one.question)) <= _LONGEST
    ]
