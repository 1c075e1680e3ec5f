"""What training is measured on: a model made from its configuration, traces that a program wrote, an installation."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import SecretStr

from atra.core.settings import DistillSettings, Settings, TrainingSettings
from atra.distillation.traces import HUMAN, Origin, Trace
from atra.embedded import embedded
from atra.storage.data_sets import DataSet
from atra.storage.schema import upgrade
from atra.wiring import Wiring, use

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_THINGS = (
    "apples bridges candles drawers engines feathers gardens hammers islands jackets kettles ladders magnets needles "
    "oranges pencils quilts rivers saddles tickets umbrellas violins windows yachts zebras anchors baskets cameras"
)
_PEOPLE = "Ada Bela Cleo Dora Emil Fritz Greta Hugo Iris Jonas Klara Lena Milo Nora Otto Paula Rosa Silas Tilda"


@contextmanager
def installation(training: TrainingSettings, rows: int) -> Iterator[tuple[Wiring, DataSet]]:
    """Give an installation with services of its own that may train on its CPU, and a data set of that many traces."""
    from workers.distillation import make_data_set  # the application is made from the wiring

    with TemporaryDirectory(prefix="atra-bench-") as work:
        Path(work).chmod(0o711)
        Path(work, "services").mkdir()
        with embedded(Path(work, "services")) as services:
            upgrade(services.database_url)
            wired = use(
                Settings(
                    _env_file=None,
                    home=Path(work, "home"),
                    database_url=SecretStr(services.database_url),
                    redis_url=SecretStr(services.redis_url),
                    training=training,
                    distill=DistillSettings(shortest_tokens=1, languages=()),
                    allow_cpu_training=True,
                )
            )
            wired.traces.keep(*lessons(rows))
            _, known = make_data_set(wired, lambda count: None)
            assert known is not None
            yield wired, known


def lessons(count: int) -> Iterator[Trace]:
    """Yield as many different stories of things that are bought, with the sums worked out."""
    chance, people, things = random.Random("lessons"), _PEOPLE.split(), _THINGS.split()
    origin = Origin(HUMAN, "a program", source="human")
    for _ in range(count):
        who, (first, *others) = chance.choice(people), chance.sample(things, 5)
        has = chance.randrange(10, 100)
        asked, worked = [f"{who} has {has} {first}."], []
        for thing in others:
            more = chance.randrange(2, 50)
            asked.append(f"For {thing} {who} is given {more} {first} more.")
            worked.append(f"{has} and {more} for {thing} are {has + more}.")
            has += more
        question = " ".join([*asked, f"How many {first} does {who} have?"])
        yield Trace(question, " ".join(worked), f"{has} {first}.", "human", origin)


def make_base(folder: Path, *, width: int, layers: int) -> Path:
    """Write a model with random weights, the same every time; its tokens are bytes, its template keeps the working."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|pad|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|pad|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer
