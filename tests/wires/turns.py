"""What a wire server may be told to do with one request: a turn of the model, or a fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ReasoningField = Literal["reasoning_content", "reasoning", "details", "think", "lone_think"]


@dataclass(frozen=True)
class Turn:
    """The model answers.

    Args:
        calls: tools it asks for, as (name, arguments); arguments that are a text are sent as they are, broken or not.
        reasoning: its working. Responses shows it as a summary, or as content where `raw`; Messages as a thinking
            block with a signature; Chat Completions in the field that `reasoning_as` names.
        redacted: working that only the provider can read: `encrypted_content`, or a redacted_thinking block.
        finish: `refusal` and `filter` take each provider's own form; `calls` make it a stop for tools by themselves.
        usage: tokens read, read from the cache, written, and written as reasoning; None where a server says nothing.
        logprobs: of its tokens, where Chat Completions is asked for them.
        missing: the fields of the answer that this server leaves out, at the top or in its message.
    """

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any] | str]] = ()
    reasoning: str = ""
    reasoning_as: ReasoningField = "reasoning_content"
    raw: bool = False
    redacted: str = ""
    finish: Literal["stop", "length", "refusal", "filter", "context"] = "stop"
    usage: tuple[int, int, int, int] | None = (100, 40, 20, 5)
    logprobs: Sequence[float] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """An error in the provider's own JSON: 401, 403, 400, 404, 429, 500, 503 or 529."""

    code: int
    retry_after: str | None = None
    message: str = "the server says no"
    kind: str | None = None


@dataclass(frozen=True)
class Redirect:
    """The server sends the caller to another address."""

    url: str
    code: int = 307


@dataclass(frozen=True)
class Cut:
    """The connection breaks off in the middle of this turn's answer, after so many events of a stream.

    With an error the stream ends in order after telling of it: as an error event, or, where Responses gives a failed
    response its code, as that of `kind`.
    """

    turn: Turn
    after: int = 3
    error: Status | None = None


@dataclass(frozen=True)
class Closed:
    """The connection is closed without an answer."""


@dataclass(frozen=True)
class Silence:
    """No answer comes for as long as the caller waits."""


@dataclass(frozen=True)
class Slow:
    """This turn arrives a byte at a time, never ending while the caller waits."""

    turn: Turn
    pause_s: float = 0.02


@dataclass(frozen=True)
class Garbage:
    """A body that is no JSON, or JSON of another shape."""

    body: str = '{"id": "half'
    content_type: str = "application/json"
    code: int = 200


@dataclass(frozen=True)
class EmptyChoices:
    """A success without anything in it: no choices, no output, no content."""


@dataclass(frozen=True)
class Huge:
    """An answer of so many bytes; compressed, it is a small body that grows when it is read."""

    size_bytes: int
    compressed: bool = False


Step = Turn | Status | Redirect | Cut | Closed | Silence | Slow | Garbage | EmptyChoices | Huge
