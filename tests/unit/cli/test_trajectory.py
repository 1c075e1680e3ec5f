"""A trajectory as people read it: turns, tools and results, cut where they are long, harmless whatever is in them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from atra.cli.trajectory import print_trajectory
from atra.core.records import to_json
from atra.llm.records import Reply, ToolCall, Usage
from atra.storage.events import Event


def events(*told: dict[str, Any]) -> list[Event]:
    return [Event("agent", 0, number, event, datetime.now(UTC)) for number, event in enumerate(told)]


def reply(text: str, *calls: ToolCall) -> dict[str, Any]:
    return {"kind": "reply", "reply": to_json(Reply(text, "tools", calls, usage=Usage(1200, 40), cost_usd=0.0123))}


def result(text: str, ended: str = "") -> dict[str, Any]:
    return {"kind": "result", "tool": "read", "text": text, "green": bool(ended), "ended": ended}


def test_turns_tools_and_results_are_told(capsys: pytest.CaptureFixture[str]):
    """In their order, with what they cost and how it ended."""
    call = ToolCall("c1", "read", {"path": "shop/cart.py"})
    print_trajectory(events(reply("I look first.", call), result("line one", "the tests are green")))
    said = capsys.readouterr().out

    assert "turn 1 of agent 1200 tokens in, 40 out, $0.0123" in said
    assert said.index("I look first.") < said.index('read path="shop/cart.py"') < said.index("line one")
    assert said.rstrip().endswith("the tests are green")


def test_each_result_stands_under_its_call(capsys: pytest.CaptureFixture[str]):
    """Without the marks that the model needs; what was asked for and not done says so."""
    looks = [ToolCall(f"c{number}", "read", {"path": f"{number}.py"}) for number in range(3)]
    framed = "[5c0ffee1 begin read]\nline one\n[5c0ffee1 end]\n"
    print_trajectory(events(reply("", *looks), result(framed), result("there is no 1.py")))
    said = capsys.readouterr().out.splitlines()[1:]

    assert [line.strip() for line in said] == [
        *('read path="0.py"', "line one", 'read path="1.py"', "there is no 1.py", 'read path="2.py"', "not done"),
    ]


def test_long_and_hostile_text_is_cut_and_harmless(capsys: pytest.CaptureFixture[str]):
    """Neither a thousand lines nor a code that steers the terminal reach it."""
    call = ToolCall("c1", "write", {"path": "a.py", "text": "x" * 5000})
    broken = ToolCall("c2", "edit", None, "{" * 500)
    print_trajectory(events(reply("\x1b[31m[bold]red", call, broken), result("\n".join(["line"] * 1000))))
    said = capsys.readouterr().out

    assert "\x1b[31m" not in said
    assert "[bold]red" in said
    assert "(5002 characters)" in said
    assert "994 more lines" in said
    assert len(said) < 2000


def test_a_run_without_an_agent_says_so(capsys: pytest.CaptureFixture[str]):
    """An empty journal is no empty page."""
    print_trajectory([])

    assert capsys.readouterr().out == "No agent has worked in this run.\n"
