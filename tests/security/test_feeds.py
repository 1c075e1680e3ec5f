"""Hostile feed servers: none is long, slow or clever enough, and none leads ATRA into a private network."""

import gzip
import time
import zlib
from collections.abc import Iterator
from functools import partial

import pytest

from atra.scout.fetching import Manners, fetch, is_public
from atra.scout.records import Feed
from tests.feeding import FeedServer, Handler, Reply, moved, rss

LOOPBACK = ("127.0.0.1/32",)
STRICT = Manners(private=LOOPBACK, most_bytes=2**21)
HURRIED = Manners(private=LOOPBACK, connect_s=0.5, read_s=0.5, total_s=0.6)


@pytest.fixture(scope="module")
def serving() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


@pytest.fixture
def server(serving: FeedServer) -> FeedServer:
    serving.plays.clear()
    serving.asked.clear()
    return serving


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fd00::1"),
        *("fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::1"),
        *("2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001:0:a00:1::1", "2001:db8::1"),
    ],
)
def test_addresses_that_are_not_public(address: str):
    """Private, loopback, link-local and reserved ones, however they are written."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"])
def test_addresses_that_are_public(address: str):
    """Those that anybody may ask."""
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "0", "127.1", "[::ffff:127.0.0.1]", "LOCALHOST"]
)
def test_the_loopback_is_refused_however_it_is_written(server: FeedServer, host: str):
    """Nobody is even connected to."""
    came = fetch(Feed(1, f"http://{host}:{server.port}/f"), Manners())

    assert "not on the public network" in came.fault or "no address" in came.fault
    assert server.asked == []


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"]],
    ids=["private", "one of several", "mapped"],
)
def test_a_name_that_means_a_private_address_is_refused(server: FeedServer, addresses: list[str]):
    """Every address of the name counts, for any of them may be the one that answers."""
    came = fetch(Feed(1, f"http://news.example:{server.port}/f"), Manners(), look_up=lambda host, port: addresses)

    assert came.fault == "news.example is not on the public network"
    assert server.asked == []


def test_a_name_is_looked_up_once(server: FeedServer):
    """The connection goes to the address that was looked at: a name that changes its mind changes nothing."""
    server.plays["/f"] = Reply(rss())
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    came = fetch(Feed(1, f"http://news.example:{server.port}/f"), STRICT, look_up=rebinding)

    assert (came.fault, asked) == ("", ["news.example"])
    assert server.asked[0][1]["host"] == f"news.example:{server.port}"


@pytest.mark.parametrize("inside", ["127.0.0.2", "10.0.0.1", "[::1]", "169.254.169.254", "inside.example"])
def test_a_redirect_into_a_private_network_is_refused(server: FeedServer, inside: str):
    """Each hop is looked at anew; the first one is allowed here, as a public one would be."""
    server.plays["/f"] = moved(f"http://{inside}:{server.port}/secret")

    def look_up(host: str, port: int) -> list[str]:
        return {"news.example": ["127.0.0.1"], "inside.example": ["127.0.0.1", "127.0.0.2"]}.get(host, [host])

    came = fetch(Feed(1, f"http://news.example:{server.port}/f"), STRICT, look_up=look_up)

    assert came.fault == f"{inside.strip('[]')} is not on the public network"
    assert server.paths() == ["/f"]


def _bomb(level: int) -> bytes:
    return gzip.compress(bytes(200 * 2**20), 6) if level == 1 else gzip.compress(_bomb(level - 1))


ENDS = "it is longer than 2 MiB"


@pytest.mark.parametrize(
    ("headers", "body", "fault"),
    [
        ({"content-encoding": "gzip"}, _bomb(1), ENDS),
        ({"content-encoding": "gzip, gzip"}, _bomb(2), ENDS),
        ({"content-encoding": "deflate"}, zlib.compress(bytes(200 * 2**20)), ENDS),
        ({}, b"x" * (2**21 + 1), ENDS),
        ({"content-encoding": "gzip"}, b"this is not gzip", "its compression is broken"),
        ({"content-encoding": "gzip"}, gzip.compress(b"x" * 9000)[:40], ""),
        ({"content-encoding": "br, x-own"}, b"\x00\x01", ""),
    ],
    ids=["bomb", "bomb in a bomb", "deflate", "long", "no gzip", "cut off", "unknown"],
)
def test_compression_bombs_end_at_the_cap(server: FeedServer, headers: dict[str, str], body: bytes, fault: str):
    """What counts is how long a document is when it is unpacked, and it is never held whole."""
    server.plays["/f"] = Reply(body, headers=headers)

    came = fetch(Feed(1, server.url("/f")), STRICT)

    assert (came.fault, len(came.body)) == (fault, 0) if fault else len(came.body) <= 9000


def drip(handler: Handler, *, first: bytes, again: bytes) -> None:
    """Send a beginning, and then a little for as long as somebody listens."""
    try:
        handler.wfile.write(first)
        while not handler.server.feeds.ending.wait(0.05):  # type: ignore[attr-defined]
            handler.wfile.write(again)
            handler.wfile.flush()
    except OSError:
        pass


OK = b"HTTP/1.1 200 OK\r\n"
GZIP = b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10]


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b""),
        (b"H", b"T"),
        (OK, b"a: b\r\n"),
        (OK, b"x"),
        (OK + b"\r\n", b"x"),
        (OK + b"transfer-encoding: chunked\r\n\r\n", b"1;" + b"e" * 50 + b"\r\nx\r\n"),
        (OK + GZIP, b"\x00\x00\x00\xff\xff"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["silence", "status", "headers", "one header", "body", "chunks", "empty gzip blocks", "hints for ever"],
)
def test_slow_servers_are_left_in_time(server: FeedServer, first: bytes, again: bytes):
    """Bytes that keep coming, wherever they come, keep nobody longer than the time for one address."""
    server.plays["/f"] = partial(drip, first=first, again=again)
    begun = time.monotonic()

    came = fetch(Feed(1, server.url("/f")), HURRIED)

    assert came.fault
    assert time.monotonic() - begun < 10 * HURRIED.total_s


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 2**20,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 200_000,
        b"\x16\x03\x01garbage\x00" * 1000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/9.9 999 " + b"\xff" * 100 + b"\r\n\r\n",
        b"HTTP/1.1 301 x\r\nlocation: http://\x00\r\n\r\n",
        b"",
    ],
    ids=["long header", "hints", "no HTTP", "cut off", "negative length", "odd status", "odd location", "nothing"],
)
def test_what_is_no_http_is_a_fault_and_nothing_worse(server: FeedServer, sent: bytes):
    """No answer raises, and none is kept."""

    def play(handler: Handler) -> None:
        handler.wfile.write(sent)
        handler.close_connection = True

    server.plays["/f"] = play

    came = fetch(Feed(1, server.url("/f")), STRICT)

    assert came.fault
    assert came.body == b""
    assert came.fault.isprintable()
