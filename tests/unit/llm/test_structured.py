"""Answers of a given shape: enforced where it can be, told where it cannot, checked always, asked for again once."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BudgetSpent
from atra.llm.anthropic_messages import AnthropicMessages
from atra.llm.chat import ChatModel
from atra.llm.openai_chat import OpenAIChat
from atra.llm.openai_responses import OpenAIResponses
from atra.llm.parsing import split_calls
from atra.llm.records import Message, Reply, Request, ToolCall
from atra.llm.schemas import closed
from atra.llm.scripted import ScriptedModel
from atra.llm.structured import Answer, Unreadable, ask_for, json_object
from tests.wires import Turn, WireServer


@dataclass(frozen=True)
class Step:
    """One step of a plan."""

    claim: str
    weight: int = 1


@dataclass(frozen=True)
class Plan:
    """What to do."""

    kind: Literal["fix", "leave"]
    steps: tuple[Step, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class Loose:
    """A shape that no provider can enforce."""

    anything: dict[str, Any] = field(default_factory=dict)


ASK = Request((Message("user", "What is to be done?"),), timeout_s=5.0)
GOOD = '{"kind": "fix", "steps": [{"claim": "it is off by one", "weight": 2}], "note": null}'
PLAN = Plan("fix", (Step("it is off by one", 2),))


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"  \n{GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"Here is the plan:\n\n```\n{GOOD}\n```\nGood luck {{you}}!",
        f"The plan {{as asked}} is {GOOD}, nothing else.",
    ],
    ids=["bare", "spaced", "fenced", "fenced in prose", "in prose"],
)
def test_an_answer_is_read_however_it_is_wrapped(text: str) -> None:
    """Models add fences and politeness."""
    answer = ask_for(ScriptedModel([text]), ASK, Plan)

    assert isinstance(answer, Answer)
    assert answer.value == PLAN


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        (f"{GOOD} or {GOOD}", "2 JSON objects"),
        (f"```\n{GOOD}\n```\n```\n{GOOD}\n```", "2 JSON objects"),
        ('{"kind": "burn"}', "kind: Input should be 'fix' or 'leave'"),
        ('{"kind": "fix", "steps": [{}]}', "steps.0.claim: Field required"),
        ('{"kind": "fix", "steps": [{"claim": "x", "weight": NaN}]}', "no JSON object"),
        (GOOD[:30], "no JSON object"),
    ],
    ids=["empty", "list", "two", "two fences", "wrong word", "missing", "nan", "cut"],
)
def test_a_bad_answer_is_shown_its_error_once(text: str, why: str) -> None:
    """The second try sees the first and what is wrong with it; it can be right."""
    model = ScriptedModel([text, GOOD])

    answer = ask_for(model, ASK, Plan)

    assert isinstance(answer, Answer)
    assert len(answer.replies) == len(model.requests) == 2
    assert model.requests[1].messages[-2] == Message("assistant", text)
    assert why in model.requests[1].messages[-1].text


def test_two_bad_answers_are_a_result() -> None:
    """With the reason, the last text, and both replies to be paid; there is no third try."""
    model = ScriptedModel(["no", "no again", GOOD])

    answer = ask_for(model, ASK, Plan)

    assert answer == Unreadable(
        "it holds no JSON object",
        "no again",
        tuple(Reply(said, "stop", model="scripted") for said in ("no", "no again")),
    )


def test_a_refusal_is_not_argued_with() -> None:
    """One call, and its reason."""
    model = ScriptedModel([Reply("", "refusal", detail="cyber"), GOOD])

    answer = ask_for(model, ASK, Plan)

    assert isinstance(answer, Unreadable)
    assert (answer.why, len(answer.replies)) == ("the model refused: cyber", 1)


def test_a_cut_answer_is_told_so() -> None:
    """It needs to be shorter, not other."""
    model = ScriptedModel([Reply(GOOD[:20], "length"), GOOD])

    assert isinstance(ask_for(model, ASK, Plan), Answer)
    assert "cut off after 0 tokens" in model.requests[1].messages[-1].text


def test_calls_instead_of_an_answer_are_answered() -> None:
    """Every server wants a result for each call before the conversation goes on."""
    model = ScriptedModel([Reply("", "tools", (ToolCall("c1", "edit", {}),)), GOOD])

    assert isinstance(ask_for(model, ASK, Plan), Answer)
    assert model.requests[1].messages[-2].call_id == "c1"


def test_a_spent_budget_goes_through() -> None:
    """The second call may be one too many."""

    def answer(request: Request) -> str:
        if len(request.messages) > 1:
            raise BudgetSpent("this call", "1 USD", "1 USD", "1 USD")
        return "no"

    with pytest.raises(BudgetSpent):
        ask_for(ScriptedModel(answer), ASK, Plan)


DOORS: dict[str, Callable[[str], ChatModel]] = {
    "chat": lambda url: OpenAIChat("mine", "m-1", url),
    "responses": lambda url: OpenAIResponses("mine", "m-1", "", url),
    "messages": lambda url: AnthropicMessages("mine", "m-1", "", url),
}


@pytest.mark.parametrize("door", DOORS)
def test_the_schema_reaches_the_provider(door: str) -> None:
    """In its strict form, which the strict server takes; where it may be forgotten, in the prompt too."""
    with WireServer([Turn(GOOD)]) as server:
        answer = ask_for(DOORS[door](server.url), ASK, Plan)

    body = server.bodies[0]
    sent = {
        "chat": lambda: body["response_format"]["json_schema"]["schema"],
        "responses": lambda: body["text"]["format"]["schema"],
        "messages": lambda: body["output_config"]["format"]["schema"],
    }[door]()
    assert isinstance(answer, Answer)
    assert sent == closed(sent)
    assert ("JSON schema" in json.dumps([body.get("messages"), body.get("input")])) is (door == "chat")


@pytest.mark.parametrize("door", DOORS)
def test_a_shape_that_cannot_be_enforced_is_told(door: str) -> None:
    """It is not sent as a schema that the provider would refuse, or that would allow nothing."""
    with WireServer([Turn('{"anything": {"a": 1}}')]) as server:
        answer = ask_for(DOORS[door](server.url), ASK, Loose)

    assert isinstance(answer, Answer)
    assert answer.value == Loose({"a": 1})
    assert not {"response_format", "text", "output_config"} & set(server.bodies[0])
    assert "must satisfy this JSON schema" in json.dumps(server.bodies[0])


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 40_000,
        "{" * 300_000,
        '{"a": "' + "{" * 300_000,
        '{"a":' * 500 + "1" + "}" * 500,
        '{"a": 1' + "0" * 5000 + "}",
    ],
    ids=["deep", "braces", "open string", "nested", "digits"],
)
def test_bombs_are_only_text(text: str) -> None:
    """Neither the stack nor the clock runs out."""
    begun = time.monotonic()

    with pytest.raises(ValueError, match="JSON"):
        json_object(text)

    assert time.monotonic() - begun < 2


@given(
    st.dictionaries(
        st.text(max_size=5), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5)
    )
)
def test_every_object_is_read_back(value: dict[str, Any]) -> None:
    """Alone, and between prose without braces."""
    text = json.dumps(value)

    assert json_object(text) == json_object(f"So: {text} it is.") == value


@given(
    st.builds(
        Plan,
        st.sampled_from(["fix", "leave"]),
        st.lists(st.builds(Step, st.text(), st.integers())).map(tuple),
        st.none() | st.text(),
    )
)
def test_a_record_comes_back_as_it_was(plan: Plan) -> None:
    """What a model copies faithfully is equal to what it copied."""
    answer = ask_for(ScriptedModel([json.dumps(asdict(plan))]), ASK, Plan)

    assert isinstance(answer, Answer)
    assert answer.value == plan


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {}}, True),
        ({"type": "object"}, False),
        ({"type": "object", "properties": {"a": {}}}, False),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, False),
        ({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": True}}}, False),
        ({"type": "object", "properties": {"a": {"type": ["string", "null"], "maxLength": 3}}}, True),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {}}}}, True),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}, False),
    ],
)
def test_a_schema_has_a_strict_form_or_none(schema: dict[str, Any], strict: bool) -> None:
    """What may be anything cannot be enforced."""
    assert (closed(schema) is not None) is strict


@pytest.mark.parametrize(
    "text", ["```a\n" * 20_000, "<tool_call>{" + " " * 20_000 + "x"], ids=["fences without an end", "a call of spaces"]
)
def test_a_hostile_reply_is_read_in_linear_time(text: str):
    """A reply keeps its worker busy for a moment at most, whatever stands in it."""
    began = time.monotonic()
    split_calls(text)
    with pytest.raises(ValueError, match="JSON"):
        json_object(text)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "door",
    [
        OpenAIChat("m", "m", "http://localhost", "k3y-of-mine"),
        OpenAIResponses("m", "m", "k3y-of-mine"),
        AnthropicMessages("m", "m", "k3y-of-mine"),
    ],
)
def test_a_door_does_not_show_its_key(door: ChatModel):
    """What a traceback or a log prints of a door has no key in it."""
    assert "k3y-of-mine" not in repr(door)


def test_both_calls_share_the_time() -> None:
    """The second one has what the first left of it."""
    model = ScriptedModel(["no", GOOD])
    ask_for(model, ASK, Plan)

    first, second = (request.timeout_s for request in model.requests)
    assert 1 <= second < first == 5.0
