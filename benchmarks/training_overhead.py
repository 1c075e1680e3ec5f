"""What a training through ATRA costs beside a plain script for TRL, on the same rows and with the same settings.

    python -m benchmarks.training_overhead [--pairs N] [--steps N] [--json F]

By turns ATRA trains (a step with its lease, a process that is watched, labels read back, progress, sealed checkpoints,
a version in the registry) and so does a script of a few lines that a user of TRL would write. Compared are the tokens
a second while it learns, the seconds from the beginning of each to its weights on the disk, and the processor's seconds
of all processes, which depend least on what else the machine does.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from atra.core.records import from_json
from atra.core.settings import TrainingSettings
from atra.distillation.data_set import ROWS
from atra.local_brain.launching import history
from atra.local_brain.versions import digest, version
from atra.storage.data_sets import DataSet
from atra.wiring import Wiring
from benchmarks import results
from benchmarks.lessons import installation, make_base

_WEIGHTS = {"full": "model.safetensors", "lora": "adapter_model.safetensors"}
_MEASURED = ("tokens_per_s", "seconds", "processor_s")
_COLUMNS = ("method", "who", *_MEASURED, "same_weights")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.training_overhead", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--pairs", type=int, default=3, help="of each method")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--width", type=int, default=64, help="of the model")
    parser.add_argument("--layers", type=int, default=2, help="of the model")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "training_overhead.json", help="where to write")
    parser.add_argument("--plain", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.plain:
        _plainly(Path(given.plain[0]), TrainingSettings(**json.loads(given.plain[1])))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="atra-base-") as folder:
        base = make_base(Path(folder), width=given.width, layers=given.layers)
        for method in _WEIGHTS:
            chosen = TrainingSettings(
                base=str(base), method=method, steps=given.steps, save_steps=max(1, given.steps // 2), rows_per_step=16,
                micro_batch=8, longest_tokens=1024, learning_rate=1e-3, licence="none: random weights",
            )  # fmt: skip
            with installation(chosen, 600) as (wired, data_set):
                for pair in range(1, given.pairs + 1):
                    plain, own = _timed(_by_plain_script, wired, data_set), _timed(_by_atra, wired, data_set)
                    same = own.pop("weights") == plain.pop("weights")
                    found = {"method": method, "pair": pair, "same_weights": same}
                    rows += [{**found, "who": "plain TRL", **plain}, {**found, "who": "ATRA", **own}]
    shape = {"steps": given.steps, "width": given.width, "layers": given.layers}
    totals = {**shape, "ratios": {method: ratios(rows, method) for method in _WEIGHTS}}
    results.console().print(results.table("training through ATRA beside a plain script", rows, _COLUMNS))
    for method, ratio in totals["ratios"].items():
        results.console().print(f"{method}: ATRA / plain TRL: {ratio}")
    results.write(given.json, results.about(datetime.now(UTC)), totals, rows)


def ratios(rows: Sequence[dict[str, Any]], method: str) -> dict[str, float]:
    """Return what ATRA has of each measure for one of the plain script: the median over pairs."""
    by_who = {
        who: [row for row in rows if row["method"] == method and row["who"] == who] for who in ("ATRA", "plain TRL")
    }
    pairs = list(zip(by_who["ATRA"], by_who["plain TRL"], strict=True))
    return {name: round(median(own[name] / plain[name] for own, plain in pairs), 3) for name in _MEASURED}


def _timed(train: Callable[[Wiring, DataSet], dict[str, Any]], wired: Wiring, data_set: DataSet) -> dict[str, Any]:
    """Train; add the seconds that it took, on the clock and of the processor, its children's included."""
    begun, spent = time.monotonic(), _processor_s()
    found = train(wired, data_set)
    seconds, processor_s = time.monotonic() - begun, _processor_s() - spent
    return {**found, "seconds": round(seconds, 1), "processor_s": round(processor_s, 1)}


def _processor_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _by_atra(wired: Wiring, data_set: DataSet) -> dict[str, Any]:
    from workers.task import run_step
    from workers.training import Trained, open_training, recipe_of, train

    run = open_training(wired, data_set.id, recipe_of(wired))
    run_step("train", run.id, 0, train)
    [output] = wired.runs.outputs(run.id, "train")
    trained = from_json(Trained, output)
    last = history(wired.brain_folder / "training" / run.id)[-1]
    weights = version(wired.brain_folder, trained.brain).path / _WEIGHTS[wired.settings.training.method]
    return {"tokens_per_s": last["tokens_per_s"], "tokens": trained.tokens, "weights": digest(weights)}


def _by_plain_script(wired: Wiring, data_set: DataSet) -> dict[str, Any]:
    chosen = wired.settings.training
    with TemporaryDirectory(prefix="atra-bench-") as folder, (Path(data_set.path) / ROWS).open("rb") as rows:
        command = [sys.executable, "-m", "benchmarks.training_overhead", "--plain", folder, chosen.model_dump_json()]
        ran = subprocess.run(command, stdin=rows, stdout=subprocess.PIPE, cwd=results.ROOT, check=True)
        told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return {**told, "weights": digest(Path(folder, "model", _WEIGHTS[chosen.method]))}


def _plainly(folder: Path, chosen: TrainingSettings) -> None:
    """Train as one would without ATRA: rows from the standard input, weights into the folder, speed as JSON."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    class Clock(TrainerCallback):  # type: ignore[misc]
        begun = ended = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ended = time.monotonic()

    set_seed(chosen.seed)
    rows = [json.loads(line) for line in sys.stdin]
    rank = chosen.lora_rank
    adapter = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    clock, cpu = Clock(), not torch.cuda.is_available()
    on_cpu: dict[str, Any] = (
        {"use_cpu": True, "dataloader_pin_memory": False, "activation_checkpointing": False} if cpu else {}
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(chosen.base, dtype="float32" if cpu else "auto"),
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=chosen.steps,
            per_device_train_batch_size=chosen.micro_batch,
            gradient_accumulation_steps=chosen.rows_per_step // chosen.micro_batch,
            learning_rate=chosen.learning_rate,
            max_length=chosen.longest_tokens,
            seed=chosen.seed,
            data_seed=chosen.seed,
            save_steps=chosen.save_steps,
            bf16=not cpu,
            report_to="none",
            disable_tqdm=True,
            **on_cpu,
        ),
        train_dataset=Dataset.from_list([{name: row[name] for name in ("prompt", "completion")} for row in rows]),
        processing_class=AutoTokenizer.from_pretrained(chosen.base),
        peft_config=adapter if chosen.method == "lora" else None,
        callbacks=[clock],
    )
    trainer.train()
    trainer.save_model(str(folder / "model"))
    tokens = int(next(line["num_tokens"] for line in reversed(trainer.state.log_history) if "num_tokens" in line))
    print(json.dumps({"tokens_per_s": round(tokens / (clock.ended - clock.begun)), "tokens": tokens}))


if __name__ == "__main__":
    main()
