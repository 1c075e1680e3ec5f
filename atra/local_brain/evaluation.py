"""Evaluation sets, and how a brain does on one item of them.

A set is a file of JSON lines with `question`, `answer` and, if it is not to be better but only no worse at it, `"kind":
"regression"`. It is known by the hash of its items: a file that was changed is another set.
"""

import json
import math
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from atra.core.errors import BadInput, ModelRejected, ModelUnavailable
from atra.llm.chat import ChatModel
from atra.llm.records import Message, Reply, Request
from atra.local_brain.gate import Answered, Trace

Kind = Literal["target", "regression"]

_KINDS: tuple[Kind, ...] = ("target", "regression")
_KEPT = 2000  # characters of what was said


@dataclass(frozen=True)
class Item:
    """A question with its one right answer; the id is a digest of both."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True)
class EvaluationSet:
    """Items of one kind; `hash` is of the items, in whatever order they stand."""

    name: str
    kind: Kind
    items: tuple[Item, ...]

    @property
    def hash(self) -> str:
        """The sha256 of the kind and of all items' ids."""
        return sha256("\n".join([self.kind, *sorted(item.id for item in self.items)]).encode()).hexdigest()

    @property
    def questions(self) -> list[str]:
        """Digests of the questions, in order; capitals and spaces make no other question."""
        return sorted({sha256(_plain(item.question).encode()).hexdigest()[:32] for item in self.items})


@dataclass(frozen=True)
class Said:
    """What a brain said to an item.

    Args:
        confidence: the mean log-probability of its tokens; None where the door does not tell it.
        said: its answer, cut.
    """

    item: str
    right: bool
    trace: Trace
    seconds: float
    confidence: float | None
    said: str

    def answered(self) -> Answered:
        """Return it as the gate wants it."""
        return Answered(self.item, self.right, self.trace, self.seconds)


def sets_of(files: Sequence[Path]) -> list[EvaluationSet]:
    """Return what stands in the files: all targets as one set, first, then the regression sets by the files' names.

    Raises:
        BadInput: a file cannot be read, a line is no item, a question stands there twice, nothing is a target, or a
            regression set's name is taken.
    """
    found: dict[tuple[Kind, str], list[Item]] = {("target", "target"): []}
    seen: set[str] = set()
    named: dict[str, Path] = {}
    for file in files:
        for where, kind, item in _read(file):
            if kind == "regression" and (file.stem == "target" or named.setdefault(file.stem, file) != file):
                raise BadInput(
                    f"{file} holds a regression set and would be named {file.stem}, as another set is: rename it"
                )
            if item.question in seen:
                raise BadInput(f"{where} asks a question for the second time")
            seen.add(item.question)
            found.setdefault((kind, file.stem if kind == "regression" else "target"), []).append(item)
    if not found["target", "target"]:
        raise BadInput("no evaluation set has an item of the kind target; name files in [brain] evaluation")
    return [EvaluationSet(name, kind, tuple(items)) for (kind, name), items in found.items()]


def question_for(question: str, *, max_output_tokens: int, timeout_s: float) -> Request:
    """Return what a brain is asked, in evaluations and in service alike: the question alone, as it was taught."""
    return Request(
        (Message("user", question),), max_output_tokens=max_output_tokens, timeout_s=timeout_s, logprobs=True
    )


def answer_to(model: ChatModel, item: Item, *, max_output_tokens: int, timeout_s: float) -> Said:
    """Ask an item; what the model will not take, or takes too long for, is answered wrong.

    Raises:
        ModelUnavailable, MissingPart: see `ChatModel.reply`.
    """
    begun = time.monotonic()
    try:
        reply = model.reply(
            question_for(item.question, max_output_tokens=max_output_tokens, timeout_s=timeout_s), attempts=1
        )
    except ModelRejected as error:
        return Said(item.id, False, "none", time.monotonic() - begun, None, str(error)[:_KEPT])
    except ModelUnavailable as error:
        if time.monotonic() - begun < timeout_s:
            raise
        return Said(item.id, False, "truncated", time.monotonic() - begun, None, str(error)[:_KEPT])
    seconds = time.monotonic() - begun
    right = reply.finish == "stop" and is_right(item.answer, reply.text)
    return Said(item.id, right, trace_of(reply), seconds, reply.mean_logprob, reply.text[:_KEPT])


def unanswered(item: Item) -> Answered:
    """Return what nobody says: where no brain serves and there is no base, a candidate is compared with this."""
    return Answered(item.id, False, "none", math.inf)


def is_right(expected: str, said: str) -> bool:
    """Say whether the answer, or its last line, is the expected one, but for capitals, spaces and a final stop."""
    lines = [line for line in said.splitlines() if line.strip()]
    return bool(lines) and _plain(expected) in {_plain(said), _plain(lines[-1])}


def trace_of(reply: Reply) -> Trace:
    """Return the form of a reply's working: `empty` where it, or the answer after it, has no words."""
    if reply.finish == "length":
        return "truncated"
    if reply.reasoning_kind == "none":
        return "none"
    return "valid" if reply.reasoning.strip() and reply.text.strip() else "empty"


def _read(file: Path) -> Iterator[tuple[str, Kind, Item]]:
    """Yield where each item of a file stands, its kind, and the item."""
    if file.suffix != ".jsonl":
        raise BadInput(f"the evaluation set {file} is no file of JSON lines (.jsonl)")
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the evaluation set {file} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"line {number} of {file}", *_item(f"line {number} of {file}", line)


def _item(where: str, line: str) -> tuple[Kind, Item]:
    try:
        given = json.loads(line)
        question, answer, kind = given["question"], given["answer"], given.get("kind", "target")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadInput(f"{where} is no JSON object with a question and an answer") from error
    if not all(isinstance(text, str) and text.strip() for text in (question, answer)):
        raise BadInput(f"{where}: question and answer are texts, and none is empty")
    if kind not in _KINDS:
        raise BadInput(f"{where}: kind is {' or '.join(_KINDS)}")
    return kind, Item(sha256(json.dumps([question, answer]).encode()).hexdigest()[:32], question, answer)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".")
