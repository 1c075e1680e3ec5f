"""The hit decision: how likely the answer that is kept for one question answers another."""

import re
from typing import TYPE_CHECKING

from atra.semantic_cache.keys import plain_question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

_WORD = re.compile(r"\w+")


class Decider:
    """Says how likely a kept answer is right for what is asked."""

    @classmethod
    def shipped(cls) -> "Decider":
        """Return the one that ATRA ships."""
        return cls()

    def probability(
        self,
        asked: str,
        kept: str,
        cosine: float,
        asked_vector: "Vector | None" = None,
        kept_vector: "Vector | None" = None,
    ) -> float:
        """Return a probability, 0 to 1: near 1 only where the same words stand in the same order."""
        same = _WORD.findall(plain_question(asked)) == _WORD.findall(plain_question(kept))
        return 0.995 if same and cosine >= 0.97 else min(0.9, max(0.0, cosine))
