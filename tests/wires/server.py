"""The HTTP side of a wire server: one thread per connection, one step per request, everything that was asked kept."""

import gzip
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

from tests.wires import chat_completions, messages, responses
from tests.wires.strictness import complaint
from tests.wires.turns import (
    Closed,
    Cut,
    EmptyChoices,
    Garbage,
    Huge,
    Redirect,
    Silence,
    Slow,
    Status,
    Step,
    Turn,
)

Body = dict[str, Any]
FORMATS = {"/v1/responses": responses, "/v1/chat/completions": chat_completions, "/v1/messages": messages}


@dataclass(frozen=True)
class Asked:
    """One request as it came; header names are in small letters."""

    path: str
    headers: Mapping[str, str]
    body: Body


class WireServer:
    """A model's server on the loopback, open while its `with` block runs.

    Args:
        steps: what it does with the first, second, … request, or a function of the request's body. A list that is used
            up answers 400.
        piece: characters in one event of a stream.
        strict: whether it refuses what the real servers would refuse.
        streaming: whether it streams unless it is told not to, as `transformers serve` does.
        adapters: those it has, by their names, as vLLM where it may load them while it runs; None for a server that
            knows none. It does not know another model then.
    """

    def __init__(
        self,
        steps: Iterable[Step] | Callable[[Body], Step],
        *,
        piece: int = 7,
        strict: bool = True,
        streaming: bool = False,
        adapters: dict[str, str] | None = None,
    ) -> None:
        self.requests: list[Asked] = []
        self.piece = piece
        self.strict = strict
        self.streaming = streaming
        self.adapters = adapters
        self.ending = Event()
        self._steps = steps if callable(steps) else _in_order(steps)
        self._lock = Lock()
        self._numbers = itertools.count(1)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.wire = self
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The base address, as a user would put it into `base_url`, for every provider."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def bodies(self) -> list[Body]:
        """The bodies of all requests, in their order."""
        return [asked.body for asked in self.requests]

    def __enter__(self) -> "WireServer":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def next_step(self, asked: Asked) -> tuple[int, Step]:
        """Take note of the request; return its number and what to do with it."""
        with self._lock:
            self.requests.append(asked)
            if self.strict and asked.path in FORMATS and (why := complaint(asked.path, asked.body)):
                return next(self._numbers), Status(400, message=why)
            return next(self._numbers), self._steps(asked.body)


def _in_order(steps: Iterable[Step]) -> Callable[[Body], Step]:
    rest = iter(steps)
    return lambda body: next(rest, Status(400, message="the script of this server is over"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    wire: WireServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that hung up; any other fault of the server is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Take note of a redirect that was followed, or of a probe; there is nothing here."""
        self.server.wire.requests.append(Asked(self.path, self._lowered(), {}))
        self._json(404, {"error": {"message": "not found", "type": "not_found_error"}})

    def do_POST(self) -> None:
        """Do what the script says."""
        read = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = Asked(self.path, self._lowered(), json.loads(read or b"{}"))
        if self.server.wire.adapters is not None and self._adapted(asked, self.server.wire.adapters):
            return
        number, step = self.server.wire.next_step(asked)
        speak = FORMATS.get(self.path)
        if speak is None:
            self._json(404, {"error": {"message": f"no {self.path} here", "type": "not_found_error"}})
            return
        try:
            self._do(step, speak, asked.body, number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _adapted(self, asked: Asked, adapters: dict[str, str]) -> bool:
        """Load an adapter, or say that there is none of this name, as vLLM words it; return whether that was all."""
        if asked.path == "/v1/load_lora_adapter":
            name = asked.body["lora_name"]
            self.server.wire.requests.append(asked)
            if name in adapters:
                told = f"The lora adapter '{name}' has already been loaded."
                self._json(400, {"error": {"message": told, "type": "InvalidUserInput", "code": 400}})
            else:
                adapters[name] = asked.body["lora_path"]
                told = f"Success: LoRA adapter '{name}' added successfully."
                self._send(200, told.encode(), {"content-type": "text/plain; charset=utf-8"})
            return True
        if asked.body.get("model") not in adapters:
            self.server.wire.requests.append(asked)
            told = f"The model `{asked.body.get('model')}` does not exist."
            self._json(404, {"error": {"message": told, "type": "NotFoundError", "code": 404}})
            return True
        return False

    def _do(self, step: Step, speak: Any, body: Body, number: int) -> None:
        streamed = bool(body.get("stream", self.server.wire.streaming))
        match step:
            case Turn() if streamed:
                self._stream(speak.events(step, body, number, self.server.wire.piece))
            case Turn():
                self._json(200, speak.plain(step, body, number))
            case Status():
                headers = {"retry-after": step.retry_after} if step.retry_after else {}
                self._json(step.code, speak.error(step), headers)
            case Redirect():
                self._json(step.code, {}, {"location": step.url})
            case Cut():
                self._cut(step, speak, body, number)
            case Closed():
                self.close_connection = True
            case Silence():
                self.server.wire.ending.wait(60)
                self.close_connection = True
            case Slow():
                self._drip(step, json.dumps(speak.plain(step.turn, body, number)).encode())
            case Garbage():
                self._send(step.code, step.body.encode(), {"content-type": step.content_type})
            case EmptyChoices() if streamed:
                self._stream(speak.empty_events(body, number))
            case EmptyChoices():
                self._json(200, speak.empty(body, number))
            case Huge():
                self._huge(step)

    def _cut(self, step: Cut, speak: Any, body: Body, number: int) -> None:
        if body.get("stream"):
            events = list(speak.events(step.turn, body, number, self.server.wire.piece))
            told = [speak.error_event(step.error, body, number)] if step.error else []
            self._stream([*events[: step.after], *told], finished=bool(told))
        else:
            whole = json.dumps(speak.plain(step.turn, body, number)).encode()
            self._head(200, {"content-type": "application/json", "content-length": str(len(whole))})
            self.wfile.write(whole[: len(whole) // 2])
        self.close_connection = True

    def _drip(self, step: Slow, whole: bytes) -> None:
        self._head(200, {"content-type": "application/json", "content-length": str(len(whole) * 1000)})
        for byte in itertools.cycle(whole):
            self.wfile.write(bytes([byte]))
            if self.server.wire.ending.wait(step.pause_s):
                break
        self.close_connection = True

    def _huge(self, step: Huge) -> None:
        body = b" " * step.size_bytes
        headers = {"content-type": "application/json"}
        if step.compressed:
            body, headers["content-encoding"] = gzip.compress(body), "gzip"
        self._send(200, body, headers)

    def _stream(self, events: Sequence[tuple[str, Body | str]], *, finished: bool = True) -> None:
        self._head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        for name, data in events:
            line = data if isinstance(data, str) else json.dumps(data)
            self._chunk((f"event: {name}\n" if name else "") + f"data: {line}\n\n")
        if finished:
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()

    def _chunk(self, text: str) -> None:
        sent = text.encode()
        self.wfile.write(f"{len(sent):x}\r\n".encode() + sent + b"\r\n")
        self.wfile.flush()

    def _json(self, code: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(code, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})

    def _send(self, code: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(code, {**headers, "content-length": str(len(body))})
        self.wfile.write(body)

    def _head(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in {"x-request-id": "req_wire", "request-id": "req_wire", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _lowered(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}
