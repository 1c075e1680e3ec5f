"""Lists of feeds and pages that name some: what is taken from them, and what they cannot do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atra.core.errors import BadInput
from atra.scout.discovery import discover
from atra.scout.outlines import DEFAULT, Outline, read_opml, write_opml

AT = "https://site.example/blog/"


def opml(inside: str, before: str = "") -> bytes:
    return f'<?xml version="1.0"?>{before}<opml version="2.0"><head/><body>{inside}</body></opml>'.encode()


def test_nested_outlines_are_read():
    """However deep, by either spelling of the names, once each; a folder is no feed."""
    listed = read_opml(opml(
        '<outline text="Folder"><outline text="Deeper"><outline type="rss" title="A" xmlUrl="https://a.example/f"/></outline>'
        '<OUTLINE text="B" xmlurl="b.example/rss"/></outline><outline text="again" xmlUrl="https://a.example/f"/>'
    ))  # fmt: skip

    assert listed.feeds == (Outline("https://a.example/f", "A"), Outline("https://b.example/rss", "B"))
    assert listed.refused == ()


def test_what_cannot_be_followed_is_told():
    """The rest of the list is taken."""
    bad = ("file:///etc/passwd", "javascript:alert(1)", "https://me:secret@a.example/", "http://")
    listed = read_opml(opml("".join(f'<outline xmlUrl="{one}"/>' for one in (*bad, "https://ok.example/"))))

    assert [one.address for one in listed.feeds] == ["https://ok.example/"]
    assert len(listed.refused) == 4
    assert "secret" not in str(listed.refused)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (opml('<outline xmlUrl="&l29;"/>', f'<!DOCTYPE opml [<!ENTITY l0 "lol">{LAUGHS}]>'), "declares entities"),
        (opml('<outline xmlUrl="&x;"/>', '<!DOCTYPE opml [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "declares"),
        (opml("<outline>" * 5000), "nested more than"),
        (opml('<outline xmlUrl="https://a.example/"/>' * 5001), "more than 5000 feeds"),
        (b"x" * (5 * 2**20 + 1), "larger than"),
        (b"<rss/>", "it begins with <rss>"),
        (b"", "this is no OPML"),
        (b"\x00\xff", "this is no OPML"),
        (opml("<outline")[:-20], "this is no OPML"),
    ],
    ids=["laughs", "outside entity", "deep", "many", "large", "a feed", "nothing", "noise", "cut off"],
)
def test_hostile_lists_are_refused_in_a_sentence(data: bytes, said: str):
    """Nothing is expanded, nothing is opened."""
    with pytest.raises(BadInput, match=said):
        read_opml(data)


@given(st.lists(st.tuples(st.from_regex(r"https://[a-z]{3,9}\.example/[a-z?&=<\"']{0,9}", fullmatch=True), st.text())))
def test_what_is_written_can_be_read(feeds: list[tuple[str, str]]):
    """Each address and title comes back, whatever characters are in them."""
    listed = read_opml(write_opml(Outline(address, title) for address, title in feeds).encode())

    again = read_opml(write_opml(listed.feeds).encode())
    assert again.feeds == tuple(Outline(one.address, one.title or one.address) for one in listed.feeds)
    assert len(listed.feeds) <= len(feeds)
    assert listed.refused == ()


def test_the_list_that_comes_along_is_good():
    """Every address can be followed, and each is there once, over TLS."""
    listed = read_opml(DEFAULT.read_bytes())

    assert listed.refused == ()
    assert len(listed.feeds) == DEFAULT.read_text().count("xmlUrl")
    assert len(listed.feeds) > 30
    assert all(one.address.startswith("https://") and one.title for one in listed.feeds)


PAGE = b"""<!DOCTYPE html><html><head><base href="/en/">
<link rel="stylesheet" type="text/css" href="x.css"><link rel="alternate" hreflang="de" href="/de/">
<link rel='alternate' type='application/rss+xml' title='Comments' href='comments/feed'>
<LINK REL="home ALTERNATE" TYPE="Application/Atom+XML; charset=utf-8" TITLE="News &amp; more" HREF="feed.atom">
<link rel=alternate type=application/feed+json href=https://other.example/feed.json>
<link rel="alternate" type="application/rss+xml" href="javascript:alert(1)"></head>
<body><link rel="alternate" type="application/rss+xml" href="/in/the/text"></body>"""


def test_a_page_names_its_feeds():
    """In its order, relative to what it says, those of comments last, and none that its text names."""
    assert discover(PAGE, AT) == [
        ("https://site.example/en/feed.atom", "News & more"),
        ("https://other.example/feed.json", ""),
        ("https://site.example/en/comments/feed", "Comments"),
    ]


@given(st.binary(max_size=400))
def test_no_page_is_a_fault(noise: bytes):
    """Noise in it names nothing that cannot be followed."""
    for page in (noise, PAGE[:200] + noise + PAGE[200:]):
        assert all(address.startswith(("http://", "https://")) for address, _ in discover(page, AT))


@pytest.mark.parametrize(
    "part", [b"<", b"<link ", b"<!--", b"<a b=", b"&", b"<link rel=alternate type=text/xml href=/x>"]
)
def test_long_pages_have_an_end(part: bytes):
    """A few feeds are enough, and so is a megabyte."""
    assert len(discover(part * 50_000, AT)) <= 20
