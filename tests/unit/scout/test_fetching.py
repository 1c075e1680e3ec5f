"""Fetching: what is asked, what is told back, and how a change of address is noticed."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from atra.scout.fetching import Manners, fetch
from atra.scout.records import Feed
from tests.feeding import FeedServer, Reply, moved, rss

OPEN = Manners(private=("127.0.0.1/32",))
BODY = rss("<title>x</title>")


@pytest.fixture(scope="module")
def serving() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


@pytest.fixture
def server(serving: FeedServer) -> FeedServer:
    serving.plays.clear()
    serving.asked.clear()
    return serving


def feed(address: str, **known: str) -> Feed:
    return replace(Feed(1, address), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("identity", BODY), ("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY))],
    ids=["plain", "gzip", "deflate"],
)
def test_a_document_comes_back_with_what_was_said_of_it(server: FeedServer, coding: str, packed: bytes):
    """Decompressed; the headers that schedules and validators need, and no others."""
    told = {"etag": '"a b"', "cache-control": "max-age=60", "set-cookie": "a=b", "content-encoding": coding}
    server.plays["/f"] = Reply(packed, headers=told)

    came = fetch(feed(server.url("/f")), OPEN)

    assert (came.status, came.fault, came.body, came.permanent) == (200, "", BODY, "")
    assert came.headers["etag"] == '"a b"'
    assert {"cache-control", "date"} <= set(came.headers)
    assert "set-cookie" not in came.headers


def test_a_first_request_is_polite_and_unconditional(server: FeedServer):
    """It says who asks, and invents nothing: no validator, no cookie, no referrer."""
    server.plays["/f"] = Reply(BODY)

    fetch(feed(server.url("/f")), OPEN)

    headers = server.asked[0][1]
    assert headers["user-agent"].startswith("atra/")
    assert "gzip" in headers["accept-encoding"]
    assert not {"if-none-match", "if-modified-since", "cookie", "referer", "authorization"} & set(headers)


def test_validators_go_back_word_for_word(server: FeedServer):
    """As they came, quotes and all, to the address that gave them; a 304 is no fault and has no body."""
    server.plays["/f"] = Reply(status=304, headers={"cache-control": "max-age=7200"})
    at = server.url("/f")
    known = {"etag": 'W/"x"', "last_modified": "Tue, 99 Foo", "validated": at}

    came = fetch(feed(at, **known), OPEN)
    fetch(feed(at, **{**known, "validated": server.url("/other")}), OPEN)

    assert (came.status, came.fault, came.body) == (304, "", b"")
    assert came.headers["cache-control"] == "max-age=7200"
    assert server.asked[0][1]["if-none-match"] == 'W/"x"'
    assert server.asked[0][1]["if-modified-since"] == "Tue, 99 Foo"
    assert not {"if-none-match", "if-modified-since"} & set(server.asked[1][1])


def test_an_unchanged_nobody_asked_for_is_a_fault(server: FeedServer):
    """Without a document it would be taken for one that is empty."""
    server.plays["/f"] = Reply(status=304)

    assert fetch(feed(server.url("/f")), OPEN).fault == "it answers 304"


@pytest.mark.parametrize(
    ("statuses", "permanent"),
    [((301,), 1), ((308, 301), 2), ((302,), 0), ((301, 302, 301), 1), ((307, 301), 0)],
    ids=str,
)
def test_permanent_redirects_are_told_from_others(server: FeedServer, statuses: tuple[int, ...], permanent: int):
    """The address to keep is the last before the first redirect that is for now only."""
    for number, status in enumerate(statuses):
        server.plays[f"/{number}"] = moved(f"/{number + 1}", status)
    server.plays[f"/{len(statuses)}"] = Reply(BODY)

    came = fetch(feed(server.url("/0")), OPEN)

    assert (came.body, came.fault, came.address) == (BODY, "", server.url(f"/{len(statuses)}"))
    assert came.permanent == (server.url(f"/{permanent}") if permanent else "")


@pytest.mark.parametrize(
    ("to", "fault"),
    [
        ("/f", "it redirects in a circle"),
        ("file:///etc/passwd", "it redirects to what is no address of the web"),
        ("gopher://127.0.0.1/", "it redirects to what is no address of the web"),
        ("", "it redirects in a circle"),
        ("http://[::1", "it redirects to what is no address of the web"),
        ("/gone", "it answers 410"),
    ],
)
def test_redirects_that_lead_nowhere_are_faults(server: FeedServer, to: str, fault: str):
    """A circle, another scheme, an address that is none, an error behind it."""
    server.plays["/f"] = moved(to, 301)
    server.plays["/gone"] = Reply(status=410)

    came = fetch(feed(server.url("/f")), OPEN)

    assert (came.fault, came.body) == (fault, b"")


def test_redirects_have_an_end(server: FeedServer):
    """After five of them nobody is asked any more."""
    server.plays.update({f"/{number}": moved(f"/{number + 1}") for number in range(50)})

    assert fetch(feed(server.url("/0")), OPEN).fault == "it redirects more than 5 times"
    assert len(server.asked) == 6


def test_a_password_in_a_redirect_goes_nowhere(server: FeedServer):
    """It is left out of the next request."""
    server.plays["/f"] = moved(f"http://user:secret@127.0.0.1:{server.port}/g")
    server.plays["/g"] = Reply(BODY)

    came = fetch(feed(server.url("/f")), OPEN)

    assert came.body == BODY
    assert "authorization" not in server.asked[1][1]
    assert "secret" not in came.address


@pytest.mark.parametrize("status", [204, 206, 300, 305, 401, 404, 410, 418, 500])
def test_other_answers_are_faults_with_their_status(server: FeedServer, status: int):
    """The status is what the schedule goes by."""
    server.plays["/f"] = Reply(status=status)

    came = fetch(feed(server.url("/f")), OPEN)

    assert (came.status, came.fault) == (status, f"it answers {status}")


def test_when_to_come_back_is_told(server: FeedServer):
    """Retry-After comes back with a refusal."""
    server.plays["/f"] = Reply(status=429, headers={"retry-after": "120"})

    assert fetch(feed(server.url("/f")), OPEN).headers["retry-after"] == "120"


def test_headers_that_cannot_be_sent_back_are_not_kept(server: FeedServer):
    """One of other letters, or one without end."""
    server.plays["/f"] = Reply(BODY, headers={"etag": '"\xe9"', "last-modified": "x" * 5000})

    assert not {"etag", "last-modified"} & set(fetch(feed(server.url("/f")), OPEN).headers)


def test_a_server_that_is_not_there_is_a_fault():
    """Nobody listens, and no such name."""
    with FeedServer() as server:
        nobody = server.url("/")

    assert "refused" in fetch(feed(nobody), OPEN).fault
    assert (
        fetch(feed("http://no.such.name.invalid/"), OPEN, look_up=_nothing).fault
        == "no.such.name.invalid has no address"
    )


def _nothing(host: str, port: int) -> list[str]:
    raise OSError
