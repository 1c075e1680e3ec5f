"""A forge on the loopback that speaks GitHub's JSON for pull requests, as its documentation shows it."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghp_canaryOfThisTest0123456789abcdef"

Answer = tuple[int, Any, dict[str, str]]


class LoopbackForge:
    """Keeps pull requests of `acme/shop`, open while its `with` block runs.

    Args:
        first: what it does with a request, by its number from 1; None lets it answer as the forge does.
    """

    def __init__(self, first: Callable[[int], Answer | None] = lambda number: None) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.pulls: list[dict[str, Any]] = []
        self._first = first
        self._lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.forge = self  # type: ignore[attr-defined]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "LoopbackForge":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, target: str, headers: dict[str, str], given: Any) -> Answer:
        """Take note of a request and answer it."""
        with self._lock:
            self.asked.append((method, target, headers, given))
            if (forced := self._first(len(self.asked))) is not None:
                return forced
            url = urlsplit(target)
            if headers.get("authorization") != f"Bearer {TOKEN}":
                return 401, {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}, {}
            if url.path != "/repos/acme/shop/pulls":
                return 404, {"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}, {}
            return self._listed(parse_qs(url.query)) if method == "GET" else self._made(given)

    def _listed(self, query: dict[str, list[str]]) -> Answer:
        (head,), (base,), (state,) = query["head"], query["base"], query["state"]
        found = [
            pull
            for pull in self.pulls
            if (pull["head"]["label"], pull["base"]["ref"], pull["state"]) == (head, base, state)
        ]
        return 200, found, {}

    def _made(self, given: dict[str, str]) -> Answer:
        label = f"acme:{given['head']}"
        if any(pull["head"]["label"] == label and pull["state"] == "open" for pull in self.pulls):
            why = {
                "resource": "PullRequest",
                "code": "custom",
                "message": f"A pull request already exists for {label}.",
            }
            return 422, {"message": "Validation Failed", "errors": [why]}, {}
        number = len(self.pulls) + 1
        pull = {
            "number": number,
            "state": "open",
            "title": given["title"],
            "body": given["body"],
            "html_url": f"https://github.com/acme/shop/pull/{number}",
            "head": {"label": label, "ref": given["head"]},
            "base": {"ref": given["base"]},
        }
        self.pulls.append(pull)
        return 201, pull, {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer a question."""
        self._respond("GET")

    def do_POST(self) -> None:
        """Answer a request for a new pull request."""
        self._respond("POST")

    def _respond(self, method: str) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        forge: LoopbackForge = self.server.forge  # type: ignore[attr-defined]
        status, told, more = forge.answer(method, self.path, headers, json.loads(data or b"null"))
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
