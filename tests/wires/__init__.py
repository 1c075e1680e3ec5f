"""Loopback servers that speak the wire formats of model providers, for tests driven by the real SDKs.

    with WireServer([Turn("Hello"), Status(429, retry_after="1"), Turn(calls=[("edit", {"path": "a.py"})])]) as server:
        ...                       # base_url = server.url, for every provider; no key is looked at
        server.requests[0].body   # what was sent, as JSON

One server speaks OpenAI Responses, Chat Completions and Anthropic Messages, by the path that is asked for, plain or
streamed, as the request says. It answers 400 to what the real servers would not take: see `tests/wires/strictness.py`.
"""

from tests.wires.server import Asked, WireServer
from tests.wires.turns import (
    Closed,
    Cut,
    EmptyChoices,
    Garbage,
    Huge,
    Redirect,
    Silence,
    Slow,
    Status,
    Step,
    Turn,
)

__all__ = [
    "Asked",
    "Closed",
    "Cut",
    "EmptyChoices",
    "Garbage",
    "Huge",
    "Redirect",
    "Silence",
    "Slow",
    "Status",
    "Step",
    "Turn",
    "WireServer",
]
