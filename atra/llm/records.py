"""What is said to a model and what comes back, in the same words for every provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tools", "refusal", "other"]
Effort = Literal["none", "low", "medium", "high"]


@dataclass(frozen=True)
class Tool:
    """Something a model may ask to be done; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """One asking. `arguments` is None where `text`, the arguments as they came, is not a JSON object."""

    id: str
    name: str
    arguments: Mapping[str, Any] | None
    text: str = ""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    Args:
        calls: what an assistant's turn asks for.
        call_id: the call that a tool's turn answers.
        reasoning: visible working of an assistant's turn, see `Reply.reasoning`.
        opaque: what the provider wants back unread with this turn (signed or encrypted reasoning), keyed by the model
            that made it, since no other one can read it.
    """

    role: Role
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    reasoning: str = ""
    opaque: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What is asked of a model.

    Args:
        messages: the conversation so far; a system turn comes first where there is one.
        max_output_tokens: the most the reply may take, reasoning included.
        schema: a JSON schema that the text of the reply must satisfy; see `atra.llm.structured`.
        effort: how much to think, where the model can be told.
        seed: makes samples differ where the provider takes one.
        logprobs: ask how sure the model is of its words, where the door can tell; see `Reply.mean_logprob`.
        timeout_s: for the whole reply, all attempts together; a model's own, from its settings, may be shorter.
    """

    messages: tuple[Message, ...]
    max_output_tokens: int = 4096
    tools: tuple[Tool, ...] = ()
    schema: Mapping[str, Any] | None = None
    schema_name: str = "answer"
    effort: Effort | None = None
    seed: int | None = None
    timeout_s: float = 3600.0
    logprobs: bool = False


@dataclass(frozen=True)
class Usage:
    """What a call took, in the provider's tokens; the cached are part of the input, reasoning is part of the output."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Reply:
    """What came back.

    Args:
        finish: `length` means cut off at the token limit; `refusal` that the model would not; `other` what the provider
            calls by a name of its own (a content filter, a pause), given in `detail`.
        reasoning: the working, as far as the provider shows it; `reasoning_kind` says whether raw or a summary of it.
        model: the version that answered, as the server names it.
        cost_usd: filled in by the meter; None where no price is known.
        mean_logprob: of the tokens of the reply, working included, where that was asked for and the door tells it; it
            says how sure the model is, and by itself not how often it is right.
        unanswered: attempts that went out without an answer, or whose answer did not say what it took; the provider may
            bill them.
    """

    text: str
    finish: Finish
    calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    reasoning_kind: Literal["none", "raw", "summary"] = "none"
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    request_id: str = ""
    detail: str = ""
    opaque: Mapping[str, Any] = field(default_factory=dict)
    cost_usd: float | None = None
    mean_logprob: float | None = None
    unanswered: int = 0

    def as_message(self) -> Message:
        """Return the reply as the assistant's turn of the conversation that goes on."""
        return Message("assistant", self.text, self.calls, reasoning=self.reasoning, opaque=self.opaque)
