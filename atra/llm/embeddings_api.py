"""The door to a server of one's own that gives texts vectors at `/embeddings`: vLLM, Ollama, llama.cpp and others."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import openai

from atra.core.errors import ModelUnavailable
from atra.llm.connection import UNREADABLE, Connection, translated
from atra.llm.openai_chat import openai_client

if TYPE_CHECKING:
    from atra.llm.embedding import Vectors

_BATCH = 64  # texts of one request
_LONGEST = 8000  # characters of a text; servers cut by tokens, and refuse what is far too long


class ServerEmbedder:
    """A model behind `base_url`; see `Embedder`. Its calls stand in no ledger: it is for a server of one's own.

    Args:
        revision: set anew when the server's model is another one under the same name.
    """

    def __init__(
        self, model: str, base_url: str, *, key: str = "", revision: str = "", timeout_s: float = 30.0
    ) -> None:
        self._model, self._base_url, self._key, self._timeout_s = model, base_url, key, timeout_s
        self.identity = f"{model}@{revision or 'server'}"

    @cached_property
    def dim(self) -> int:
        """How many numbers a vector has; the server is asked once."""
        return int(self._asked(["one"]).shape[1])

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return unit vectors, shape (n, dim); see `Embedder.embed`."""
        import numpy as np

        if not texts:
            return np.empty((0, self.dim), np.float32)
        return np.concatenate([self._asked(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)])

    def _asked(self, texts: Sequence[str]) -> "Vectors":
        import numpy as np

        with Connection(key=self._key, timeout_s=self._timeout_s, streamed=False) as connection:
            create = openai_client(connection, self._base_url, 3).embeddings.create
            try:
                said = create(model=self._model, input=[text[:_LONGEST] for text in texts], encoding_format="float")
                rows = [one.embedding for one in sorted(said.data, key=lambda one: one.index)]
                vectors = np.array(rows, dtype=np.float32)
            except (openai.OpenAIError, TypeError, ValueError, *UNREADABLE) as error:
                raise translated(error, self._model, connection) from error
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True) if vectors.ndim == 2 else np.zeros(1)
        if vectors.shape[0] != len(texts) or not np.isfinite(vectors).all() or not (lengths > 0).all():
            raise ModelUnavailable(self._model, "it gave something else than a vector for each text", 0)
        unit: Vectors = vectors / lengths
        return unit
