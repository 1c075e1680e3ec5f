"""The peer of `benchmarks.cache_speed`, run by an interpreter that has it: GPTCache with sqlite and faiss.

    PYTHON gptcache_speed.py FOLDER

FOLDER holds `given.npz`; what was measured is printed as one line of JSON. Nothing of ATRA is imported here.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gptcache import Cache
from gptcache.adapter.api import get, put
from gptcache.manager import CacheBase, VectorBase, get_data_manager
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation


def main(folder: str) -> None:
    """Measure, and print it."""
    os.chdir(folder)
    given = np.load(Path(folder) / "given.npz")
    known: dict[str, np.ndarray] = {}
    vectors = VectorBase("faiss", dimension=given["stored"].shape[1])
    manager = get_data_manager(CacheBase("sqlite"), vectors, max_size=10_000_000)  # else it keeps a thousand
    cache = Cache()
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=lambda text, **_: known[text],
        data_manager=manager,
        similarity_evaluation=SearchDistanceEvaluation(),
    )
    stored = given["stored"]
    for start in range(0, len(stored), 1000):
        part = stored[start : start + 1000]
        manager.import_data(
            [f"question {start + at}" for at in range(len(part))],
            [f"answer {start + at}" for at in range(len(part))],
            list(part),
            [None] * len(part),
        )
    manager.flush()
    known.update({f"question {at}": stored[at] for at in given["chosen"]})
    seconds, found = {}, {}
    for kind, names in {
        "exact": [f"question {at}" for at in given["chosen"]],
        "near": [f"near {at}" for at in range(len(given["near"]))],
        "miss": [f"miss {at}" for at in range(len(given["miss"]))],
    }.items():
        if kind != "exact":
            known.update(zip(names, given[kind], strict=True))
        seconds[kind], found[kind] = [], []
        for name in names:
            begun = time.perf_counter()
            answer = get(name, cache_obj=cache)
            seconds[kind].append(time.perf_counter() - begun)
            found[kind].append(int(answer.split()[1]) if answer else -1)
    known.update({f"put {at}": one for at, one in enumerate(given["puts"])})
    begun = time.perf_counter()
    for at in range(len(given["puts"])):
        put(f"put {at}", "An answer of a few words.", cache_obj=cache)
    rate = len(given["puts"]) / (time.perf_counter() - begun)
    said = {"who": f"gptcache {version('gptcache')}", "put_per_s": round(rate), "seconds": seconds, "found": found}
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])
