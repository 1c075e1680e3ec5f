"""Judging hits: whether the answer that was served was right for what was asked."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atra.llm.chat import ChatModel
from atra.llm.prompting import filled, framed
from atra.llm.records import Message, Request
from atra.llm.structured import Unreadable, ask_for

_PROMPTS = Path(__file__).parent / "prompts"
_LONGEST = 4000  # characters of an answer that a judge reads
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_SAME, _OTHER = 0.7, 0.2


@dataclass(frozen=True)
class Verdict:
    """What a model says: its working first, then whether the answer is right for what was asked."""

    working: str
    verdict: Literal["right", "wrong", "cannot say"]


def judged_by(model: ChatModel, asked: str, question: str, answer: str, nonce: str) -> bool | None:
    """Ask the model whether the answer to `question` is one to what was `asked`; None where it cannot say.

    Raises:
        What `ChatModel.reply` raises.
    """
    told = Message("system", filled(_PROMPTS, "judge", nonce=nonce))
    data = (
        framed(nonce, "what was asked", asked)
        + framed(nonce, "the question that the answer was given to", question)
        + framed(nonce, "the answer that was served", answer[:_LONGEST])
    )
    said = ask_for(model, Request((told, Message("user", data)), max_output_tokens=800, effort="low"), Verdict)
    if isinstance(said, Unreadable) or said.value.verdict == "cannot say":
        return None
    return said.value.verdict == "right"


def agreed(served: str, another: str) -> bool | None:
    """Say whether two answers to one question say the same; None where their words leave it open.

    They do if most of their words are the same and all of their numbers; they do not if hardly any word is, or the
    words are much the same but the numbers differ.
    """
    one, two = _words(served), _words(another)
    if not one or not two:
        return None
    shared = len(one & two) / len(one | two)
    if shared >= _SAME:
        return _numbers(served) == _numbers(another)
    return False if shared <= _OTHER else None


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _numbers(text: str) -> set[str]:
    return set(_NUMBER.findall(text))
