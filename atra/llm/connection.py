"""The HTTP under the SDKs: what may leave this machine, how long and how much may come back, and what went unanswered.

The SDKs read keys, addresses and headers from the environment when they are not told otherwise. They are told, and
what they send passes here last: only the headers named below leave, and the key is the one ATRA was given. No proxy
and no netrc of the environment counts; certificates are those the system trusts.

Not covered: a server that sends its headers byte by byte is held to the time-out per byte only, and one that falls
silent in the middle of a reply may take up to twice the time-out; the meter waits for neither (`atra.llm.waiting`). The
SDKs' pauses between attempts, of seconds, may end after the time-out.
"""

import json
import ssl
import time
from collections.abc import Iterator
from email.utils import mktime_tz, parsedate_tz
from functools import cache
from types import TracebackType

import httpx2
import pydantic

from atra.core.errors import AtraError, KeyRefused, ModelRejected, ModelUnavailable

MAX_REPLY_BYTES = 4 * 2**20
MAX_STREAM_BYTES = 64 * 2**20  # every token of a stream comes in a JSON object of its own, and the whole once more
HELD = "held by the connection"  # what the SDKs are given for a key: they look for none then, and know none
MASKED = 8  # letters a key has at least; a placeholder for servers without keys may be any word
LEAVING = frozenset({"accept", "anthropic-version", "connection", "content-length", "content-type", "host"})
PASSING = frozenset({408, 409, 425, 429})
BILLED_AWAY = frozenset({408, 504, 524})  # a gateway gave up; the model behind it may have worked on


class Connection(httpx2.BaseTransport):
    """The way to one server for one call; `with` closes it. The time-out is for all attempts of the call together.

    `unanswered` counts the attempts that went out and were not turned away: all but the last of them, if that one
    brought the reply, went without an answer. `request` is the latest attempt, `request_id` the server's name for it.
    """

    def __init__(self, *, key: str, timeout_s: float, streamed: bool) -> None:
        self.key = key
        self.timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self.limit_bytes = MAX_STREAM_BYTES if streamed else MAX_REPLY_BYTES
        self.unanswered = 0
        self.request_id = ""
        self.request = httpx2.Request("POST", "http://unsent")
        self._inner = httpx2.HTTPTransport(verify=_trusted(), trust_env=False)
        self.client = httpx2.Client(transport=self, timeout=timeout_s, follow_redirects=False, trust_env=False)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.client.close()

    def close(self) -> None:
        """Close the sockets."""
        self._inner.close()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one attempt, and count it.

        Raises:
            httpx2.ReadTimeout: there is no time left for another one.
        """
        self.request = request
        if (left_s := self._left_s()) <= 0:
            raise httpx2.ReadTimeout(f"no whole answer came within {self.timeout_s:g} s")
        limits = httpx2.Timeout(left_s, connect=min(10.0, left_s))
        request.extensions = {**request.extensions, "timeout": limits.as_dict()}
        request.headers = self._leaving(request.headers)
        try:
            response = self._inner.handle_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol):
            raise
        except httpx2.HTTPError:
            self.unanswered += 1
            raise
        if response.is_success or response.status_code in BILLED_AWAY:
            self.unanswered += 1
        self.request_id = response.headers.get("x-request-id") or response.headers.get("request-id") or ""
        self._cap_waiting(response.headers)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(response, self._deadline, self.limit_bytes),
            extensions=response.extensions,
        )

    def _leaving(self, headers: httpx2.Headers) -> httpx2.Headers:
        kept = httpx2.Headers([(name, value) for name, value in headers.multi_items() if name.lower() in LEAVING])
        kept["user-agent"] = "atra"
        kept["accept-encoding"] = "identity"  # a compressed reply could be a bomb
        if self.key:
            kept["authorization"] = f"Bearer {self.key}"
        return kept

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()

    def _cap_waiting(self, headers: httpx2.Headers) -> None:
        """Let the SDK wait as long as the server asks, or give up at once where that is after the time-out."""
        headers.pop("retry-after-ms", None)
        asked_s = _seconds(headers.get("retry-after", ""))
        if asked_s is None:
            return
        if asked_s < self._left_s():
            headers["retry-after"] = f"{max(asked_s, 0.001):.3f}"
        else:
            headers["x-should-retry"] = "false"


class _Bounded(httpx2.SyncByteStream):
    """The body of a response, held to a deadline and a size."""

    def __init__(self, response: httpx2.Response, deadline: float, limit_bytes: int) -> None:
        self._response = response
        self._deadline = deadline
        self._limit_bytes = limit_bytes

    def __iter__(self) -> Iterator[bytes]:
        if self._response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.RemoteProtocolError("the reply is compressed, which was not asked for")
        assert isinstance(self._response.stream, httpx2.SyncByteStream)
        size_bytes = 0
        for chunk in self._response.stream:
            size_bytes += len(chunk)
            if size_bytes > self._limit_bytes:
                raise httpx2.RemoteProtocolError(f"the reply is larger than {self._limit_bytes} bytes")
            if time.monotonic() > self._deadline:
                raise httpx2.ReadTimeout("the reply took longer than its time-out")
            yield chunk

    def close(self) -> None:
        self._response.close()


def answers(base_url: str, *, timeout_s: float = 5.0) -> bool:
    """Say whether anything at all answers at this address; what it says does not matter, and no key is sent."""
    with Connection(key="", timeout_s=timeout_s, streamed=False) as connection:
        try:
            connection.client.get(f"{base_url.rstrip('/')}/models")
        except httpx2.HTTPError:
            return False
    return True


def translated(error: Exception, name: str, connection: Connection) -> AtraError:
    """Return ATRA's error for what an SDK, or the reading of what came, has raised in a call of the model `name`.

    The provider's own word counts first, then the status, which some servers write into the body of a success. What
    has neither, a connection that broke or a body that cannot be read, is worth another try.
    """
    body = getattr(error, "body", None)
    fault = body.get("error", body) if isinstance(body, dict) else None
    words = [str(fault.get(key)) for key in ("code", "type")] if isinstance(fault, dict) else []
    known = [_BY_WORD[word] for word in words if word in _BY_WORD]
    statuses = [int(word) for word in words if word.isdecimal()] or [getattr(error, "status_code", 0)]
    kind = known[0] if known else _by_status(statuses[0])
    return kind(name, _reason(error, connection.key), connection.unanswered)


UNREADABLE = (json.JSONDecodeError, UnicodeDecodeError, RecursionError, pydantic.ValidationError, httpx2.HTTPError)
"""What is raised where a body breaks off, is no JSON, or is JSON that no answer looks like."""

# An error inside a stream comes under status 200, and an account without money answers 429 for ever.
_BY_WORD: dict[str, type[AtraError]] = {
    "insufficient_quota": KeyRefused,
    "authentication_error": KeyRefused,
    "permission_error": KeyRefused,
    "billing_error": KeyRefused,
    "overloaded_error": ModelUnavailable,
    "rate_limit_error": ModelUnavailable,
    "api_error": ModelUnavailable,
    "timeout_error": ModelUnavailable,
}


def _by_status(status: int) -> type[AtraError]:
    if status in (401, 402, 403):
        return KeyRefused
    return ModelRejected if 300 <= status < 500 and status not in PASSING else ModelUnavailable


def _reason(error: Exception, key: str) -> str:
    """Say in one line what happened, without the key that a server may echo."""
    text = " ".join(_said(error).split())
    return (text.replace(key, "***") if len(key) >= MASKED else text)[:500]


def _said(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"its answer cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return f"its answer is no JSON: {error}"
    response = getattr(error, "response", None)
    if response is not None and "location" in response.headers:
        return f"it redirects to {response.headers['location']}, set that as base_url"
    if body := getattr(error, "body", None):
        fault = body.get("error", body) if isinstance(body, dict) else body
        told = fault.get("message") if isinstance(fault, dict) else None
        return f"{f'status {response.status_code}: ' if response is not None else ''}{told or body}"
    return str(error.__cause__ or "") or str(error) or repr(error)


def _seconds(given: str) -> float | None:
    """Read a Retry-After: seconds, or a date."""
    try:
        asked_s = float(given)
    except ValueError:
        date = parsedate_tz(given)
        asked_s = mktime_tz(date) - time.time() if date else float("nan")
    return asked_s if asked_s == asked_s else None  # a NaN is not equal to itself


@cache
def _trusted() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)
