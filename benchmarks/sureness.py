"""Whether a brain's sureness keeps its promise: the share of wrong answers among those it would give to new questions.

A tiny model learns chains of sums and products modulo ten, with the working, for so short a time that it knows short
ones and guesses at long ones. Half of the questions calibrate it, the others are asked as `atra ask` would. Beside that
stands what happens where it is asked what it was not calibrated on: short chains first, then long ones, which may be
told by their kind.
"""

import argparse
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from atra.llm.local import LocalModel
from atra.local_brain.confidence import calibrate
from atra.local_brain.evaluation import Item, Said, answer_to
from benchmarks.results import FOLDER, about, console, table, write

OPERATIONS = (*(f"+{n}" for n in range(1, 10)), "*3", "*7", "*9")
SHORT, LONGEST = 3, 6
ERRORS = (0.05, 0.1, 0.2)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def chain(chance: random.Random, steps: int) -> tuple[str, str, str]:
    """Return a question, its working and its answer."""
    value = chance.randrange(10)
    question, states = str(value), ""
    for operation in (chance.choice(OPERATIONS) for _ in range(steps)):
        value = (value + int(operation[1:]) if operation[0] == "+" else value * int(operation[1:])) % 10
        question, states = question + operation, states + str(value)
    return question, states, str(value)


def train(folder: Path, seed: int, updates: int) -> float:
    """Write a model that learned from so many batches of 64; return the seconds it took."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    chance, tokenizer, begun = random.Random(seed), _tokenizer(), time.monotonic()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
    for _ in range(updates):
        batch = _batch(tokenizer, [chain(chance, chance.randint(1, LONGEST)) for _ in range(64)])
        optimiser.zero_grad()
        model(**batch).loss.backward()
        optimiser.step()
        schedule.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return time.monotonic() - begun


@dataclass(frozen=True)
class Heard:
    """A question of so many steps, and what was said to it."""

    question: str
    steps: int
    said: Said


def asked(model: LocalModel, chance: random.Random, questions: int) -> list[Heard]:
    """Return what was said to so many new questions."""
    found = []
    for number in range(questions):
        steps = chance.randint(1, LONGEST)
        question, _, answer = chain(chance, steps)
        item = Item(str(number), question, answer)
        found.append(Heard(question, steps, answer_to(model, item, max_output_tokens=24, timeout_s=60.0)))
    return found


def row(seed: int, way: str, held_out: Sequence[Heard], fresh: Sequence[Heard], max_error: float) -> dict[str, Any]:
    """Return what became of new questions where this error is accepted, whatever their kind and by their kind."""
    sureness = [(one.said.confidence or 0.0, one.said.right) for one in held_out]
    known = calibrate(sureness, (one.question for one in held_out))
    bound = known.threshold(max_error)
    sure = [one for one in fresh if bound is not None and (one.said.confidence or 0.0) >= bound]
    given = [one for one in sure if known.kind.holds(one.question)]
    return {
        "calibrated on": way,
        "seed": seed,
        "accepted": max_error,
        "right of all": _share(one.said.right for one in fresh),
        "sure of": round(len(sure) / len(fresh), 4),
        "wrong of these": _share(not one.said.right for one in sure),
        "sure of and of the kind": round(len(given) / len(fresh), 4),
        "wrong of those": _share(not one.said.right for one in given),
    }


def measure(seed: int, updates: int, questions: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Train, ask, calibrate; return the rows of one seed, and what training took."""
    with TemporaryDirectory(prefix="atra-sureness-") as place:
        seconds = train(Path(place), seed, updates)
        model = LocalModel("brain", place)
        held_out, fresh = (asked(model, random.Random(1000 + seed + n), questions) for n in (0, 100))
    short = [one for one in held_out if one.steps <= SHORT]
    long = [one for one in fresh if one.steps > SHORT]
    ways = (("the same kind", held_out, fresh), ("short, asked long", short, long))
    rows = [row(seed, *way, max_error) for way in ways for max_error in ERRORS]
    return rows, {"seed": seed, "train_seconds": round(seconds, 1)}


def _share(of: Iterable[bool]) -> float | None:
    counted = list(of)
    return round(mean(counted), 4) if counted else None


def _batch(tokenizer: Any, some: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Return tensors of shape (examples, longest) with a loss on what the model is to say alone."""
    import torch

    texts = [
        (f"<|im_start|>{question}<|im_end|><|im_start|>", f"<think>\n{states}\n</think>\n\n{answer}<|im_end|>")
        for question, states, answer in some
    ]
    told = [(tokenizer.encode(asked), tokenizer.encode(said)) for asked, said in texts]
    longest = max(len(one) + len(other) for one, other in told)
    padded = [(one, other, longest - len(one) - len(other)) for one, other in told]
    pad = tokenizer.pad_token_id
    return {
        "input_ids": torch.tensor([[*one, *other, *[pad] * rest] for one, other, rest in padded]),
        "attention_mask": torch.tensor([[1] * (longest - rest) + [0] * rest for _, _, rest in padded]),
        "labels": torch.tensor([[-100] * len(one) + other + [-100] * rest for one, other, rest in padded]),
    }


def _tokenizer() -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|pad|>"])
    inner.add_tokens([AddedToken(text, normalized=False) for text in ("<think>\n", "\n</think>\n\n", *OPERATIONS)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|pad|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every seed, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=1200)
    parser.add_argument("--questions", type=int, default=600)
    given = parser.parse_args(arguments)
    measured = [measure(seed, given.updates, given.questions) for seed in range(given.seeds)]
    rows = [one for rows, _ in measured for one in rows]
    shown = [{name: f"{one:.3f}" if isinstance(one, float) else one for name, one in row.items()} for row in rows]
    console().print(table("new questions", shown, list(rows[0])))
    totals = {"updates": given.updates, "questions": given.questions, "trained": [one for _, one in measured]}
    write(FOLDER / "sureness.json", about(datetime.now(UTC)), totals, rows)


if __name__ == "__main__":
    main()
