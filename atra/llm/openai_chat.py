"""The door to servers that speak Chat Completions: vLLM, Ollama, llama.cpp, `transformers serve`, OpenRouter, DeepSeek.

They agree on the outline and differ in the rest: how working is shown (five ways, read in the order of `_shown`),
whether usage is told, what a stop for tools is called. What they leave out is borne; what cannot be read is an error.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import openai
from pydantic import BaseModel, Field, NonNegativeInt

from atra.core.errors import ModelRejected, ModelUnavailable
from atra.llm.chat import Listener
from atra.llm.connection import HELD, UNREADABLE, Connection, translated
from atra.llm.parsing import Hearing, arguments_of, as_json, split_calls, split_thinking
from atra.llm.records import Finish, Message, Reply, Request, Tool, ToolCall, Usage
from atra.llm.schemas import closed

NO_ANSWER = "(no answer)"  # stands for an assistant's turn without text or calls, which servers do not take
FINISHES: dict[str, Finish] = {"stop": "stop", "length": "length", "tool_calls": "tools", "function_call": "tools"}
_WITHOUT: dict[str, dict[str, Any]] = {"response_format": {"schema": None}, "logprobs": {"logprobs": False}}
WORKING = ("reasoning_content", "reasoning", "reasoning_details")


@dataclass(frozen=True)
class OpenAIChat:
    """A model behind Chat Completions at `base_url`, with a key or without; see `ChatModel`.

    `refused` holds the parameters that this server was seen to refuse by name; they are not sent again.
    """

    name: str
    model: str
    base_url: str
    key: str = field(default="", repr=False)
    provider: str = "openai-compatible"
    refused: set[str] = field(default_factory=set, compare=False, repr=False)

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer the conversation; see `ChatModel.reply`.

        Where the server shows its working inside the text, a listener hears only what follows `</think>`, unless the
        opening tag stood in the prompt: then it hears all. Calls that the server leaves in the text it hears as text.
        """
        for name in self.refused:
            request = replace(request, **_WITHOUT[name])
        try:
            return self._ask(request, listener, attempts)
        except (ModelRejected, ModelUnavailable) as error:
            # Some servers know no schemas and say so, llama-cpp-python with status 500; some know no logprobs.
            sent = {"response_format": request.schema is not None, "logprobs": request.logprobs}
            named = [name for name, was_sent in sent.items() if was_sent and name in str(error)]
            if not named:
                raise
            self.refused.add(named[0])
            reply = self._ask(replace(request, **_WITHOUT[named[0]]), listener, attempts)
            return replace(reply, unanswered=reply.unanswered + error.args[2])

    def _ask(self, request: Request, listener: Listener | None, attempts: int) -> Reply:
        with Connection(key=self.key, timeout_s=request.timeout_s, streamed=listener is not None) as connection:
            create: Callable[..., Any] = openai_client(connection, self.base_url, attempts).chat.completions.create
            try:
                if listener:
                    usage = {"include_usage": True}
                    told = _collected(create(**self._body(request), stream=True, stream_options=usage), listener)
                else:
                    told = as_json(create(**self._body(request), stream=False))
                if told.get("error") and not told.get("choices"):  # OpenRouter: a failure under status 200
                    raise openai.APIError(str(told["error"]), connection.request, body=told)
                return self._reply(_Answer.model_validate(told), request, connection)
            except (openai.OpenAIError, *UNREADABLE) as error:
                raise translated(error, self.name, connection) from error

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [self._message(message) for message in request.messages],
            "max_tokens": request.max_output_tokens,  # older than max_completion_tokens: every such server knows it
        }
        if request.tools:
            body["tools"] = [{"type": "function", "function": _function(tool)} for tool in request.tools]
        if request.schema and (schema := closed(request.schema)):
            shape = {"name": request.schema_name, "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        if request.effort:
            body["reasoning_effort"] = request.effort
        if request.seed is not None:
            body["seed"] = request.seed
        if request.logprobs:
            body["logprobs"] = True
        return body

    def _message(self, message: Message) -> dict[str, Any]:
        if message.role == "tool":
            return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
        if message.role != "assistant":
            return {"role": message.role, "content": message.text}
        said: dict[str, Any] = {"role": "assistant", "content": message.text or (None if message.calls else NO_ANSWER)}
        if message.calls:
            said["tool_calls"] = [_call(call) for call in message.calls]
        # Working goes back in the field it came in, and only to the model that made it.
        return said | dict(message.opaque.get(self._signature, {}))

    def _reply(self, answer: "_Answer", request: Request, connection: Connection) -> Reply:
        choice = answer.choices[0]
        reasoning, kind, text = _shown(choice.message)
        calls = tuple(_tool_call(call) for call in choice.message.tool_calls or ())
        if request.tools and not calls:  # a server that does not know the model's way of asking leaves it in the text
            text, calls = split_calls(text)
        finish, detail = _ending(choice.finish_reason, choice.message.refusal, calls)
        working = choice.message.model_dump(include=set(WORKING), exclude_none=True, exclude_defaults=True)
        return Reply(
            text=text,
            finish=finish,
            calls=calls,
            reasoning=reasoning,
            reasoning_kind=kind if reasoning else "none",
            usage=answer.usage.as_usage(),
            model=answer.model or self.model,
            request_id=connection.request_id or answer.id or "",
            detail=detail,
            opaque={self._signature: working} if working else {},
            mean_logprob=choice.logprobs.mean() if choice.logprobs and request.logprobs else None,
            unanswered=connection.unanswered - (answer.usage.prompt_tokens > 0),
        )

    @property
    def _signature(self) -> str:
        return f"{self.provider}/{self.model}"


def openai_client(connection: Connection, base_url: str, attempts: int) -> openai.OpenAI:
    """Return a client whose key, address and retries are these, whatever the environment says."""
    return openai.OpenAI(
        api_key=HELD,
        base_url=base_url,
        timeout=connection.timeout_s,
        max_retries=max(attempts, 1) - 1,
        http_client=connection.client,
    )


class _Function(BaseModel):
    name: str = ""
    arguments: str = ""


class _Call(BaseModel):
    id: str = ""
    function: _Function


class _Spoken(BaseModel):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    tool_calls: list[_Call] | None = None


class _Token(BaseModel):
    logprob: float


class _Logprobs(BaseModel):
    content: list[_Token] | None = None

    def mean(self) -> float | None:
        """Return the mean over the tokens; None where there are none."""
        return sum(token.logprob for token in self.content) / len(self.content) if self.content else None


class _Choice(BaseModel):
    message: _Spoken
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Read(BaseModel):
    cached_tokens: NonNegativeInt | None = None


class _Written(BaseModel):
    reasoning_tokens: NonNegativeInt | None = None


class _Usage(BaseModel):
    prompt_tokens: NonNegativeInt = 0
    completion_tokens: NonNegativeInt = 0
    prompt_tokens_details: _Read | None = None
    completion_tokens_details: _Written | None = None
    prompt_cache_hit_tokens: NonNegativeInt | None = None  # DeepSeek

    def as_usage(self) -> Usage:
        """Return it in ATRA's words."""
        cached = self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens
        reasoning = self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens
        cached = cached or self.prompt_cache_hit_tokens
        return Usage(self.prompt_tokens, self.completion_tokens, cached or 0, reasoning or 0)


class _Answer(BaseModel):
    """What is read of an answer; a server may leave out all but a choice."""

    id: str | None = None
    model: str | None = None
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage = Field(default_factory=_Usage)


class _FunctionPiece(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(BaseModel):
    index: int = 0
    id: str | None = None
    function: _FunctionPiece = Field(default_factory=_FunctionPiece)


class _Delta(BaseModel):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    tool_calls: list[_CallPiece] | None = None


class _ChoicePiece(BaseModel):
    index: int = 0
    delta: _Delta = Field(default_factory=_Delta)
    finish_reason: str | None = None


class _Chunk(BaseModel):
    id: str | None = None
    model: str | None = None
    choices: list[_ChoicePiece] | None = None
    usage: dict[str, Any] | None = None


def _collected(stream: openai.Stream[Any], listener: Listener) -> dict[str, Any]:
    """Put a stream together to the answer it would have been in one piece, telling its text to the listener.

    Raises:
        openai.APIConnectionError: it ended before its choice did.
    """
    told: dict[str, Any] = {}
    turn = _Turn(Hearing(listener))
    finish = None
    with stream:
        for given in stream:
            chunk = _Chunk.model_validate(as_json(given))
            told |= chunk.model_dump(include={"id", "model", "usage"}, exclude_none=True)
            for piece in chunk.choices or ():
                if piece.index == 0:
                    turn.add(piece.delta)
                    finish = piece.finish_reason or finish
    if not finish:
        raise openai.APIConnectionError(message="the stream was cut off", request=stream.response.request)
    return told | {"choices": [{"message": turn.whole(), "finish_reason": finish}]}


class _Turn:
    """An assistant's turn that grows by deltas."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._texts: dict[str, list[str]] = {}
        self._details: list[dict[str, Any]] = []
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, delta: _Delta) -> None:
        """Add a piece."""
        if delta.content:
            self._hearing.add(delta.content)
        for name in ("content", "refusal", "reasoning_content", "reasoning"):
            if text := getattr(delta, name):
                self._texts.setdefault(name, []).append(text)
        for detail in delta.reasoning_details or ():
            self._add_detail(detail)
        for call in delta.tool_calls or ():
            self._add_call(call)

    def whole(self) -> dict[str, Any]:
        """Return the message that the pieces make."""
        self._hearing.end()
        calls = [self._calls[index] for index in sorted(self._calls)]
        lists = {"reasoning_details": self._details or None, "tool_calls": calls or None}
        return {name: "".join(pieces) for name, pieces in self._texts.items()} | lists

    def _add_detail(self, piece: dict[str, Any]) -> None:
        last = self._details[-1] if self._details else {}
        if not last or any(last.get(name) != piece.get(name) for name in ("type", "index")):
            self._details.append(dict(piece))
            return
        for name, value in piece.items():
            grows = name in ("text", "summary", "data") and isinstance(value, str) and isinstance(last.get(name), str)
            last[name] = last[name] + value if grows else value

    def _add_call(self, piece: _CallPiece) -> None:
        begun = self._calls.get(piece.index)
        # Some servers number every call 0 and send each whole: another id begins another call.
        if begun is not None and piece.id and begun["id"] and piece.id != begun["id"]:
            piece = piece.model_copy(update={"index": max(self._calls) + 1})
        call = self._calls.setdefault(piece.index, {"id": "", "function": {"name": "", "arguments": ""}})
        call["id"] = piece.id or call["id"]
        call["function"]["name"] += piece.function.name or ""
        call["function"]["arguments"] += piece.function.arguments or ""


def _shown(message: _Spoken) -> tuple[str, Literal["raw", "summary"], str]:
    """Return (working, its kind, text) of a turn, wherever the server shows the first.

    OpenRouter says by the type of its details which working is a summary, as closed models give it.
    """
    content, details = message.content or "", message.reasoning_details or ()
    told = "".join(str(detail.get("text") or detail.get("summary") or "") for detail in details)
    summed = any(detail.get("type") == "reasoning.summary" for detail in details)
    if working := message.reasoning_content or message.reasoning or told:
        return working, "summary" if summed else "raw", content
    working, text = split_thinking(content)
    return working, "raw", text


def _ending(reason: str | None, refusal: str | None, calls: tuple[ToolCall, ...]) -> tuple[Finish, str]:
    """Return (finish, detail); a stop with calls is one for tools, whatever the server calls it."""
    if refusal:
        return "refusal", refusal
    finish = FINISHES.get(reason or "", "other")
    if calls and finish == "stop":
        return "tools", ""
    return finish, (reason or "no reason given") if finish == "other" else ""


def _function(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": written(call.arguments)}}


def written(arguments: Mapping[str, Any] | None) -> str:
    """Return arguments as JSON; those that could not be read go back empty, since templates refuse broken JSON."""
    return json.dumps(dict(arguments or {}), ensure_ascii=False)


def _tool_call(call: _Call) -> ToolCall:
    text = call.function.arguments
    return ToolCall(call.id, call.function.name, arguments_of(text), text)
