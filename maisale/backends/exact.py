"""Exact search: the cosine of every vector in the filter, read from SQL. Nothing to keep in step, and always complete.

Vectors are kept in memory by collection, as many as fit; a collection is asked at every search whether it changed (one read of an index, no vector
touched), and then only the changed rows are read. Under some 20,000 rows this is faster than a filtered HNSW graph, and it misses nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maisale.contracts import Database
from maisale.records import Hit, SearchFilter, VectorRow

CACHE_MB = 64  # about 16,000 vectors of 1024 numbers
PAGE = 2000  # rows at a time of a collection that is too large to keep

_IN = "embedder = :embedder AND kind = :kind AND collection_id = :collection"


@dataclass(frozen=True)
class _Stamp:
    """Tells whether a collection is as it was: a delete changes the number, an insert or update the latest change."""

    rows: int
    latest: float


@dataclass(frozen=True)
class _Held:
    """A collection's vectors in memory. matrix: float32, shape (len(keys), dimensions)."""

    stamp: _Stamp
    keys: np.ndarray
    documents: np.ndarray
    matrix: np.ndarray

    @property
    def size(self) -> int:
        return self.matrix.nbytes


class ExactIndex:
    """contracts.VectorIndex over the table `vectors`. For many threads."""

    label = "exact"

    def __init__(self, db: Database, cache_mb: float = CACHE_MB):
        self._db = db
        self._room = int(cache_mb * 1e6)
        self._cache: OrderedDict[tuple[str, str, str], _Held] = OrderedDict()
        self._lock = threading.Lock()

    def nearest(self, embedder: str, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> list[Hit]:
        found: list[Hit] = []
        for collection, stamp in self._stamps(embedder, kind, where).items():
            place = {"embedder": embedder, "kind": kind, "collection": collection}
            if stamp.rows * vector.nbytes <= self._room:
                parts = [self._held(place, stamp, len(vector))]
            else:
                parts = self._pages(place, len(vector))
            for part in parts:
                found = _best([*found, *_scored(part, where.documents, vector, limit)], limit)
        return found

    def upsert(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> None:
        """Nothing to do: what is in SQL is found."""

    def delete(self, tenant_id: str, embedder: str, kind: str, keys: Sequence[str]) -> None:
        """Nothing to do: what is gone from SQL is not found."""

    def _stamps(self, embedder: str, kind: str, where: SearchFilter) -> dict[str, _Stamp]:
        """The collections of `where` that hold vectors, as they stand now."""
        sql = """SELECT collection_id, count(*) AS n, max(changed_at) AS latest FROM vectors
                 WHERE embedder = :embedder AND kind = :kind AND collection_id IN :collections GROUP BY collection_id"""
        rows = self._db.rows(sql, embedder=embedder, kind=kind, collections=where.collections)
        return {row["collection_id"]: _Stamp(row["n"], row["latest"]) for row in rows}

    def _held(self, place: dict[str, str], stamp: _Stamp, dimensions: int) -> _Held:
        name = (place["embedder"], place["kind"], place["collection"])
        with self._lock:
            held = self._cache.get(name)
            if held is None or held.stamp != stamp or held.matrix.shape[1] != dimensions:
                held = self._grown(held, place, stamp, dimensions) or _as_held(self._rows(_IN, place), dimensions)
                self._cache[name] = held
            self._cache.move_to_end(name)
            while sum(one.size for one in self._cache.values()) > self._room and len(self._cache) > 1:
                self._cache.popitem(last=False)
        return held

    def _grown(self, held: _Held | None, place: dict[str, str], stamp: _Stamp, dimensions: int) -> _Held | None:
        """`held` with what came behind it; None when more than that has changed."""
        if held is None or held.matrix.shape[1] != dimensions or stamp.rows <= held.stamp.rows:
            return None
        new = self._rows(f"{_IN} AND changed_at > :latest", place, latest=held.stamp.latest)
        if held.stamp.rows + len(new) != stamp.rows:  # a row that changed or left is missing among the old ones
            return None
        added = _as_held(new, dimensions)
        both = [np.concatenate(pair) for pair in ((held.keys, added.keys), (held.documents, added.documents), (held.matrix, added.matrix))]
        return _Held(_Stamp(stamp.rows, added.stamp.latest), *both)

    def _pages(self, place: dict[str, str], dimensions: int) -> Any:
        """The collection in parts that are not kept."""
        after = ""
        while rows := self._rows(f"{_IN} AND key > :after ORDER BY key LIMIT :page", place, after=after, page=PAGE):
            after = rows[-1]["key"]
            yield _as_held(rows, dimensions)

    def _rows(self, condition: str, place: dict[str, str], **values: Any) -> list[dict[str, Any]]:
        return self._db.rows(f"SELECT key, document_id, vector, changed_at FROM vectors WHERE {condition}", **place, **values)


def _as_held(rows: list[dict[str, Any]], dimensions: int) -> _Held:
    # Of the rows that were really read: others may have been written since the collection was asked.
    stamp = _Stamp(len(rows), max((row["changed_at"] for row in rows), default=0.0))
    # A vector of another length comes from another model under the same name; it says nothing about this question.
    fitting = [row for row in rows if len(row["vector"]) == dimensions * 4]
    matrix = np.frombuffer(b"".join(row["vector"] for row in fitting), np.float32).reshape(len(fitting), dimensions)
    keys, documents = ([row[name] for row in fitting] for name in ("key", "document_id"))
    return _Held(stamp, np.array(keys, dtype=object), np.array(documents, dtype=object), matrix)


def _scored(part: _Held, documents: tuple[str, ...], vector: np.ndarray, limit: int) -> list[Hit]:
    scores = part.matrix @ vector.astype(np.float32)
    rows = np.flatnonzero(np.isin(part.documents, list(documents))) if documents else np.arange(len(scores))
    if len(rows) > limit:
        rows = rows[np.argpartition(-scores[rows], limit - 1)[:limit]]
    return [Hit(part.keys[row], float(scores[row])) for row in rows]


def _best(hits: list[Hit], limit: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.score)[:limit]
