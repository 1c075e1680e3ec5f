"""PostgreSQL and Redis out of wheels: they start, are shared, come back, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from atra.core.errors import StackUnavailable
from atra.embedded import Embedded, embedded
from atra.embedded.keeper import Home, Serving, read
from atra.embedded.processes import alive, as_nobody
from tests.services.watching import eventually, processes_of

USER = """
import sys, time
from pathlib import Path
from atra.embedded import Embedded, embedded
with embedded(Path(sys.argv[1])) as services:
    print(services.redis_url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty home; at the end nothing that ran for it may run any more."""
    yield tmp_path / "home"
    eventually(lambda: not processes_of(tmp_path))


def url_of(process: "subprocess.Popen[str]") -> str:
    """Wait until the other process uses the services; return the URL it was given."""
    assert process.stdout is not None
    return process.stdout.readline()


def answers(services: Embedded) -> bool:
    """Say whether both services take commands."""
    try:
        return sql(services.database_url, "select 1") == 1 and bool(redis.Redis.from_url(services.redis_url).ping())
    except (OperationalError, redis.ConnectionError):
        return False


def sql(url: str, statement: str) -> object:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        engine.dispose()


def serving(home: Path) -> Serving:
    found = read(Home(home))
    assert found is not None
    return found


@pytest.fixture
def user(home: Path) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Start other processes that use the services until they are told to leave."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", USER, str(home)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_services_work_and_keep_their_data(home: Path) -> None:
    """What was written is there at the next start; pgvector is at hand; a start from nothing takes under 3 s."""
    began = time.monotonic()
    with embedded(home) as services:
        took_s = time.monotonic() - began
        sql(services.database_url, "create extension vector")
        sql(services.database_url, "create table kept as select '[1,2]'::vector <-> '[1,3]' as distance")
        redis.Redis.from_url(services.redis_url).set("kept", "yes")

    with embedded(home) as services:
        distance = sql(services.database_url, "select distance from kept")
        kept = redis.Redis.from_url(services.redis_url).get("kept")

    assert (distance, kept) == (1.0, b"yes")
    assert took_s < 3


def test_nothing_is_left_behind(home: Path) -> None:
    """After the last user has left: no process, no socket, no record, no shared memory."""
    with embedded(home) as services:
        segment = (home / "postgres/postmaster.pid").read_text().splitlines()[6].split()[1]
        kind = sql(services.database_url, "show dynamic_shared_memory_type")
        attached = segments()

    assert processes_of(home) == []
    assert sorted(file.name for file in (home / "run").iterdir()) == ["keeper.lock", "users.lock"]
    assert (segment in attached, segment in segments()) == (True, False)
    assert kind == "mmap"  # so in the data folder, not in /dev/shm


def segments() -> set[str]:
    """Return the numbers of this machine's System V shared memory segments."""
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def test_redis_is_protected_and_keeps_messages(home: Path) -> None:
    """No password, no answer; nothing is evicted; every write goes to the log on disk."""
    with embedded(home) as services:
        client = redis.Redis.from_url(services.redis_url)
        port = client.connection_pool.connection_kwargs["port"]
        stranger = redis.Redis(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0))
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        policy = client.config_get("*")

    assert (policy["maxmemory-policy"], policy["appendonly"], policy["bind"]) == ("noeviction", "yes", "127.0.0.1")


def test_everything_is_private(home: Path) -> None:
    """Other users of the machine can enter none of the folders, and the record is for the owner's eyes."""
    with embedded(home):
        modes = {path.name: path.stat().st_mode & 0o077 for path in [home, *home.iterdir(), home / "run/services.json"]}

    assert set(modes.values()) == {0}


def test_processes_share_the_services(home: Path, user: Callable[[], "subprocess.Popen[str]"]) -> None:
    """Two that start at once get the same servers, and these stay until the second one has left."""
    first, second = user(), user()
    urls = {url_of(first), url_of(second)}
    keeper = serving(home).keeper
    first.communicate("\n")
    still = alive(keeper)
    second.communicate("\n")

    assert len(urls) == 1
    assert (still, alive(keeper)) == (True, False)


def test_a_killed_user_counts_as_gone(home: Path, user: Callable[[], "subprocess.Popen[str]"]) -> None:
    """SIGKILL of the only user stops the services within seconds."""
    only = user()
    url_of(only)
    only.kill()

    eventually(lambda: not processes_of(home), 5)


@pytest.mark.parametrize("service", ["redis", "postgres"])
def test_a_killed_service_comes_back(home: Path, service: str) -> None:
    """SIGKILL of either server: it is there again under the same URL, with its data."""
    with embedded(home) as services:
        redis.Redis.from_url(services.redis_url).set("kept", "yes")
        sql(services.database_url, "create table kept as select 1 as one")
        time.sleep(1.1)  # Redis writes its log once a second
        victim = next(who for who in serving(home).services if service in psutil.Process(who.pid).name())
        os.kill(victim.pid, signal.SIGKILL)
        eventually(lambda: not alive(victim))
        eventually(lambda: answers(services))

        assert redis.Redis.from_url(services.redis_url).get("kept") == b"yes"
        assert sql(services.database_url, "select one from kept") == 1


def test_a_killed_keeper_takes_its_services_along(home: Path) -> None:
    """SIGKILL of the keeper leaves no server, and the next one serves under the same URLs."""
    with embedded(home) as services:
        before = serving(home)
        urls = services.database_url, services.redis_url
        os.kill(before.keeper.pid, signal.SIGKILL)
        eventually(lambda: not any(map(alive, (before.keeper, *before.services))))
        services.ensure()

        assert answers(services)
        assert (services.database_url, services.redis_url) == urls


def test_all_killed_at_once_is_repaired_at_the_next_start(home: Path) -> None:
    """After SIGKILL of everything the stale locks hinder nobody, even when a stranger has the dead server's number."""
    with embedded(home):
        before = serving(home)
        for end in (signal.SIGSTOP, signal.SIGKILL):  # nobody is left a moment to tidy up when another one dies
            for who in (before.keeper, *before.services):
                os.kill(who.pid, end)
        eventually(lambda: not processes_of(home))
    for lock in (home / "postgres/postmaster.pid", Path(before.sockets) / ".s.PGSQL.5432.lock"):
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    with embedded(home) as services:
        assert answers(services)


@pytest.mark.parametrize("name", ["a b, \"c\" 'd'", "very" * 40], ids=["quotes", "long"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    """Spaces, quotes and paths longer than a unix socket may have."""
    with embedded(tmp_path / name) as services:
        sockets = serving(tmp_path / name).sockets

        assert answers(services)
    assert not (Path(sockets) / ".s.PGSQL.5432").exists()
    assert name in sockets or not Path(sockets).exists()


def test_programs_in_private_folders_can_be_used(tmp_path: Path) -> None:
    """A virtual environment below root's HOME, closed to others, serves as well as an open one."""
    program = tmp_path / "private" / "program"
    program.parent.mkdir(mode=0o700)
    program.touch(mode=0o755)
    command = ["setpriv", *as_nobody(), "--", "test", "-x", str(program), "-a", "-r", str(program)]

    assert subprocess.run(command, check=False).returncode == 0


def test_a_start_that_fails_says_why(home: Path) -> None:
    """The end of the failing server's log is the message."""
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "PG_VERSION").write_text("9\n")

    with pytest.raises(StackUnavailable, match="postgres"), embedded(home):
        pass
