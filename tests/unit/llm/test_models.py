"""From settings to a model."""

import pytest

from atra.core.errors import BadInput
from atra.core.settings import ModelSettings
from atra.llm.models import open_model
from atra.llm.records import Message, Request
from tests.wires import Turn, WireServer

HELLO = Request((Message("user", "hello"),), max_output_tokens=100_000)


def settings(**given: object) -> ModelSettings:
    """Return the settings of a model."""
    return ModelSettings.model_validate({"provider": "openai-compatible", "model": "m-1", **given})


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("openai", "/v1/responses"),
        ("openai-compatible", "/v1/chat/completions"),
        ("anthropic", "/v1/messages"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
def test_each_provider_speaks_its_own_api(provider: str, path: str, slash: str) -> None:
    """The same base address for all, with its key."""
    with WireServer([Turn("x")]) as server:
        model = open_model("mine", settings(provider=provider, base_url=server.url + slash, api_key="sk-1"))
        model.reply(HELLO, attempts=1)

    assert (model.name, model.provider, model.model) == ("mine", provider, "m-1")
    assert server.requests[0].path == path
    assert server.requests[0].headers["authorization"] == "Bearer sk-1"


def test_settings_limit_what_is_asked() -> None:
    """The model's ceiling and effort count; what the request says of effort wins."""
    with WireServer([Turn("x"), Turn("x")]) as server:
        model = open_model("mine", settings(base_url=server.url, max_output_tokens=500, effort="low"))
        model.reply(HELLO)
        model.reply(Request(HELLO.messages, max_output_tokens=70, effort="high"))

    assert [(body["max_tokens"], body["reasoning_effort"]) for body in server.bodies] == [(500, "low"), (70, "high")]


@pytest.mark.parametrize("base_url", [None, "localhost:8000/v1", "file:///etc/passwd"])
def test_a_server_needs_an_address(base_url: str | None) -> None:
    """The error names the entry."""
    with pytest.raises(BadInput, match=r"models\.mine: "):
        open_model("mine", settings(base_url=base_url))


def test_a_local_model_is_not_loaded_to_be_opened() -> None:
    """Whether its folder is there is seen when it is asked."""
    model = open_model("mine", settings(provider="local", model="/nowhere"))

    assert (model.provider, model.model) == ("local", "/nowhere")
