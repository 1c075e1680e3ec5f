"""Reads the labelled pairs of Quora questions in a checkout of zilliztech/GPTCache, and gives questions their vectors.

The texts are Quora's, to be used without profit: nothing of them is kept in this repository, only what was fitted.
"""

import hashlib
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atra.llm.embedding import Embedder
from atra.llm.minilm import MiniLM
from benchmarks.question_pairs import Pair

_FILE = Path("examples", "benchmark", "similiar_qqp_full.json.gz")

Vectors = dict[str, NDArray[np.float32]]


def read(checkout: Path) -> list[Pair]:
    """Return the 80,854 pairs; `family` is the part they belong to, `fit`, `calibrate` or `test` (6, 1 and 3 of 10).

    Questions that any pairs join are in one part, so that no question of one part is known from another.
    """
    with tarfile.open(checkout / _FILE) as archive:  # for all its name it is an archive
        member = next(one for one in archive if one.isfile() and one.name.endswith(".json"))
        file = archive.extractfile(member)
        assert file is not None  # it is a plain file
        rows = json.load(file)
    joined = _joined([(row["text_a"], row["text_b"]) for row in rows])
    return [Pair(_part(joined[row["text_a"]]), row["text_a"], row["text_b"], bool(row["label"])) for row in rows]


def vectors_of(questions: Sequence[str], kept: Path | None = None, embedder: Embedder | None = None) -> Vectors:
    """Return the vector of every question.

    Args:
        kept: a file to keep them in from one run to the next; it holds numbers and hashes, no texts.
    """
    embedder = embedder or MiniLM()
    known: dict[str, NDArray[np.float32]] = {}
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            if str(file["identity"]) == embedder.identity:
                known = dict(zip(file["names"].tolist(), file["vectors"], strict=True))
    wanted = {_name(one): one for one in questions}
    missing = [name for name in wanted if name not in known]
    for name in missing:
        known[name] = embedder.embed([wanted[name]])[0]
    if missing and kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, identity=embedder.identity, names=list(known), vectors=np.array(list(known.values())))
    return {one: known[name] for name, one in wanted.items()}


def _name(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:24]


def _joined(edges: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return for each question the one that stands for all that are joined with it."""
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        while parent.setdefault(one, one) != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for one, two in edges:
        first, second = sorted((root(one), root(two)))
        parent[second] = first
    return {one: root(one) for one in parent}


def _part(root: str) -> str:
    lot = int.from_bytes(hashlib.sha256(root.encode()).digest()[:4], "big") % 10
    return "fit" if lot < 6 else "calibrate" if lot == 6 else "test"


def facts_of(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return how many pairs there are, and the share that are duplicates."""
    return {"pairs": len(pairs), "share_same": round(sum(pair.same for pair in pairs) / len(pairs), 4)}
