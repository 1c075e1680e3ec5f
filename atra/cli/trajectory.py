"""What an agent did, turn by turn, for people: what it said, what it asked for, what came of that."""

import json
from collections.abc import Sequence
from typing import Any

from atra.cli.console import out, plain
from atra.core.records import from_json
from atra.llm.budget import dollars
from atra.llm.records import Reply
from atra.storage.events import Event

_SHORT = 160
_LINES = 6


def print_trajectory(events: Sequence[Event]) -> None:
    """Print the turns of a run's agents in order; long texts are cut, and say so."""
    turn = 0
    for kept in events:
        if kept.event["kind"] == "reply":
            turn += 1
            _print_reply(turn, kept)
        else:
            _print_result(kept.event)
    if not turn:
        out.print("No agent has worked in this run.")


def _print_reply(turn: int, kept: Event) -> None:
    reply = from_json(Reply, kept.event["reply"])
    tokens = f"{reply.usage.input_tokens} tokens in, {reply.usage.output_tokens} out"
    cost = f", {dollars(reply.cost_usd)}" if reply.cost_usd is not None else ""
    out.print(f"[bold]turn {turn}[/] of {plain(kept.step)} [dim]{tokens}{cost}[/]")
    if text := reply.text.strip():
        out.print(plain(_cut(text)), soft_wrap=True)
    for call in reply.calls:
        out.print(f"  [cyan]{plain(call.name)}[/] {plain(_arguments(call.arguments, call.text))}", soft_wrap=True)


def _print_result(event: Any) -> None:
    out.print(f"    [dim]{plain(_cut(str(event['text'])))}[/]", soft_wrap=True)
    if event["ended"]:
        out.print(f"  [bold]{'[green]' if event['green'] else '[yellow]'}{plain(event['ended'])}[/][/]", soft_wrap=True)


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
