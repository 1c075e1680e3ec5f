"""Traces: a question, the working that led to an answer, and the answer, with all that is known of their origin."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from atra.llm.records import Reply, Request

Kind = Literal["raw", "summary", "rationale", "tool_log", "human", "none"]
Source = Literal["ask", "repair", "war_room", "human"]

OWN = "atra"
"""The provider of what ATRA worked out itself and proved by tests."""

HUMAN = "human"
"""The provider of what people wrote."""


@dataclass(frozen=True)
class Origin:
    """Where a trace is from.

    Args:
        provider: a model's kind of door (`openai`, `anthropic`, `openai-compatible`, `local`), or `OWN`, or `HUMAN`.
        model: as it was asked for; `model_version` is what the server said had answered.
        endpoint: the address that was asked; empty for what needs none.
        terms: the version of the terms under which it answered, as the settings name it; empty where they name none.
        request_hash: of all that was sent; the same request has the same hash in every process.
        finish: as `Reply.finish`; `refusal` is what the provider said of its refusing.
        tenant: whose question it was.
        source: what asked.
        proof: by what the answer was proved (`tests`, `held`); empty where nothing proved it.
    """

    provider: str
    model: str = ""
    model_version: str = ""
    endpoint: str = ""
    terms: str = ""
    request_hash: str = ""
    finish: str = "stop"
    refusal: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    tenant: str = ""
    source: Source = "ask"
    run_id: str = ""
    proof: str = ""


@dataclass(frozen=True)
class Permission:
    """Whether a trace may be learned from, why, and by which version of the policy. Denied unless somebody allowed."""

    allowed: bool = False
    why: str = "nobody has allowed it"
    policy: str = ""


@dataclass(frozen=True)
class Trace:
    """What may be learned from, if its permission says so.

    Args:
        reasoning: the working, of the kind that `kind` says: `raw` as the model thought, `summary` what the provider
            tells of it, `rationale` a worked solution that was part of the answer, `tool_log` what was tried and what
            came of it, `human` written by a person, `none` where there is none.
        permission: as it stood when the trace was kept; it is asked again whenever a data set is built.
        created_at, revoked_at: by the store's clock.
    """

    prompt: str
    reasoning: str
    answer: str
    kind: Kind
    origin: Origin
    permission: Permission = field(default_factory=Permission)
    created_at: datetime | None = None
    revoked_at: datetime | None = None

    @cached_property
    def id(self) -> str:
        """64 hexadecimal digits: the same words, of the same model and for the same tenant, are the same trace."""
        origin = self.origin
        return _digest(
            [self.kind, self.prompt, self.reasoning, self.answer, origin.provider, origin.model, origin.tenant]
        )


def request_hash(request: Request, model: str) -> str:
    """Return 64 hexadecimal digits of what a model was sent: its name, the conversation, its tools and its schema."""
    turns = [[turn.role, turn.text, [[call.name, call.text] for call in turn.calls]] for turn in request.messages]
    return _digest([model, turns, [tool.name for tool in request.tools], dict(request.schema or {})])


def working(reply: Reply, steps: tuple[str, ...] = ()) -> tuple[str, Kind]:
    """Return (working, its kind) of a reply: what the model thought, else what it worked out, else a summary.

    Args:
        steps: a worked solution that was part of the answer, step by step.
    """
    if reply.reasoning.strip() and reply.reasoning_kind == "raw":
        return reply.reasoning.strip(), "raw"
    if steps:
        return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1)), "rationale"
    if reply.reasoning.strip() and reply.reasoning_kind == "summary":
        return reply.reasoning.strip(), "summary"
    return "", "none"


def _digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
