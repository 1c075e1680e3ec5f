"""Who runs a version: this process, or a server that speaks the real wire format, adapters and all."""

from pathlib import Path

import pytest

from atra.core.errors import BadInput, MissingPart, ModelUnavailable
from atra.llm.local import LocalModel
from atra.llm.records import Message, Request
from atra.local_brain.serving import Server, open_version
from tests.unit.llm.tiny import make_tiny
from tests.wires import Status, Turn, WireServer

HELLO = Request((Message("user", "hi"),), max_output_tokens=12, logprobs=True, timeout_s=5.0)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "versions" / ("a" * 64)
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    return folder


def test_a_process_runs_a_folder(tmp_path: Path, adapter: Path):
    """It is loaded at once, so that a folder without a model is known before anybody asks."""
    model = open_version(make_tiny(tmp_path, ["Hello"]), Server())

    assert isinstance(model, LocalModel)
    assert model.reply(HELLO).text == "Hello"
    with pytest.raises(MissingPart, match="a model in"):
        open_version(adapter, Server())


@pytest.mark.parametrize("address", ["", "gpu-box:8000"])
def test_a_server_needs_an_address(adapter: Path, address: str):
    """Said before anything is asked."""
    with pytest.raises(BadInput, match="needs its base_url"):
        open_version(adapter, Server("vllm", address))


def test_transformers_serve_is_asked_for_the_folder(adapter: Path):
    """It loads what it is named."""
    with WireServer([Turn("Hello")]) as server:
        assert open_version(adapter, Server("transformers", server.url, "a key")).reply(HELLO).text == "Hello"

    assert server.bodies[0]["model"] == str(adapter)
    assert server.requests[0].headers["authorization"] == "Bearer a key"


def test_vllm_loads_an_adapter_that_it_does_not_know(adapter: Path):
    """Under a name of the version alone, once, and again when the server has forgotten it."""
    with WireServer([Turn("Hello", logprobs=(-0.5,))] * 3, adapters={}) as server:
        model = open_version(adapter, Server("vllm", server.url))
        told = [model.reply(HELLO) for _ in range(2)]
        server.adapters.clear()
        told.append(model.reply(HELLO))

    assert [(one.text, one.mean_logprob) for one in told] == [("Hello", -0.5)] * 3
    assert server.adapters == {"atra-aaaaaaaaaaaa": str(adapter)}
    assert [asked.path.rpartition("/")[2] for asked in server.requests] == [
        "completions", "load_lora_adapter", "completions", "completions",
        "completions", "load_lora_adapter", "completions",
    ]  # fmt: skip


def test_somebody_else_may_have_loaded_it_meanwhile(adapter: Path):
    """Two workers find it missing at once; the second one's loading is refused, and that is no error."""
    with WireServer([Status(404, message="The model `atra-aaaaaaaaaaaa` does not exist."), Turn("Hello")],
                    adapters={"atra-aaaaaaaaaaaa": str(adapter)}) as server:  # fmt: skip
        assert open_version(adapter, Server("vllm", server.url)).reply(HELLO).text == "Hello"


def test_a_server_that_takes_no_adapters_is_a_missing_part(adapter: Path):
    """With what it must be started with."""
    with WireServer([Status(404, message="The model `atra-aaaaaaaaaaaa` does not exist.")]) as server:
        model = open_version(adapter, Server("vllm", server.url))
        with pytest.raises(MissingPart, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            model.reply(HELLO)


def test_a_whole_model_is_the_server_s_to_load(adapter: Path):
    """vLLM was started with it under the version's name; where it was not, its own word is the error."""
    (adapter / "adapter_config.json").rename(adapter / "config.json")
    with WireServer([Turn("Hello"), Status(503)]) as server:
        model = open_version(adapter, Server("vllm", server.url))
        assert model.reply(HELLO).text == "Hello"
        with pytest.raises(ModelUnavailable):
            model.reply(HELLO, attempts=1)

    assert server.bodies[0]["model"] == "atra-aaaaaaaaaaaa"
