"""Lists of feeds as OPML, in and out. A list is as hostile as anything: it may not declare anything, and has bounds."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from atra.core.errors import BadInput
from atra.scout.addresses import to_follow
from atra.scout.cleaning import plain

DEFAULT = Path(__file__).with_name("feeds.opml")
"""Well-known feeds on artificial intelligence and technology; addresses and names only."""

MOST_BYTES = 5 * 2**20
MOST_FEEDS = 5000
_LONGEST_TITLE = 300
_DEEPEST = 100


@dataclass(frozen=True)
class Outline:
    """A feed as a list names it."""

    address: str
    title: str


@dataclass(frozen=True)
class Listed:
    """What a list holds: the feeds, once each, and for each entry that cannot be followed why not."""

    feeds: tuple[Outline, ...]
    refused: tuple[str, ...]


def read_opml(data: bytes) -> Listed:
    """Return the feeds of an OPML document, however deep its outlines are nested.

    Raises:
        BadInput: it is no OPML, declares entities, or is too large.
    """
    if len(data) > MOST_BYTES:
        raise BadInput(f"the list is larger than {MOST_BYTES // 2**20} MiB")
    named: list[tuple[str, str]] = []
    roots: list[str] = []

    def start(tag: str, said: dict[str, str]) -> None:
        roots.append(tag.casefold())
        if len(roots) > _DEEPEST:
            raise BadInput(f"the list is nested more than {_DEEPEST} deep")
        given = {name.casefold(): value for name, value in said.items()}
        if roots[-1] == "outline" and given.get("xmlurl"):
            named.append((given["xmlurl"], given.get("title") or given.get("text") or ""))
        if len(named) > MOST_FEEDS:
            raise BadInput(f"the list names more than {MOST_FEEDS} feeds")
        if roots[0] != "opml":
            raise BadInput(f"this is no OPML: it begins with <{plain(tag, 40)}>")

    def refuse(*_: object) -> None:
        raise BadInput("the list declares entities, which no list of feeds needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: roots.pop()
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadInput(f"this is no OPML: {error}") from error
    return _listed(named)


def write_opml(feeds: Iterable[Outline]) -> str:
    """Return an OPML 2.0 document with these feeds, in their order."""
    lines = [
        f'    <outline type="rss" text={quoteattr(plain(one.title or one.address, _LONGEST_TITLE))}'
        f" xmlUrl={quoteattr(one.address)}/>"
        for one in feeds
    ]
    head = ['<?xml version="1.0" encoding="UTF-8"?>', '<opml version="2.0">', "  <head><title>Feeds</title></head>"]
    return "\n".join([*head, "  <body>", *lines, "  </body>", "</opml>", ""])


def _listed(named: Iterable[tuple[str, str]]) -> Listed:
    feeds: dict[str, Outline] = {}
    refused = []
    for address, title in named:
        try:
            followed = to_follow(address)
        except BadInput as error:
            refused.append(str(error))
        else:
            feeds.setdefault(followed, Outline(followed, plain(title, _LONGEST_TITLE)))
    return Listed(tuple(feeds.values()), tuple(refused))
