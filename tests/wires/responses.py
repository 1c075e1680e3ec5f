"""The wire format of OpenAI Responses: items of reasoning, messages and function calls, and their stream."""

import json
from collections.abc import Iterator
from typing import Any

from tests.wires.pieces import cut
from tests.wires.turns import Status, Turn

Body = dict[str, Any]
Events = list[tuple[str, Body | str]]


def plain(turn: Turn, body: Body, number: int) -> Body:
    """Return the whole answer as one object."""
    answer = _frame(body, number, _status(turn), _items(turn))
    answer["incomplete_details"] = _incomplete(turn)
    answer["usage"] = _usage(turn) if turn.usage else None
    return {key: value for key, value in answer.items() if key not in turn.missing}


def events(turn: Turn, body: Body, number: int, piece: int) -> Events:
    """Return the answer as (event name, data) of a stream, numbered as the provider does."""
    started = _frame(body, number, "in_progress", [])
    told: list[Body] = [{"type": f"response.{step}", "response": started} for step in ("created", "in_progress")]
    for index, item in enumerate(_items(turn)):
        told.append({"type": "response.output_item.added", "output_index": index, "item": _opened(item)})
        told += [{"output_index": index, "item_id": item["id"], **event} for event in _deltas(item, piece)]
        told.append({"type": "response.output_item.done", "output_index": index, "item": item})
    told.append({"type": f"response.{_status(turn)}", "response": plain(turn, body, number)})
    return [(event["type"], {"sequence_number": at, **event}) for at, event in enumerate(told)]


def empty(body: Body, number: int) -> Body:
    """Return a success without output."""
    return {**_frame(body, number, "completed", []), "usage": _usage(Turn())}


def empty_events(body: Body, number: int) -> Events:
    """Return the stream of a success without output."""
    last = {"type": "response.completed", "sequence_number": 0, "response": empty(body, number)}
    return [("response.completed", last)]


def error(status: Status) -> Body:
    """Return an error as OpenAI words it."""
    kinds = {401: "invalid_request_error", 429: "rate_limit_error", 500: "server_error"}
    kind = status.kind or kinds.get(status.code, "invalid_request_error")
    return {"error": {"message": status.message, "type": kind, "param": None, "code": None}}


def error_event(status: Status, body: Body, number: int) -> tuple[str, Body]:
    """Return the event that tells of an error inside a stream; with a code of its own it is a failed response."""
    if status.kind is None:
        told: Body = {"type": "error", "code": "server_error", "message": status.message, "param": None}
        return "error", {**told, "sequence_number": 99}
    return "response.failed", {
        "type": "response.failed",
        "sequence_number": 99,
        "response": {**_frame(body, number, "failed", []), "error": {"code": status.kind, "message": status.message}},
    }


def _frame(body: Body, number: int, status: str, output: list[Body]) -> Body:
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": f"{body.get('model')}-2026-01-01",
        "output": output,
        "parallel_tool_calls": True,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": body.get("store", True),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "metadata": {},
        "usage": None,
    }


def _items(turn: Turn) -> list[Body]:
    items: list[Body] = []
    if turn.reasoning or turn.redacted:
        items.append(_reasoning(turn))
    if turn.finish == "refusal":
        items.append(_message([{"type": "refusal", "refusal": turn.text or "I cannot help with that."}], "completed"))
    elif turn.text:
        ended = "completed" if _status(turn) == "completed" else "incomplete"
        items.append(_message([{"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}], ended))
    for index, (name, arguments) in enumerate(turn.calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        call = {"id": f"fc_{index}", "call_id": f"call_{index}", "name": name, "arguments": text}
        items.append({"type": "function_call", "status": "completed", **call})
    return items


def _reasoning(turn: Turn) -> Body:
    item: Body = {"id": "rs_1", "type": "reasoning", "summary": []}
    if turn.reasoning and turn.raw:
        item["content"] = [{"type": "reasoning_text", "text": turn.reasoning}]
    elif turn.reasoning:
        item["summary"] = [{"type": "summary_text", "text": turn.reasoning}]
    if turn.redacted:
        item["encrypted_content"] = turn.redacted
    return item


def _message(content: list[Body], status: str) -> Body:
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content}


def _opened(item: Body) -> Body:
    begun = {"message": {"content": []}, "function_call": {"arguments": ""}, "reasoning": {"summary": []}}
    return {**item, **begun[item["type"]], "status": "in_progress"}


def _deltas(item: Body, piece: int) -> Iterator[Body]:
    match item["type"]:
        case "function_call":
            for part in cut(item["arguments"], piece):
                yield {"type": "response.function_call_arguments.delta", "delta": part}
            done = {"arguments": item["arguments"], "name": item["name"]}
            yield {"type": "response.function_call_arguments.done", **done}
        case "message":
            for index, content in enumerate(item["content"]):
                yield from _content_deltas(content, index, piece)
        case _:
            for index, content in enumerate(item.get("content") or []):
                for part in cut(content["text"], piece):
                    yield {"type": "response.reasoning_text.delta", "content_index": index, "delta": part}
            for index, summary in enumerate(item["summary"]):
                for part in cut(summary["text"], piece):
                    yield {"type": "response.reasoning_summary_text.delta", "summary_index": index, "delta": part}


def _content_deltas(content: Body, index: int, piece: int) -> Iterator[Body]:
    name, field = ("output_text", "text") if content["type"] == "output_text" else ("refusal", "refusal")
    opened = {**content, field: ""}
    yield {"type": "response.content_part.added", "content_index": index, "part": opened}
    for part in cut(content[field], piece):
        more = {"logprobs": []} if name == "output_text" else {}
        yield {"type": f"response.{name}.delta", "content_index": index, "delta": part, **more}
    yield {"type": f"response.{name}.done", "content_index": index, field: content[field], "logprobs": []}
    yield {"type": "response.content_part.done", "content_index": index, "part": content}


def _status(turn: Turn) -> str:
    return "completed" if turn.finish in ("stop", "refusal") else "incomplete"


def _incomplete(turn: Turn) -> Body | None:
    reasons = {"length": "max_output_tokens", "context": "max_output_tokens", "filter": "content_filter"}
    return {"reason": reasons[turn.finish]} if turn.finish in reasons else None


def _usage(turn: Turn) -> Body:
    assert turn.usage
    read, cached, written, reasoning = turn.usage
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": read + written,
    }
