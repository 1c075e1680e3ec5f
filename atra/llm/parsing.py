"""Reading what servers and models write: SDK objects, arguments of calls, working shown inside the text."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pydantic

from atra.llm.chat import Listener

OPENING = "<think>"
# A closing tag counts as the end of the working only where nothing follows it on its line: code that speaks of the tag
# has a quote or a bracket there.
CLOSING = re.compile(r"</think>[ \t]*(?:\n|\Z)")


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
