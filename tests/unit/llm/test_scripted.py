"""The scripted model: it says what its script says, and no more."""

import pytest

from atra.core.errors import KeyRefused, ModelUnavailable
from atra.llm.chat import ChatModel
from atra.llm.records import Message, Reply, Request
from atra.llm.scripted import ScriptedModel

HELLO = Request((Message("user", "hello"),))


def test_it_answers_in_the_order_of_its_list_and_remembers() -> None:
    """A text is a reply that ends by itself; after the last one the model is unavailable."""
    model: ChatModel = ScriptedModel(["one", Reply("two", "length", model="other")], name="mine")

    replies = [model.reply(HELLO), model.reply(HELLO)]

    assert replies == [Reply("one", "stop", model="scripted"), Reply("two", "length", model="other")]
    with pytest.raises(ModelUnavailable, match="mine did not answer: its script is over"):
        model.reply(HELLO)


def test_it_answers_by_a_function_of_the_request() -> None:
    """What was asked decides, and what was asked can be read afterwards."""
    model = ScriptedModel(lambda request: request.messages[-1].text.upper())
    heard: list[str] = []

    reply = model.reply(HELLO, listener=heard.append)

    assert (reply.text, heard, model.requests) == ("HELLO", ["HELLO"], [HELLO])


def test_it_raises_what_its_list_holds() -> None:
    """A script can play a model that is not there."""
    model = ScriptedModel([KeyRefused("mine", "no key")])

    with pytest.raises(KeyRefused):
        model.reply(HELLO)
