"""Takes reports out of the spool and sends them to ATRA's broker, in a thread of its own, at a gentle pace.

The thread is a daemon, started at the first report of each process. A broker that is away or hangs costs only this
thread: short time limits, growing pauses. A report is removed after the broker has taken it, so a process that dies in
between sends it twice; ATRA counts it once more, that is all.
"""

import contextlib
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.utils import uuid

from atra.integrations.spool import Spool

TASK, QUEUE = "self_repair.receive", "maintenance"
PER_MINUTE = 120
_SOCKET_S = 3.0
_LOOK_AGAIN_S = 5.0
_LONGEST_PAUSE_S = 60.0

log = logging.getLogger("atra.integrations")


class Shipper:
    """Sends what waits in a spool.

    Args:
        broker_url: where ATRA's workers listen.
        serializer: a name known to kombu: `json`, or the signed form where ATRA's workers want signatures.
        per_minute: at most so many reports are sent a minute.
        first_pause_s: the pause after the first failure to send; it doubles up to a minute.
    """

    def __init__(
        self,
        spool: Spool,
        broker_url: str,
        *,
        serializer: str = "json",
        per_minute: int = PER_MINUTE,
        first_pause_s: float = 1.0,
    ) -> None:
        self._spool = spool
        self._broker_url = broker_url
        self._serializer = serializer
        self._interval_s = 60.0 / per_minute
        self._first_pause_s = first_pause_s
        self._pid = 0
        self._awake = threading.Event()

    def wake(self) -> None:
        """See to it that what waits is sent soon; returns at once."""
        if self._pid != os.getpid():  # the first call, or the first one after a fork: threads do not survive it
            self._pid, self._awake = os.getpid(), threading.Event()
            threading.Thread(target=self._work, args=(self._awake,), name="atra-shipper", daemon=True).start()
        self._awake.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing waits any more, at most so long; return whether that is so."""
        self.wake()
        deadline = time.monotonic() + timeout_s
        while self._spool.waiting():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    def send_waiting(self) -> None:
        """Send every report that waits, unless another process does so already.

        Raises:
            Exception: whatever the broker's client says; the report that was being sent stays.
        """
        with self._spool.draining() as mine:
            if not mine:
                return
            while files := self._spool.waiting():
                with _Line(self._broker_url, self._serializer) as line:
                    for file in files:
                        self._send(line, file)
                        time.sleep(self._interval_s)

    def _send(self, line: "_Line", file: Path) -> None:
        try:
            report = json.loads(file.read_bytes())
        except FileNotFoundError:
            return
        except ValueError:  # nobody will ever be able to send it
            self._spool.count_dropped()
        else:
            line.send(report)
        with contextlib.suppress(FileNotFoundError):
            file.unlink()

    def _work(self, awake: threading.Event) -> None:
        pause_s = self._first_pause_s
        while True:
            awake.wait()
            awake.clear()
            while self._anything_waits():
                try:
                    self.send_waiting()
                    pause_s = self._first_pause_s
                    if self._anything_waits():  # another process is sending
                        time.sleep(_LOOK_AGAIN_S)
                except Exception as error:  # noqa: BLE001 - the edge of a thread in somebody else's process
                    log.debug("reports wait, ATRA's broker does not take them: %s", type(error).__name__)
                    time.sleep(pause_s)
                    pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    def _anything_waits(self) -> bool:
        try:
            return bool(self._spool.waiting())
        except OSError:
            return False


class _Line:
    """An open connection to the broker. kombu is used without the host's Celery application, whose pools, signals and
    settings stay untouched."""

    def __init__(self, broker_url: str, serializer: str) -> None:
        self._serializer = serializer
        self._app: Any = Celery("atra-reports", broker=broker_url, set_as_current=False, fixups=[])
        self._app.conf.broker_transport_options = _options(broker_url)
        self._app.conf.task_queues = {QUEUE: {"exchange": "", "routing_key": QUEUE}}

    def __enter__(self) -> "_Line":
        self._connection = self._app.connection_for_write(connect_timeout=_SOCKET_S)
        self._producer = self._connection.Producer(serializer=self._serializer)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()

    def send(self, report: dict[str, Any]) -> None:
        message = self._app.amqp.as_task_v2(uuid(), TASK, args=(report,), argsrepr=_shown(report), ignore_result=True)
        self._producer.publish(
            message.body,
            headers=message.headers,
            exchange="",
            routing_key=QUEUE,
            declare=[self._app.amqp.queues[QUEUE]],
            retry=False,
            delivery_mode=2,
            **message.properties,
        )


def _shown(report: dict[str, Any]) -> str:
    """Return what Flower shows of the arguments."""
    return f"({report.get('repository')!r}, {report.get('error_type')!r})"


def _options(broker_url: str) -> dict[str, Any]:
    """Return the transport options: ATRA's prefix, as celeryconfig.py has it, and short time limits, for Redis."""
    if not broker_url.startswith(("redis", "rediss", "sentinel")):
        return {}
    return {"socket_timeout": _SOCKET_S, "socket_connect_timeout": _SOCKET_S, "global_keyprefix": "atra:"}
