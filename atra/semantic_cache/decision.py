"""The hit decision: how likely the answer that is kept for one question answers another.

A small model decides, which `benchmarks/train_decision.py` fits and writes to `decision.json`: a layer that looks at
the two vectors more closely than their cosine does, trees over what `atra.semantic_cache.features` counts, and a line
that makes their sum a calibrated probability. It is evaluated here without the library that fitted it.

Sources: Friedman 2001, Annals of Statistics 29 (trees); Platt 1999 (calibration); difference and product side by side
as in Conneau et al. 2017, arXiv:1705.02364.
"""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atra.semantic_cache.features import NAMES, Weights, features

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

SHIPPED = Path(__file__).with_name("decision.json")
"""Where the one that ATRA ships is."""


class Decider:
    """Says how likely a kept answer is right for what is asked; safe to share between threads.

    Args:
        facts: what `benchmarks/train_decision.py` wrote.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        if tuple(facts["names"]) != NAMES:
            raise ValueError("the decision was fitted to other features than are counted now; train it again")
        self.embedder: str = facts["about"]["embedder"]
        self._weights = Weights(facts["weights"]["of"], facts["weights"]["rare"])
        self._layer = Layer(facts["layer"])
        self._trees = Trees(facts["trees"])
        self._offset: float = facts["calibration"]["offset"]
        self._slope: float = facts["calibration"]["slope"]

    @classmethod
    def shipped(cls) -> "Decider":
        """Return the one that ATRA ships, read once per process."""
        return _shipped()

    def probability(
        self,
        asked: str,
        kept: str,
        cosine: float,
        asked_vector: "Vector | None" = None,
        kept_vector: "Vector | None" = None,
    ) -> float:
        """Return a calibrated probability, 0 to 1, the same whichever of the two is asked.

        Args:
            cosine: of the two vectors.
            asked_vector, kept_vector: those of the embedding model that the layer was fitted to, of unit length. If one
                is missing, or another model's by its length, what they would say is guessed from the cosine.
        """
        seen = features(asked, kept, cosine, self._weights)
        if asked_vector is None or kept_vector is None or not len(asked_vector) == len(kept_vector) == self._layer.dim:
            seen.append(self._layer.guess(cosine))
        else:
            seen.append(self._layer.score(asked_vector, kept_vector))
        return 1 / (1 + exp(-self._offset - self._slope * self._trees.score(seen)))


@cache
def _shipped() -> Decider:
    return Decider(json.loads(SHIPPED.read_text(encoding="utf-8")))


class Layer:
    """A hidden layer over |u - v| and u * v; it is symmetric, as they are.

    Args:
        facts: `dim` of a vector, `width` of the hidden layer, `matrix` as bytes of -127 to 127 in base 64 with one
            `scale` per hidden unit, `bias`, `out`, and `guess`, the offset and slope on the cosine.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.dim: int = facts["dim"]
        self._facts = facts

    def guess(self, cosine: float) -> float:
        """Return what the score is on average for this cosine."""
        offset, slope = self._facts["guess"]
        return float(offset + slope * cosine)

    def score(self, one: "Vector", two: "Vector") -> float:
        """Return the log odds that two questions of these vectors mean the same, as far as the layer can see."""
        import numpy as np

        matrix, bias, out = self._numbers
        hidden = np.concatenate([np.abs(one - two), one * two]) @ matrix
        hidden += bias
        return float(np.maximum(hidden, 0, out=hidden) @ out[:-1] + out[-1])

    @cached_property
    def _numbers(self) -> "tuple[Vector, Vector, Vector]":
        import numpy as np

        whole = np.frombuffer(b64decode(self._facts["matrix"]), np.int8).reshape(2 * self.dim, self._facts["width"])
        matrix = whole.astype(np.float32) * np.array(self._facts["scale"], np.float32)
        return matrix, np.array(self._facts["bias"], np.float32), np.array(self._facts["out"], np.float32)


class Trees:
    """Boosted trees as one list of nodes.

    Args:
        facts: `start`, the score before any tree; `roots`, where each tree begins; `nodes`, each a feature's number, a
            threshold, and the nodes for up to it and above it; a leaf has the feature -1 and its value instead.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._start: float = facts["start"]
        self._roots: Sequence[int] = facts["roots"]
        self._nodes: list[tuple[int, float, int, int]] = [tuple(node) for node in facts["nodes"]]

    def score(self, seen: Sequence[float]) -> float:
        """Return the log odds."""
        nodes, total = self._nodes, self._start
        for root in self._roots:
            feature, value, low, high = nodes[root]
            while feature >= 0:
                feature, value, low, high = nodes[low if seen[feature] <= value else high]
            total += value
        return total
