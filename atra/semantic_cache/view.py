"""The index by meaning: a view of one process on the entries, thrown away with it and never believed alone.

Postgres is the truth. The view follows it by reading what was written since it last looked, and whoever finds a
neighbour here reads its row again before serving it, so a view that lags costs a miss at worst.

Source: Malkov, Yashunin 2018, arXiv:1603.09320 (HNSW), as FAISS has it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from atra.core.errors import DatabaseUnavailable, MissingPart
from atra.semantic_cache.records import Neighbour, Page, Row
from atra.semantic_cache.snapshots import Snapshots

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

POLL_S = 0.2
"""How old what a view knows of other processes' writes may get while it is asked."""

_PAGE = 20_000
_SHARE = 20  # a view rests this many times as long as it read,
_POLLS = 4  # but after one page no more than so many polls: what others wrote is known within a second
_SHARDS = 256  # scopes of which a process keeps a view
_LINKS, _BUILD_EF, _SEARCH_EF = 32, 80, 64
_DEAD_SHARE = 0.2  # of a graph, beyond which it is built anew


class Rows(Protocol):
    """Where the entries of a scope are read in the order they were written."""

    def page(self, scope: str, embedder: str, after: tuple[int, int], limit: int) -> Page:
        """Return the rows after this (written, id), the first `limit` of them."""

    def cluster(self) -> str:
        """Return what tells this database from another, whose transactions count differently."""


class View:
    """Vectors by scope: a flat list at first; a graph with a flat tail once there are more than `flat` of them.

    Safe to share between threads, but not over a fork. It never raises on account of the database: what cannot be read
    now is read later.

    Args:
        identity: of the embedder; vectors of others are not looked at.
        folder: where graphs are kept for the next process; nowhere if None.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        identity: str,
        dim: int,
        folder: Path | None = None,
        flat: int = 8192,
        poll_s: float = POLL_S,
    ) -> None:
        _faiss()
        self._rows = rows
        self._identity, self._dim, self._flat, self._poll_s = identity, dim, flat, poll_s
        self._folder = folder
        self._lock = Lock()
        self._shards: OrderedDict[str, _Shard] = OrderedDict()

    def near(self, scope: str, vector: "Vector", k: int) -> list[Neighbour]:
        """Return the k nearest entries of the scope, nearest first; `vector` has shape (dim,) and length 1."""
        shard = self._shard(scope)
        shard.follow()
        return shard.near(vector, k)

    def note(self, scope: str, row: Row) -> None:
        """Learn at once of an entry that this process wrote."""
        self._shard(scope).apply((row,))

    def drop(self, scope: str, entry_id: int) -> None:
        """Forget an entry that turned out to be gone."""
        self._shard(scope).apply((Row(entry_id, -1, None),))

    def settle(self, scope: str) -> None:
        """Wait until everything that is written by now is known, and the graph is built."""
        self._shard(scope).settle()

    def _shard(self, scope: str) -> "_Shard":
        with self._lock:
            if scope not in self._shards:
                while len(self._shards) >= _SHARDS:
                    self._shards.popitem(last=False)
                kept = Snapshots(self._folder, scope, self._identity) if self._folder else None
                self._shards[scope] = _Shard(
                    self._rows, scope, self._identity, self._dim, self._flat, self._poll_s, kept
                )
            self._shards.move_to_end(scope)
            return self._shards[scope]


class _Shard:
    """The view on one scope.

    `_lock` guards the flat list and every reference; `_busy` is held by the one thread that reads or builds. A graph is
    never changed: a new one takes its place, so it is searched without a lock.
    """

    def __init__(
        self,
        rows: Rows,
        scope: str,
        identity: str,
        dim: int,
        flat: int,
        poll_s: float,
        kept: Snapshots | None,
    ) -> None:
        faiss = _faiss()
        self._rows, self._scope, self._identity, self._dim = rows, scope, identity, dim
        self._most_flat, self._poll_s, self._kept = flat, poll_s, kept
        self._lock, self._busy = Lock(), Lock()
        self._tail = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
        self._in_tail: set[int] = set()  # for looking for an id in the list costs as much as searching it
        self._graph: Any = None
        self._in_graph: Any = _sorted_ids(())
        self._dead: set[int] = set()  # in the graph, but gone or written again since
        self._touched: set[int] | None = None  # changed while a graph is being built
        self._seen: dict[int, int] = {}  # id -> written, of rows that may be read once more
        self._cursor = 0
        self._due_s = 0.0
        self._fresh = True

    def near(self, vector: "Vector", k: int) -> list[Neighbour]:
        asked = vector.reshape(1, -1)
        with self._lock:
            found = _search(self._tail, asked, k)
            graph, dead = self._graph, self._dead
            buried = len(dead)
        if graph is not None:
            near = _search(graph, asked, k + min(buried, k))
            with self._lock:
                found += [one for one in near if one.id not in dead]
        return sorted(found, key=lambda one: -one.cosine)[:k]

    def follow(self) -> None:
        """Read what is new if it is time: one page, at first a kept graph before it; the rest in the background."""
        if monotonic() < self._due_s or not self._busy.acquire(blocking=False):
            return
        handed_over = False
        try:
            if self._read(pages=1) and self._fits():
                return
            Thread(target=self._work, name="atra-cache-view", daemon=True).start()
            handed_over = True
        finally:
            if not handed_over:
                self._busy.release()

    def settle(self) -> None:
        with self._busy:
            self._catch_up()

    def apply(self, rows: Iterable[Row]) -> None:
        """Take in rows as they are now; what is known already changes nothing."""
        import numpy as np

        with self._lock:
            news = [row for row in rows if row.written < 0 or self._seen.get(row.id) != row.written]
            if not news:
                return
            last = {row.id: row for row in news}  # the newest of an id comes last
            ids = np.array(list(last), dtype=np.int64)
            self._out_of_tail(last.keys() & self._in_tail)
            self._dead.update(int(one) for one in ids[_within(ids, self._in_graph)])
            if self._touched is not None:
                self._touched.update(last)
            for row in last.values():
                if row.written < 0:
                    self._seen.pop(row.id, None)  # if it was written meanwhile, it is read again
                else:
                    self._seen[row.id] = row.written
            kept = [row for row in last.values() if row.vector is not None and len(row.vector) == 4 * self._dim]
            if kept:
                vectors = np.frombuffer(b"".join(row.vector or b"" for row in kept), dtype="<f4")
                where = np.array([row.id for row in kept], dtype=np.int64)
                self._tail.add_with_ids(vectors.reshape(len(kept), self._dim).astype(np.float32), where)
                self._in_tail.update(row.id for row in kept)

    def _out_of_tail(self, ids: set[int]) -> None:
        import numpy as np

        if ids:
            self._tail.remove_ids(np.fromiter(ids, dtype=np.int64, count=len(ids)))
            self._in_tail -= ids

    def _work(self) -> None:
        try:
            self._catch_up()
        finally:
            self._busy.release()

    def _catch_up(self) -> None:
        self._read(pages=None)
        if not self._fits():
            self._build()

    def _fits(self) -> bool:
        with self._lock:
            buried = len(self._dead) > max(1024, _DEAD_SHARE * len(self._in_graph))
            return bool(self._tail.ntotal <= self._most_flat) and not buried

    def _read(self, pages: int | None) -> bool:
        """Read rows after the cursor; say whether that was all of them. The caller holds `_busy`."""
        if self._fresh:
            self._fresh = False
            self._restore()
        began_s, at, horizon, read = monotonic(), (self._cursor, 0), None, 0
        try:
            while pages is None or read < pages:
                page = self._rows.page(self._scope, self._identity, at, _PAGE)
                horizon = page.horizon if horizon is None else horizon
                self.apply(page.rows)
                read += 1
                if len(page.rows) < _PAGE:
                    self._advance(horizon)
                    return True
                at = (page.rows[-1].written, page.rows[-1].id)
            self._cursor = min(at[0], horizon or 0)  # goes on from here; what is read twice changes nothing
            return False
        except DatabaseUnavailable:
            return True
        finally:
            ended_s = monotonic()
            rest_s = _SHARE * (ended_s - began_s)
            self._due_s = ended_s + max(self._poll_s, rest_s if read > 1 else min(rest_s, _POLLS * self._poll_s))

    def _advance(self, horizon: int) -> None:
        """Everything that transactions before the horizon wrote is known; later ones are read again."""
        if horizon < self._cursor:  # the database was restored to an earlier time: begin anew
            self._forget()
            if self._kept is not None:
                self._kept.take_back(self._rows.cluster(), horizon)
            return
        self._cursor = horizon
        with self._lock:
            self._seen = {one: written for one, written in self._seen.items() if written >= horizon}

    def _forget(self) -> None:
        faiss = _faiss()
        with self._lock:
            self._tail, self._in_tail = faiss.IndexIDMap2(faiss.IndexFlatIP(self._dim)), set()
            self._graph, self._in_graph, self._dead, self._seen = None, _sorted_ids(()), set(), {}
            self._cursor = 0

    def _build(self) -> None:
        """Move the tail into a graph of its own, built beside the one that is searched, and put it in its place."""
        import numpy as np

        with self._lock:
            self._touched = set()
            ids, vectors = _contents(self._tail)
            graph, in_graph, dead = self._graph, self._in_graph, set(self._dead)
        if graph is None or len(dead) > max(1024, _DEAD_SHARE * len(in_graph)):
            if graph is not None:
                old_ids, old_vectors = _contents(graph)
                alive = ~np.isin(old_ids, np.fromiter(dead, dtype=np.int64, count=len(dead)))
                ids, vectors = np.concatenate([old_ids[alive], ids]), np.concatenate([old_vectors[alive], vectors])
            built, dead, again = _new_graph(self._dim), set(), np.zeros(len(ids), dtype=bool)
        else:
            again = np.isin(ids, in_graph)  # the graph holds an older vector of these
            ids, vectors = ids[~again], vectors[~again]
            built = _faiss().clone_index(graph)
        built.add_with_ids(vectors, ids)
        with self._lock:
            touched, self._touched = self._touched or set(), None
            self._graph, self._in_graph = built, _sorted_ids(_ids(built))
            self._out_of_tail(set(ids.tolist()) & self._in_tail - touched)
            held = {int(one) for one in touched if _within(np.array([one]), self._in_graph)[0]}
            self._dead = dead | held
            cursor = self._cursor
        if self._kept is not None and not again.any():  # what stays in the tail would be past the cursor
            with suppress(DatabaseUnavailable):
                self._kept.save(built, cursor, self._rows.cluster(), sorted(self._dead))

    def _restore(self) -> None:
        """Begin with the graph that an earlier process kept, if one is whole and of this database.

        Who asks first waits for it, as he would for the rows: a process that asks once would else find nothing.
        """
        if self._kept is None:
            return
        try:
            kept = self._kept.load(self._rows.cluster())
        except DatabaseUnavailable:
            return
        if kept is not None and kept.index.d == self._dim:
            with self._lock:
                self._graph, self._in_graph = kept.index, _sorted_ids(_ids(kept.index))
                self._dead, self._cursor = set(kept.dead), kept.cursor


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingPart("faiss, for questions asked in other words (`pip install 'atra[cache]'`)") from error
    faiss.omp_set_num_threads(1)  # workers are processes; threads of each would fight for the cores
    return faiss


def _new_graph(dim: int) -> Any:
    faiss = _faiss()
    graph = faiss.IndexHNSWFlat(dim, _LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = _BUILD_EF, _SEARCH_EF
    return faiss.IndexIDMap2(graph)


def _search(index: Any, asked: "Vector", k: int) -> list[Neighbour]:
    if index.ntotal == 0:
        return []
    cosines, ids = index.search(asked, min(k, index.ntotal))
    pairs = zip(ids[0].tolist(), cosines[0].tolist(), strict=True)
    return [Neighbour(one, cosine) for one, cosine in pairs if one >= 0]


def _ids(index: Any) -> Any:
    return _faiss().vector_to_array(index.id_map)


def _contents(index: Any) -> tuple[Any, Any]:
    """Return the ids and the vectors of an index, shapes (n,) and (n, dim)."""
    return _ids(index), index.index.reconstruct_n(0, index.ntotal)


def _sorted_ids(ids: Sequence[int]) -> Any:
    import numpy as np

    return np.sort(np.asarray(ids, dtype=np.int64))


def _within(ids: Any, ordered: Any) -> Any:
    """Say of each id whether it is among the ordered ones."""
    import numpy as np

    if len(ordered) == 0:
        return np.zeros(len(ids), dtype=bool)
    where = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
    return ordered[where] == ids
