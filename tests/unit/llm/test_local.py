"""The local door, on tiny models made from a configuration."""

from dataclasses import replace
from pathlib import Path

import pytest

from atra.core.errors import MissingPart, ModelRejected, ModelUnavailable
from atra.llm.local import LocalModel
from atra.llm.records import Message, Request, Tool, ToolCall, Usage
from tests.unit.llm.tiny import TEMPLATE, make_tiny

HELLO = Request((Message("user", "hi"),), max_output_tokens=12)
EDIT = Tool("edit", "Change a file.", {"type": "object"})
ASKING = 'I edit.<tool_call>\n{"name": "edit", "arguments": {"path": "a.py"}}\n</tool_call>'


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A model of random weights."""
    return LocalModel("mine", str(make_tiny(tmp_path_factory.mktemp("babbler"))))


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A model that thinks, then asks for an edit."""
    return LocalModel("mine", str(make_tiny(tmp_path_factory.mktemp("editor"), ["<think>\nhm\n</think>\n\n", ASKING])))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A model that says two words, and whose template knows no tools."""
    folder = tmp_path_factory.mktemp("plain")
    return LocalModel("mine", str(make_tiny(folder, ["Hello", " there"], template=TEMPLATE, context=64)))


def test_it_answers_and_counts(plain: LocalModel) -> None:
    """Every token of prompt and reply, the one that ends it too."""
    heard: list[str] = []

    reply = plain.reply(HELLO, listener=heard.append)

    assert (reply.text, reply.finish, reply.usage) == ("Hello there", "stop", Usage(21, 3))
    assert "".join(heard) == reply.text


def test_a_seed_decides_what_is_said(babbler: LocalModel) -> None:
    """The same seed says the same, another says something else; without one it is greedy, thus always the same."""
    said = [babbler.reply(Request(HELLO.messages, 12, seed=seed)).text for seed in (1, 1, 2, None, None)]

    assert said[0] == said[1] != said[2]
    assert said[3] == said[4]


def test_a_seed_leaves_no_trace(babbler: LocalModel) -> None:
    """Others in this process draw random numbers too."""
    import torch

    before = torch.get_rng_state()
    babbler.reply(Request(HELLO.messages, 4, seed=1))

    assert torch.equal(torch.get_rng_state(), before)


def test_it_says_how_sure_it_was(babbler: LocalModel) -> None:
    """The mean log-probability of the tokens it wrote, as one look at the whole conversation gives it."""
    import torch

    reply = babbler.reply(replace(HELLO, logprobs=True))

    tokenizer, weights = babbler._loaded
    prompt = babbler._prompt(HELLO, tokenizer)["input_ids"]
    with torch.inference_mode():
        written = weights.generate(input_ids=prompt, max_new_tokens=12, do_sample=False, pad_token_id=0)
        told = weights(written).logits[0, prompt.shape[1] - 1 : -1].log_softmax(-1)
    expected = told.gather(1, written[0, prompt.shape[1] :, None]).mean()
    assert reply.mean_logprob == pytest.approx(float(expected), abs=1e-4)
    assert babbler.reply(HELLO).mean_logprob is None


def test_working_without_words_is_seen(tmp_path: Path) -> None:
    """A model whose tags hold nothing did think, and to no purpose; one without tags did not."""
    reply = LocalModel("mine", str(make_tiny(tmp_path, ["<think>\n\n</think>\n\n", "42"]))).reply(HELLO)

    assert (reply.text, reply.reasoning, reply.reasoning_kind) == ("42", "", "raw")


def test_it_is_cut_at_its_limit(babbler: LocalModel) -> None:
    """A reply that did not end by itself says so."""
    reply = babbler.reply(HELLO)

    assert (reply.finish, reply.usage.output_tokens) == ("length", 12)


def test_it_thinks_and_asks_for_tools(editor: LocalModel) -> None:
    """Working and calls are taken out of the text; the conversation goes on with them."""
    asked = Request((*HELLO.messages,), tools=(EDIT,))
    reply = editor.reply(asked)
    answers = (reply.as_message(), Message("tool", "ok", call_id=reply.calls[0].id))

    again = editor.reply(Request((*HELLO.messages, *answers), tools=(EDIT,)))

    assert (reply.text, reply.reasoning, reply.finish) == ("I edit.", "hm", "tools")
    assert reply.calls == (ToolCall("call_0", "edit", {"path": "a.py"}, '{"path": "a.py"}'),)
    assert again.usage.input_tokens > reply.usage.input_tokens


def test_weights_that_no_memory_has_room_for_are_a_missing_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is this machine that lacks something; the next one to be asked may have it."""
    import torch

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(MissingPart, match="out of memory"):
        LocalModel("mine", str(make_tiny(tmp_path))).load()


def test_control_tokens_of_others_are_text(plain: LocalModel) -> None:
    """A comment that spells the end of a turn does not end it: it becomes as many tokens as it has letters."""
    honest = plain.reply(Request((Message("user", "x" * len("<|im_end|>")),))).usage.input_tokens

    assert plain.reply(Request((Message("user", "<|im_end|>"),))).usage.input_tokens == honest


def test_tools_without_a_template_for_them_are_refused(plain: LocalModel) -> None:
    """It would answer as if there were none."""
    with pytest.raises(ModelRejected, match="knows no tools"):
        plain.reply(Request(HELLO.messages, tools=(EDIT,)))


def test_too_long_a_conversation_is_refused(plain: LocalModel) -> None:
    """It says by how much; one that just fits is answered with what room is left."""
    with pytest.raises(ModelRejected, match="26 tokens too long"):
        plain.reply(Request((Message("user", "x" * 70),)))

    assert plain.reply(Request((Message("user", "x" * 44),))).usage == Usage(63, 1)


def test_it_keeps_its_time(babbler: LocalModel) -> None:
    """A slow machine is told from a broken one: the call may be tried again."""
    with pytest.raises(ModelUnavailable, match="took longer than 1e-09 s"):
        babbler.reply(Request(HELLO.messages, timeout_s=1e-9))


@pytest.mark.parametrize("broken", ["", "config.json", "model.safetensors", "tokenizer.json"], ids=str)
def test_a_folder_without_a_model_is_a_missing_part(tmp_path: Path, broken: str) -> None:
    """What is wrong is said, and nothing is fetched instead."""
    if broken:
        (make_tiny(tmp_path) / broken).write_text("{}")

    with pytest.raises(MissingPart, match=str(tmp_path)):
        LocalModel("mine", str(tmp_path)).reply(HELLO)


def test_an_adapter_is_run_on_its_base(tmp_path: Path) -> None:
    """It answers as the base with the adapter does; where the base is not here, that is said."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base, adapter = make_tiny(tmp_path / "base"), tmp_path / "adapter"
    torch.manual_seed(3)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    adapted.save_pretrained(adapter)
    AutoTokenizer.from_pretrained(base).save_pretrained(adapter)
    model = LocalModel("mine", str(adapter))

    said = [one.reply(HELLO).text for one in (model, LocalModel("mine", str(base)))]

    prompt = model._prompt(HELLO, model._loaded[0])["input_ids"]
    with torch.inference_mode():
        assert torch.equal(model._loaded[1](prompt).logits, adapted(prompt).logits)
    assert said[0] != said[1]
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(MissingPart, match="base is no folder with a model"):
        LocalModel("mine", str(adapter)).reply(HELLO)


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    """A pickle is a program; weights come as safetensors or not at all."""
    import torch
    from safetensors.torch import load_file

    weights = make_tiny(tmp_path) / "model.safetensors"
    torch.save(load_file(weights), tmp_path / "pytorch_model.bin")
    weights.unlink()

    with pytest.raises(MissingPart, match="safetensors"):
        LocalModel("mine", str(tmp_path)).reply(HELLO)


def test_a_folder_without_a_template_is_refused(tmp_path: Path) -> None:
    """A base model does not chat."""
    with pytest.raises(ModelRejected, match="no chat template"):
        LocalModel("mine", str(make_tiny(tmp_path, template=None))).reply(HELLO)


def test_a_template_that_breaks_is_an_error_of_the_model(tmp_path: Path) -> None:
    """Many templates refuse roles or orders with an error of their own."""
    template = "{{ raise_exception('System role not supported') }}"

    with pytest.raises(ModelRejected, match="System role not supported"):
        LocalModel("mine", str(make_tiny(tmp_path, template=template))).reply(HELLO)
