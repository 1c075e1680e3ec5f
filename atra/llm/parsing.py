"""Reading what servers and models write: SDK objects, arguments of calls, working shown inside the text."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pydantic

from atra.llm.chat import Listener
from atra.llm.records import ToolCall

OPENING = "<think>"
# A closing tag counts as the end of the working only where nothing follows it on its line: code that speaks of the tag
# has a quote or a bracket there.
CLOSING = re.compile(r"</think>[ \t]*(?:\n|\Z)")
CALL = re.compile(r"<tool_call>\s*+(\{(?:[^<]++|<(?!/tool_call>))*+)(?:</tool_call>|\Z)")


def as_json(given: object) -> dict[str, Any]:
    """Return an SDK's object as the JSON object it was made from.

    Raises:
        json.JSONDecodeError: the SDK made none, for the body was none; some SDKs return the text as it came.
    """
    if isinstance(given, pydantic.BaseModel):
        return given.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    raise json.JSONDecodeError("not an object", str(given)[:200], 0)


def arguments_of(text: str) -> Mapping[str, Any] | None:
    """Return the arguments of a call; None where they are no JSON object. No text means no arguments."""
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def split_thinking(content: str) -> tuple[str, str]:
    """Return (working, answer) of a text that may show its working between `<think>` and `</think>` first.

    A lone closing tag ends a working whose opening tag stood in the prompt. Without tags all is answer; a working that
    was cut off before its end has no answer.
    """
    opened = content.lstrip().startswith(OPENING)
    closing = CLOSING.search(content)
    if not closing:
        return (content.lstrip().removeprefix(OPENING).strip(), "") if opened else ("", content)
    if not opened and OPENING in content[: closing.start()]:
        return "", content
    return content[: closing.start()].lstrip().removeprefix(OPENING).strip(), content[closing.end() :].lstrip("\n")


def split_calls(said: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Return (text, calls) of what a model said that asks for tools by `<tool_call>{"name": …}</tool_call>`.

    A call whose arguments cannot be read keeps its text, so that the model can be shown it.
    """
    calls = tuple(_call(found[1].rstrip(), number) for number, found in enumerate(CALL.finditer(said)))
    return (CALL.sub("", said).strip(), calls) if calls else (said, ())


def _call(text: str, number: int) -> ToolCall:
    asked = arguments_of(text) or {}
    given = asked.get("arguments", asked.get("parameters"))
    if isinstance(given, str):  # some write the arguments as JSON in JSON
        given = arguments_of(given)
    read = given if isinstance(given, dict) else None
    return ToolCall(f"call_{number}", str(asked.get("name", "")), read, text if read is None else json.dumps(read))


class Hearing:
    """Tells a listener the answer as it grows, without the working that stands before it in tags."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._waiting = ""
        self._answering = False

    def add(self, piece: str) -> None:
        """Take the next piece of the text."""
        if self._answering:
            self._tell(piece)
            return
        self._waiting += piece
        begun = self._waiting.lstrip()
        if not begun or OPENING.startswith(begun[: len(OPENING)]):
            closing = CLOSING.search(self._waiting) if begun.startswith(OPENING) else None
            # What follows the tag on its line is not known before the line ends.
            if closing is None or not self._waiting[closing.end() :].lstrip("\n"):
                return
            self._tell(self._waiting[closing.end() :].lstrip("\n"))
        else:
            self._tell(self._waiting)

    def end(self) -> None:
        """Tell what was still held back, now that the text is whole."""
        if not self._answering:
            self._tell(split_thinking(self._waiting)[1])

    def _tell(self, text: str) -> None:
        self._answering = True
        self._waiting = ""
        if text:
            self._listener(text)
