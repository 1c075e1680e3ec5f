"""Asking a model for an answer: its working first, then the answer, then what it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atra.llm.chat import ChatModel
from atra.llm.prompting import filled, framed
from atra.llm.records import Effort, Message, Reply, Request
from atra.llm.structured import Answer, Unreadable, ask_for

_PROMPTS = Path(__file__).parent / "prompts"
_LONGEST = 3000  # characters of one passage


@dataclass(frozen=True)
class Told:
    """A passage as a model is told it: a title with its date, and its text."""

    title: str
    text: str


@dataclass(frozen=True)
class Reasoned:
    """What a model says, in this order."""

    steps: tuple[str, ...]
    answer: str
    known: bool = True
    sources: tuple[int, ...] = field(default=())
    needs_fresh_facts: bool = False


def request_for(
    question: str,
    passages: Sequence[Told],
    *,
    nonce: str,
    language: str,
    max_output_tokens: int,
    effort: Effort | None,
) -> Request:
    """Return what a model is asked: instructions, the question, and numbered passages, each marked as data.

    Args:
        language: of the answer; that of the question where it is empty.
    """
    parts = [framed(nonce, "question", question)]
    parts += [
        framed(nonce, f"passage {number}: {one.title}", one.text[:_LONGEST])
        for number, one in enumerate(passages, start=1)
    ]
    system = Message(
        "system", filled(_PROMPTS, "answer", nonce=nonce, language=language or "the language of the question")
    )
    return Request((system, Message("user", "".join(parts))), max_output_tokens=max_output_tokens, effort=effort)


def answer_of(model: ChatModel, request: Request, passages: int) -> tuple[Reasoned | str, tuple[Reply, ...]]:
    """Ask the model; return its answer, or in a word why it gave none, and its replies.

    Args:
        passages: how many there are; what it says to rest on others is left out.

    Raises:
        What `ChatModel.reply` raises.
    """
    said: Answer[Reasoned] | Unreadable = ask_for(model, request, Reasoned)
    if isinstance(said, Unreadable):
        return said.why, said.replies
    value = said.value
    if not value.known or not value.answer.strip():
        return "it does not know", said.replies
    cited = tuple(dict.fromkeys(number for number in value.sources if 1 <= number <= passages))
    steps = tuple(step.strip() for step in value.steps if step.strip())
    return Reasoned(steps, value.answer.strip(), True, cited, value.needs_fresh_facts), said.replies
