"""What an agent did, turn by turn, for people: what it said, what it asked for, what came of that."""

import json
import re
from collections.abc import Sequence
from typing import Any

from atra.cli.console import out, plain
from atra.core.records import from_json
from atra.llm.budget import dollars
from atra.llm.records import Reply, ToolCall
from atra.storage.events import Event

_SHORT = 160
_LINES = 6
_FRAME = re.compile(r"^\[[0-9a-f]+ (?:begin [^\n]*|end)\]\n?", re.MULTILINE)
"""The lines that mark a result as data for the model."""


def print_trajectory(events: Sequence[Event]) -> None:
    """Print the turns of a run's agents in order, each call with its result; long texts are cut, and say so."""
    turn = 0
    asked: list[ToolCall] = []
    for kept in events:
        if kept.event["kind"] == "reply":
            _print_unanswered(asked)
            turn += 1
            reply = from_json(Reply, kept.event["reply"])
            _print_reply(turn, kept.step, reply)
            asked = list(reply.calls)
        elif asked:
            _print_call(asked.pop(0))
            _print_result(kept.event)
    _print_unanswered(asked)
    if not turn:
        out.print("No agent has worked in this run.")


def _print_reply(turn: int, step: str, reply: Reply) -> None:
    tokens = f"{reply.usage.input_tokens} tokens in, {reply.usage.output_tokens} out"
    cost = f", {dollars(reply.cost_usd)}" if reply.cost_usd is not None else ""
    out.print(f"[bold]turn {turn}[/] of {plain(step)} [dim]{tokens}{cost}[/]")
    if text := reply.text.strip():
        out.print(plain(_cut(text)), soft_wrap=True)


def _print_call(call: ToolCall) -> None:
    out.print(f"  [cyan]{plain(call.name)}[/] {plain(_arguments(call.arguments, call.text))}".rstrip(), soft_wrap=True)


def _print_result(event: Any) -> None:
    out.print(f"    [dim]{plain(_cut(_FRAME.sub('', str(event['text']))))}[/]", soft_wrap=True)
    if event["ended"]:
        out.print(f"  [bold]{'[green]' if event['green'] else '[yellow]'}{plain(event['ended'])}[/][/]", soft_wrap=True)


def _print_unanswered(asked: Sequence[ToolCall]) -> None:
    """Print what was asked for and never done: the work ended before, or goes on."""
    for call in asked:
        _print_call(call)
        out.print("    [dim]not done[/]")


def _arguments(arguments: Any, text: str) -> str:
    if arguments is None:
        return _short(text)
    return " ".join(f"{name}={_short(json.dumps(value, ensure_ascii=False))}" for name, value in arguments.items())


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}… ({len(text)} characters)"


def _cut(text: str) -> str:
    lines = text.strip().splitlines()
    more = [f"… {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return "\n    ".join([*map(_short, lines[:_LINES]), *more])
