"""Addresses on the web: which may be followed, and when two of them mean one article."""

import re
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

from atra.core.errors import BadInput

LONGEST = 2000
_PORTS = {"http": 80, "https": 443}

# Parameters that say through which campaign or click somebody came, and nothing of what is there.
_TRACKING = re.compile(
    r"utm_\w*|[a-z]*clid|mc_[ce]id|igshid|_hs\w+|mkt_tok|oly_\w+_id|vero_(?:id|conv)|wickedid|yclid|ncid|cmpid|"
    r"s_cid|_openstat|ga_[a-z]+|at_(?:medium|campaign|link\w*)|__s|spm",
    re.IGNORECASE,
)
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_KEPT = "%/:=&?~#+!$,;'@()*[]"  # quoted already, or of a meaning that quoting would take away


def canonical(address: str, base: str = "") -> str:
    """Return the one form of an article's address; empty for what is none, or cannot be opened over HTTP.

    Scheme and host in small letters, the host in ASCII, no default port, no name and password, no fragment, no
    parameters that track; the rest as it came, quoted.

    Args:
        base: what a relative address is relative to.
    """
    seen = _UNSEEN.sub("", address)
    parts = _parts(urljoin_or_empty(base, seen)) if seen else None
    if parts is None:
        return ""
    query = "&".join(pair for pair in parts.query.split("&") if not _TRACKING.fullmatch(pair.partition("=")[0]))
    return _written(parts, query)


def to_follow(address: str) -> str:
    """Return the address of a feed or a page as it is asked; `feed:` and a missing scheme are understood.

    Raises:
        BadInput: it is no address of the web, or carries a name or a password, which would be kept and shown.
    """
    text = _UNSEEN.sub("", address)
    shown = text[:200]
    text = re.sub(r"^feed:(?://)?(?=https?:)", "", text)
    text = re.sub(r"^feed://", "http://", text)
    if "://" not in text and re.match(r"[\w.-]+\.[a-z]{2,}(?:[:/?]|$)", text, re.IGNORECASE):
        text = f"https://{text}"
    parts = _parts(text)
    if parts is None:
        raise BadInput(f"{shown or 'nothing'} is no address that begins with http:// or https://")
    if "@" in parts.netloc:
        raise BadInput("the address carries a name or a password, which ATRA would keep and show")
    written = _written(parts, parts.query)
    if not written:
        raise BadInput(f"an address has at most {LONGEST} characters")
    return written


def redirected(address: str, location: str) -> str:
    """Return where a redirect leads; empty for what is not followed: another scheme, or none at all.

    A name and a password in it are left out.
    """
    parts = _parts(urljoin_or_empty(address, _UNSEEN.sub("", location)))
    return "" if parts is None else _written(parts, parts.query)


def host_of(address: str) -> str:
    """Return the host of an address, in small letters; empty where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def same_site(address: str, other: str) -> bool:
    """Say whether one of the two hosts is the other, or lies below it: `feeds.example.org` and `example.org`."""
    one, two = host_of(address), host_of(other)
    return bool(one and two) and (one == two or one.endswith(f".{two}") or two.endswith(f".{one}"))


def urljoin_or_empty(base: str, address: str) -> str:
    """Return the address, absolute; empty where one of the two is broken."""
    try:
        return urljoin(base, address)
    except ValueError:
        return ""


def _parts(address: str) -> SplitResult | None:
    """Return the parts of an address of the web whose host can be looked up."""
    try:
        parts = urlsplit(address)
        port = parts.port
        host = _ascii(parts.hostname or "")
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host:
        return None
    user, mark, _ = parts.netloc.rpartition("@")
    host = f"[{host}]" if ":" in host else host
    place = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    return parts._replace(netloc=f"{user}{mark}{place}")


def _ascii(host: str) -> str:
    """Return the host as it is looked up.

    Raises:
        ValueError: it cannot be.
    """
    host = host.lower()
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    if not re.fullmatch(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}", host):
        raise ValueError(host)
    return host


def _written(parts: SplitResult, query: str) -> str:
    """Return the address without name, password and fragment; empty where it is too long."""
    place = parts.netloc.rpartition("@")[2]
    path, query = (quote(one, safe=_KEPT) for one in (parts.path or "/", query))
    address = urlunsplit((parts.scheme, place, path, query, ""))
    return address if len(address) <= LONGEST else ""
