"""A feed server on the loopback: what it says at each path, and all that it was asked."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

RSS = "application/rss+xml"


@dataclass(frozen=True)
class Reply:
    """What is answered: a status, headers, a body."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = BaseHTTPRequestHandler
Play = Reply | Callable[[Handler], None]


def rss(*items: str, channel: str = "") -> bytes:
    """Return a document with these items, each given as the XML inside it."""
    inside = "".join(f"<item>{one}</item>" for one in items)
    said = f"<channel><title>A feed</title>{channel}{inside}</channel>"
    return f'<?xml version="1.0"?><rss version="2.0">{said}</rss>'.encode()


def entry(number: int, text: str = "") -> str:
    """Return the inside of an item that differs from the others."""
    link = f"https://site.example/{number}"
    return f"<title>Entry {number}</title><link>{link}</link><guid>{number}</guid><description>{text}</description>"


def moved(to: str, status: int = 302) -> Reply:
    """Return a redirect."""
    return Reply(status=status, headers={"location": to})


class FeedServer:
    """Open while its `with` block runs.

    Args:
        plays: by path; any other is answered with 404. May be changed meanwhile.
        host: an address of the loopback.
    """

    def __init__(self, plays: dict[str, Play] | None = None, *, host: str = "127.0.0.1") -> None:
        self.plays: dict[str, Play] = plays or {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.ending = Event()
        self._lock = Lock()
        self._server = _Server((host, 0), _Handler)
        self.host = host
        self._server.feeds = self
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://{self.host}:{self.port}{path}"

    def paths(self) -> list[str]:
        """Return what was asked for, in order."""
        with self._lock:
            return [path for path, _ in self.asked]

    def __enter__(self) -> "FeedServer":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def take(self, path: str, headers: Mapping[str, str]) -> Play:
        """Note a request; return what to do with it."""
        with self._lock:
            self.asked.append((path, {name.lower(): value for name, value in headers.items()}))
        return self.plays.get(path, Reply(status=404))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    feeds: FeedServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that hung up; any other fault of the server is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        play = self.server.feeds.take(self.path, self.headers)
        if not isinstance(play, Reply):
            play(self)
            return
        self.send_response(play.status)
        for name, value in {"content-length": str(len(play.body)), **play.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(play.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
