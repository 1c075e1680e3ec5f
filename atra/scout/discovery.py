"""The feeds that a page names for programs to find."""

from html.parser import HTMLParser

from atra.scout.addresses import canonical
from atra.scout.cleaning import plain

MOST = 20
_LOOKED_AT = 2**19
_LONGEST_TITLE = 300
_FEEDS = frozenset(
    {"application/rss+xml", "application/atom+xml", "application/feed+json", "application/rdf+xml", "text/xml"}
)


def discover(page: bytes, address: str) -> list[tuple[str, str]]:
    """Return address and title of each feed that a page names, in its order, those of comments last.

    Args:
        page: HTML; one that is none names nothing.
        address: of the page, which relative addresses are relative to.

    Source: https://www.rssboard.org/rss-autodiscovery
    """
    finder = _Finder(address)
    for start in range(0, min(len(page), _LOOKED_AT), 2**14):
        finder.feed(page[start : start + 2**14].decode("utf-8", "replace"))
        if finder.over or len(finder.found) >= MOST:
            break
    return sorted(finder.found.items(), key=lambda one: "comment" in f"{one[0]} {one[1]}".casefold())


class _Finder(HTMLParser):
    """Reads the head of a page, as far as there is one."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.over = False
        self._base = address

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a link to a feed, and of what addresses are relative to."""
        self.over = self.over or tag == "body"
        if self.over:
            return
        said = {name: value or "" for name, value in attrs}
        if tag == "base" and said.get("href"):
            self._base = canonical(said["href"], self._base) or self._base
        if tag == "link" and "alternate" in said.get("rel", "").casefold().split():
            kind = said.get("type", "").partition(";")[0].strip().casefold()
            found = canonical(said.get("href", ""), self._base) if kind in _FEEDS else ""
            if found and len(self.found) < MOST:
                self.found.setdefault(found, plain(said.get("title", ""), _LONGEST_TITLE))
