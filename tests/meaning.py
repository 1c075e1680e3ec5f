"""A small model of meaning for tests: texts with the same words in another order have the same vector."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIM = 32


class Words:
    """Gives each word a direction of its own; a text points where its words do."""

    dim = DIM

    def __init__(self, identity: str = "words-1") -> None:
        self.identity = identity
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Return unit vectors, shape (n, DIM)."""
        self.asked.extend(texts)
        rows = [np.sum([self._word(word) for word in text.lower().split()], axis=0) for text in texts]
        vectors = np.array(rows, dtype=np.float32).reshape(len(rows), DIM)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _word(self, word: str) -> "NDArray[np.float64]":
        seed = int.from_bytes(hashlib.sha256(f"{self.identity}:{word}".encode()).digest()[:8], "big")
        return np.random.default_rng(seed).normal(size=DIM)


class Near:
    """Believes the cosine, and keeps what it was shown."""

    embedder = "words-1"

    def __init__(self) -> None:
        self.shown: list[object] = []

    def probability(
        self, asked: str, kept: str, cosine: float, asked_vector: object = None, kept_vector: object = None
    ) -> float:
        """Return the cosine as a probability."""
        self.shown.append(asked_vector)
        return max(0.0, min(1.0, cosine))


def unit(*numbers: float) -> "NDArray[np.float32]":
    """Return the direction of these numbers, filled up with zeros to DIM."""
    vector = np.zeros(DIM, dtype=np.float32)
    vector[: len(numbers)] = numbers
    return vector / np.linalg.norm(vector)
