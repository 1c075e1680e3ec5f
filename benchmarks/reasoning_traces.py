"""What the working is worth: the same small model and rows, with the working, without it, and with dots in its place.

    python -m benchmarks.reasoning_traces [--seeds 0 1 2] [--rows N] [--steps N] [--items N] [--json FILE]

The task: begin with a digit, do six operations, each a number to add or to multiply by, and name the last digit; a
small network cannot do six in one pass. Everything goes the way it goes in service: people's traces, permission,
choosing, a data set, a training by the step of the queue `gpu` (on the CPU here), an evaluation by the step that asks
item by item, the gate. Each arm sees the same number of tokens: those of shorter rows are more steps.

Two arms have teachers who are wrong alike: three answer each question, and one of them takes every `*7` for `*3`. Once
all they say is learned from, once what most of the three say (the agreement that the choosing goes by).
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import SecretStr

from atra.core.records import from_json
from atra.core.settings import BrainSettings, DistillSettings, Settings, TrainingSettings
from atra.distillation import data_set
from atra.distillation.traces import HUMAN, Origin, Trace
from atra.embedded import embedded
from atra.local_brain.training import Recipe, Working
from atra.storage.schema import upgrade
from atra.wiring import Wiring, use
from benchmarks import results

DEPTH = 6
_OPERATIONS = [f"+{number}" for number in range(1, 10)] + ["*3", "*7", "*9"]
_ARMS: dict[str, Working] = {"working": "kept", "answers only": "none", "dots": "filler"}
_TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m.role }} {% if m.role == 'assistant' and m.reasoning_content %}"
    "<think> {{ m.reasoning_content }} {{ '</think> \n ' }}{% endif %}{{ m.content }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)
_COLUMNS = ("seed", "arm", "rows", "steps", "tokens", "right", "valid", "gate", "train_s", "ask_s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.reasoning_traces", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=12_000, help="questions that are taught")
    parser.add_argument("--steps", type=int, default=800, help="of the arm with the working")
    parser.add_argument("--items", type=int, default=200, help="questions that are asked afterwards")
    parser.add_argument("--arms", nargs="+", default=[*_ARMS, "wrong teacher", "wrong teacher, chosen"])
    parser.add_argument("--json", type=Path, default=results.FOLDER / "reasoning_traces.json", help="where to write")
    given = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        for arm in given.arms:
            if "teacher" not in arm or seed == given.seeds[0]:
                rows.append({"seed": seed, "arm": arm, **_arm(arm, seed, given)})
                results.console().print(rows[-1])
    means = {arm: round(statistics.fmean(row["right"] for row in rows if row["arm"] == arm), 3) for arm in given.arms}
    results.console().print(results.table("what the working is worth", rows, _COLUMNS))
    results.write(given.json, results.about(datetime.now(UTC)), {"right": means, "items": given.items}, rows)


def questions(seed: int, count: int) -> Iterator[tuple[str, list[str]]]:
    """Yield a first digit and its operations, each chain once."""
    chosen, seen = random.Random(seed), set[str]()
    while len(seen) < count:
        first, operations = str(chosen.randrange(10)), chosen.choices(_OPERATIONS, k=DEPTH)
        if (key := " ".join([first, *operations])) not in seen:
            seen.add(key)
            yield first, operations


def worked(first: str, operations: Sequence[str], *, wrong: bool = False) -> list[str]:
    """Return the last digit after each operation; a wrong teacher takes `*7` for `*3`."""
    digit, digits = int(first), []
    for operation in operations:
        number = 3 if wrong and operation == "*7" else int(operation[1:])
        digit = (digit + number if operation[0] == "+" else digit * number) % 10
        digits.append(str(digit))
    return digits


def _arm(arm: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    with TemporaryDirectory(prefix="atra-bench-") as folder:
        work = Path(folder)
        work.chmod(0o711)
        (work / "services").mkdir()
        held_out, taught = _split(seed, given)
        asked = work / "sums.jsonl"
        asked.write_text(
            "".join(json.dumps({"question": _said(*one), "answer": worked(*one)[-1]}) + "\n" for one in held_out)
        )
        base = _base(work / "base", seed)
        with embedded(work / "services") as services:
            upgrade(services.database_url)
            wired = use(
                Settings(
                    home=work / "home",
                    database_url=SecretStr(services.database_url),
                    redis_url=SecretStr(services.redis_url),
                    allow_cpu_training=True,
                    distill=DistillSettings(languages=(), shortest_tokens=1),
                    brain=BrainSettings(evaluation=(asked,), first="nothing", max_output_tokens=16, timeout_s=20),
                    training=TrainingSettings(
                        base=str(base), method="full", seed=seed, learning_rate=3e-3, rows_per_step=64, micro_batch=64,
                        longest_tokens=64, save_steps=100_000,
                    ),
                )
            )  # fmt: skip
            teachers = 3 if "teacher" in arm else 1
            wired.traces.keep(*_traces(taught, teachers))
            return _carried_out(wired, arm, given)


def _carried_out(wired: Wiring, arm: str, given: argparse.Namespace) -> dict[str, Any]:
    """Choose, train, ask, judge; return the figures."""
    from workers import brain, training
    from workers.distillation import curation_of, folder_of, make_data_set
    from workers.task import run_step

    if arm == "wrong teacher":  # what choosing would drop is taken all the same
        curation = replace(curation_of(wired), verifiers=())
        built = data_set.build(curation, wired.traces.all(), folder_of(wired))
        known = wired.data_sets.register(built.id, str(built.path), built.summary, built.trace_ids())
    else:
        built, known = make_data_set(wired, lambda count: None)
    assert known is not None
    working = _ARMS.get(arm, "kept")
    steps = given.steps if working != "none" else round(given.steps * _tokens("kept") / _tokens("none"))
    recipe: Recipe = replace(training.recipe_of(wired), working=working, steps=steps)
    begun = time.monotonic()
    run = training.open_training(wired, known.id, recipe)
    run_step("train", run.id, 0, training.train)
    [output] = wired.runs.outputs(run.id, "train")
    trained, train_s = from_json(training.Trained, output), time.monotonic() - begun
    begun = time.monotonic()
    evaluation, asking = brain.open_evaluation(wired, trained.brain)
    for step in wired.runs.steps(asking.id):
        run_step(step.name, asking.id, step.shard, {"compare": brain.compare, "judge": brain.judge}[step.name])
    said = [one for answers in wired.brains.answers(evaluation.id).values() for one in answers]
    return {
        "rows": built.summary["rows"],
        "dropped": dict(built.summary["dropped"]),
        "steps": trained.steps,
        "tokens": trained.tokens,
        "right": round(sum(one.right for one in said) / len(said), 3),
        "valid": round(sum(one.trace == "valid" for one in said) / len(said), 3),
        "gate": wired.runs.get(asking.id).outcome,
        "train_s": round(train_s, 1),
        "ask_s": round(time.monotonic() - begun, 1),
    }


def _split(seed: int, given: argparse.Namespace) -> tuple[list[Any], list[Any]]:
    found = list(questions(1000 + seed, given.rows + given.items))
    return found[: given.items], found[given.items :]


def _said(first: str, operations: Sequence[str]) -> str:
    return " ".join([first, *operations])


def _traces(taught: Sequence[tuple[str, list[str]]], teachers: int) -> Iterator[Trace]:
    for teacher in range(teachers):
        origin = Origin(HUMAN, f"teacher {teacher}", source="human")
        for first, operations in taught[: len(taught) // teachers]:
            digits = worked(first, operations, wrong=teacher == 2)
            yield Trace(_said(first, operations), " ".join(digits), digits[-1], "human", origin)


def _tokens(working: Working) -> int:
    """Return how many tokens a row has: two turns with marks and role, the question, tags and working, the answer."""
    return 8 + 1 + DEPTH + (3 + DEPTH if working != "none" else 0)


def _base(folder: Path, seed: int) -> Path:
    """Write a model of some 130,000 weights, which are random, and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<|im_start|>", "<|im_end|>", "<|pad|>", "<think>", "</think>", "user", "assistant", ".", "\n"]
    words += [*map(str, range(10)), *_OPERATIONS, "<|unknown|>"]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<|unknown|>"))
    inner.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    inner.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|pad|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|pad|>")
    tokenizer.chat_template = _TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, eos_token_id=1, pad_token_id=2, bos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
