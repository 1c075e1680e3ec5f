"""The door to a model in a folder on this machine, run by transformers in this process.

Only what lies in the folder is read, and in that of its base where it is an adapter: no hub, no code of the model's,
weights as safetensors alone. Control tokens in what others wrote (a comment of a repository may spell them) are plain
text to the model. What it can do is what its chat template can: tools where the template knows them, asked for as
`<tool_call>{…}</tool_call>`, which most small models that know tools were trained on. A reply is greedy without a seed,
and sampled with one.
"""

import json
import time
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Any

from atra.core.errors import MissingPart, ModelRejected, ModelUnavailable
from atra.llm.chat import Listener
from atra.llm.parsing import CLOSING, Hearing, split_calls, split_thinking
from atra.llm.records import Message, Reply, Request, Tool, Usage


class LocalModel:
    """A causal language model with a chat template; see `ChatModel`. It is loaded when it is first asked.

    One reply is made at a time: a process has one set of weights, and torch one random state.
    """

    provider = "local"

    def __init__(self, name: str, model: str) -> None:
        """Name the folder `model`."""
        self.name = name
        self.model = model
        self._lock = RLock()

    def load(self) -> None:
        """Load it now.

        Raises:
            MissingPart: see `reply`.
        """
        with self._lock:
            self._loaded  # noqa: B018

    def reply(self, request: Request, *, listener: Listener | None = None, attempts: int = 3) -> Reply:
        """Answer the conversation; see `ChatModel.reply`. It is tried once: another attempt would end alike.

        Raises:
            MissingPart: torch or transformers is not installed, or the folder holds no model.
        """
        with self._lock:
            tokenizer, weights = self._loaded
            prompt = self._prompt(request, tokenizer)
            room = self._room(weights) - prompt["input_ids"].shape[1]
            if room < 1:
                raise ModelRejected(self.name, f"the conversation is {1 - room} tokens too long for it", 0)
            sureness = _sureness() if request.logprobs else None
            written = self._write(request, prompt, min(request.max_output_tokens, room), listener, sureness)
            reply = self._reply(written, prompt["input_ids"].shape[1], tokenizer, weights)
            return replace(reply, mean_logprob=sureness.mean(written)) if sureness else reply

    def _write(
        self, request: Request, prompt: Any, max_tokens: int, listener: Listener | None, sureness: Any
    ) -> list[int]:
        """Return the tokens of the reply, telling the listener its text as it grows."""
        import torch

        tokenizer, weights = self._loaded
        seeds = torch.random.fork_rng(enabled=request.seed is not None)
        deadline = time.monotonic() + request.timeout_s
        with seeds, torch.inference_mode():
            if request.seed is not None:
                torch.manual_seed(request.seed)  # generate takes no generator of its own
            try:
                made = weights.generate(
                    **prompt.to(weights.device),
                    max_new_tokens=max_tokens,
                    do_sample=request.seed is not None,
                    streamer=_watching(tokenizer, listener, deadline),
                    logits_processor=[sureness] if sureness else None,
                    pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0,
                )
            except TimeoutError as error:
                raise ModelUnavailable(self.name, f"it took longer than {request.timeout_s:g} s", 0) from error
            except torch.OutOfMemoryError as error:
                raise ModelUnavailable(self.name, f"the memory of the {weights.device} is full", 0) from error
        return list(made[0][prompt["input_ids"].shape[1] :].tolist())

    def _reply(self, written: list[int], read_tokens: int, tokenizer: Any, weights: Any) -> Reply:
        ended = weights.generation_config.eos_token_id
        whole = bool(written) and written[-1] in (ended if isinstance(ended, list) else [ended])
        spoken = tokenizer.decode(written, skip_special_tokens=True)
        reasoning, said = split_thinking(spoken)
        text, calls = split_calls(said)
        return Reply(
            text=text,
            finish="length" if not whole else "tools" if calls else "stop",
            calls=calls,
            reasoning=reasoning,
            reasoning_kind="raw" if reasoning or CLOSING.search(spoken[: len(spoken) - len(said)]) else "none",
            usage=Usage(read_tokens, len(written)),
            model=self.model,
        )

    def _prompt(self, request: Request, tokenizer: Any) -> Any:
        if not tokenizer.chat_template:
            raise ModelRejected(self.name, "its folder has no chat template", 0)
        template = tokenizer.get_chat_template(tools=[{}] if request.tools else None)
        if request.tools and "tools" not in template:
            raise ModelRejected(self.name, "its chat template knows no tools", 0)
        try:
            return tokenizer.apply_chat_template(
                [_turn(message) for message in request.messages],
                tools=[_tool(tool) for tool in request.tools] or None,
                add_generation_prompt=True,
                sanitize_control_tokens=True,
                return_tensors="pt",
                return_dict=True,
            )
        except Exception as error:  # a template is a program of the folder's, and raises what it likes
            raise ModelRejected(self.name, f"its chat template refuses the conversation: {error}"[:500], 0) from error

    def _room(self, weights: Any) -> int:
        return int(getattr(weights.config.get_text_config(), "max_position_embeddings", 2**31))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """Return (tokenizer, model), on the GPU where there is one."""
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as error:
            raise MissingPart("torch and transformers (`pip install 'atra[distill]'`)") from error
        _see_that_it_is_one(Path(self.model))
        disable_progress_bar()
        given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.model, **given)
            weights: Any = AutoModelForCausalLM.from_pretrained(self.model, dtype="auto", use_safetensors=True, **given)
            weights = weights.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        except Exception as error:  # whatever parser the broken file met first, or a memory that is full
            raise MissingPart(f"a model in {self.model}: {' '.join(str(error).split())[:300]}") from error
        return tokenizer, weights


def _see_that_it_is_one(folder: Path) -> None:
    """See that the folder holds a model, or an adapter whose base is a folder on this machine.

    Raises:
        MissingPart: it does not, or the library for adapters is not installed.
    """
    if (folder / "config.json").is_file():
        return
    try:
        base = str(json.loads((folder / "adapter_config.json").read_bytes())["base_model_name_or_path"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise MissingPart(f"a model in {folder}: there is no config.json and no adapter_config.json") from error
    if not find_spec("peft"):
        raise MissingPart("peft, for an adapter (`pip install 'atra[distill]'`)")
    if not (Path(base) / "config.json").is_file():
        raise MissingPart(f"the base of the adapter in {folder}: {base} is no folder with a model")


def _watching(tokenizer: Any, listener: Listener | None, deadline: float) -> Any:
    """Return what hears every token: it tells the listener the text, and ends what takes too long."""
    from transformers import TextStreamer

    hearing = Hearing(listener or (lambda piece: None))

    class Watching(TextStreamer):
        def put(self, value: Any) -> None:
            if time.monotonic() > deadline:
                raise TimeoutError
            super().put(value)

        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            hearing.add(text)
            if stream_end:
                hearing.end()

    return Watching(tokenizer, skip_prompt=True, skip_special_tokens=True)


def _sureness() -> Any:
    """Return what notes the log-probability of each token as it is chosen; keeping the scores would fill memories."""
    from transformers import LogitsProcessor

    class Sureness(LogitsProcessor):
        def __init__(self) -> None:
            self._last: Any = None
            self._noted: list[float] = []

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            self._note(input_ids[0, -1])
            self._last = scores[0].float().log_softmax(-1)
            return scores

        def mean(self, written: list[int]) -> float | None:
            """Return the mean of all tokens; the last one was chosen after the last scores."""
            if written:
                self._note(written[-1])
            return sum(self._noted) / len(self._noted) if self._noted else None

        def _note(self, token: Any) -> None:
            if self._last is not None:
                self._noted.append(float(self._last[token]))
                self._last = None

    return Sureness()


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.calls:
        called = [{"name": call.name, "arguments": dict(call.arguments or {})} for call in message.calls]
        turn["tool_calls"] = [{"type": "function", "function": one} for one in called]
    return turn


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": described}
