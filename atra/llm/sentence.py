"""The door to any model of sentence-transformers in a folder here. Nothing is fetched, and no code of it is run."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from atra.core.errors import BadInput, MissingPart

if TYPE_CHECKING:
    from atra.llm.embedding import Vectors


class SentenceEmbedder:
    """A model of sentence-transformers; see `Embedder`. It is loaded when it is first asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()

    @cached_property
    def identity(self) -> str:
        """The folder's name and twelve digits of the SHA-256 of its weights and configuration."""
        files = sorted(one for one in self._folder.rglob("*") if one.suffix in {".safetensors", ".json"})
        if not any(one.suffix == ".safetensors" for one in files):
            raise BadInput(f"[embedding] model: {self._folder} holds no model (safetensors) of sentence-transformers")
        digest = hashlib.sha256()
        for file in files:
            digest.update(str(file.relative_to(self._folder)).encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return f"{self._folder.name}@{digest.hexdigest()[:12]}"

    @cached_property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self.embed(["one"]).shape[1])

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return unit vectors, shape (n, dim); see `Embedder.embed`."""
        with self._lock:  # a tokenizer is not safe to share
            vectors: Vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return vectors.astype("float32")

    @cached_property
    def _model(self) -> Any:
        self.identity  # noqa: B018 - says so where the folder is none
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingPart("sentence-transformers (`pip install sentence-transformers`)") from error
        return SentenceTransformer(str(self._folder), device="cpu", local_files_only=True, trust_remote_code=False)
