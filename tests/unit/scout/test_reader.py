"""Reading in a process of its own: what is read, and what happens with documents that are never done."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from atra.scout.parsing import parse
from atra.scout.reader import Reader, Readers, Unread
from tests.feeding import entry, rss

AT = "https://site.example/feed"
GOOD = rss(entry(1, "It speaks of numpy and of Alan Turing."), entry(2))
ENDLESS = rss("<a " + " ".join(f'a{number}="1"' for number in range(200_000)) + "/>")
TOO_LARGE = rss("<description>" + "&#x41;" * 4_000_000 + "</description>")


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader({"numpy"}, patience_s=1.0)
    yield made
    made.close()


def test_what_is_read_there_is_what_is_read_here(reader: Reader):
    """The same records, subjects among them, over a pipe."""
    assert reader.read(GOOD, {}, AT) == parse(GOOD, {}, AT, {"numpy"})
    assert reader.read(b"<html>", {}, AT) == Unread("it is no feed")
    assert reader.read(b"", {}, AT) == Unread("it is no feed")


def test_a_document_that_is_never_done_is_left(reader: Reader):
    """Its process is ended, and the next document is read by a new one."""
    assert reader.read(GOOD, {}, AT) == parse(GOOD, {}, AT, {"numpy"})
    assert reader.read(ENDLESS, {}, AT) == Unread("it takes more than 1 s to read")
    assert reader.read(GOOD, {}, AT) == parse(GOOD, {}, AT, {"numpy"})


def test_a_reader_that_is_killed_costs_one_document(reader: Reader):
    """Whatever ended it."""
    reader.read(GOOD, {}, AT)
    assert reader._process is not None
    reader._process.kill()
    reader._process.wait()

    assert isinstance(reader.read(GOOD, {}, AT), Unread)
    assert reader.read(GOOD, {}, AT) == parse(GOOD, {}, AT, {"numpy"})


def test_many_threads_share_few_readers():
    """Each document goes to one, and each answer to who asked."""
    readers = Readers(2)
    documents = [rss(entry(number)) for number in range(20)]
    try:
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda body: readers.read(body, {}, AT), documents))
    finally:
        readers.close()

    assert found == [parse(body, {}, AT) for body in documents]
