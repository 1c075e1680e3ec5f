"""Asking for an answer of a given shape, and reading it however it was wrapped.

The schema is enforced by the provider where it can be, and told in the prompt where that is not certain. What comes is
checked all the same. A model that answers badly is shown its error once; what is bad then is a result, with its cost.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from atra.llm.chat import ChatModel
from atra.llm.records import Message, Reply, Request
from atra.llm.schemas import closed

T = TypeVar("T")
ENFORCING = frozenset({"openai", "anthropic"})  # compatible servers may take a schema and forget it
FENCE = re.compile(r"^```([a-zA-Z]*)[ \t]*$", re.MULTILINE)
MAX_DEPTH = 64
MAX_SEARCHED = 200_000  # characters in which an object is looked for between prose
MAX_STARTS = 100  # braces tried there: each may be read to the end in vain


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What was asked for, and the replies it took."""

    value: T
    replies: tuple[Reply, ...]


@dataclass(frozen=True)
class Unreadable:
    """No answer of the asked shape came: why not, the text that came last, and the replies it took."""

    why: str
    text: str
    replies: tuple[Reply, ...]


def ask_for(model: ChatModel, request: Request, shape: type[T], *, attempts: int = 3) -> Answer[T] | Unreadable:
    """Return the model's answer as a record, with one more try for an answer that cannot be read.

    Args:
        request: its time-out is for both calls together.
        shape: a dataclass, or another type that pydantic reads from a JSON object.
        attempts: how often each of the two calls may be sent.

    Raises:
        What `ChatModel.reply` raises.
    """
    adapter = TypeAdapter(shape)
    asked = _asking(model, request, adapter.json_schema(), shape.__name__)
    deadline = time.monotonic() + request.timeout_s
    first = model.reply(asked, attempts=attempts)
    try:
        return Answer(_read(first, adapter), (first,))
    except _Bad as bad:
        if first.finish == "refusal":
            return Unreadable(str(bad), first.text, (first,))
        again = replace(_showing(asked, first, str(bad)), timeout_s=max(1.0, deadline - time.monotonic()))
        second = model.reply(again, attempts=attempts)
    try:
        return Answer(_read(second, adapter), (first, second))
    except _Bad as bad:
        return Unreadable(str(bad), second.text, (first, second))


def json_object(text: str) -> dict[str, Any]:
    """Return the one JSON object in a text: alone, in a fence, or between prose.

    Raises:
        ValueError: there is none, or more than one, or it is nested deeper than any answer is.
    """
    fenced = _fenced(text)
    for whole in (text, *(fenced if len(fenced) == 1 else ())):
        try:
            found = _DECODER.decode(whole.strip())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return _shallow(found)
    objects = list(_objects(text[:MAX_SEARCHED]))
    if len(objects) != 1:
        raise ValueError("it holds no JSON object" if not objects else f"it holds {len(objects)} JSON objects, not one")
    return _shallow(objects[0])


def _fenced(text: str) -> list[str]:
    """Return what stands between fences: each lasts until the next line that is a fence without a word."""
    parts: list[str] = []
    begun: int | None = None
    for fence in FENCE.finditer(text):
        if begun is None:
            begun = fence.end()
        elif not fence[1]:
            parts.append(text[begun : fence.start()])
            begun = None
    return parts


class _Bad(Exception):
    """The answer cannot be read, for the reason that is the argument."""


def _asking(model: ChatModel, request: Request, schema: Mapping[str, Any], name: str) -> Request:
    asked = replace(request, schema=schema, schema_name=re.sub(r"\W", "_", name)[:64])
    if model.provider in ENFORCING and closed(schema) is not None:
        return asked
    told = "Answer with one JSON object and nothing else. It must satisfy this JSON schema:\n" + json.dumps(schema)
    *before, last = request.messages
    if last.role == "user":
        return replace(asked, messages=(*before, replace(last, text=f"{last.text}\n\n{told}")))
    return replace(asked, messages=(*request.messages, Message("user", told)))


def _showing(asked: Request, reply: Reply, why: str) -> Request:
    """Return the conversation that goes on with the bad answer and what is wrong with it."""
    answers = tuple(Message("tool", "There are no tools now.", call_id=call.id) for call in reply.calls)
    error = Message("user", f"That answer cannot be used: {why}. Answer again with the JSON object alone.")
    return replace(asked, messages=(*asked.messages, reply.as_message(), *answers, error))


def _read(reply: Reply, adapter: TypeAdapter[T]) -> T:
    if reply.finish == "refusal":
        raise _Bad(f"the model refused: {reply.detail}")
    try:
        return adapter.validate_python(json_object(reply.text))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)[:5]
        raise _Bad("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in faults)) from error
    except ValueError as error:
        cut = f", and was cut off after {reply.usage.output_tokens} tokens" if reply.finish == "length" else ""
        raise _Bad(f"{error}{cut}") from error


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects that stand in the text side by side."""
    at = text.find("{")
    for _ in range(MAX_STARTS):
        if at < 0:
            return
        try:
            found, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def _shallow(value: dict[str, Any]) -> dict[str, Any]:
    """Return the value, unless it is nested so deep that whoever walks through it would fall."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return value
    raise ValueError(f"its JSON is nested deeper than {MAX_DEPTH}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
