"""What the real servers would not take: parameters they do not know, and conversations that do not hold together.

Each rule is one the providers document; names of parameters come from the SDKs' own types.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anthropic.types import message_create_params as messages
from openai.types.chat import completion_create_params as completions
from openai.types.responses import response_create_params as responses

Body = Mapping[str, Any]


def complaint(path: str, body: Body) -> str | None:
    """Return why the real server at this path would refuse the body; None if it would not."""
    known, check = RULES[path]
    if unknown := sorted(set(body) - known):
        return f"Unknown parameter: {', '.join(unknown)}"
    return check(body)


def _responses(body: Body) -> str | None:
    called, answered = set(), set()
    for item in body["input"]:
        match item.get("type", "message"):
            case "function_call":
                called.add(item["call_id"])
            case "function_call_output":
                answered.add(item["call_id"])
            case "reasoning" if not body.get("store", True) and not item.get("encrypted_content"):
                return f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false."
    if called != answered:
        return f"No tool output found for function call {', '.join(sorted(called ^ answered))}"
    if body.get("max_output_tokens", 16) < 16:
        return "max_output_tokens: below minimum value 16"
    asked = (body.get("text") or {}).get("format") or {}
    return _strict_schema(asked["schema"]) if asked.get("strict") else None


def _completions(body: Body) -> str | None:
    waiting: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            waiting.remove(message["tool_call_id"])
        elif waiting:
            return f"tool_call_ids without response messages: {', '.join(waiting)}"
        else:
            waiting = [call["id"] for call in message.get("tool_calls") or ()]
        if message["role"] == "assistant" and not (message.get("content") or message.get("tool_calls")):
            return "an assistant message needs content or tool_calls"
    if "stream_options" in body and not body.get("stream"):
        return "stream_options can only be set along with stream"
    asked = (body.get("response_format") or {}).get("json_schema") or {}
    return _strict_schema(asked["schema"]) if asked.get("strict") else None


def _messages(body: Body) -> str | None:
    waiting: set[str] = set()
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] not in ("user", "assistant"):
            return f"messages: unexpected role {message['role']}"
        if not blocks:
            return "messages: all messages must have non-empty content"
        if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            return "messages: text content blocks must contain non-whitespace text"
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if results != waiting:
            return "messages: `tool_use` ids were found without `tool_result` blocks immediately after"
        if results and blocks[0]["type"] != "tool_result":
            return "messages: tool_result blocks must come first"
        waiting = {block["id"] for block in blocks if block["type"] == "tool_use"}
    if waiting:
        return "messages: the conversation ends with tool_use"
    if body["messages"][0]["role"] != "user" or body["messages"][-1]["role"] != "user":
        return "messages: the conversation must begin and end with a user message"
    asked = (body.get("output_config") or {}).get("format") or {}
    return _strict_schema(asked["schema"], all_required=False) if asked else None


def _strict_schema(schema: Any, *, all_required: bool = True) -> str | None:
    """Constrained decoding takes objects that say all they hold, and no keyword it cannot enforce."""
    if isinstance(schema, list):
        return next(filter(None, (_strict_schema(one, all_required=all_required) for one in schema)), None)
    if not isinstance(schema, Mapping):
        return None
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return "Invalid schema: 'additionalProperties' is required to be supplied and to be false"
        if all_required and set(schema.get("required", ())) != set(schema.get("properties", {})):
            return "Invalid schema: 'required' is required to be an array including every key in properties"
    if "default" in schema and not isinstance(schema["default"], Mapping):
        return "Invalid schema: 'default' is not permitted"
    return next(filter(None, (_strict_schema(one, all_required=all_required) for one in schema.values())), None)


def _parameters(*types: type) -> frozenset[str]:
    return frozenset(name for one in types for name in one.__annotations__)


RULES: dict[str, tuple[frozenset[str], Callable[[Body], str | None]]] = {
    "/v1/responses": (
        _parameters(responses.ResponseCreateParamsBase, responses.ResponseCreateParamsStreaming),
        _responses,
    ),
    "/v1/chat/completions": (
        _parameters(completions.CompletionCreateParamsBase, completions.CompletionCreateParamsStreaming),
        _completions,
    ),
    "/v1/messages": (
        _parameters(messages.MessageCreateParamsBase, messages.MessageCreateParamsStreaming),
        _messages,
    ),
}
