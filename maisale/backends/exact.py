"""Exact search: the cosine of every vector in the filter, read from SQL. Nothing to keep in step, and always complete.

Vectors are kept in memory by collection, as many as fit. At every search a collection is asked for its latest change, and only what is newer is read;
what was found is looked up, for a delete leaves no change behind. Both cost less than a millisecond where counting 20,000 rows takes six.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from maisale.backends.exact_rows import ROW, HeldRows, Name, Part, as_part, pages
from maisale.contracts import Database
from maisale.records import Hit, SearchFilter, VectorRow

CACHE_MB = 256  # three scopes of 20,000 vectors of 1024 numbers (82 MB each); it fills only with what is asked
FEW = 2000  # rows of named documents that are read for each question: about 10 ms
FEW_COLUMNS = 0.3  # share of a question's numbers up to which copying their columns costs less than reading all
TRIES = 3  # while documents are deleted between the search and the look
NAMED = 100  # documents or collections in one statement; SQLite takes 500 parts


class ExactIndex:
    """contracts.CompleteIndex over the table `vectors`. For many threads."""

    label = "exact"

    def __init__(self, db: Database, cache_mb: float = CACHE_MB):
        self._db = db
        self._room = int(cache_mb * 1e6)
        self._cache: OrderedDict[Name, HeldRows] = OrderedDict()
        self._lock = threading.Lock()

    def nearest(self, embedder: str, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> list[Hit]:
        for _ in range(TRIES):
            found: list[Hit] = []
            for part in self._parts(embedder, kind, where, len(vector)):
                found = _best([*found, *_scored(part, where.documents, vector, limit)], limit)
            there = self._existing(embedder, found)
            if len(there) == len(found):
                break
            self._doubt(embedder, kind, where)
        return [hit for hit in found if hit.key in there]

    def count(self, embedder: str, kind: str, where: SearchFilter, most: int) -> int:
        if where.documents:
            return self._count_named(embedder, where, most)
        sql = """SELECT count(*) AS n FROM (SELECT 1 FROM vectors
                 WHERE embedder = :embedder AND kind = :kind AND collection_id IN :collections LIMIT :most) AS counted"""
        return self._db.rows(sql, embedder=embedder, kind=kind, collections=where.collections, most=most)[0]["n"]

    def upsert(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> None:
        """Nothing to do: what is in SQL is found."""

    def delete(self, tenant_id: str, embedder: str, kind: str, keys: Sequence[str]) -> None:
        """Nothing to do: what is gone from SQL is not found."""

    def _parts(self, embedder: str, kind: str, where: SearchFilter, dimensions: int) -> Iterator[Part]:
        if where.documents and self._count_named(embedder, where, FEW + 1) <= FEW:
            yield from (as_part(rows, dimensions) for rows in self._named(embedder, kind, where))
            return
        latest = self._latest(embedder, kind, where)
        asked = {(embedder, kind, collection, dimensions): changed_at for collection, changed_at in latest.items()}
        for name, changed_at in asked.items():
            held = self._place(name, asked)
            if held is not None:
                yield held.part(self._db, changed_at)
            else:
                yield from (as_part(rows, dimensions) for rows in pages(self._db, name))

    def _existing(self, embedder: str, found: Sequence[Hit]) -> set[str]:
        sql = "SELECT key FROM vectors WHERE embedder = :embedder AND key IN :keys"
        return {row["key"] for row in self._db.rows(sql, embedder=embedder, keys=[hit.key for hit in found])}

    def _doubt(self, embedder: str, kind: str, where: SearchFilter) -> None:
        """Has the collections compared with SQL at the next question."""
        with self._lock:
            for name, held in self._cache.items():
                if name[:2] == (embedder, kind) and name[2] in where.collections:
                    held.doubted = True

    def _count_named(self, embedder: str, where: SearchFilter, most: int) -> int:
        """Of the documents of `where`, also of those outside its collections."""
        total = 0
        for selected, values in _of_documents("1", where.documents):
            sql = f"SELECT count(*) AS n FROM ({selected} LIMIT :most) AS counted"
            total += self._db.rows(sql, embedder=embedder, most=most - total, **values)[0]["n"]
            if total >= most:
                break
        return total

    def _named(self, embedder: str, kind: str, where: SearchFilter) -> Iterator[list[dict[str, Any]]]:
        """The rows of the documents of `where`, found by their keys. The rest of the filter is applied here: with it in the statement SQLite
        would choose the collections' index and read all of them."""
        for selected, values in _of_documents(ROW, where.documents):
            rows = self._db.rows(selected, embedder=embedder, **values)
            yield [row for row in rows if row["kind"] == kind and row["collection_id"] in where.collections]

    def _latest(self, embedder: str, kind: str, where: SearchFilter) -> dict[str, float]:
        """The latest change of those collections of `where` that hold vectors. One part a collection: a group by would read every entry of the index."""
        found: dict[str, float] = {}
        for start in range(0, len(where.collections), NAMED):
            some = where.collections[start : start + NAMED]
            one = "SELECT max(changed_at) AS latest, {0} AS at FROM vectors WHERE embedder = :embedder AND kind = :kind AND collection_id = :collection{0}"
            values = {f"collection{at}": collection for at, collection in enumerate(some)}
            rows = self._db.rows(" UNION ALL ".join(one.format(at) for at in range(len(some))), embedder=embedder, kind=kind, **values)
            found.update((some[row["at"]], row["latest"]) for row in rows if row["latest"] is not None)
        return found

    def _place(self, name: Name, asked: dict[Name, float]) -> HeldRows | None:
        """The collection's place in memory; None when it finds none without pushing out another of the same question, which would come back next."""
        with self._lock:
            held = self._cache.pop(name, None)
        held = held or HeldRows.of(self._db, name)
        with self._lock:
            held = self._cache.pop(name, held)  # another question may have been faster
            taken = sum(one.size for one in self._cache.values())
            for other in [one for one in self._cache if one not in asked]:
                if taken + held.size <= self._room:
                    break
                taken -= self._cache.pop(other).size
            if taken + held.size > self._room:
                return None
            self._cache[name] = held
            return held


def _of_documents(columns: str, documents: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Statements over the documents' keys, with their values. One part a document: of ranges behind OR, SQLite reads the whole embedder's index."""
    for start in range(0, len(documents), NAMED):
        some = documents[start : start + NAMED]
        one = f"SELECT {columns} FROM vectors WHERE embedder = :embedder AND key >= :first{{0}} AND key < :behind{{0}}"
        # A key is {document_id}#chunk_{i}, and "$" follows "#" in ASCII.
        values = {f"{name}{at}": document + edge for at, document in enumerate(some) for name, edge in (("first", "#"), ("behind", "$"))}
        yield " UNION ALL ".join(one.format(at) for at in range(len(some))), values


def _scored(part: Part, documents: tuple[str, ...], vector: np.ndarray, limit: int) -> list[Hit]:
    scores = _cosines(part.matrix, vector.astype(np.float32))
    counted = np.ones(len(scores), bool) if part.alive is None else part.alive
    if documents:
        counted = counted & np.isin(part.documents, list(documents))
    rows = np.flatnonzero(counted)
    if len(rows) > limit:
        rows = rows[np.argpartition(-scores[rows], limit - 1)[:limit]]
    return [Hit(part.keys[row], float(scores[row])) for row in rows]


def _cosines(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Reads those columns only that have a say: of the built-in embedder's questions it is one in twenty."""
    said = np.flatnonzero(vector)
    columns = said if len(said) < FEW_COLUMNS * len(vector) else slice(None)
    # Not `@`: the threads of BLAS wait for each other when another process has a processor (20,000 rows: 80 ms instead of 8).
    return np.einsum("c,cr->r", vector[columns], matrix.T[columns])


def _best(hits: list[Hit], limit: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.score)[:limit]
