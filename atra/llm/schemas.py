"""JSON schemas in the strict form that providers can hold a model to while it writes."""

from collections.abc import Mapping
from typing import Any

# What constrained decoding knows; limits on lengths and numbers are left to the check of the answer.
KNOWN = frozenset({"type", "description", "enum", "const", "anyOf", "items", "properties", "required", "$ref", "$defs"})


def closed(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema with every object closed and every property required; None where it has no such form.

    Objects that map any key to a value have none, nor has what may be anything. Defaults, titles and limits fall away.
    """
    try:
        return _closed(schema)
    except _Open:
        return None


class _Open(Exception):
    """The schema says too little about what it takes."""


def _closed(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _Open
    if "$ref" in schema:  # nothing may stand beside a reference, other than the definitions at the root
        return {name: _part(name, schema[name]) for name in ("$ref", "$defs") if name in schema}
    made = {name: _part(name, value) for name, value in schema.items() if name in KNOWN}
    if variants := schema.get("oneOf"):
        made["anyOf"] = _part("anyOf", variants)
    if schema.get("type") == "object":
        if not isinstance(schema.get("properties"), Mapping) or schema.get("additionalProperties"):
            raise _Open
        made |= {"required": list(schema["properties"]), "additionalProperties": False}
    elif schema.get("type") == "array" and "items" not in schema:
        raise _Open
    if not made.keys() & {"type", "enum", "const", "anyOf"}:
        raise _Open
    return made


def _part(name: str, value: Any) -> Any:
    match name:
        case "properties" | "$defs":
            return {key: _closed(one) for key, one in value.items()}
        case "anyOf":
            return [_closed(one) for one in value]
        case "items":
            return _closed(value)
    return value
