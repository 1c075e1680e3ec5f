"""Fetching a feed: politely, within limits, and from nowhere but the public network.

A name is resolved once per connection, every address that it has must be public, and the connection goes to the address
that was looked at; so it is at every redirect. Bytes are counted and the clock is looked at below the decompression and
below the headers, so that no server can be slow or long in a place where nobody looks.

What it does not cover: a private network behind a translator with a prefix of its own (NAT64 other than 64:ff9b::/96),
and proxies, which are never used. A look-up of a name takes as long as the system's resolver lets it.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore2
import httpx2

import atra
from atra.scout.addresses import redirected
from atra.scout.records import Feed, Fetched

MIB = 2**20
Resolve = Callable[[str, int], Sequence[str]]

_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
# Not public, whatever Python's table says: NAT64 for local use (RFC 8215), site-local (RFC 3879), examples (RFC 9637).
_LOCAL = (IPv6Network("64:ff9b:1::/48"), IPv6Network("fec0::/10"), IPv6Network("3fff::/20"))
_ACCEPTED = "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, */*;q=0.5"
_TOLD = (
    *("age", "cache-control", "content-language", "content-location", "content-type", "date", "etag", "expires"),
    *("last-modified", "retry-after"),
)
_LONGEST_VALUE = 1000
_MOVED = frozenset({301, 302, 303, 307, 308})
_FOR_GOOD = frozenset({301, 308})


@dataclass(frozen=True)
class Manners:
    """How servers are asked, and how much of them is borne.

    Args:
        private: networks that may be asked though they are not public, as `10.1.0.0/16`; for an intranet.
        total_s: for one address with all its redirects.
        most_bytes: of a document, decompressed; no more come in compressed either.
    """

    user_agent: str = f"atra/{atra.__version__} (feed reader)"
    private: tuple[str, ...] = ()
    connect_s: float = 10.0
    read_s: float = 15.0
    total_s: float = 30.0
    most_bytes: int = 15 * MIB
    most_redirects: int = 5


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order in which the system would try them.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the public network; with it, each IPv4 address that it stands for."""
    one = ip_address(address.partition("%")[0])
    local = any(one in network for network in _LOCAL)
    return not local and all(each.is_global and not each.is_multicast for each in (one, *_within(one)))


def fetch(feed: Feed, manners: Manners, *, look_up: Resolve = resolve) -> Fetched:
    """Ask for a feed's document, unless it is as it was; follow redirects; never raise for what a server does.

    Args:
        feed: only its address and what is needed to ask whether it has changed count.
        look_up: how names are resolved.
    """
    budget = _Budget(time.monotonic() + manners.total_s, manners.most_bytes)
    address, permanent, lasting, seen = feed.address, "", True, {feed.address}
    for _ in range(manners.most_redirects + 1):
        came = _ask(address, feed if feed.validated == address else None, manners, budget, look_up)
        if came.status not in _MOVED or came.fault:
            return replace(came, permanent=permanent)
        address = redirected(address, came.headers.get("location", ""))
        lasting = lasting and came.status in _FOR_GOOD
        permanent = address if lasting else permanent
        if not address:
            return replace(came, headers={}, fault="it redirects to what is no address of the web")
        if address in seen:
            return replace(came, headers={}, fault="it redirects in a circle")
        seen.add(address)
    return Fetched(0, address, fault=f"it redirects more than {manners.most_redirects} times")


def _ask(address: str, known: Feed | None, manners: Manners, budget: "_Budget", look_up: Resolve) -> Fetched:
    """Ask one address for its document, without following a redirect.

    Args:
        known: a feed whose last document came from this very address.
    """
    headers = {"user-agent": manners.user_agent, "accept": _ACCEPTED}
    if known and known.etag:
        headers["if-none-match"] = known.etag
    if known and known.last_modified:
        headers["if-modified-since"] = known.last_modified
    limits = httpx2.Timeout(manners.read_s, connect=manners.connect_s)
    backend = _Checked(budget, [ip_network(one) for one in manners.private], look_up)
    try:
        with (
            httpx2.Client(transport=_Transport(backend), timeout=limits, trust_env=False) as client,
            client.stream("GET", address, headers=headers, follow_redirects=False) as response,
        ):
            return _read(response, address, "if-none-match" in headers or "if-modified-since" in headers, manners)
    except httpx2.DecodingError:
        return Fetched(0, address, fault="its compression is broken")
    except httpx2.ConnectTimeout:
        return Fetched(0, address, fault="it does not answer")
    except httpx2.TimeoutException:
        return Fetched(0, address, fault="it is too slow")
    except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as error:
        return Fetched(0, address, fault=_told(error))


def _read(response: httpx2.Response, address: str, conditional: bool, manners: Manners) -> Fetched:
    """Return the response, with its body where it is a document."""
    status = int(response.status_code)
    if status in _MOVED:
        return Fetched(status, address, headers={"location": response.headers.get("location", "")})
    headers = {name: response.headers[name] for name in _TOLD if name in response.headers}
    came = Fetched(status, address, headers={name: value for name, value in headers.items() if _fits(value)})
    if status == 304 and conditional:
        return came
    if status != 200:
        return replace(came, fault=f"it answers {status}")
    parts, size = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > manners.most_bytes:
            return replace(came, fault=f"it is longer than {manners.most_bytes // MIB} MiB")
    return replace(came, body=b"".join(parts))


def _fits(value: str) -> bool:
    """Say whether a header's value can be kept and sent back word for word."""
    return len(value) <= _LONGEST_VALUE and value.isascii() and value.isprintable()


def _told(error: Exception) -> str:
    text = " ".join("".join(one if one.isprintable() else " " for one in str(error)).split())
    return text[:200] or type(error).__name__


def _within(one: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address stands for, by any of the ways to write one into it."""
    if isinstance(one, IPv4Address):
        return
    yield from (each for each in (one.ipv4_mapped, one.sixtofour, *(one.teredo or ())) if each)
    if one in _NAT64 or one in _COMPATIBLE:
        yield IPv4Address(int(one) & 0xFFFFFFFF)


@cache
def _certificates() -> ssl.SSLContext:
    """Return the authorities that are believed; reading them takes tens of milliseconds."""
    context: ssl.SSLContext = httpx2.create_ssl_context(trust_env=False)
    return context


class _Budget:
    """What one fetch may still take: until when, and how many bytes."""

    def __init__(self, deadline_s: float, most_bytes: int) -> None:
        self._deadline_s = deadline_s
        self._left_bytes = most_bytes + MIB  # headers, and a compression that makes things longer

    def time(self, timeout: float | None) -> float:
        """Return for how long to wait now."""
        left = self._deadline_s - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the time for this address is over")
        return left if timeout is None else min(left, timeout)

    def take(self, count: int) -> None:
        """Note what has come in."""
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise httpcore2.ReadError("it sends without end")


class _Stream(httpcore2.NetworkStream):
    """A connection on a budget."""

    def __init__(self, inner: httpcore2.NetworkStream, budget: _Budget) -> None:
        self._inner = inner
        self._budget = budget

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, and note how much."""
        data = self._inner.read(max_bytes, self._budget.time(timeout))
        self._budget.take(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, while there is time."""
        self._inner.write(buffer, self._budget.time(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Speak TLS from here on, within the same budget."""
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._budget.time(timeout)), self._budget)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection says of itself."""
        return self._inner.get_extra_info(info)


class _Checked(httpcore2.SyncBackend):
    """Opens connections to addresses that were looked at, and only to them."""

    def __init__(self, budget: _Budget, private: Sequence[IPv4Network | IPv6Network], look_up: Resolve) -> None:
        self._budget = budget
        self._private = private
        self._look_up = look_up

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of the host that answers; all of them must be public.

        Raises:
            httpcore2.ConnectError: it has none, one of them is not public, or none answers.
        """
        try:
            addresses = self._look_up(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host} has no address") from error
        if not all(is_public(address) or self._is_allowed(address) for address in addresses):
            raise httpcore2.ConnectError(f"{host} is not on the public network")
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                inner = super().connect_tcp(address, port, self._budget.time(timeout), local_address, socket_options)
                return _Stream(inner, self._budget)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed

    def _is_allowed(self, address: str) -> bool:
        one = ip_address(address.partition("%")[0])
        return any(one in network for network in self._private)


class _Transport(httpx2.HTTPTransport):
    """The library's own transport, over connections that this module opens."""

    def __init__(self, backend: httpcore2.NetworkBackend) -> None:
        super().__init__(verify=_certificates(), trust_env=False)
        # It offers no argument for this (httpx2 2.16); the pool itself does.
        self._pool = httpcore2.ConnectionPool(ssl_context=_certificates(), network_backend=backend, max_connections=1)
