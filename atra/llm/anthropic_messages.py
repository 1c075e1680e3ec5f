"""The door to Anthropic's Messages API.

Thinking is adaptive: the model decides how long, told by the effort at most. What it shows is a summary, signed; the
signed blocks go back unread with the turn they came with. The API takes no temperature and no seed.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import anthropic
from pydantic import BaseModel, Field, NonNegativeInt

from atra.llm.chat import Listener
from atra.llm.connection import HELD, UNREADABLE, Connection, translated
from atra.llm.parsing import arguments_of, as_json
from atra.llm.records import Finish, Message, Reply, Request, ToolCall, Usage
from atra.llm.schemas import closed

ANTHROPIC = "https://api.anthropic.com"
NO_ANSWER = "(no answer)"  # blocks of text may not be empty
FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tools",
    "refusal": "refusal",
}
Block = dict[str, Any]


@dataclass(frozen=True)
class AnthropicMessages:
    """A model of Anthropic's; see `ChatModel`."""

    name: str
    model: str
    key: str = field(repr=False)
    base_url: str = ANTHROPIC
    provider: str = "anthropic"

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer the conversation; see `ChatModel.reply`."""
        with Connection(key=self.key, timeout_s=request.timeout_s, streamed=listener is not None) as connection:
            create: Callable[..., Any] = self._client(connection, attempts).messages.create
            try:
                if listener:
                    told = _collected(create(**self._body(request), stream=True), listener)
                else:
                    told = as_json(create(**self._body(request), stream=False))
                return self._reply(_Answer.model_validate(told), connection)
            except (anthropic.AnthropicError, *UNREADABLE) as error:
                raise translated(error, self.name, connection) from error

    def _client(self, connection: Connection, attempts: int) -> anthropic.Anthropic:
        return anthropic.Anthropic(
            api_key=HELD,
            base_url=self.base_url.rstrip("/").removesuffix("/v1"),  # the SDK adds it
            timeout=connection.timeout_s,
            max_retries=max(attempts, 1) - 1,
            http_client=connection.client,
            open_telemetry=False,
        )

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_output_tokens,
            "messages": self._messages(message for message in request.messages if message.role != "system"),
        }
        if system := "\n\n".join(message.text for message in request.messages if message.role == "system"):
            body["system"] = system
        if request.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
                for tool in request.tools
            ]
        output: dict[str, Any] = {}
        if request.schema and (schema := closed(request.schema)):
            output["format"] = {"type": "json_schema", "schema": schema}
        if request.effort == "none":
            body["thinking"] = {"type": "disabled"}
        elif request.effort:
            body["thinking"] = {"type": "adaptive", "display": "summarized"}  # newer models show nothing unless told
            output["effort"] = request.effort
        return body | ({"output_config": output} if output else {})

    def _messages(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        """Return the turns, with what one side says in a row as one turn: the answers to all calls of a turn are."""
        turns: list[dict[str, Any]] = []
        for message in messages:
            role = "assistant" if message.role == "assistant" else "user"
            blocks = self._blocks(message)
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": role, "content": blocks})
        return turns

    def _blocks(self, message: Message) -> list[Block]:
        if message.role == "tool":
            return [{"type": "tool_result", "tool_use_id": message.call_id, "content": message.text}]
        if self._signature in message.opaque:
            return list(message.opaque[self._signature])
        calls = [_tool_use(call.id, call.name, call.arguments) for call in message.calls]
        text = message.text if message.text.strip() else "" if calls else NO_ANSWER
        return [{"type": "text", "text": text}, *calls] if text else calls

    def _reply(self, answer: "_Answer", connection: Connection) -> Reply:
        thinking = "\n\n".join(block.thinking for block in answer.content if block.thinking)
        calls = tuple(block.as_call() for block in answer.content if block.type == "tool_use")
        finish = FINISHES.get(answer.stop_reason, "other")
        return Reply(
            text="".join(block.text for block in answer.content if block.type == "text"),
            finish=finish,
            calls=calls,
            reasoning=thinking,
            reasoning_kind="summary" if thinking else "none",
            usage=answer.usage.as_usage(),
            model=answer.model or self.model,
            request_id=connection.request_id or answer.id,
            detail=answer.detail() if finish in ("refusal", "other") else "",
            opaque=self._opaque(answer),
            unanswered=connection.unanswered - (answer.usage.as_usage().input_tokens > 0),
        )

    def _opaque(self, answer: "_Answer") -> dict[str, Any]:
        """Return the turn's blocks as they came, where signed thinking binds them together."""
        if not any(block.type in ("thinking", "redacted_thinking") for block in answer.content):
            return {}
        return {self._signature: [block.as_sent() for block in answer.content if block.says_something()]}

    @property
    def _signature(self) -> str:
        return f"{self.provider}/{self.model}"


class _Block(BaseModel, extra="allow"):
    """One block of the content: thinking, text, a tool's use, or what else the API may bring."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: Any = None

    def as_call(self) -> ToolCall:
        """Return the use of a tool; input that is no object is a call whose arguments could not be read."""
        if isinstance(self.input, dict):
            return ToolCall(self.id, self.name, self.input, json.dumps(self.input, ensure_ascii=False))
        return ToolCall(self.id, self.name, None, str(self.input or ""))

    def says_something(self) -> bool:
        """Say whether the API takes the block back; a text without words it does not."""
        return self.type != "text" or bool(self.text.strip())

    def as_sent(self) -> Block:
        """Return the block as it goes back."""
        if self.type == "tool_use":
            return _tool_use(self.id, self.name, self.input if isinstance(self.input, dict) else None)
        return self.model_dump(mode="json", exclude_none=True, exclude_unset=True)


class _Stop(BaseModel):
    category: str | None = None
    explanation: str | None = None


class _Written(BaseModel):
    thinking_tokens: NonNegativeInt | None = None


class _Usage(BaseModel):
    input_tokens: NonNegativeInt | None = None
    cache_read_input_tokens: NonNegativeInt | None = None
    cache_creation_input_tokens: NonNegativeInt | None = None
    output_tokens: NonNegativeInt = 0
    output_tokens_details: _Written | None = None

    def as_usage(self) -> Usage:
        """Return it in ATRA's words: here what came from the cache is counted beside the input, there within it."""
        cached = self.cache_read_input_tokens or 0
        read = (self.input_tokens or 0) + cached + (self.cache_creation_input_tokens or 0)
        thought = (self.output_tokens_details and self.output_tokens_details.thinking_tokens) or 0
        return Usage(read, self.output_tokens, cached, thought)


class _Answer(BaseModel):
    id: str = ""
    model: str = ""
    content: list[_Block]
    stop_reason: str
    stop_details: _Stop | None = None
    usage: _Usage = Field(default_factory=_Usage)

    def detail(self) -> str:
        """Return what the API says of its stopping."""
        stop = self.stop_details or _Stop()
        return ": ".join(filter(None, (stop.category, stop.explanation))) or self.stop_reason


@dataclass
class _Growing:
    """An answer that grows by events."""

    answer: dict[str, Any] = field(default_factory=dict)
    blocks: dict[int, Block] = field(default_factory=dict)
    inputs: dict[int, list[str]] = field(default_factory=dict)

    def add(self, event: dict[str, Any]) -> str:
        """Take the next event; return the text it adds."""
        index = event.get("index", 0)
        match event.get("type"):
            case "message_start":
                self.answer = dict(event["message"])
            case "content_block_start":
                self.blocks[index] = dict(event["content_block"])
            case "content_block_delta":
                return self._add_delta(index, event["delta"])
            case "message_delta":
                told = {name: value for name, value in event.get("usage", {}).items() if value is not None}
                self.answer["usage"] = self.answer.get("usage", {}) | told
                self.answer |= event["delta"]
        return ""

    def _add_delta(self, index: int, delta: dict[str, Any]) -> str:
        block = self.blocks[index]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
                return str(delta["text"])
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta":
                self.inputs.setdefault(index, []).append(delta["partial_json"])
        return ""

    def whole(self) -> dict[str, Any]:
        """Return the answer that the events make."""
        for index, pieces in self.inputs.items():
            text = "".join(pieces)
            arguments = arguments_of(text)
            self.blocks[index]["input"] = text if arguments is None else dict(arguments)
        return self.answer | {"content": [self.blocks[index] for index in sorted(self.blocks)]}


def _collected(stream: anthropic.Stream[Any], listener: Listener) -> dict[str, Any]:
    """Put a stream together to the answer it would have been in one piece, telling its text to the listener.

    Raises:
        anthropic.APIConnectionError: it ended before its end, or its events do not fit together.
    """
    growing = _Growing()
    request = stream.response.request
    with stream:
        for given in stream:
            event = as_json(given)
            if event.get("type") == "message_stop":
                return growing.whole()
            try:
                text = growing.add(event)
            except (KeyError, TypeError, AttributeError) as error:
                raise anthropic.APIConnectionError(message="the stream makes no answer", request=request) from error
            if text:
                listener(text)
    raise anthropic.APIConnectionError(message="the stream was cut off", request=request)


def _tool_use(id: str, name: str, arguments: Any) -> Block:
    return {"type": "tool_use", "id": id, "name": name, "input": dict(arguments or {})}
