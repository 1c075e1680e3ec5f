"""From an exception to the spool, for every way in: never raises, takes little time, counts what it gives up."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from atra.core.redaction import MASK, Redactor
from atra.integrations.capture import capture, without_locals
from atra.integrations.recording import checkout_of
from atra.integrations.shipper import Shipper
from atra.integrations.spool import Spool
from atra.self_repair.records import Origin, Report, as_message, shortened

MOST_BYTES = 32 * 1024
PER_SECOND = 2.0  # one process reports so often for long, and `_BURST` at once
_BURST = 30.0


class Reporter:
    """Reports exceptions of one application. What it is: the state that the ways in share.

    `given_up` counts what was not reported in this process: too many at once, no room, or an error of our own.
    """

    def __init__(
        self,
        repository: str,
        spool: Spool,
        shipper: Shipper,
        redactor: Redactor,
        *,
        urgent: bool = False,
        root: Path | None = None,
        revision: str = "",
    ) -> None:
        self.given_up = 0
        self.spool = spool
        self.shipper = shipper
        self._repository = repository
        self._redactor = redactor
        self._urgent = urgent
        self._root = root
        self._revision = revision
        self._allowance, self._refilled_at = _BURST, time.monotonic()

    def report(
        self,
        exception: BaseException,
        trace: TracebackType | None,
        origin: Origin,
        *,
        text: str = "",
        task: str = "",
        arguments: Mapping[str, object] | None = None,
        ship: bool = True,
    ) -> None:
        """Put a report of the exception into the spool and have it sent; with `ship` False another process sends it."""
        try:
            if not self._may_report():
                self._give_up()
                return
            report = capture(
                exception,
                trace,
                repository=self._repository,
                origin=origin,
                seen_at=datetime.now(UTC),
                redactor=self._redactor,
                text=text,
                task=task,
                arguments=arguments,
                urgent=self._urgent,
                root=self._root,
                revision=self._revision,
            )
            if not self.spool.put(_encoded(report)):
                self.given_up += 1
            if ship:
                self.shipper.wake()
        except Exception:  # noqa: BLE001 - an error of ours must not become one of the host's
            self.given_up += 1

    def _may_report(self) -> bool:
        now = time.monotonic()
        self._allowance = min(_BURST, self._allowance + PER_SECOND * (now - self._refilled_at))
        self._refilled_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _give_up(self) -> None:
        self.given_up += 1
        self.spool.count_dropped()


def make_reporter(
    repository: str,
    *,
    broker_url: str | None = None,
    spool: str | Path | None = None,
    serializer: str | None = None,
    urgent: bool = False,
    root: str | Path | None = None,
    revision: str | None = None,
) -> Reporter:
    """Return a reporter.

    Args:
        repository: the name under which ATRA knows the application's code.
        broker_url: where ATRA's workers listen. Without it, ATRA's own settings are read (`ATRA_BROKER_URL` or
            `ATRA_REDIS_URL`).
        spool: folder in which reports wait; `~/.atra/spool/…`, one per broker, unless said.
        serializer: the name of kombu's serializer: `json`, or what `workers.signing.register(key)` returned.
        urgent: whether failures are to go to the front.
        root: the checkout's folder, so that paths are told relative to it.
        revision: the id of the commit that the application runs. Unless said, it is looked up now in the git
            repository around `root`, or else around the working directory; empty where there is none.

    Raises:
        BadInput: no address is given and ATRA's settings have none, or they have a key and no serializer is given.
    """
    home = Path.home() / ".atra"
    if broker_url is None:
        broker_url, home = _from_settings(serializer)
    place = hashlib.sha256(broker_url.encode()).hexdigest()[:12]
    queue = Spool(Path(spool) if spool else home / "spool" / place)
    shipper = Shipper(queue, broker_url, serializer=serializer or "json")
    known = [urlsplit(broker_url).password or "", *_secrets_around()]
    checkout = Path(root).resolve() if root else None
    if revision is None:
        revision = checkout_of(checkout or Path())
    return Reporter(repository, queue, shipper, Redactor(known), urgent=urgent, root=checkout, revision=revision)


def _from_settings(serializer: str | None) -> tuple[str, Path]:
    from atra.core.errors import BadInput
    from atra.core.settings import load_settings

    settings = load_settings()
    secret = settings.broker_url or settings.redis_url
    if secret is None:
        raise BadInput("give broker_url, or set ATRA_BROKER_URL or ATRA_REDIS_URL, so that failures can be reported")
    if serializer is None and settings.message_key:
        raise BadInput("ATRA's messages are signed: give serializer=workers.signing.register(key)")
    return secret.get_secret_value(), settings.home


def _secrets_around() -> list[str]:
    """Return the values of the host's environment whose names say that they are secrets, so that they can be masked."""
    redactor = Redactor()
    return [value for name, value in os.environ.items() if redactor.value({name: value})[name] == MASK]


def _encoded(report: Report) -> bytes:
    """Return the report as JSON of at most `MOST_BYTES`, giving up variables first, then the middle of the text."""
    data = json.dumps(as_message(report), ensure_ascii=False).encode("utf-8", "backslashreplace")
    if len(data) <= MOST_BYTES:
        return data
    bare = without_locals(report)
    inner = tuple(
        full if number >= len(bare.frames) - 5 else empty
        for number, (full, empty) in enumerate(zip(report.frames, bare.frames, strict=True))
    )
    data = json.dumps(as_message(replace(report, frames=inner)), ensure_ascii=False).encode("utf-8", "backslashreplace")
    if len(data) <= MOST_BYTES:
        return data
    least = replace(bare, text=shortened(bare.text, 2000), arguments={}, call=None, frames=bare.frames[-30:])
    return json.dumps(as_message(least)).encode()[:MOST_BYTES]
