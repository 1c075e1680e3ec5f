"""Documents of feeds: what is taken from RSS, Atom and JSON Feed, and what of them reaches nobody."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.scout.parsing import MOST_ITEMS, parse
from atra.scout.records import Document, Item
from tests.feeding import rss

AT = "https://site.example/feed"
ATOM = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="/blog/"><title>Blog</title>
<entry><id>tag:1</id><title type="text">a &lt;b&gt; c</title><link href="one?utm_source=x&amp;p=1#top"/>
<updated>2026-11-20T10:00:00+02:00</updated><summary>short</summary>
<content type="html">&lt;p&gt;One&lt;/p&gt;&lt;p&gt;two &amp;amp; three&lt;/p&gt;
&lt;script&gt;four()&lt;/script&gt;</content>
</entry></feed>"""


def read(body: bytes, **headers: str) -> Document:
    found = parse(body, headers, AT)
    assert found is not None
    return found


def only(body: bytes) -> Item:
    (item,) = read(body).items
    return item


def test_an_atom_entry():
    """Its id, its address without what tracks, its longest text without markup, when it was changed."""
    item = only(ATOM)

    assert (item.key, item.address) == ("tag:1", "https://site.example/blog/one?p=1")
    assert (item.title, item.text) == ("a <b> c", "One two & three")
    assert item.published_at == datetime(2026, 11, 20, 8, tzinfo=UTC)


def test_an_rss_item():
    """Entities are undone once where a title is HTML; a relative link is relative to the feed."""
    title, date = "A &amp;amp; B &lt;i&gt;x&lt;/i&gt;", "<pubDate>Mon, 23 Nov 2026 10:00:00 +0200</pubDate>"
    said = f"<title>{title}</title><link>/n/1</link><guid>g1</guid>{date}<description>&lt;b&gt;text</description>"
    item = only(rss(said))

    assert (item.title, item.text, item.address, item.key) == ("A & B x", "text", "https://site.example/n/1", "g1")
    assert item.published_at == datetime(2026, 11, 23, 8, tzinfo=UTC)


def test_what_a_channel_asks_for():
    """ttl in minutes, the syndication module's period, hours and days that are skipped."""
    hours = "<skipHours><hour>1</hour><hour>24</hour><hour>77</hour></skipHours>"
    asks = f"<ttl>90</ttl>{hours}<skipDays><day>Sunday</day></skipDays>"
    hints = read(rss("<title>x</title>", channel=asks)).hints
    module = (
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"'
        b' xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"><channel><title>x</title>'
        b"<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency></channel></rdf:RDF>"
    )

    assert (hints.ttl_s, hints.skip_hours, hints.skip_days) == (5400, {1, 0}, {6})
    assert read(module).hints.ttl_s == 6 * 3600


def json_feed(*items: Any, **more: Any) -> bytes:
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "J", "items": items, **more}).encode()


def test_a_json_feed():
    """Text before HTML, the entry's own address before the one that it is about, an id that is a number."""
    body = json_feed(
        {"id": 7, "url": "/a", "external_url": "https://other.example/", "title": "T", "content_html": "<p>a<p>b",
         "date_published": "2026-11-20T10:00:00Z"},
        {"id": "x", "external_url": "https://other.example/", "content_text": "a <b>", "summary": "s"},
    )  # fmt: skip
    first, second = read(body).items

    assert (first.key, first.address, first.text) == ("7", "https://site.example/a", "a b")
    assert first.published_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert (second.address, second.text, second.published_at) == ("https://other.example/", "a <b>", None)


@pytest.mark.parametrize(
    "said",
    [
        {"version": 1},
        {"items": {}},
        {"items": [1, "x", None, []]},
        {"title": ["x"], "items": [{"id": {}, "title": 5, "content_html": [], "url": 7, "date_published": "soon"}]},
        {"items": [{"id": True, "url": "javascript:alert(1)", "date_published": "9999-99-99"}]},
        {"items": [{"id": "x", "content_text": "t", "date_published": "0001-01-01T00:00:00+14:00"}]},
        {"items": [{"id": "\ud800", "content_text": "\udfff", "url": "https://x.example/\ud800"}]},
    ],
    ids=["none", "no list", "no objects", "other types", "odd values", "before the calendar", "half characters"],
)
def test_json_of_other_shapes_is_no_fault(said: dict[str, Any]):
    """What has another type than the format gives it says nothing."""
    found = parse(json.dumps({"version": "https://jsonfeed.org/version/1", **said}).encode(), {}, AT)

    assert found is None or all(one.published_at is None and one.key.isascii() for one in found.items)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0",
        b"<html><body>no feed</body></html>",
        b"{" * 100_000,
        b'{"version": "https://jsonfeed.org/version/1"',
        b"plain",
        b"\xff\xfe<",
    ],
    ids=["nothing", "NUL", "a page", "deep JSON", "half JSON", "text", "half UTF-16"],
)
def test_what_is_no_feed_is_none(body: bytes):
    """It is told from one that is empty."""
    assert parse(body, {}, AT) is None


def test_a_feed_that_is_broken_is_read_as_far_as_it_goes():
    """Cut off in the middle, and with an entity that XML does not know."""
    body = rss("<title>One &nbsp; two</title><guid>1</guid>", "<title>Cut</title><guid>2</guid>")[:-40]

    assert [item.key for item in read(body).items][:1] == ["1"]


CAFE = "<rss version='2.0'><channel><item><title>caf\xe9</title></item></channel></rss>"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/xml; charset=iso-8859-1"}, CAFE.encode("latin-1")),
        ({}, f'<?xml version="1.0" encoding="utf-16"?>{CAFE}'.encode("utf-16")),
        ({}, f'<?xml version="1.0" encoding="windows-1252"?>{CAFE}'.encode("cp1252")),
        ({"content-type": "text/xml; charset=no-such"}, CAFE.encode()),
    ],
    ids=["by the header", "by a mark", "by itself", "by guessing"],
)
def test_encodings_are_told_apart(headers: dict[str, str], body: bytes):
    """By what the server says, or the document."""
    found = parse(body, headers, AT)

    assert found is not None
    assert found.items[0].title == "caf\xe9"


def test_items_that_share_an_id_are_told_apart():
    """Some feeds give all of their items the site's address as id; the same item twice is one."""
    item = "<title>{0}</title><link>https://site.example/{0}</link><guid>https://site.example/</guid>"
    found = read(rss(*(item.format(name) for name in "abca"))).items

    assert [one.address[-1] for one in found] == ["a", "b", "c"]
    assert len({one.key for one in found}) == 3


def test_an_item_without_an_id_keeps_its_key():
    """By its address, else by what it says, the same at each poll."""
    body = rss("<title>x</title><link>https://site.example/1</link>", "<title>only words</title>")
    first, again = read(body).items, read(body).items

    assert [one.key for one in first] == [one.key for one in again]
    assert first[0].key == "https://site.example/1"


def test_long_things_have_an_end():
    """Items, texts, titles and keys are bounded."""
    said = f"<title>{'t' * 999}</title><description>{'d ' * 40_000}</description>"
    found = read(rss(*(f"{said}<guid>{'g' * 999}{number}</guid>" for number in range(MOST_ITEMS + 9)))).items

    assert len(found) == MOST_ITEMS
    assert all(len(one.title) <= 300 and len(one.text) <= 20_000 and len(one.key) <= 300 for one in found)


@pytest.mark.parametrize(
    "date", ["0", "Thu, 01 Jan 1970 00:00:00 GMT", "32 Foo 2026", "9" * 40, "Mon, 23 Nov 99999 1:1:1"]
)
def test_dates_that_mean_nothing_are_none(date: str):
    """A default of some program, and what is no date."""
    assert only(rss(f"<title>x</title><pubDate>{date}</pubDate>")).published_at is None


@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_a_feed_says_can_steer(title: str, text: str):
    """Whatever stands in it, plain words of one line come out."""
    for one in read(json_feed({"id": "1", "title": title, "content_html": text, "url": "/"})).items:
        assert not set("\x1b\x07\x9b\u202e\u200b\n\r\0\ud800\U000e0041") & set(one.title + one.text + one.key)


@given(st.binary(max_size=300), st.sampled_from([b"", ATOM, rss("<title>x</title>"), json_feed({"id": "1"})]))
def test_no_bytes_are_a_fault(noise: bytes, body: bytes):
    """Noise in any place of a document leaves a document, or none."""
    middle = len(body) // 2
    for broken in (noise + body, body + noise, body[:middle] + noise + body[middle:]):
        parse(broken, {"content-type": noise.decode("latin-1")}, AT)
