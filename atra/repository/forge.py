"""The door to a forge: a branch that was pushed becomes a pull request. GitHub's REST API is the one spoken so far.

The token goes to the forge's own address over TLS (or to this machine) and nowhere else: no redirect is followed, no
proxy or netrc of the environment counts, and what a forge says is told without it.
"""

import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import httpx2

from atra.core.errors import BadInput, ForgeRefused, ForgeUnavailable
from atra.core.redaction import MASK

TIMEOUT_S = 20.0
_MOST_BYTES = 2**20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TOKEN = re.compile(r"[!-~]+")
_SHORT_FORM = re.compile(r"(?:[^@/:]+@)?(?P<host>[^/:\[\]]+):(?!/)(?P<path>.+)")  # git@host:owner/name


@dataclass(frozen=True)
class Place:
    """Where a repository lies: the host that serves it, its owner and its name."""

    host: str
    owner: str
    name: str


@dataclass(frozen=True)
class PullRequest:
    """What is asked for: that `base` takes in the branch `head`, both of one repository."""

    place: Place
    head: str
    base: str
    title: str
    body: str


class Forge(Protocol):
    """Where a team talks about changes before they are merged."""

    def open(self, asked: PullRequest) -> str:
        """Return the address of the open pull request for this branch, which is made unless there is one.

        Raises:
            ForgeUnavailable: another try may succeed.
            ForgeRefused: it will not.
        """
        ...


def place_of(url: str) -> Place:
    """Return where a remote's address points.

    Raises:
        BadInput: it names no owner and repository at a host, as a folder's path does not.
    """
    try:
        parts = urlsplit(url) if "://" in url else None
    except ValueError:
        parts = urlsplit("")
    found = None if parts else _SHORT_FORM.fullmatch(url)
    if parts and parts.scheme in {"http", "https", "ssh", "git"}:
        host, path = parts.hostname or "", parts.path
    elif found:
        host, path = found["host"].lower(), found["path"]
    else:
        host, path = "", ""
    names = path.strip("/").removesuffix(".git").split("/")
    if not host or len(names) != 2 or not all(map(_PART.fullmatch, names)):
        raise BadInput("the remote's address names no owner and repository at a forge")
    return Place(host.removeprefix("ssh."), *names)


class GitHub:
    """GitHub, or what speaks its API.

    Args:
        url: the API's address, `https://api.github.com` or one's own server's.
        token: may open pull requests in the repository.

    Raises:
        BadInput: the address is neither one over TLS nor on this machine, or the token cannot stand in a header.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise BadInput("forge_url is no address") from error
        token = token.strip()  # a secret that comes out of a file ends in a line end
        if not _TOKEN.fullmatch(token):
            raise BadInput("ATRA_FORGE_TOKEN is empty, or holds what no token holds")
        self._host = parts.hostname or ""
        if not self._host or (parts.scheme != "https" and not (parts.scheme == "http" and self._host in _LOOPBACK)):
            raise BadInput(
                f"forge_url must begin with https://, since a token goes there: {url.partition('@')[2] or url}"
            )
        self._url = url.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s

    def open(self, asked: PullRequest) -> str:
        """Return the address of the open pull request for this branch, which is made unless there is one.

        Raises:
            BadInput: the remote lies at another host than this forge.
            ForgeUnavailable, ForgeRefused: as `Forge` says.
        """
        place = asked.place
        if self._host not in {*_LOOPBACK, place.host, f"api.{place.host}"}:
            raise BadInput(f"the remote lies at {place.host}, and forge_url at {self._host}")
        pulls = f"/repos/{place.owner}/{place.name}/pulls"
        if there := self._open_one(pulls, asked):
            return there
        wanted = {"title": asked.title, "body": asked.body, "head": asked.head, "base": asked.base}
        status, answer = self._ask("POST", pulls, wanted)
        if status == 422 and (there := self._open_one(pulls, asked)):  # another copy of this step was first
            return there
        self._check(status, answer, place)
        return self._address(answer)

    def _open_one(self, pulls: str, asked: PullRequest) -> str:
        head = quote(f"{asked.place.owner}:{asked.head}", safe="")
        status, answer = self._ask("GET", f"{pulls}?state=open&head={head}&base={quote(asked.base, safe='')}")
        self._check(status, answer, asked.place)
        if not isinstance(answer, list):
            raise ForgeRefused(self._host, "its answer cannot be read")
        return next((self._address(one) for one in answer if self._is_of(one, asked)), "")

    def _is_of(self, answer: Any, asked: PullRequest) -> bool:
        """Return whether it is this branch's; some servers pass over a filter that they do not know."""
        head = answer.get("head") if isinstance(answer, dict) else None
        return isinstance(head, dict) and head.get("ref") == asked.head

    def _address(self, answer: Any) -> str:
        address = answer.get("html_url") if isinstance(answer, dict) else None
        if not isinstance(address, str) or urlsplit(address).scheme not in {"http", "https"} or len(address) > 500:
            raise ForgeRefused(self._host, "its answer names no pull request")
        return self._told(address)

    def _ask(self, method: str, path: str, given: Mapping[str, str] | None = None) -> tuple[int, Any]:
        headers = {
            "accept": "application/vnd.github+json",
            "accept-encoding": "identity",  # a compressed answer could be a bomb
            "authorization": f"Bearer {self._token}",
            "user-agent": "atra",
            "x-github-api-version": "2022-11-28",
        }
        deadline, data = time.monotonic() + self._timeout_s, b""
        context: ssl.SSLContext = httpx2.create_ssl_context(trust_env=False)
        try:
            with (
                httpx2.Client(
                    timeout=self._timeout_s, follow_redirects=False, trust_env=False, verify=context
                ) as client,
                client.stream(method, f"{self._url}{path}", headers=headers, json=given) as response,
            ):
                for chunk in response.iter_raw():
                    data += chunk
                    if len(data) > _MOST_BYTES or time.monotonic() > deadline:
                        raise ForgeUnavailable(self._host, "its answer is too long, or came too slowly")
                return self._status(response), _read(data)
        except httpx2.HTTPError as error:
            raise ForgeUnavailable(self._host, f"{type(error).__name__}: {self._told(str(error))}") from error

    def _status(self, response: httpx2.Response) -> int:
        """Return the status.

        Raises:
            ForgeUnavailable: it has had enough of us for now, which comes as a 403 too.
        """
        status, headers = int(response.status_code), response.headers
        limited = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
        if status == 429 or status >= 500 or (status == 403 and limited):
            raise ForgeUnavailable(self._host, f"it answers {status}")
        return status

    def _check(self, status: int, answer: Any, place: Place) -> None:
        if status in (200, 201):
            return
        where = f"{place.owner}/{place.name}"
        if 300 <= status < 400:
            raise ForgeRefused(self._host, f"it sends us elsewhere ({status}), where the token does not go")
        known = {
            401: "it does not know the token in ATRA_FORGE_TOKEN",
            403: f"the token may not open pull requests in {where}",
            404: f"it has no {where}, or none that the token may see",
        }
        said = self._told(_complaint(answer))
        raise ForgeRefused(self._host, f"{known.get(status, f'it answers {status}')}{f': {said}' if said else ''}")

    def _told(self, text: str) -> str:
        told = text.replace(self._token, MASK)
        return " ".join("".join(one if one.isprintable() else " " for one in told).split())[:300]


def _read(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None


def _complaint(answer: Any) -> str:
    """Return what GitHub says of a request that it does not take: a message, and what is wrong with which field."""
    if not isinstance(answer, dict):
        return ""
    errors = answer.get("errors")
    listed = errors if isinstance(errors, list) else []
    said = [
        str(one.get("message") or f"{one.get('field')} {one.get('code')}") for one in listed if isinstance(one, dict)
    ]
    return "; ".join([str(answer.get("message") or ""), *said[:3]]).strip("; ")
