"""The view against a database played by a list: whatever is written, in whatever order, it finds what is there."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atra.core.errors import DatabaseUnavailable
from atra.semantic_cache.records import Page, Row
from atra.semantic_cache.snapshots import Snapshots
from atra.semantic_cache.view import View
from tests.meaning import DIM, unit

SCOPE = "s"


@dataclass
class Log:
    """Rows by id, as a database shows them: those of transactions that were committed."""

    rows: dict[int, Row] = field(default_factory=dict)
    clock: int = 100
    open: set[int] = field(default_factory=set)
    down: bool = False
    pages: int = 0
    name: str = "here"

    def begin(self) -> int:
        self.clock += 1
        self.open.add(self.clock)
        return self.clock

    def commit(self, number: int, entry: int, vector: np.ndarray | None) -> Row:
        self.open.discard(number)
        row = Row(entry, number, None if vector is None else vector.astype("<f4").tobytes())
        self.rows[entry] = row
        return row

    def write(self, entry: int, vector: np.ndarray | None) -> Row:
        return self.commit(self.begin(), entry, vector)

    def page(self, scope: str, embedder: str, after: tuple[int, int], limit: int) -> Page:
        if self.down:
            raise DatabaseUnavailable("it is down")
        self.pages += 1
        rows = sorted(self.rows.values(), key=lambda row: (row.written, row.id))
        found = [row for row in rows if (row.written, row.id) > after][:limit]
        return Page(tuple(found), min(self.open, default=self.clock + 1))

    def cluster(self) -> str:
        return self.name


def view(log: Log, folder: Path | None = None, flat: int = 8) -> View:
    return View(log, identity="words-1", dim=DIM, folder=folder, flat=flat, poll_s=0.0)


def direction(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=DIM).astype(np.float32)


def vector(number: int) -> np.ndarray:
    made = direction(number)
    return made / np.linalg.norm(made)


def test_what_was_written_is_found() -> None:
    log = Log()
    log.write(1, unit(1))
    log.write(2, unit(0, 1))
    near = view(log).near(SCOPE, unit(0.1, 1), 2)
    assert [one.id for one in near] == [2, 1]
    assert near[0].cosine == pytest.approx(1 / np.sqrt(1.01), abs=1e-5)


def test_a_transaction_that_commits_late_is_not_missed() -> None:
    log = Log()
    seen = view(log)
    slow = log.begin()
    log.write(2, unit(0, 1))
    assert [one.id for one in seen.near(SCOPE, unit(1), 5)] == [2]
    log.write(3, unit(0, 0, 1))
    assert len(seen.near(SCOPE, unit(1), 5)) == 2
    log.commit(slow, 1, unit(1))  # its number is below those that were read
    assert seen.near(SCOPE, unit(1), 1)[0].id == 1


def test_what_is_gone_is_not_found_and_what_changed_is_found_where_it_is_now() -> None:
    log = Log()
    for entry in range(30):
        log.write(entry, vector(entry))
    seen = view(log)
    seen.settle(SCOPE)  # all are in a graph now
    log.write(3, None)
    log.write(4, vector(400))
    seen.settle(SCOPE)
    assert seen.near(SCOPE, vector(3), 1)[0].id != 3
    assert seen.near(SCOPE, vector(400), 1)[0].id == 4
    assert seen.near(SCOPE, vector(4), 1)[0].id != 4


def test_a_database_that_is_down_costs_news_and_nothing_else() -> None:
    log = Log()
    log.write(1, unit(1))
    seen = view(log)
    assert seen.near(SCOPE, unit(1), 1)[0].id == 1
    log.down = True
    log.write(2, unit(0, 1))
    assert [one.id for one in seen.near(SCOPE, unit(0, 1), 5)] == [1]
    log.down = False
    assert seen.near(SCOPE, unit(0, 1), 1)[0].id == 2


def test_a_restored_database_is_read_anew() -> None:
    log = Log()
    log.clock = 5000
    log.write(1, unit(1))
    seen = view(log)
    assert seen.near(SCOPE, unit(1), 1)[0].id == 1
    log.clock, log.rows = 10, {}
    log.write(2, unit(0, 1))
    seen.settle(SCOPE)
    seen.settle(SCOPE)
    assert [one.id for one in seen.near(SCOPE, unit(1), 5)] == [2]


def test_what_was_kept_of_a_later_time_goes_with_it(tmp_path: Path) -> None:
    log = filled()
    log.clock = 5000
    view(log, tmp_path).settle(SCOPE)
    log.clock, log.rows = 10, {}
    for entry in range(100, 140):
        log.write(entry, vector(entry))
    seen = view(log, tmp_path)
    seen.settle(SCOPE)
    assert not list(tmp_path.rglob("*"))
    seen.settle(SCOPE)
    [manifest] = tmp_path.rglob("*.json")
    assert json.loads(manifest.read_text())["cursor"] == log.clock + 1
    assert {one.id for one in seen.near(SCOPE, vector(5), 100)} == set(range(100, 140))


def test_what_was_forgotten_but_is_there_is_found_again() -> None:
    log = Log()
    log.begin()  # stays open, so that what comes after is read again
    log.write(1, unit(1))
    seen = view(log)
    assert seen.near(SCOPE, unit(1), 1)[0].id == 1
    seen.drop(SCOPE, 1)
    assert [one.id for one in seen.near(SCOPE, unit(1), 1)] == [1]


def test_a_slower_process_leaves_a_newer_graph_alone(tmp_path: Path) -> None:
    graphs = [faiss.IndexIDMap2(faiss.IndexFlatIP(DIM)) for _ in range(3)]
    for graph, count in zip(graphs, (40, 80, 400), strict=True):
        graph.add_with_ids(np.stack([vector(one) for one in range(count)]), np.arange(count))
    kept = Snapshots(tmp_path, SCOPE, "words-1")
    kept.save(graphs[0], 50, "here", ())
    kept.save(graphs[1], 200, "here", ())
    kept.save(graphs[2], 100, "here", ())
    newest = kept.load("here")
    assert newest is not None
    assert (newest.cursor, newest.index.ntotal) == (200, 80)
    kept.save(graphs[2], 300, "here", ())
    assert len(list(tmp_path.glob("*.json"))) == len(list(tmp_path.glob("*.faiss"))) == 2


def test_scopes_do_not_mix() -> None:
    log = Log()
    seen = view(log)
    seen.note("one", log.write(1, unit(1)))
    log.rows.clear()
    assert seen.near("two", unit(1), 5) == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "drop", "late", "settle", "look", "note", "restart"]), st.integers(1, 40)),
        max_size=80,
    )
)
@settings(max_examples=60, deadline=None)
def test_after_any_history_it_finds_what_a_search_of_all_finds(history: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        holds_after(history, Path(folder))


def holds_after(history: list[tuple[str, int]], folder: Path) -> None:
    log = Log()
    seen = view(log, folder)
    slow: list[tuple[int, int]] = []
    for number, (what, entry) in enumerate(history):
        if what == "late":
            slow.append((log.begin(), entry))
        elif what == "write":
            log.write(entry, vector(1000 * number + entry))
        elif what == "note":
            seen.note(SCOPE, log.write(entry, vector(1000 * number + entry)))
        elif what == "drop":
            log.write(entry, None)
        elif what == "restart":
            seen = view(log, folder)
        elif what == "settle":
            seen.settle(SCOPE)
        else:
            seen.near(SCOPE, vector(entry), 3)
    for number, entry in slow:
        if entry not in log.rows or log.rows[entry].written < number:
            log.commit(number, entry, vector(number))
        log.open.discard(number)
    seen.settle(SCOPE)
    alive = {row.id: np.frombuffer(row.vector, dtype="<f4") for row in log.rows.values() if row.vector}
    assert {one.id for one in seen.near(SCOPE, vector(7), 100)} <= alive.keys()
    for entry, kept in alive.items():
        best = seen.near(SCOPE, kept, 1)
        assert [one.id for one in best] == [entry]
        assert best[0].cosine == pytest.approx(1.0, abs=1e-4)


def filled(count: int = 40) -> Log:
    log = Log()
    for entry in range(count):
        log.write(entry, vector(entry))
    return log


def finds_all(seen: View, count: int = 40) -> bool:
    return all(seen.near(SCOPE, vector(entry), 1)[0].id == entry for entry in range(count))


def test_the_next_process_begins_with_the_graph(tmp_path: Path) -> None:
    log = filled()
    view(log, tmp_path).settle(SCOPE)
    log.write(2, None)
    log.write(77, vector(77))
    rows, log.rows = log.rows, {one: log.rows[one] for one in (2, 77)}  # what was written before is not read again
    seen = view(log, tmp_path)
    seen.settle(SCOPE)
    found = {one.id for one in seen.near(SCOPE, vector(5), 100)}
    assert found == rows.keys() - {2}


@pytest.mark.parametrize("harm", ["torn", "flipped", "empty", "gone", "manifest", "alien"])
def test_a_snapshot_that_is_not_whole_is_made_anew(tmp_path: Path, harm: str) -> None:
    log = filled()
    view(log, tmp_path).settle(SCOPE)
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    data = max(files, key=lambda one: one.stat().st_size)
    manifest = next(one for one in files if one != data)
    whole = data.read_bytes()
    if harm == "torn":
        data.write_bytes(whole[: len(whole) // 2])
    elif harm == "flipped":
        data.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    elif harm == "empty":
        data.write_bytes(b"")
    elif harm == "gone":
        data.unlink()
    elif harm == "manifest":
        manifest.write_text('{"half": ')
    else:
        log.name = "another database"
    seen = view(log, tmp_path)
    seen.settle(SCOPE)
    assert finds_all(seen)
    assert Snapshots(tmp_path, SCOPE, "words-1").load(log.name) is not None
    again = view(log, tmp_path)
    again.settle(SCOPE)
    assert finds_all(again)
