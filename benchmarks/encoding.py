"""Turns the arguments and results of small programs into JSON values and back.

Besides what JSON knows: tuples, sets, dicts with any keys, infinities, and nodes of linked structures, which keep their
identity. This file also runs inside the box, beside `evaluate.py`, and so imports nothing but the standard library.
"""

import math
from collections.abc import Callable
from typing import Any

FIELDS = ("value", "successor", "successors", "predecessors", "incoming_nodes", "outgoing_nodes")
"""What a node holds, in the order of its constructor's arguments."""


class Plain:
    """A node without behaviour, for those who only look at a structure."""

    def __init__(self, *values: Any) -> None:
        self.__dict__.update(zip(FIELDS, values, strict=True))


def encode(value: Any, nodes: list[Any]) -> dict[str, Any]:
    """Return `{"value": …, "nodes": […]}`; a node is named by its place in `nodes`, which grows as new ones are met.

    What cannot be told apart by value becomes `{"other": type name}`.
    """
    shown = _encode(value, nodes)
    heap: list[Any] = []
    while len(heap) < len(nodes):
        heap.append([_encode(getattr(nodes[len(heap)], field), nodes) for field in FIELDS])
    return {"value": shown, "nodes": heap}


def decode(data: dict[str, Any], node: Callable[..., Any] = Plain) -> tuple[Any, list[Any]]:
    """Return the value and the nodes that `encode` turned into `data`, new objects each time.

    Args:
        node: makes a node from the values of `FIELDS`.
    """
    nodes = [node(*[None] * len(FIELDS)) for _ in data["nodes"]]
    for made, values in zip(nodes, data["nodes"], strict=True):
        for field, value in zip(FIELDS, values, strict=True):
            setattr(made, field, _decode(value, nodes))
    return _decode(data["value"], nodes), nodes


def _encode(value: Any, nodes: list[Any]) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list):
        return [_encode(item, nodes) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, nodes) for item in value]}
    if isinstance(value, set | frozenset):
        return {"set": sorted((_encode(item, nodes) for item in value), key=repr)}
    if isinstance(value, dict):
        return {"dict": sorted(([_encode(k, nodes), _encode(v, nodes)] for k, v in value.items()), key=repr)}
    if all(hasattr(value, field) for field in FIELDS):
        return {"node": _place(value, nodes)}
    return {"other": type(value).__name__}


def _place(node: Any, nodes: list[Any]) -> int:
    for place, known in enumerate(nodes):
        if known is node:
            return place
    nodes.append(node)
    return len(nodes) - 1


def _decode(data: Any, nodes: list[Any]) -> Any:
    if isinstance(data, list):
        return [_decode(item, nodes) for item in data]
    if not isinstance(data, dict):
        return data
    ((kind, inner),) = data.items()
    if kind == "float":
        return float(inner)
    if kind == "tuple":
        return tuple(_decode(item, nodes) for item in inner)
    if kind == "set":
        return {_decode(item, nodes) for item in inner}
    if kind == "dict":
        return {_decode(key, nodes): _decode(value, nodes) for key, value in inner}
    if kind == "node":
        return nodes[inner]
    raise ValueError(f"{kind} was encoded for comparing only")
