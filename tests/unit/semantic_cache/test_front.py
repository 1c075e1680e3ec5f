"""The cache in front of a chat model: what it lets through, what it keeps, and what a listener hears."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from atra.llm.chat import ChatModel
from atra.llm.records import Message, Reply, Request, Tool
from atra.llm.scripted import ScriptedModel
from atra.semantic_cache import SemanticCache
from atra.semantic_cache.front import CachedModel
from atra.semantic_cache.records import Entry, Fresh, Row, Scope
from tests.semantic_entries import entry


class Kept:
    """A store of the exact tier that lives in a dictionary."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], Entry] = {}

    def exact(self, scope: str, key: str) -> Entry | None:
        return self.of.get((scope, key))

    def put(
        self, scope: Scope, key: str, question: str, fresh: Fresh, ttl_s: float, embedder: str, vector: object
    ) -> tuple[Entry, Row]:
        made = entry(question, fresh, scope=scope.key, key=key)
        self.of[scope.key, key] = made
        return made, Row(1, 1, None)

    def looked_up(self, *args: Any) -> int:
        return 1

    def turn(self, name: str) -> Any:
        return nullcontext()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AssertionError(f"{name} was not expected")


def asking(*messages: tuple[str, str], **more: Any) -> Request:
    return Request(tuple(Message(role, text) for role, text in messages), **more)  # type: ignore[arg-type]


def front(model: ChatModel, store: Kept | None = None, **more: str) -> CachedModel:
    return CachedModel(model, SemanticCache(store or Kept()), **more)


def test_the_second_time_costs_nothing_and_is_heard_in_pieces() -> None:
    model = ScriptedModel(
        [Reply("It is so, and no other way.", "stop", reasoning="Hm.", reasoning_kind="raw", cost_usd=0.5)]
    )
    cached, heard = front(model), []
    first = cached.reply(asking(("user", "Is it so?")))
    second = cached.reply(asking(("user", "is it  so?")), listener=heard.append)
    assert first.cost_usd == 0.5
    assert (second.text, second.reasoning, second.finish, second.cost_usd) == (first.text, "Hm.", "stop", 0.0)
    assert second.usage.input_tokens == second.usage.output_tokens == 0
    assert second.detail == "served from the cache"
    assert "".join(heard) == first.text
    assert len(heard) > 3
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        asking(("system", "Be brief."), ("user", "Is it so?")),
        asking(("user", "Hello."), ("assistant", "Hello."), ("user", "Is it so?")),
        asking(("user", "Is it so?"), schema={"type": "object"}),
        asking(("user", "Is it so?"), max_output_tokens=7),
        asking(("user", "Is it so?"), effort="high"),
    ],
)
def test_who_told_the_model_something_else_is_not_served(other: Request) -> None:
    model = ScriptedModel(["one", "two"])
    cached = front(model)
    assert cached.reply(asking(("user", "Is it so?"))).text == "one"
    assert cached.reply(other).text == "two"


def test_neither_is_another_tenant_nor_who_asks_another_model() -> None:
    store, question = Kept(), asking(("user", "Is it so?"))
    assert front(ScriptedModel(["one"]), store).reply(question).text == "one"
    assert front(ScriptedModel(["two"]), store, tenant="t").reply(question).text == "two"
    assert front(ScriptedModel(["three"]), store, language="de").reply(question).text == "three"
    assert front(ScriptedModel(["four"], model="larger"), store).reply(question).text == "four"


@pytest.mark.parametrize(
    "request_",
    [
        asking(("user", "Is it so?"), tools=(Tool("look", "looks", {}),)),
        asking(("user", "Is it so?"), seed=3),
        asking(("user", "Is it so?"), ("tool", "yes")),
        asking(("user", " ")),
    ],
)
def test_what_asks_for_something_else_than_an_answer_goes_through(request_: Request) -> None:
    model = ScriptedModel(["one", "two"])
    cached = front(model)
    assert [cached.reply(request_).text, cached.reply(request_).text] == ["one", "two"]


@pytest.mark.parametrize("reply", [Reply("cut o", "length"), Reply("No.", "refusal"), Reply("  ", "stop")])
def test_what_is_no_answer_is_not_kept(reply: Reply) -> None:
    model = ScriptedModel([reply, "so"])
    cached = front(model)
    assert cached.reply(asking(("user", "Is it so?"))).finish == reply.finish
    assert cached.reply(asking(("user", "Is it so?"))).text == "so"
