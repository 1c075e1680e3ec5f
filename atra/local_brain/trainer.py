"""The trainer: a process of its own that learns from rows by TRL, and says how it goes.

    python -m atra.local_brain.trainer RUN/FENCE

It reads job.json in the folder of its claim, and is started by `atra.local_brain.launching`, alone or once for every
device. A signal to end, or an owner that counts no more, makes it write a checkpoint after the step under way and
leave.
"""

import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from atra.llm.parsing import OPENING
from atra.local_brain.checkpoints import seal
from atra.local_brain.launching import OWNER, PROGRESS, RESULT, Job, job_of
from atra.local_brain.training import Outcome, Recipe, Result, diverging

ORPHAN_S = 60.0
"""How long the owner may be silent: he is dead, or the machine stood still for both."""

_LOOKED_AT = 32  # rows whose labels are read back before anything is learned
_LOGGED = 200  # lines of progress over a whole training, at least


class Unfit(Exception):
    """What was given cannot be learned from: the attempt ends with this outcome and sentence."""

    def __init__(self, outcome: Outcome, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome


def main(arguments: Sequence[str]) -> None:
    """Do the job of a claim's folder, and write down how it ended."""
    claim = Path(arguments[0])
    job = job_of(claim)
    rank = int(os.environ.get("RANK", "0"))
    try:
        result = _train(job, claim)
    except Unfit as unfit:
        result = Result(unfit.outcome, str(unfit))
    except torch.OutOfMemoryError as error:
        result = Result("memory", str(error).splitlines()[0])
    if rank == 0 or result.outcome == "memory":
        draft = claim / f".{rank}-{RESULT}"
        draft.write_text(json.dumps(vars(result)), encoding="utf-8")
        draft.replace(claim / RESULT)
    if result.outcome == "memory":
        os._exit(1)  # the launcher ends the other devices, which would wait for this one for half an hour


def _train(job: Job, claim: Path) -> Result:
    recipe, cpu = job.recipe, not torch.cuda.is_available()
    if cpu and not job.cpu:
        raise Unfit("device", "this node has no GPU that torch can use; ATRA_ALLOW_CPU_TRAINING=1 trains on its CPU")
    set_seed(recipe.seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(recipe.base, trust_remote_code=False)
    whole = cpu or recipe.method == "full"  # steps of 2e-5 are lost on weights of 16 bits; adapters have 32 anyway
    model = AutoModelForCausalLM.from_pretrained(
        recipe.base, trust_remote_code=False, use_safetensors=True, dtype=torch.float32 if whole else "auto"
    )
    _pad(tokenizer, model, recipe)
    rows, left_out = _fitting(_rows(Path(job.rows), recipe), tokenizer, model, recipe)
    _look_at_labels(rows, tokenizer, model, recipe, claim)
    watch = _Watch(claim, Path(job.out), job.tokens)
    trainer = SFTTrainer(
        model=model,
        args=_config(recipe, job, claim, cpu=cpu, rows=len(rows)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=_adapter(recipe),
        callbacks=[watch],
    )
    trainer.train(resume_from_checkpoint=job.resume or None)
    state = trainer.state
    if watch.lost:
        return Result("diverged", watch.lost, state.global_step, watch.tokens, left_out)
    if state.global_step < state.max_steps:
        return Result("stopped", watch.why, state.global_step, watch.tokens, left_out)
    _save(trainer, tokenizer, Path(job.out) / "model")
    return Result("done", "", state.global_step, watch.tokens, left_out)


def _config(recipe: Recipe, job: Job, claim: Path, *, cpu: bool, rows: int, probe: bool = False) -> SFTConfig:
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    steps = recipe.steps or max(1, math.ceil(rows * recipe.epochs / recipe.rows_per_step))
    on_cpu: dict[str, Any] = (
        {"use_cpu": True, "dataloader_pin_memory": False, "activation_checkpointing": False} if cpu else {}
    )
    return SFTConfig(
        output_dir=str(claim / "probe" if probe else job.out),
        max_steps=recipe.steps or -1,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.micro_batch,
        gradient_accumulation_steps=recipe.gathered(devices),
        learning_rate=recipe.rate,
        max_length=recipe.longest_tokens,
        packing=recipe.packing and not probe,
        bf16=not cpu and torch.cuda.is_bf16_supported(),
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_steps=max(1, steps // _LOGGED),
        logging_nan_inf_filter=False,  # it would hide a loss that is no number
        save_steps=recipe.save_steps,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        **on_cpu,
    )


def _rows(file: Path, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Yield the rows as the trainer takes them, without what only people want to know."""
    with file.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            row = json.loads(line)
            completion = [dict(turn) for turn in row["completion"]]
            for turn in completion:
                if recipe.working == "none":
                    turn["reasoning_content"] = ""
                elif recipe.working == "filler":
                    turn["reasoning_content"] = " ".join("." for _ in turn["reasoning_content"].split())
            yield {"prompt": row["prompt"], "completion": completion}


def _fitting(
    rows: Iterator[dict[str, Any]], tokenizer: Any, model: Any, recipe: Recipe
) -> tuple[list[dict[str, Any]], int]:
    """Return the rows that can be learned from, and how many cannot: they are too long, or forge a conversation.

    Raises:
        Unfit: none is left.
    """
    longest = min(recipe.longest_tokens, int(getattr(model.config, "max_position_embeddings", recipe.longest_tokens)))
    control = _control(tokenizer)
    kept, too_long, forged = [], 0, 0
    for row in rows:
        turns = [*row["prompt"], *row["completion"]]
        if any(token in text for turn in turns for text in turn.values() for token in control):
            forged += 1
            continue
        whole = tokenizer.apply_chat_template(turns, tokenize=False)
        if len(tokenizer(whole, add_special_tokens=False)["input_ids"]) <= longest:
            kept.append(row)
        else:
            too_long += 1
    if not kept:
        told = f"no row has {longest} tokens or fewer ({too_long} are longer"
        raise Unfit("data", told + (f", {forged} hold tokens of control)" if forged else ")"))
    return kept, too_long + forged


def _control(tokenizer: Any) -> set[str]:
    """Return the texts that are more than text to this model: whoever writes one ends a turn, or speaks as another."""
    template = tokenizer.get_chat_template()
    added = [token for token in tokenizer.added_tokens_decoder.values() if str(token).strip()]
    return {OPENING, "</think>", *(str(token) for token in added if token.special or str(token) in template)}


def _pad(tokenizer: Any, model: Any, recipe: Recipe) -> None:
    """See that the token that fills up is another one than the one that ends: else no end is ever learned.

    Raises:
        Unfit: an adapter is to be trained, and the vocabulary has no token to spare.
    """
    if tokenizer.eos_token_id is None:
        raise Unfit("data", "the tokenizer of the base has no token that ends a turn")
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        spare = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
        named = [str(token) for token in spare if str(token) != tokenizer.eos_token]
        liked = [name for name in named if any(word in name.lower() for word in ("pad", "reserved", "unused"))]
        if liked or named:
            tokenizer.pad_token = (liked or named)[-1]
        elif recipe.method == "full":
            tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        else:
            raise Unfit("data", "the tokenizer of the base has no token to fill up with but the one that ends a turn")
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id


def _look_at_labels(rows: Sequence[dict[str, Any]], tokenizer: Any, model: Any, recipe: Recipe, claim: Path) -> None:
    """Read back what would be learned of some rows: templates lose the working, or the end, without a word.

    Raises:
        Unfit: one of them lacks its working, its answer or its end.
    """
    some = rows[:: max(1, len(rows) // _LOOKED_AT)][:_LOOKED_AT]
    cpu = not torch.cuda.is_available()
    args = _config(recipe, Job(recipe, "", str(claim)), claim, cpu=cpu, rows=len(some), probe=True)
    prepared = SFTTrainer(model=model, args=args, train_dataset=Dataset.from_list(some), processing_class=tokenizer)
    shutil.rmtree(args.output_dir, ignore_errors=True)
    for row, learned in zip(some, prepared.train_dataset, strict=True):
        labels = [label for label in learned["labels"] if label != -100]
        text, turn = tokenizer.decode(labels), row["completion"][-1]
        if _as_it_is_read(turn["reasoning_content"], tokenizer) not in text:
            raise Unfit("data", "the chat template of the base leaves the working out: nothing of it would be learned")
        if _as_it_is_read(turn["content"], tokenizer) not in text:
            raise Unfit("data", "the answer is not among what would be learned")
        if tokenizer.eos_token_id not in labels[-3:]:
            raise Unfit("data", "the token that ends a turn is not among what would be learned")


def _as_it_is_read(text: str, tokenizer: Any) -> str:
    """Return what the tokenizer makes of a text: one that composes letters gives others back than it was given."""
    return str(tokenizer.decode(tokenizer(text.strip(), add_special_tokens=False)["input_ids"])).strip()


def _adapter(recipe: Recipe) -> Any:
    if recipe.method != "lora":
        return None
    from peft import LoraConfig

    rank = recipe.lora_rank
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def _save(trainer: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model as a version takes it in: weights as safetensors, configuration, tokenizer, template."""
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(folder)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle


class _Watch(TrainerCallback):
    """Tells how it goes, seals checkpoints, and ends the training where it should end before its time."""

    def __init__(self, claim: Path, out: Path, tokens: int) -> None:
        self.lost, self.why = "", ""
        self.tokens = tokens
        self._claim, self._out = claim, out
        self._before, self._begun_s, self._first_tokens = tokens, 0.0, tokens
        self._losses: list[float] = []
        self._first: float | None = None
        self._ended = False
        self._owner, self._heard_s = "", time.monotonic()
        signal.signal(signal.SIGTERM, self._end)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._begun_s = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._everybody(self._ended or self._orphaned()) and state.global_step < state.max_steps:
            self.why = self.why or "it was asked to end"
            control.should_save = control.should_training_stop = True
        if state.global_step >= state.max_steps:
            control.should_save = False  # the model comes next, and who goes on from here would do a step too many
        control.should_log = control.should_log or control.should_save  # a checkpoint says how many tokens it has seen

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        self._losses = [*self._losses[-20:], loss]
        self._first = loss if self._first is None else self._first
        self.tokens = self._before + int(logs.get("num_tokens", 0))
        seconds = max(1e-9, time.monotonic() - self._begun_s)
        self._tell(
            state,
            step=state.global_step,
            of=state.max_steps,
            loss=round(loss, 4) if math.isfinite(loss) else str(loss),
            tokens=self.tokens,
            tokens_per_s=round((self.tokens - self._first_tokens) / seconds),
        )
        if diverging(self._first, self._losses):
            self.lost = f"the loss was {loss:.4g} at step {state.global_step}, after {self._first:.4g} at the beginning"
            control.should_training_stop = True
            control.should_save = False

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._wait()
        if state.is_world_process_zero:
            seal(self._out / f"checkpoint-{state.global_step}", self.tokens)
            self._tell(state, step=state.global_step, saved=state.global_step)

    def _tell(self, state: Any, **line: Any) -> None:
        if state.is_world_process_zero:
            with (self._claim / PROGRESS).open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")

    def _end(self, number: int, frame: object) -> None:
        self._ended = True

    def _orphaned(self) -> bool:
        try:
            owner = (self._claim / OWNER).read_text(encoding="ascii")
        except OSError:
            owner = self._owner
        if owner != self._owner:
            self._owner, self._heard_s = owner, time.monotonic()
        if time.monotonic() - self._heard_s > ORPHAN_S:
            self.why = "its owner was silent"
            return True
        return False

    def _everybody(self, ending: bool) -> bool:
        """Say whether any device is to end: then all do, after the same step."""
        if not torch.distributed.is_initialized():
            return ending
        device = "cuda" if torch.cuda.is_available() else "cpu"
        said = torch.tensor(int(ending), device=device)
        torch.distributed.all_reduce(said, op=torch.distributed.ReduceOp.MAX)
        return bool(said.item())

    def _wait(self) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.barrier()


if __name__ == "__main__":
    main(sys.argv[1:])
