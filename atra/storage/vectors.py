"""The cache's index by meaning in PostgreSQL itself, by pgvector: slower, and the same for every process at once."""

import hashlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from atra.core.errors import MissingPart
from atra.semantic_cache.records import Neighbour, Row
from atra.storage.database import transaction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

_SEARCHED = 100  # candidates of a search; recall@1 is 1.0 with them
_LEAST = (0, 8)  # the first with iterative scans
_MAKING = 0x7EC  # the advisory lock under which a table is made


class VectorTable:
    """Vectors of one embedder in a table of their own, made at first use; it follows the entries by `fill`.

    Args:
        identity: of the embedder.
        dim: of its vectors.

    Raises:
        MissingPart: the database has no pgvector, or this user may not create it.
    """

    def __init__(self, engine: Engine, identity: str, dim: int) -> None:
        self._engine, self._identity, self._dim = engine, identity, dim
        self._table = f"cache_vectors_{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
        self._make()

    def near(self, scope: str, vector: "Vector", k: int) -> list[Neighbour]:
        """Return the k nearest entries of the scope, nearest first."""
        asked = {"asked": _literal(vector), "scope": scope, "k": k}
        with transaction(self._engine) as db:
            db.execute(text(f"SET LOCAL hnsw.ef_search = {_SEARCHED}"))
            db.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))  # else a scope's rows may be filtered away
            found = db.execute(self._sql("near"), asked)
            return [Neighbour(row.id, float(row.cosine)) for row in found]

    def note(self, scope: str, row: Row) -> None:
        """Take in an entry that was just written."""
        import numpy as np

        if row.vector is not None:
            vector = _literal(np.frombuffer(row.vector, dtype="<f4"))
            with transaction(self._engine) as db:
                db.execute(self._sql("note"), {"id": row.id, "scope": scope, "vector": vector})

    def drop(self, scope: str, entry_id: int) -> None:
        """Forget an entry that is gone."""
        with transaction(self._engine) as db:
            db.execute(self._sql("drop"), {"id": entry_id, "scope": scope})

    def fill(self, most: int = 1000) -> int:
        """Take in entries whose writer died before it noted them, and those of before this table; return how many."""
        import numpy as np

        with transaction(self._engine) as db:
            rows = db.execute(self._sql("lacking"), {"identity": self._identity, "most": most}).all()
        for row in rows:
            vector = np.frombuffer(row.vector, dtype="<f4")
            if len(vector) == self._dim:
                self.note(row.scope, Row(row.id, row.written, vector.tobytes()))
        return len(rows)

    def _make(self) -> None:
        with transaction(self._engine) as db:
            if db.execute(text("SELECT to_regclass(:name)"), {"name": self._table}).scalar() is not None:
                return
        try:
            with transaction(self._engine) as db:
                db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MAKING})
                db.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
                version = db.execute(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")).scalar_one()
                if tuple(map(int, version.split(".")[:2])) < _LEAST:
                    raise MissingPart(f"pgvector {'.'.join(map(str, _LEAST))} in the database, which has {version}")
                db.execute(self._sql("make"))
                db.execute(self._sql("index"))
                db.execute(self._sql("scopes"))
        except DBAPIError as error:
            raise MissingPart(f"pgvector in the database: {str(error.orig).splitlines()[0]}") from error

    def _sql(self, name: str) -> Any:
        # The table's name is made of hexadecimal digits and the dimension is a number: nothing here is anybody's text.
        return text(_SQL[name].replace("TABLE_NAME", self._table).replace("DIM", str(int(self._dim))))


_SQL = {
    "make": "CREATE TABLE IF NOT EXISTS TABLE_NAME (entry_id bigint PRIMARY KEY REFERENCES cache_entries"
    " ON DELETE CASCADE, scope text NOT NULL, vector vector(DIM) NOT NULL)",
    "index": "CREATE INDEX IF NOT EXISTS TABLE_NAME_near ON TABLE_NAME USING hnsw (vector vector_ip_ops)"
    " WITH (m = 16, ef_construction = 80)",
    "scopes": "CREATE INDEX IF NOT EXISTS TABLE_NAME_scope ON TABLE_NAME (scope)",
    "near": "SELECT entry_id AS id, -(vector <#> CAST(:asked AS vector)) AS cosine FROM TABLE_NAME"
    " WHERE scope = :scope ORDER BY vector <#> CAST(:asked AS vector) LIMIT :k",
    "note": "INSERT INTO TABLE_NAME (entry_id, scope, vector) VALUES (:id, :scope, CAST(:vector AS vector))"
    " ON CONFLICT (entry_id) DO UPDATE SET vector = excluded.vector, scope = excluded.scope",
    "drop": "DELETE FROM TABLE_NAME WHERE entry_id = :id AND scope = :scope",
    "lacking": "SELECT e.id, e.scope, e.written, e.vector FROM cache_entries e LEFT JOIN TABLE_NAME v"
    " ON v.entry_id = e.id WHERE v.entry_id IS NULL AND octet_length(e.vector) = 4 * DIM"
    " AND e.state = 'live' AND e.expires_at > clock_timestamp()"
    " AND e.embedder = :identity AND e.vector IS NOT NULL ORDER BY e.id LIMIT :most",
}


def _literal(vector: "Vector") -> str:
    return f"[{','.join(map(repr, vector.tolist()))}]"
