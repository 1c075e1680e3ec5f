"""The documents of feeds: RSS and Atom in all their forms through feedparser, JSON Feed by its own rules.

Bytes of strangers come in and plain records come out. This runs in a process of its own (`atra.scout.reader`), because
there are documents that keep a parser busy for hours.
"""

import calendar
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import feedparser

from atra.scout.addresses import canonical
from atra.scout.cleaning import plain, text_of
from atra.scout.likeness import bands, sketch
from atra.scout.records import Document, Hints, Item
from atra.scout.subjects import subjects_of

MOST_ITEMS = 300
_LONGEST_TITLE = 300
_LONGEST_TEXT = 20_000
_LONGEST_KEY = 300
_HEAD = 65_536  # bytes in which what a feed says of itself is looked for

_PERIODS_S = {"hourly": 3600.0, "daily": 86_400.0, "weekly": 604_800.0, "monthly": 2_592_000.0, "yearly": 31_536_000.0}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SKIPPED = re.compile(rb"<skip(Hours|Days)>(.{0,4000}?)</skip\1>", re.DOTALL | re.IGNORECASE)
_LISTED = re.compile(rb"<(?:hour|day)>\s*(\w{1,10})\s*</", re.IGNORECASE)


def parse(
    body: bytes, headers: Mapping[str, str], address: str, names: Collection[str] = frozenset()
) -> Document | None:
    """Return what a document holds; None for one that is no feed.

    Args:
        headers: of the response, names in small letters; its content type and language count.
        address: where it came from; relative addresses are relative to it.
        names: known to this installation, see `atra.scout.subjects`.
    """
    document = _json_feed(body, address) if body.lstrip()[:1] == b"{" else _feed(body, headers, address)
    return document and replace(document, items=tuple(_told(one, names) for one in _apart(document.items)))


def _feed(body: bytes, headers: Mapping[str, str], address: str) -> Document | None:
    known = {name: headers[name] for name in ("content-type", "content-language") if name in headers}
    # Bare bytes would be taken for the name of a file. Sanitising is nh3's part, on what is kept. It is not told the
    # feed's address, since it would make addresses of short ids, which would change with every move of the feed.
    read = feedparser.parse(io.BytesIO(body), response_headers=known, sanitize_html=False, resolve_relative_uris=False)
    if not read.get("version") and not read.entries:
        return None
    items = tuple(_item(entry, address) for entry in read.entries[:MOST_ITEMS])
    return Document(_line(read.feed.get("title_detail"), _LONGEST_TITLE), items, _hints(read.feed, body[:_HEAD]))


def _item(entry: dict[str, Any], address: str) -> Item:
    title = _line(entry.get("title_detail"), _LONGEST_TITLE)
    texts = [_line(each, _LONGEST_TEXT) for each in (*entry.get("content", ())[:3], entry.get("summary_detail"))]
    text = max(texts, key=len)
    at = canonical(_text(entry.get("link")), address)
    return Item(_key(_text(entry.get("id")), at, title, text), at, title, text, _date(entry))


def _line(detail: Mapping[str, Any] | None, most: int) -> str:
    """Return a text of feedparser as plain text, by the type that it has."""
    value = _text((detail or {}).get("value"))
    return plain(value, most) if (detail or {}).get("type") == "text/plain" else text_of(value, most)


def _date(entry: dict[str, Any]) -> datetime | None:
    for name in ("published_parsed", "updated_parsed", "created_parsed"):
        # Past feedparser's own way to look things up, which takes one date for another, with a warning.
        parsed = dict.get(entry, name)
        try:
            at = datetime.fromtimestamp(calendar.timegm(parsed or ()), UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            continue
        if 1990 <= at.year < 2200:  # else a default of some program, or a slip
            return at
    return None


def _hints(channel: Mapping[str, Any], head: bytes) -> Hints:
    """Return what the channel asks for; feedparser keeps only the last of several hours, so they are read by hand."""
    skipped: dict[bytes, set[str]] = {
        kind.lower(): {word.decode().lower() for word in _LISTED.findall(inside)}
        for kind, inside in _SKIPPED.findall(head)
    }
    hours = frozenset(int(word) % 24 for word in skipped.get(b"hours", ()) if word.isdecimal() and int(word) <= 24)
    days = frozenset(_DAYS.index(word) for word in skipped.get(b"days", ()) if word in _DAYS)
    ttl_s = 60 * _number(channel.get("ttl"))
    period_s = _PERIODS_S.get(_text(channel.get("sy_updateperiod")).strip().lower(), 0.0)
    often = max(_number(channel.get("sy_updatefrequency")), 1.0)
    return Hints(max(ttl_s, period_s / often), hours, days)


def _number(said: object) -> float:
    text = _text(said).strip()
    return float(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0.0


def _json_feed(body: bytes, address: str) -> Document | None:
    """Read a JSON Feed; None for JSON that is none. Fields of another type than theirs say nothing.

    Source: https://www.jsonfeed.org/version/1.1/
    """
    try:
        said = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or "jsonfeed.org/version/" not in _text(said.get("version")):
        return None
    entries = said.get("items")
    listed = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    items = tuple(_json_item(one, address) for one in listed[:MOST_ITEMS])
    return Document(plain(_text(said.get("title")), _LONGEST_TITLE), items)


def _json_item(entry: Mapping[str, Any], address: str) -> Item:
    title = plain(_text(entry.get("title")), _LONGEST_TITLE)
    text = plain(_text(entry.get("content_text")), _LONGEST_TEXT)
    text = text or text_of(_text(entry.get("content_html")), _LONGEST_TEXT)
    text = text or plain(_text(entry.get("summary")), _LONGEST_TEXT)
    found = entry.get("url") or entry.get("external_url")
    at = canonical(_text(found), address) if found else ""
    own = entry.get("id")
    key = str(own) if isinstance(own, int | float) and not isinstance(own, bool) else _text(own)
    return Item(_key(key, at, title, text), at, title, text, _json_date(entry))


def _json_date(entry: Mapping[str, Any]) -> datetime | None:
    for name in ("date_published", "date_modified"):
        try:
            at = datetime.fromisoformat(_text(entry.get(name)))
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""


def _key(own: str, address: str, title: str, text: str) -> str:
    """Return what tells an item from others: its own id, else its address, else what it says."""
    key = plain(own, _LONGEST_KEY + 1) or address
    if key and len(key) <= _LONGEST_KEY:
        return key
    return sha256(f"{own or address or (title, text)}".encode("utf-8", "replace")).hexdigest()


def _apart(items: Collection[Item]) -> Iterator[Item]:
    """Yield each item once; where several bear one id, as in feeds that give all their own, the address counts."""
    count = Counter(item.key for item in items)
    seen: set[str] = set()
    for item in items:
        one = replace(item, key=_key("", item.address, item.title, item.text)) if count[item.key] > 1 else item
        if one.key not in seen and (one.title or one.text or one.address):
            seen.add(one.key)
            yield one


def _told(item: Item, names: Collection[str]) -> Item:
    """Return the item with what it speaks of, and what near-duplicates are found by."""
    made = sketch(item.text)
    return replace(item, subjects=subjects_of(item.title, item.text, names), sketch=made, bands=bands(made))
