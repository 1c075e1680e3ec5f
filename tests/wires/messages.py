"""The wire format of Anthropic Messages: blocks of thinking, text and tool use, and their stream."""

import json
from collections.abc import Iterator
from typing import Any

from tests.wires.pieces import cut
from tests.wires.turns import Status, Turn

Body = dict[str, Any]
Events = list[tuple[str, Body | str]]
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def plain(turn: Turn, body: Body, number: int) -> Body:
    """Return the whole answer as one object."""
    answer = _frame(body, number, _blocks(turn), _usage(turn)) | _ending(turn)
    return {key: value for key, value in answer.items() if key not in turn.missing}


def events(turn: Turn, body: Body, number: int, piece: int) -> Events:
    """Return the answer as (event name, data) of a stream; tokens written are told at its end."""
    begun = _frame(body, number, [], {**_usage(turn), "output_tokens": 1, "output_tokens_details": None})
    told: list[Body] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, block in enumerate(_blocks(turn)):
        told.append({"type": "content_block_start", "index": index, "content_block": _opened(block)})
        told += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in _deltas(block, piece)]
        told.append({"type": "content_block_stop", "index": index})
    told.append({"type": "message_delta", "delta": _ending(turn), "usage": _usage(turn)})
    return [(event["type"], event) for event in [*told, {"type": "message_stop"}]]


def empty(body: Body, number: int) -> Body:
    """Return an answer without content."""
    return _frame(body, number, [], _usage(Turn())) | _ending(Turn())


def empty_events(body: Body, number: int) -> Events:
    """Return the stream of an answer without content."""
    return events(Turn(), body, number, 1)


def error(status: Status) -> Body:
    """Return an error as Anthropic words it."""
    kind = status.kind or KINDS.get(status.code, "api_error")
    return {"type": "error", "error": {"type": kind, "message": status.message}, "request_id": "req_wire"}


def error_event(status: Status, body: Body, number: int) -> tuple[str, Body]:
    """Return the event that tells of an error inside a stream."""
    return "error", error(status)


def _frame(body: Body, number: int, content: list[Body], usage: Body) -> Body:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": f"{body.get('model')}-20260101",
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _ending(turn: Turn) -> Body:
    reasons = {
        "stop": "tool_use" if turn.calls else "end_turn",
        "length": "max_tokens",
        "refusal": "refusal",
        "filter": "refusal",
        "context": "model_context_window_exceeded",
    }
    ending: Body = {"stop_reason": reasons[turn.finish], "stop_sequence": None}
    if turn.finish == "refusal":
        ending["stop_details"] = {"type": "refusal", "category": "cyber", "explanation": "It was asked for an exploit."}
    return ending


def _blocks(turn: Turn) -> list[Body]:
    blocks: list[Body] = []
    if turn.redacted:
        blocks.append({"type": "redacted_thinking", "data": turn.redacted})
    if turn.reasoning:
        blocks.append({"type": "thinking", "thinking": turn.reasoning, "signature": "c2lnbmVkIGJ5IHRoZSB3aXJl"})
    if turn.text:
        blocks.append({"type": "text", "text": turn.text, "citations": None})
    for index, (name, arguments) in enumerate(turn.calls):
        given = arguments if isinstance(arguments, str) else dict(arguments)
        blocks.append({"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": given})
    return blocks


def _opened(block: Body) -> Body:
    begun: dict[str, Body] = {
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": ""},
        "tool_use": {"input": {}},
        "redacted_thinking": {},
    }
    return {**block, **begun[block["type"]]}


def _deltas(block: Body, piece: int) -> Iterator[Body]:
    match block["type"]:
        case "thinking":
            yield from ({"type": "thinking_delta", "thinking": part} for part in cut(block["thinking"], piece))
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            yield from ({"type": "text_delta", "text": part} for part in cut(block["text"], piece))
        case "tool_use":
            given = block["input"]
            text = given if isinstance(given, str) else json.dumps(given) if given else ""
            yield {"type": "input_json_delta", "partial_json": ""}
            yield from ({"type": "input_json_delta", "partial_json": part} for part in cut(text, piece))


def _usage(turn: Turn) -> Body:
    if not turn.usage:
        return {"input_tokens": 0, "output_tokens": 0}
    read, cached, written, reasoning = turn.usage
    return {
        "input_tokens": read - cached,  # Messages counts what came from the cache beside the input, not in it
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": written,
        "output_tokens_details": {"thinking_tokens": reasoning},
        "service_tier": "standard",
    }
