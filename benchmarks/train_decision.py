"""Fits the hit decision and writes atra/semantic_cache/decision.json, which holds numbers and single words alone.

Fitted to six tenths of the Quora pairs, what follows from them (two duplicates of one question are duplicates), and the
families FIT of our own pairs; calibrated on one tenth. Neither the test part nor the families TEST are read here.
Needs torch (the layer) and scikit-learn (the trees); what it writes needs neither.
"""

import argparse
import json
import random
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atra.llm.minilm import MiniLM
from atra.semantic_cache.decision import SHIPPED
from atra.semantic_cache.features import NAMES, Weights, features, parsed
from benchmarks.duplicates import Vectors, read, vectors_of
from benchmarks.question_pairs import FIT, Pair, pairs

KEPT = Path(".venv", "decision", "vectors.npz")

_WIDTH, _EPOCHS, _FOLDS = 32, 8, 4
_OWN = 120.0  # weight of one family of our own pairs, in pairs of Quora
_FOLLOWING = 0.5  # weight of a pair that follows from two others, for an error in one of them is in it too
_COMMON = 40  # questions that a word must be in to get a weight of its own

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Pairs with what is needed to learn from them; `fold` keeps together what shares a question."""

    pairs: Sequence[Pair]
    weight: Numbers
    fold: NDArray[np.int64]


def main() -> None:
    """Read, fit, calibrate, write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--checkout", type=Path, required=True, help="of zilliztech/GPTCache")
    arguments.add_argument("--vectors", type=Path, default=KEPT, help="where vectors are kept between runs")
    given = arguments.parse_args()
    quora = read(given.checkout)
    fit = [pair for pair in quora if pair.family == "fit"]
    calibrate = [pair for pair in quora if pair.family == "calibrate"]
    examples = _examples(fit)
    vectors = vectors_of([one for pair in [*quora, *examples.pairs] for one in (pair.one, pair.two)], given.vectors)
    weights = _weights({one for pair in fit for one in (pair.one, pair.two)})
    layer, scores = _layer(examples, vectors)
    held = _scores(layer, _inputs(calibrate, vectors))
    trees = _trees(examples, np.column_stack([_counted(examples.pairs, vectors, weights), scores]))
    sums = trees.decision_function(np.column_stack([_counted(calibrate, vectors, weights), held]))
    facts = {
        "about": {
            "trained_at": datetime.now(UTC).date().isoformat(),
            "embedder": MiniLM().identity,
            "fitted_to": {"quora": len(fit), "following": _count(examples, "following"), "own": len(_own())},
            "calibrated_on": len(calibrate),
        },
        "names": list(NAMES),
        "weights": {"rare": weights.rare, "of": dict(sorted(weights.of.items()))},
        "layer": _layer_facts(layer, held, _cosines(calibrate, vectors)),
        "trees": _tree_facts(trees),
        "calibration": _calibration(sums, np.array([pair.same for pair in calibrate])),
    }
    SHIPPED.write_text(json.dumps(facts, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{SHIPPED.name}: {SHIPPED.stat().st_size / 1000:.0f} kB, {facts['about']}, {facts['calibration']}")


def _own() -> list[Pair]:
    return pairs(FIT, 200)


def _examples(fit: Sequence[Pair]) -> Examples:
    """Return the pairs of Quora, those that follow from them, and our own."""
    following, own = list(_following(fit)), _own()
    sizes, families = Counter(pair.family for pair in own), list(FIT)
    groups = {one: at for at, group in enumerate(_groups(fit)) for one in group}
    return Examples(
        [*fit, *following, *own],
        np.array([1.0] * len(fit) + [_FOLLOWING] * len(following) + [_OWN / sizes[pair.family] for pair in own]),
        np.array(
            [groups[pair.one] % _FOLDS for pair in [*fit, *following]]
            + [families.index(pair.family) % _FOLDS for pair in own]
        ),
    )


def _following(fit: Sequence[Pair]) -> Iterator[Pair]:
    """Yield what is the same as the same, three at most per group, and for half of the different pairs one more."""
    rng, known = random.Random(1), {frozenset((pair.one, pair.two)) for pair in fit}
    groups = [sorted(group) for group in _groups([pair for pair in fit if pair.same])]
    group_of = {one: group for group in groups for one in group}
    for group in groups:
        new = [(a, b) for at, a in enumerate(group) for b in group[:at] if frozenset((a, b)) not in known]
        for one, two in rng.sample(new, min(3, len(new))):
            yield Pair("following", one, two, True)
    for pair in fit:
        like = [one for one in group_of.get(pair.one, []) if one != pair.one]
        if pair.same or not like or rng.random() < 0.5:
            continue
        instead = rng.choice(like)
        if frozenset((instead, pair.two)) not in known and pair.two not in group_of[pair.one]:
            yield Pair("following", instead, pair.two, False)


def _groups(joined: Sequence[Pair]) -> list[set[str]]:
    """Return the questions that pairs join, as one set each, in the order they are met."""
    like: dict[str, list[str]] = defaultdict(list)
    for pair in joined:
        like[pair.one].append(pair.two)
        like[pair.two].append(pair.one)
    seen: set[str] = set()
    groups: list[set[str]] = []
    for start in like:
        if start in seen:
            continue
        group, waiting = {start}, [start]
        while waiting:
            for other in like[waiting.pop()]:
                if other not in group:
                    group.add(other)
                    waiting.append(other)
        seen |= group
        groups.append(group)
    return groups


def _count(examples: Examples, family: str) -> int:
    return sum(pair.family == family for pair in examples.pairs)


def _weights(questions: set[str]) -> Weights:
    """Return the inverse document frequencies (Sparck Jones 1972) of words that are in enough questions."""
    counts = Counter(word for question in questions for word in parsed(question).known)
    total = len(questions)
    of = {word: round(log(total / count), 2) for word, count in counts.items() if count >= _COMMON}
    return Weights(of, round(log(total / (_COMMON / 2)), 2))


def _cosines(chosen: Sequence[Pair], vectors: Vectors) -> Numbers:
    return np.array([float(vectors[pair.one] @ vectors[pair.two]) for pair in chosen])


def _counted(chosen: Sequence[Pair], vectors: Vectors, weights: Weights) -> Numbers:
    cosines = _cosines(chosen, vectors)
    return np.array([features(pair.one, pair.two, cos, weights) for pair, cos in zip(chosen, cosines, strict=True)])


def _inputs(chosen: Sequence[Pair], vectors: Vectors) -> Any:
    import torch

    one = np.array([vectors[pair.one] for pair in chosen])
    two = np.array([vectors[pair.two] for pair in chosen])
    return torch.tensor(np.concatenate([np.abs(one - two), one * two], axis=1))


def _layer(examples: Examples, vectors: Vectors) -> tuple[Any, Numbers]:
    """Return the layer fitted to all, and for each pair the score of one that has not seen its fold."""
    inputs = _inputs(examples.pairs, vectors)
    scores = np.empty(len(examples.pairs))
    for fold in range(_FOLDS):
        inside = examples.fold == fold
        scores[inside] = _scores(_fitted(examples, inputs, ~inside), inputs[inside])
    return _fitted(examples, inputs, np.ones(len(scores), bool)), scores


def _scores(layer: Any, inputs: Any) -> Numbers:
    import torch

    with torch.no_grad():
        return np.asarray(layer.eval()(inputs * 10)[:, 0].double().numpy())


def _fitted(examples: Examples, inputs: Any, chosen: NDArray[np.bool_]) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    width = inputs.shape[1]
    layer = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, _WIDTH), nn.ReLU(), nn.Dropout(0.2), nn.Linear(_WIDTH, 1))
    wanted = torch.tensor([float(pair.same) for pair in examples.pairs])
    weight = torch.tensor(examples.weight, dtype=torch.float32)
    which = torch.tensor(np.flatnonzero(chosen))
    steps = _EPOCHS * (len(which) // 256 + 1)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=2e-3, weight_decay=1e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    layer.train()
    for _ in range(_EPOCHS):
        for batch in which[torch.randperm(len(which))].split(256):
            optimizer.zero_grad()
            said = layer(inputs[batch] * 10)[:, 0]  # ten times, for the entries of unit vectors are small
            nn.functional.binary_cross_entropy_with_logits(said, wanted[batch], weight=weight[batch]).backward()
            optimizer.step()
            rate.step()
    return layer


def _layer_facts(layer: Any, scores: Numbers, cosines: Numbers) -> dict[str, Any]:
    """Return what `atra.semantic_cache.decision.Layer` reads."""
    matrix = 10 * layer[1].weight.detach().numpy().T
    scale = np.abs(matrix).max(axis=0) / 127
    slope, offset = np.polyfit(cosines, scores, 1)
    return {
        "dim": matrix.shape[0] // 2,
        "width": _WIDTH,
        "matrix": b64encode(np.round(matrix / scale).astype(np.int8).tobytes()).decode(),
        "scale": [float(f"{one:.6g}") for one in scale],
        "bias": [float(f"{one:.6g}") for one in layer[1].bias.detach().numpy()],
        "out": [float(f"{one:.6g}") for one in [*layer[4].weight.detach().numpy()[0], layer[4].bias.item()]],
        "guess": [round(float(offset), 4), round(float(slope), 4)],
    }


def _trees(examples: Examples, seen: Numbers) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        max_iter=200,
        max_leaf_nodes=16,
        learning_rate=0.08,
        min_samples_leaf=40,
        l2_regularization=5,
        early_stopping=False,
        random_state=0,
    )
    return trees.fit(seen, [pair.same for pair in examples.pairs], sample_weight=examples.weight)


def _tree_facts(trees: Any) -> dict[str, Any]:
    """Return what `atra.semantic_cache.decision.Trees` reads."""
    roots, nodes = [], []
    for (predictor,) in trees._predictors:
        first = len(nodes)
        roots.append(first)
        for node in predictor.nodes:
            if node["is_leaf"]:
                nodes.append([-1, float(f"{node['value']:.5g}"), 0, 0])
            else:
                at = [first + int(node["left"]), first + int(node["right"])]
                nodes.append([int(node["feature_idx"]), float(f"{node['num_threshold']:.7g}"), *at])
    return {"start": float(f"{float(trees._baseline_prediction.ravel()[0]):.6g}"), "roots": roots, "nodes": nodes}


def _calibration(sums: Numbers, same: NDArray[np.bool_]) -> dict[str, float]:
    """Return offset and slope of the log odds over the trees' sum (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=1e6).fit(sums[:, None], same)
    return {"offset": round(float(line.intercept_[0]), 4), "slope": round(float(line.coef_[0, 0]), 4)}


if __name__ == "__main__":
    main()
