"""How fast the cache puts and gets, beside GPTCache and beside what the disk and the index alone allow, in one run.

    python -m benchmarks.cache_speed [--sizes N,N] [--peer PYTHON] [--peer-most N] [--json F]

PYTHON is an interpreter that has gptcache and faiss; without it there is no peer. Both are given vectors that were made
before, so that nothing of the embedding is in the figures; what it adds is measured apart with the model that ships.
The vectors are points of a thin sheet in 384 dimensions, as those of questions are. Asked is, by turns: the same
question, one that is nearly the same (cosine about 0.97), and one that nobody asked.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from atra.embedded import embedded
from atra.llm.minilm import MiniLM
from atra.semantic_cache import ANYONE, Fresh, Hit, Meaning, Miss, SemanticCache
from atra.semantic_cache.keys import key_of
from atra.semantic_cache.view import View
from atra.storage.cache import CacheStore
from atra.storage.database import connect
from atra.storage.schema import upgrade
from benchmarks import results

DIM, _SHEET = 384, 48
_COLUMNS = (
    "entries", "who", "put_per_s", "exact_p50_ms", "exact_p99_ms", "near_p50_ms", "near_p99_ms", "miss_p50_ms",
    "miss_p99_ms", "recall_at_1", "wrong_hits",
)  # fmt: skip

Vectors = NDArray[np.float32]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.cache_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default="10000,100000", help="how many entries, by commas")
    parser.add_argument("--asked", type=int, default=1000, help="questions of each kind")
    parser.add_argument("--puts", type=int, default=2000, help="entries that are put one by one")
    parser.add_argument("--peer", type=Path, help="an interpreter that has gptcache")
    parser.add_argument("--peer-most", type=int, default=100_000, help="entries, beyond which the peer is left out")
    parser.add_argument("--json", type=Path, default=results.FOLDER / "cache_speed.json", help="where to write")
    given = parser.parse_args(arguments)
    faiss.omp_set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="atra-bench-") as work:
        Path(work).chmod(0o711)
        Path(work, "services").mkdir()
        with embedded(Path(work, "services")) as services:
            upgrade(services.database_url)
            for size in map(int, given.sizes.split(",")):
                rows += _measured(services.database_url, Path(work), size, given)
        totals = {"embedding": _embedding(), "growth": _growth(rows)}
    shown = results.console()
    shown.print(results.table("cache", rows, _COLUMNS))
    shown.print(results.table("embedding", [totals["embedding"]], list(totals["embedding"])))
    results.write(given.json, results.about(datetime.now(UTC)), totals, rows)


class Known:
    """Vectors that were made before, by their text."""

    identity, dim = "known", DIM

    def __init__(self) -> None:
        self.of: dict[str, Vectors] = {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Look them up."""
        return np.stack([self.of[text] for text in texts])


class Sure:
    """Serves what is nearer than 0.9: deciding is measured by another benchmark."""

    embedder = "known"

    def probability(self, asked: str, kept: str, cosine: float, asked_vector: object, kept_vector: object) -> float:
        """Return 1 or 0."""
        return 1.0 if cosine >= 0.9 else 0.0


def sheet(count: int, seed: int) -> Vectors:
    """Return points of a thin sheet, of length 1."""
    basis = np.random.default_rng(0).normal(size=(_SHEET, DIM)).astype(np.float32)
    made = np.random.default_rng(seed).normal(size=(count, _SHEET)).astype(np.float32) @ basis
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def near(vectors: Vectors, seed: int) -> Vectors:
    """Return a neighbour of each, at a cosine of about 0.97."""
    moved = vectors + 0.25 * sheet(len(vectors), seed)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def _measured(url: str, work: Path, size: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    _say(f"{size} entries: filling")
    stored = sheet(size, 1)
    chosen = np.random.default_rng(2).choice(size, min(given.asked, size), replace=False)
    asked = {"near": near(stored[chosen], 3), "miss": sheet(len(chosen), 4)}
    puts = sheet(given.puts, 5)
    best = {kind: _brute(stored, vectors) for kind, vectors in asked.items()}
    rows = [_limit(stored, asked["near"], url, given.puts, size), _atra(url, work, stored, chosen, asked, puts, best)]
    if given.peer and size <= given.peer_most:
        rows.append(_peer(given.peer, work, stored, chosen, asked, puts, best))
    return rows


def _atra(
    url: str,
    work: Path,
    stored: Vectors,
    chosen: NDArray[np.int64],
    asked: dict[str, Vectors],
    puts: Vectors,
    best: dict[str, NDArray[np.int64]],
) -> dict[str, Any]:
    engine, known = connect(url), Known()
    store = CacheStore(engine)
    ids = _fill(engine, stored)
    number = {entry: at for at, entry in enumerate(ids)}
    views: list[View] = []

    def index(embedder: Any) -> View:
        views.append(View(store, identity=known.identity, dim=DIM, folder=work / f"cache-{len(stored)}"))
        return views[0]

    cache = SemanticCache(store, Meaning(known, index, Sure()), max_error=0.02)
    known.of["first"] = stored[0]
    cache.lookup("first")
    begun = time.perf_counter()
    views[0].settle(ANYONE.key)
    built_s = time.perf_counter() - begun
    row: dict[str, Any] = {"entries": len(stored), "who": "atra", "built_s": round(built_s, 1)}
    row |= _timed("exact", [lambda at=at: cache.lookup(f"question {at}") for at in chosen])
    for kind, vectors in asked.items():
        known.of |= {f"{kind} {at}": vector for at, vector in enumerate(vectors)}
        served: list[Hit | Miss] = []
        names = [f"{kind} {at}" for at in range(len(vectors))]
        row |= _timed(kind, [lambda name=name, into=served: into.append(cache.lookup(name)) for name in names])
        found = [number.get(one.entry.id, -1) if isinstance(one, Hit) else -1 for one in served]
        row |= _right(kind, found, best[kind])
    known.of |= {f"put {len(stored)} {at}": vector for at, vector in enumerate(puts)}
    begun = time.perf_counter()
    for at in range(len(puts)):
        cache.put(f"put {len(stored)} {at}", Fresh("An answer of a few words."))
    row["put_per_s"] = round(len(puts) / (time.perf_counter() - begun))
    row |= _written_by_several(url, work, len(stored))
    engine.dispose()
    with connect(url).begin() as db:
        db.execute(text("TRUNCATE cache_entries, cache_lookups, predictions"))
    return row


def _fill(engine: Engine, stored: Vectors) -> list[int]:
    """Put the entries by one copy, as no cache does it: what is measured comes after. Return their ids."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        scope = ANYONE.key
        for start in range(0, len(stored), 20_000):
            lines = "".join(
                f"{scope}\t{{}}\t{key_of(f'question {at}')}\tquestion {at}\tanswer {at}\t{{}}\t{{}}\t{{}}\t0\tf\t"
                f"known\t\\\\x{stored[at].tobytes().hex()}\t2100-01-01\n"
                for at in range(start, min(start + 20_000, len(stored)))
            )
            _copy(cursor, lines)
        raw.commit()
        cursor.execute("ANALYZE cache_entries")
        raw.commit()
        cursor.execute("SELECT id FROM cache_entries ORDER BY id")
        return [row[0] for row in cursor.fetchall()]
    finally:
        raw.close()


def _copy(cursor: Any, lines: str) -> None:
    from io import StringIO

    columns = (
        "scope, parts, key, question, answer, meta, sources, topics, cost_usd, predicted, embedder, vector, expires_at"
    )
    cursor.copy_expert(f"COPY cache_entries ({columns}) FROM STDIN", StringIO(lines))


def _limit(stored: Vectors, asked: Vectors, url: str, puts: int, size: int) -> dict[str, Any]:
    """What the parts alone allow: one search of the graph, one read of a row, one durable insert of 1.5 kB."""
    graph = faiss.IndexHNSWFlat(DIM, 32, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = 80, 64
    sample = stored[: min(size, 100_000)]
    graph.add(sample)
    row: dict[str, Any] = {"entries": size, "who": "its parts alone"}
    row |= _timed("near", [lambda one=one: graph.search(one.reshape(1, -1), 1) for one in asked])
    raw = connect(url).raw_connection()
    cursor = raw.cursor()
    cursor.execute("CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, vector bytea)")
    raw.commit()
    begun = time.perf_counter()
    for _ in range(puts):
        cursor.execute("INSERT INTO bare (vector) VALUES (%s)", (stored[0].tobytes(),))
        raw.commit()
    row["put_per_s"] = round(puts / (time.perf_counter() - begun))

    def read() -> None:
        cursor.execute("SELECT * FROM bare WHERE id = 7")
        cursor.fetchall()

    row |= _timed("exact", [read] * 1000)
    raw.rollback()
    cursor.execute("DROP TABLE bare")
    raw.commit()
    raw.close()
    return row


def _peer(
    python: Path,
    work: Path,
    stored: Vectors,
    chosen: NDArray[np.int64],
    asked: dict[str, Vectors],
    puts: Vectors,
    best: dict[str, NDArray[np.int64]],
) -> dict[str, Any]:
    _say(f"{len(stored)} entries: the peer")
    folder = work / f"peer-{len(stored)}"
    folder.mkdir()
    np.savez(folder / "given.npz", stored=stored, chosen=chosen, puts=puts, **asked)
    script = Path(__file__).with_name("gptcache_speed.py")
    done = subprocess.run([str(python), str(script), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the peer failed: {done.stderr.strip()[-800:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    row: dict[str, Any] = {"entries": len(stored), "who": said["who"], "put_per_s": said["put_per_s"]}
    for kind in ("exact", *asked):
        row |= _percentiles(kind, said["seconds"][kind])
    for kind in asked:
        row |= _right(kind, said["found"][kind], best[kind])
    return row


def _right(kind: str, found: Sequence[int], best: NDArray[np.int64]) -> dict[str, Any]:
    """Of near questions, how many were answered by their nearest entry; of new ones, how many were answered at all."""
    if kind == "near":
        return {"recall_at_1": round(float(np.mean(np.array(found) == best)), 4)}
    return {"wrong_hits": round(float(np.mean(np.array(found) >= 0)), 4)}


def _brute(stored: Vectors, asked: Vectors) -> NDArray[np.int64]:
    best: NDArray[np.int64] = np.concatenate([np.argmax(part @ stored.T, axis=1) for part in np.array_split(asked, 50)])
    return best


def _written_by_several(url: str, work: Path, size: int) -> dict[str, Any]:
    """Two writers at a time, each with a store of its own; a third process's view sees all of it after a second."""
    known, stores = Known(), [CacheStore(connect(url)) for _ in range(3)]
    known.of = {f"both {size} {writer} {at}": one for writer in (0, 1) for at, one in enumerate(sheet(500, 6 + writer))}
    seen = View(stores[2], identity=known.identity, dim=DIM, folder=work / f"cache-{size}")
    seen.settle(ANYONE.key)
    caches = [
        SemanticCache(store, Meaning(known, lambda _, store=store: View(store, identity="known", dim=DIM), Sure()))
        for store in stores[:2]
    ]

    def write(writer: int) -> None:
        for at in range(500):
            caches[writer].put(f"both {size} {writer} {at}", Fresh("so"))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        seen.near(ANYONE.key, next(iter(known.of.values())), 1)
        time.sleep(0.05)
    found = sum(seen.near(ANYONE.key, one, 1)[0].cosine > 0.9999 for one in known.of.values())
    return {"unseen_after_1_s": len(known.of) - found}


def _embedding() -> dict[str, Any]:
    model = MiniLM()
    questions = [f"how do i restart worker number {number} of the second queue after a crash" for number in range(200)]
    model.embed(questions[:5])
    timed = _timed("embedding", [lambda one=one: model.embed([one]) for one in questions])
    return {"model": model.identity, **timed}


def _growth(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ours = [row for row in rows if row["who"] == "atra"]
    return {
        f"{kind}_p50": round(ours[-1][f"{kind}_p50_ms"] / ours[0][f"{kind}_p50_ms"], 2) for kind in ("exact", "near")
    }


def _timed(kind: str, calls: Sequence[Callable[[], Any]]) -> dict[str, Any]:
    seconds = []
    for call in calls:
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return _percentiles(kind, seconds)


def _percentiles(kind: str, seconds: Sequence[float]) -> dict[str, Any]:
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {f"{kind}_p50_ms": round(float(p50), 3), f"{kind}_p99_ms": round(float(p99), 3)}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
