"""The wire format of Chat Completions, as OpenAI, vLLM, Ollama, llama.cpp, DeepSeek and OpenRouter write it."""

import json
from collections.abc import Iterator
from typing import Any

from tests.wires.pieces import cut
from tests.wires.turns import Status, Turn

Body = dict[str, Any]
Events = list[tuple[str, Body | str]]


def plain(turn: Turn, body: Body, number: int) -> Body:
    """Return the whole answer as one object."""
    choice: Body = {"message": _message(turn), "finish_reason": _finish(turn)}
    if turn.logprobs and body.get("logprobs"):
        choice["logprobs"] = {"content": [{"token": "t", "logprob": one, "top_logprobs": []} for one in turn.logprobs]}
    answer = _frame(body, number, "chat.completion", choice)
    if turn.usage:
        answer["usage"] = _usage(turn)
    return {key: value for key, value in answer.items() if key not in turn.missing}


def events(turn: Turn, body: Body, number: int, piece: int) -> Events:
    """Return the answer as (event name, data) of a stream; Chat Completions names no events."""
    told: Events = [("", _chunk(body, number, {"role": "assistant", "content": ""}))]
    told += [("", _chunk(body, number, delta)) for delta in _deltas(turn, piece)]
    told.append(("", _chunk(body, number, {}, _finish(turn))))
    if turn.usage and (body.get("stream_options") or {}).get("include_usage"):
        told.append(("", {**_frame(body, number, "chat.completion.chunk", {}), "choices": [], "usage": _usage(turn)}))
    return [*told, ("", "[DONE]")]


def empty(body: Body, number: int) -> Body:
    """Return an answer without choices."""
    return {**_frame(body, number, "chat.completion", {}), "choices": [], "usage": _usage(Turn())}


def empty_events(body: Body, number: int) -> Events:
    """Return a stream without choices."""
    return [("", {**_frame(body, number, "chat.completion.chunk", {}), "choices": []}), ("", "[DONE]")]


def error(status: Status) -> Body:
    """Return an error as OpenAI words it."""
    kinds = {401: "invalid_request_error", 429: "rate_limit_error", 500: "server_error"}
    kind = status.kind or kinds.get(status.code, "invalid_request_error")
    return {"error": {"message": status.message, "type": kind, "param": None, "code": None}}


def error_event(status: Status, body: Body, number: int) -> tuple[str, Body]:
    """Return the event that tells of an error inside a stream."""
    return "", error(status)


def _frame(body: Body, number: int, kind: str, choice: Body) -> Body:
    return {
        "id": f"chatcmpl-{number}",
        "object": kind,
        "created": 1_790_000_000,
        "model": f"{body.get('model')}-2026-01-01",
        "choices": [{"index": 0, "logprobs": None, **choice}],
    }


def _chunk(body: Body, number: int, delta: Body, finish: str | None = None) -> Body:
    return _frame(body, number, "chat.completion.chunk", {"delta": delta, "finish_reason": finish})


def _message(turn: Turn) -> Body:
    message: Body = {"role": "assistant", "content": _content(turn) or None, "refusal": None}
    if turn.finish == "refusal":
        message |= {"content": None, "refusal": turn.text or "I cannot help with that."}
    if turn.calls:
        message["tool_calls"] = list(_calls(turn))
    match turn.reasoning and turn.reasoning_as:
        case "reasoning_content" | "reasoning" as name:
            message[name] = turn.reasoning
        case "details":
            message["reasoning_details"] = [{"type": "reasoning.text", "text": turn.reasoning, "index": 0}]
        case "summary":
            message["reasoning_details"] = [{"type": "reasoning.summary", "summary": turn.reasoning, "index": 0}]
    return {key: value for key, value in message.items() if key not in turn.missing}


def _deltas(turn: Turn, piece: int) -> Iterator[Body]:
    whole = _message(turn)
    for name in ("reasoning_content", "reasoning"):
        yield from ({name: part} for part in cut(whole.get(name) or "", piece))
    for detail in whole.get("reasoning_details", []):
        name = "summary" if "summary" in detail else "text"
        yield from ({"reasoning_details": [{**detail, name: part}]} for part in cut(detail[name], piece))
    for name in ("content", "refusal"):
        yield from ({name: part} for part in cut(whole.get(name) or "", piece))
    for index, call in enumerate(whole.get("tool_calls", [])):
        function = call["function"]
        head = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
        yield {"tool_calls": [head]}
        for part in cut(function["arguments"], piece):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def _content(turn: Turn) -> str:
    if turn.reasoning and turn.reasoning_as == "think":
        return f"<think>\n{turn.reasoning}\n</think>\n\n{turn.text}"
    if turn.reasoning and turn.reasoning_as == "lone_think":
        return f"{turn.reasoning}\n</think>\n\n{turn.text}"
    return turn.text


def _calls(turn: Turn) -> Iterator[Body]:
    for index, (name, arguments) in enumerate(turn.calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        yield {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": text}}


def _finish(turn: Turn) -> str:
    if turn.finish == "stop" and turn.calls:
        return "tool_calls"
    return {"filter": "content_filter", "length": "length", "context": "length"}.get(turn.finish, "stop")


def _usage(turn: Turn) -> Body:
    assert turn.usage
    read, cached, written, reasoning = turn.usage
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
