"""The door to OpenAI's Responses API.

Nothing is stored there (`store=False`): a conversation is sent whole each time, and the model's working comes back
encrypted, to be returned unread. The API takes no seed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import openai
from pydantic import BaseModel, Field, NonNegativeInt

from atra.core.errors import ModelUnavailable
from atra.llm.chat import Listener
from atra.llm.connection import UNREADABLE, Connection, translated
from atra.llm.openai_chat import NO_ANSWER, openai_client, written
from atra.llm.parsing import arguments_of, as_json
from atra.llm.records import Finish, Message, Reply, Request, Tool, ToolCall, Usage
from atra.llm.schemas import closed

OPENAI = "https://api.openai.com/v1"
PASSING = frozenset({"server_error", "rate_limit_exceeded", "vector_store_timeout"})
LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})


@dataclass(frozen=True)
class OpenAIResponses:
    """A model of OpenAI's; see `ChatModel`."""

    name: str
    model: str
    key: str = field(repr=False)
    base_url: str = OPENAI
    provider: str = "openai"

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer the conversation; see `ChatModel.reply`."""
        with Connection(key=self.key, timeout_s=request.timeout_s, streamed=listener is not None) as connection:
            create: Callable[..., Any] = openai_client(connection, self.base_url, attempts).responses.create
            try:
                if listener:
                    told = _collected(create(**self._body(request), stream=True), listener)
                else:
                    told = as_json(create(**self._body(request), stream=False))
                return self._reply(_Answer.model_validate(told), connection)
            except (openai.OpenAIError, *UNREADABLE) as error:
                raise translated(error, self.name, connection) from error

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "input": [item for message in request.messages for item in self._items(message)],
            "max_output_tokens": max(request.max_output_tokens, 16),  # the least the API takes
            "store": False,
        }
        if request.tools:
            body["tools"] = [_function(tool) for tool in request.tools]
        if request.schema and (schema := closed(request.schema)):
            shape = {"type": "json_schema", "name": request.schema_name, "schema": schema, "strict": True}
            body["text"] = {"format": shape}
        if request.effort:
            body["reasoning"] = {"effort": request.effort}
            if request.effort != "none":
                body["reasoning"]["summary"] = "auto"
                body["include"] = ["reasoning.encrypted_content"]
        return body

    def _items(self, message: Message) -> list[dict[str, Any]]:
        if message.role == "tool":
            return [{"type": "function_call_output", "call_id": message.call_id, "output": message.text}]
        if message.role != "assistant":
            return [{"role": message.role, "content": message.text}]
        if self._signature in message.opaque:
            return list(message.opaque[self._signature])
        text = message.text or ("" if message.calls else NO_ANSWER)
        calls = [
            {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": written(call.arguments)}
            for call in message.calls
        ]
        return [{"role": "assistant", "content": text}, *calls] if text else calls

    def _reply(self, answer: "_Answer", connection: Connection) -> Reply:
        if answer.status == "failed" and answer.error and answer.error.code in PASSING:
            raise ModelUnavailable(self.name, f"{answer.error.code}: {answer.error.message}", connection.unanswered)
        said = [content for item in answer.output if item.type == "message" for content in item.content or ()]
        calls = tuple(_tool_call(item) for item in answer.output if item.type == "function_call")
        reasoning, kind = _working(answer)
        finish, detail = _ending(answer, calls, "".join(content.refusal for content in said))
        return Reply(
            text="".join(content.text for content in said),
            finish=finish,
            calls=calls,
            reasoning=reasoning,
            reasoning_kind=kind,
            usage=answer.usage.as_usage() if answer.usage else Usage(),
            model=answer.model or self.model,
            request_id=connection.request_id or answer.id,
            detail=detail,
            opaque=self._opaque(answer),
            unanswered=connection.unanswered - bool(answer.usage and answer.usage.input_tokens),
        )

    def _opaque(self, answer: "_Answer") -> dict[str, Any]:
        """Return the turn's items as they came, where encrypted working binds them together.

        Working that is not encrypted is known to nobody, since nothing is stored; and items that are sent without it
        must not bear their ids, by which the API would look for it.
        """
        kept = [item for item in answer.output if item.type != "reasoning" or item.encrypted_content]
        if not any(item.type == "reasoning" for item in kept):
            return {}
        return {self._signature: [item.model_dump(mode="json", exclude_none=True, exclude_unset=True) for item in kept]}

    @property
    def _signature(self) -> str:
        return f"{self.provider}/{self.model}"


class _Content(BaseModel, extra="allow"):
    type: str
    text: str = ""
    refusal: str = ""


class _Item(BaseModel, extra="allow"):
    """One item of the output: reasoning, a message, a function call, or what else the API may bring."""

    type: str
    content: list[_Content] | None = None
    summary: list[_Content] | None = None
    encrypted_content: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class _Cause(BaseModel):
    reason: str | None = None
    code: str = ""
    message: str = ""


class _Read(BaseModel):
    cached_tokens: NonNegativeInt | None = None


class _Written(BaseModel):
    reasoning_tokens: NonNegativeInt | None = None


class _Usage(BaseModel):
    input_tokens: NonNegativeInt
    output_tokens: NonNegativeInt
    input_tokens_details: _Read = Field(default_factory=_Read)
    output_tokens_details: _Written = Field(default_factory=_Written)

    def as_usage(self) -> Usage:
        """Return it in ATRA's words."""
        cached, reasoning = self.input_tokens_details.cached_tokens, self.output_tokens_details.reasoning_tokens
        return Usage(self.input_tokens, self.output_tokens, cached or 0, reasoning or 0)


class _Answer(BaseModel):
    id: str = ""
    model: str = ""
    status: Literal["completed", "incomplete", "failed"]
    output: list[_Item]
    error: _Cause | None = None
    incomplete_details: _Cause | None = None
    usage: _Usage | None = None


def _collected(stream: openai.Stream[Any], listener: Listener) -> dict[str, Any]:
    """Return the answer that stands at the stream's end, telling its text to the listener as it comes.

    Raises:
        openai.APIError: it ended before its end, or told of an error.
    """
    with stream:
        for given in stream:
            event = as_json(given)
            if event.get("type") == "response.output_text.delta":
                listener(str(event.get("delta", "")))
            elif event.get("type") in LAST and isinstance(event.get("response"), dict):
                return dict(event["response"])
            elif event.get("type") == "error":
                raise openai.APIError(str(event.get("message")), stream.response.request, body=event)
    raise openai.APIConnectionError(message="the stream was cut off", request=stream.response.request)


def _working(answer: _Answer) -> tuple[str, Literal["none", "raw", "summary"]]:
    """Return the working: raw where an open-weight server shows it, else OpenAI's summary of it."""
    items = [item for item in answer.output if item.type == "reasoning"]
    raw = "\n\n".join(part.text for item in items for part in item.content or () if part.text)
    if raw:
        return raw, "raw"
    summary = "\n\n".join(part.text for item in items for part in item.summary or () if part.text)
    return summary, "summary" if summary else "none"


def _ending(answer: _Answer, calls: tuple[ToolCall, ...], refusal: str) -> tuple[Finish, str]:
    if answer.error:
        return "refusal" if "policy" in answer.error.code else "other", f"{answer.error.code}: {answer.error.message}"
    if refusal:
        return "refusal", refusal
    if answer.status == "incomplete":
        reason = (answer.incomplete_details and answer.incomplete_details.reason) or "no reason given"
        return ("length", "") if reason == "max_output_tokens" else ("other", reason)
    return "tools" if calls else "stop", ""


def _function(tool: Tool) -> dict[str, Any]:
    # Strict, the API's default here, would refuse tools with optional parameters.
    parameters = dict(tool.parameters)
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": parameters,
        "strict": False,
    }


def _tool_call(item: _Item) -> ToolCall:
    return ToolCall(item.call_id, item.name, arguments_of(item.arguments), item.arguments)
