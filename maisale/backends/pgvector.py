"""pgvector as the VectorIndex: a table per tenant, kind and embedder with an HNSW graph, in the database that every process shares.

Disposable as Chroma is: SQL has every vector, and library/upkeep.py brings what is missing. It writes on connections of its own, outside of the writers'
turns (postgres.py): an entry of the graph takes milliseconds, and nobody's question is to wait for it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from pgvector.psycopg import register_vector
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from maisale.backends.postgres import CONNECTING, place_of
from maisale.errors import IndexUnavailable, Misconfigured, ModelFailed
from maisale.records import Hit, SearchFilter, VectorRow

log = logging.getLogger(__name__)

CONNECTIONS = 4
WAIT_S = 2.0  # for a free connection; exact search answers then
SEARCH_S = 1.0  # that a search may take; exact search answers then
BATCH = 64  # vectors in one transaction
SAME = 1e-4  # cosine distance up to which a found vector is taken for the asked one
LOOK_S = 2.0  # how long a table's name, and whether the index is ready, are believed
MOST_INDEXED = 2000  # numbers of a vector that an HNSW graph of pgvector 0.8 takes
EF_SEARCH = 400
# Without iterative scans a filter of one in a hundred has recall .04, strict order .76, relaxed order .90 to .98 (pgvector 0.8.5, 100,000 vectors).
_SESSION = f"-c hnsw.iterative_scan=relaxed_order -c hnsw.ef_search={EF_SEARCH} -c hnsw.max_scan_tuples=50000"
_BUILDING = "WITH (m = 16, ef_construction = 128)"
_TABLES = """CREATE TABLE IF NOT EXISTS vector_tables (
    name TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, embedder TEXT NOT NULL, kind TEXT NOT NULL, dimensions INTEGER NOT NULL)"""
_STATE = "CREATE TABLE IF NOT EXISTS vector_state (ready INTEGER NOT NULL)"
MAKER = 0x4D61_6953_616C_67  # the advisory lock of whoever makes tables


@dataclass(frozen=True)
class _Table:
    name: str
    dimensions: int


class PgVectorIndex:
    """contracts.KeptIndex, and the same for readers in every process. `ready` is kept in the database, so that all know it."""

    label = "pgvector"

    def __init__(self, url: str, search_s: float = SEARCH_S):
        """search_s: that a search may take. Raises Misconfigured when the server has no pgvector."""
        self._search_ms = round(search_s * 1000)
        self.state = "it is being opened"
        self.broken = False
        try:
            with psycopg.connect(url, **CONNECTING, autocommit=True) as connection:
                connection.execute("SELECT pg_advisory_lock(%s)", (MAKER,))
                for statement in ("CREATE EXTENSION IF NOT EXISTS vector", _TABLES, _STATE):
                    connection.execute(statement)
        except psycopg.Error as problem:
            cause = (str(problem).strip().splitlines() or [""])[0]
            words = f"{place_of(url)} cannot keep a vector index ({cause})."
            raise Misconfigured(f"{words} Have its administrator run CREATE EXTENSION vector, or set VECTORS=exact.") from problem
        given: dict[str, Any] = {**CONNECTING, "autocommit": True, "row_factory": dict_row, "options": _SESSION}
        self._pool = ConnectionPool(url, kwargs=given, min_size=0, max_size=CONNECTIONS, timeout=WAIT_S, configure=register_vector, open=True)
        self._known: dict[tuple[str, str, str], tuple[float, _Table | None]] = {}
        self._ready_at = float("-inf")  # when it was last seen to be ready

    def open(self) -> bool:
        """True: a transaction that broke off left nothing behind."""
        self.broken, self.state = False, "it is being filled"
        self._look()
        return True

    def ready(self) -> None:
        with self._trouble("write") as connection, connection.transaction():
            connection.execute("DELETE FROM vector_state")
            connection.execute("INSERT INTO vector_state VALUES (1)")
        self.state = ""

    def empty(self) -> None:
        with self._trouble("empty") as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (MAKER,))
            connection.execute("DELETE FROM vector_state")
            for row in connection.execute("DELETE FROM vector_tables RETURNING name").fetchall():
                connection.execute(f'DROP TABLE IF EXISTS "{row["name"]}"')
        self._known.clear()
        self._ready_at = float("-inf")

    def close(self) -> None:
        """Nothing to close: other processes go on asking it."""

    def release(self) -> None:
        self._pool.close()

    def health(self) -> dict[str, str]:
        """label, and state: empty when it answers, else why it does not. Raises IndexUnavailable."""
        self._look()
        return {"label": self.label, "state": self.state}

    def nearest(self, embedder: str, kind: str, where: SearchFilter, vector: Any, limit: int) -> list[Hit]:
        self._look()
        if self.state:
            raise IndexUnavailable(f"The vector index is not used: {self.state}.")
        found: list[Hit] = []
        for tenant_id in where.tenants if where.collections else ():
            table = self._table(tenant_id, embedder, kind)
            if table is not None and table.dimensions == len(vector):
                found += self._nearest(table, where, vector, limit)
        return sorted(found, key=lambda hit: -hit.score)[:limit]

    def upsert(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> None:
        """Raises ModelFailed, with nothing written, when a vector has another length than its index."""
        if not rows:
            return
        table = self._table(tenant_id, embedder, kind) or self._make(tenant_id, embedder, kind, len(rows[0].vector))
        if strange := [len(row.vector) for row in rows if len(row.vector) != table.dimensions]:
            question = "Has the model been replaced under its name?"
            raise ModelFailed(f"{embedder} gave a vector of {strange[0]} numbers, and its index holds {table.dimensions}. {question}")
        sql = f"""INSERT INTO "{table.name}" (key, collection_id, document_id, vector) VALUES (%s, %s, %s, %s) ON CONFLICT (key) DO UPDATE
                  SET collection_id = excluded.collection_id, document_id = excluded.document_id, vector = excluded.vector"""
        for start in range(0, len(rows), BATCH):
            # In the order of the keys: two that write the same rows wait for each other instead of blocking each other.
            some = sorted(rows[start : start + BATCH], key=lambda row: row.key)
            with self._trouble("write") as connection, connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(sql, [(row.key, row.collection_id, row.document_id, row.vector) for row in some])

    def delete(self, tenant_id: str, embedder: str, kind: str, keys: Sequence[str]) -> None:
        if table := self._table(tenant_id, embedder, kind):
            with self._trouble("delete") as connection:
                connection.execute(f'DELETE FROM "{table.name}" WHERE key = ANY(%s)', (list(keys),))

    def lost(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> list[str]:
        table = self._table(tenant_id, embedder, kind)
        if table is None:
            return [row.key for row in rows]
        sql = f'SELECT key, vector <=> %s AS distance FROM "{table.name}" ORDER BY distance LIMIT 1'
        found = []
        with self._trouble("read back") as connection:
            for row in rows:
                nearest = connection.execute(sql, (row.vector,)).fetchone()
                if nearest is None or (nearest["key"] != row.key and nearest["distance"] > SAME):
                    found.append(row.key)
        return found

    def indexes(self) -> list[tuple[str, str, str]]:
        with self._trouble("list") as connection:
            rows = connection.execute("SELECT tenant_id, embedder, kind FROM vector_tables").fetchall()
        return [(row["tenant_id"], row["embedder"], row["kind"]) for row in rows]

    def count(self, tenant_id: str, embedder: str, kind: str) -> int:
        table = self._table(tenant_id, embedder, kind)
        if table is None:
            return 0
        with self._trouble("count") as connection:
            return connection.execute(f'SELECT count(*) AS n FROM "{table.name}"').fetchone()["n"]

    def keys(self, tenant_id: str, embedder: str, kind: str, among: Sequence[str] = ()) -> set[str]:
        table = self._table(tenant_id, embedder, kind)
        if table is None:
            return set()
        with self._trouble("list") as connection:
            sql, values = f'SELECT key FROM "{table.name}"', ()
            if among:
                sql, values = f"{sql} WHERE key = ANY(%s)", (list(among),)
            return {row["key"] for row in connection.execute(sql, values).fetchall()}

    def _nearest(self, table: _Table, where: SearchFilter, vector: Any, limit: int) -> list[Hit]:
        named, values = "", [vector, list(where.collections)]
        if where.documents:
            named, values = "AND document_id = ANY(%s)", [*values, list(where.documents)]
        sql = f"""SELECT key, vector <=> %s AS distance FROM "{table.name}" WHERE collection_id = ANY(%s) {named} ORDER BY distance LIMIT %s"""
        with self._trouble("search") as connection, connection.transaction():
            connection.execute(f"SET LOCAL statement_timeout = {self._search_ms}")
            # Relaxed order: some may stand a place too far; whoever asked puts them in order.
            return [Hit(row["key"], 1.0 - row["distance"]) for row in connection.execute(sql, [*values, limit]).fetchall()]

    def _table(self, tenant_id: str, embedder: str, kind: str) -> _Table | None:
        name = (tenant_id, embedder, kind)
        looked_at, table = self._known.get(name, (float("-inf"), None))
        if time.monotonic() - looked_at > LOOK_S:
            sql = "SELECT name, dimensions FROM vector_tables WHERE tenant_id = %s AND embedder = %s AND kind = %s"
            with self._trouble("look up") as connection:
                row = connection.execute(sql, name).fetchone()
            table = _Table(**row) if row else None
            if table:
                self._known[name] = time.monotonic(), table
        return table

    def _make(self, tenant_id: str, embedder: str, kind: str, dimensions: int) -> _Table:
        name = f"vectors {kind} {hashlib.sha256(f'{tenant_id} {kind} {embedder}'.encode()).hexdigest()[:32]}"
        with self._trouble("write") as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (MAKER,))  # two workers may meet the tenant's first passage at once
            connection.execute(
                f"""CREATE TABLE IF NOT EXISTS "{name}" (key TEXT COLLATE "C" PRIMARY KEY, collection_id TEXT COLLATE "C" NOT NULL,
                    document_id TEXT COLLATE "C" NOT NULL, vector vector({int(dimensions)}) NOT NULL)"""
            )
            connection.execute(f'CREATE INDEX IF NOT EXISTS "{name} c" ON "{name}" (collection_id)')
            connection.execute(f'CREATE INDEX IF NOT EXISTS "{name} d" ON "{name}" (document_id)')
            if dimensions <= MOST_INDEXED:
                connection.execute(f'CREATE INDEX IF NOT EXISTS "{name} v" ON "{name}" USING hnsw (vector vector_cosine_ops) {_BUILDING}')
            sql = "INSERT INTO vector_tables VALUES (%s, %s, %s, %s, %s) ON CONFLICT (name) DO NOTHING"
            connection.execute(sql, (name, tenant_id, embedder, kind, dimensions))
        self._known.pop((tenant_id, embedder, kind), None)
        return self._table(tenant_id, embedder, kind)

    def _look(self) -> None:
        """Whether some worker has found the index whole since it was emptied."""
        if time.monotonic() - self._ready_at < LOOK_S:
            return
        with self._trouble("look") as connection:
            ready = connection.execute("SELECT 1 FROM vector_state").fetchone() is not None
        self._ready_at = time.monotonic() if ready else float("-inf")
        self.state = "" if ready else "it is being filled"

    @contextmanager
    def _trouble(self, doing: str) -> Iterator[psycopg.Connection]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.Error, PoolTimeout) as problem:
            if isinstance(problem, psycopg.errors.UndefinedTable):
                self._known.clear()  # emptied meanwhile, by a worker
            elif isinstance(problem, psycopg.OperationalError):
                self._pool.check()
            log.warning("the vector index failed to %s: %s", doing, (str(problem).strip().splitlines() or [type(problem).__name__])[0])
            # People read these words beside a document that waits; the server's own name its address and user.
            raise IndexUnavailable(f"The vector index failed to {doing}; the log says why.") from problem
