"""How long the scout takes to poll a thousand feeds, some of them hostile, beside a plain concurrent fetch of the same.

    python -m benchmarks.polling [--feeds N] [--json F]

A server on the loopback plays as many hosts as there are feeds (each an address of 127.0.0.0/8), and answers after 0.2
seconds, as servers far away do. One in twenty is hostile: it sends a byte a second, or a bomb, redirects in a circle,
is no feed, or declares entities that explode. The plain fetch asks with as many threads and the same limit of time for
one address; it neither reads what comes nor keeps it. The scout does all it always does: it looks each address up,
reads in processes of their own, finds duplicates, and keeps articles and schedule in PostgreSQL.
"""

import argparse
import gzip
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from pydantic import SecretStr

from atra.core.settings import ScoutSettings, Settings
from atra.embedded import embedded
from atra.storage.schema import upgrade
from atra.wiring import use
from benchmarks import results

_LATENCY_S, _TOTAL_S, _THREADS = 0.2, 5.0, 16
_HOSTILE = ("slow", "bomb", "circle", "garbage", "entities")
_COLUMNS = ("who", "feeds", "seconds", "ratio", "articles", "faults")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.polling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--feeds", type=int, default=1000, help="how many")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "polling.json", help="where to write")
    given = parser.parse_args(arguments)
    listening = multiprocessing.get_context("spawn").Queue()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(listening,), daemon=True)
    server.start()
    try:
        port = listening.get(timeout=30)
        addresses = [_address(number, port) for number in range(given.feeds)]
        plain_s = _plainly(addresses)
        row = _by_the_scout(addresses)
    finally:
        server.kill()
    rows = [
        {"who": "plain fetch", "feeds": given.feeds, "seconds": round(plain_s, 1), "ratio": 1.0},
        {"who": "scout", "feeds": given.feeds, **row, "ratio": round(row["seconds"] / plain_s, 2)},
    ]
    results.console().print(results.table("polling", rows, _COLUMNS))
    results.write(given.json, results.about(datetime.now(UTC)), {"hostile": "1 in 20", "latency_s": _LATENCY_S}, rows)


def _address(number: int, port: int) -> str:
    kind = _HOSTILE[number // 20 % len(_HOSTILE)] if number % 20 == 7 else "feed"
    return f"http://127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}:{port}/{kind}/{number}"


def _plainly(addresses: Sequence[str]) -> float:
    """Fetch all with as many threads; nothing is made of what comes."""

    def fetch(address: str) -> None:
        try:
            begun = time.monotonic()
            with httpx2.stream("GET", address, timeout=_TOTAL_S, follow_redirects=True) as reply:
                read = 0
                for piece in reply.iter_bytes():
                    read += len(piece)
                    if read > 15 * 2**20 or time.monotonic() - begun > _TOTAL_S:
                        return
        except httpx2.HTTPError:
            return

    begun = time.perf_counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(fetch, addresses))
    return time.perf_counter() - begun


def _by_the_scout(addresses: Sequence[str]) -> dict[str, Any]:
    from workers.polling import Polled, poll

    told: list[Polled] = []
    with TemporaryDirectory(prefix="atra-bench-") as work:
        Path(work).chmod(0o711)
        Path(work, "services").mkdir()
        with embedded(Path(work, "services")) as services:
            upgrade(services.database_url)
            wired = use(
                Settings(
                    _env_file=None,
                    home=Path(work),
                    database_url=SecretStr(services.database_url),
                    redis_url=SecretStr(services.redis_url),
                    scout=ScoutSettings(allow_private=("127.0.0.0/8",), timeout_s=_TOTAL_S, threads=_THREADS),
                )
            )
            for address in addresses:
                wired.scout.add(address)
            begun = time.perf_counter()
            poll(wired, over=lambda: False, told=told.append)
            seconds = time.perf_counter() - begun
    return {
        "seconds": round(seconds, 1),
        "articles": sum(one.new or 0 for one in told),
        "faults": sum(bool(one.fault) for one in told),
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(_LATENCY_S)
        _, kind, number = self.path.split("/", 2)
        if kind == "slow":
            self._drip()
        elif kind == "circle":
            self._send(b"", 302, location=self.path)
        elif kind == "bomb":
            self._send(_BOMB, **{"content-encoding": "gzip"})
        elif kind == "garbage":
            self._send(bytes(range(256)) * 400)
        else:
            self._send(_EXPLODES if kind == "entities" else _feed(number))

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/rss+xml", "connection": "close", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "100000")
        self.end_headers()
        for _ in range(60):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(1.0)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that hung up."""


def _serve(listening: Any) -> None:
    server = _Server(("0.0.0.0", 0), _Handler)  # each address of the loopback, for as long as the benchmark
    listening.put(server.server_address[1])
    server.serve_forever()


def _feed(number: str) -> bytes:
    items = "".join(
        f"<item><title>Feed {number} tells news {one}</title><link>http://site{number}.example/{one}</link>"
        f"<guid>{number}-{one}</guid><description>{'Words of feed ' + number + ' and item ' + str(one) + '. '} "
        f"{'Something happened somewhere to somebody. ' * 5}</description></item>"
        for one in range(10)
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>F{number}</title>{items}</channel></rss>'.encode()


_BOMB = gzip.compress(b"<rss>" + b" " * 40 * 2**20)
_EXPLODES = b"<!DOCTYPE rss [" + b"".join(
    f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">'.encode() for n in range(12)
) + b"]><rss version='2.0'><channel><title>&e11;</title></channel></rss>"  # fmt: skip


if __name__ == "__main__":
    main()
