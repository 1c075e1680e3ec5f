"""The cache under what goes wrong: killed writers, many writers, a killed maker. A miss at worst, nothing lost."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from atra.semantic_cache import Fresh, Hit, Meaning, Miss, SemanticCache
from atra.semantic_cache.view import View
from atra.storage.cache import CacheStore
from atra.storage.database import connect
from tests.faults.cacher import QUESTION
from tests.meaning import DIM, Near, Words

ROOT = Path(__file__).parents[2]
OTHER_WORDS = "the worker how do i restart"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = connect(database_url)
    yield made
    made.dispose()


def opened(engine: Engine, folder: Path, poll_s: float = 0.0) -> SemanticCache:
    store = CacheStore(engine)
    return SemanticCache(
        store,
        Meaning(Words(), lambda one: View(store, identity=one.identity, dim=DIM, folder=folder, poll_s=poll_s), Near()),
    )


def process(url: str, folder: Path, what: str, argument: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.faults.cacher", url, str(folder), what, str(argument)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_an_entry_whose_writer_was_killed_before_it_was_indexed_is_found(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    reader = opened(engine, tmp_path)
    assert isinstance(reader.lookup(OTHER_WORDS), Miss)
    with process(database_url, tmp_path, "die") as writer:
        assert writer.wait(60) == -signal.SIGKILL
    assert isinstance(reader.lookup(QUESTION), Hit)
    assert isinstance(reader.lookup(OTHER_WORDS), Hit)


def test_of_eight_writers_no_row_is_lost_and_none_unseen_after_a_second(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    reader = opened(engine, tmp_path, poll_s=0.2)
    writers = [process(database_url, tmp_path, "write", 40) for _ in range(8)]
    reader.lookup("anything")
    while any(writer.poll() is None for writer in writers):
        reader.lookup("anything")  # it follows while they write
        time.sleep(0.01)
    pids = [int(writer.communicate()[0]) for writer in writers]
    until = time.monotonic() + 1.0
    unseen = {f"of {pid} entry {number}" for pid in pids for number in range(40)}  # the same words otherwise ordered
    while unseen and time.monotonic() < until:
        unseen = {asked for asked in unseen if not isinstance(reader.lookup(asked), Hit)}
    assert not unseen
    assert reader.stats().counts.live == 320


def test_the_turn_of_one_who_was_killed_is_free(engine: Engine, database_url: str, tmp_path: Path) -> None:
    with process(database_url, tmp_path, "hold") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "began\n"
        holder.kill()
    served = opened(engine, tmp_path).answer(QUESTION, lambda: Fresh("mine"))
    assert (served.answer, served.hit) == ("mine", None)


def test_eight_processes_of_fifty_threads_make_one_call(engine: Engine, database_url: str, tmp_path: Path) -> None:
    asking = [process(database_url, tmp_path, "ask", 50) for _ in range(8)]
    assert {one.communicate(timeout=60)[0] for one in asking} == {"so\n"}
    assert len((tmp_path / "calls").read_text().split()) == 1
