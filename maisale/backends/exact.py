"""Exact search: the cosine of every vector in the filter, read from SQL. Nothing to keep in step, and always complete.

Vectors are kept in memory by collection, as many as fit; a collection is asked at every search whether it changed (one read of an index, no vector
touched), and then only what changed is read. Under some 20,000 rows this is faster than a filtered HNSW graph, and it misses nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maisale.contracts import Database
from maisale.records import Hit, SearchFilter, VectorRow

CACHE_MB = 256  # three scopes of 20,000 vectors of 1024 numbers (82 MB each); it fills only with what is asked
PAGE = 1000  # rows read at once
FEW = 2000  # rows of named documents that are read for each question: about 10 ms
NAMED = 100  # documents in one statement; SQLite takes 500 parts
SPARE = 1.25  # times the rows: what comes behind a collection that is being indexed is not copied with it each time
DEAD = 0.25  # share of rows that have gone, from which the others move together

_IN = "embedder = :embedder AND kind = :kind AND collection_id = :collection"
_ROW = "key, kind, collection_id, document_id, vector, changed_at"
_Name = tuple[str, str, str, int]  # embedder, kind, collection, dimensions


@dataclass(frozen=True)
class _Stamp:
    """Tells whether a collection is as it was: a delete changes the number, an insert or update the latest change."""

    rows: int
    latest: float


@dataclass(frozen=True)
class _Part:
    """Rows to compare. matrix: float32, shape (len(keys), dimensions). alive: which rows count; None when all do."""

    keys: np.ndarray
    documents: np.ndarray
    matrix: np.ndarray
    alive: np.ndarray | None = None


class ExactIndex:
    """contracts.CompleteIndex over the table `vectors`. For many threads."""

    label = "exact"

    def __init__(self, db: Database, cache_mb: float = CACHE_MB):
        self._db = db
        self._room = int(cache_mb * 1e6)
        self._cache: OrderedDict[_Name, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def nearest(self, embedder: str, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> list[Hit]:
        found: list[Hit] = []
        for part in self._parts(embedder, kind, where, len(vector)):
            found = _best([*found, *_scored(part, where.documents, vector, limit)], limit)
        return found

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

    def _parts(self, embedder: str, kind: str, where: SearchFilter, dimensions: int) -> Iterator[_Part]:
        if where.documents and self._count_named(embedder, where, FEW + 1) <= FEW:
            yield from (_as_part(rows, dimensions) for rows in self._named(embedder, kind, where))
            return
        stamps = self._stamps(embedder, kind, where)
        asked = {(embedder, kind, collection, dimensions): stamp for collection, stamp in stamps.items()}
        for name, stamp in asked.items():
            held = self._place(name, stamp, asked)
            if held is not None:
                yield held.part(self._db, stamp)
            else:
                yield from (_as_part(rows, dimensions) for rows in _pages(self._db, name))

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
        for selected, values in _of_documents(_ROW, where.documents):
            rows = self._db.rows(selected, embedder=embedder, **values)
            yield [row for row in rows if row["kind"] == kind and row["collection_id"] in where.collections]

    def _stamps(self, embedder: str, kind: str, where: SearchFilter) -> dict[str, _Stamp]:
        """The collections of `where` that hold vectors, as they stand now."""
        sql = """SELECT collection_id, count(*) AS n, max(changed_at) AS latest FROM vectors
                 WHERE embedder = :embedder AND kind = :kind AND collection_id IN :collections GROUP BY collection_id"""
        rows = self._db.rows(sql, embedder=embedder, kind=kind, collections=where.collections)
        return {row["collection_id"]: _Stamp(row["n"], row["latest"]) for row in rows}

    def _place(self, name: _Name, stamp: _Stamp, asked: dict[_Name, _Stamp]) -> _Held | None:
        """The collection's place in memory; None when it finds none without pushing out another of the same question, which would come back next."""
        with self._lock:
            held = self._cache.pop(name, None) or _Held(name)
            held.size = stamp.rows * name[-1] * 4
            taken = sum(one.size for one in self._cache.values())
            for other in [one for one in self._cache if one not in asked]:
                if taken + held.size <= self._room:
                    break
                taken -= self._cache.pop(other).size
            if taken + held.size > self._room:
                return None
            self._cache[name] = held
            return held


class _Held:
    """A collection's vectors in memory, in the order of their changes. A row is never written again: what is being read elsewhere stays as it is."""

    def __init__(self, name: _Name):
        self._name = name
        self._lock = threading.Lock()
        self._row: dict[str, int] = {}  # by key; -1 for a vector of another length, which says nothing about this question
        self._last = (0.0, "")  # the latest change, and its key
        self._used = 0
        self._keys = self._documents = np.empty(0, object)
        self._matrix = np.empty((0, name[-1]), np.float32)
        self._alive = np.empty(0, bool)
        self.size = 0  # bytes of what it holds, or is about to

    def part(self, db: Database, stamp: _Stamp) -> _Part:
        """All rows as they stand in SQL, or later than `stamp`."""
        with self._lock:
            if (len(self._row), self._last[0]) != (stamp.rows, stamp.latest):
                self._catch_up(db, stamp)
            rows = slice(self._used)
            alive = None if self._alive[rows].all() else self._alive[rows].copy()
            return _Part(self._keys[rows], self._documents[rows], self._matrix[rows], alive)

    def _catch_up(self, db: Database, stamp: _Stamp) -> None:
        self._reserve(stamp.rows)
        later = 0  # keys that came after the stamp
        for rows in _pages(db, self._name, self._last):
            later += sum(row["changed_at"] > stamp.latest and row["key"] not in self._row for row in rows)
            self._add(rows)
            self._last = (rows[-1]["changed_at"], rows[-1]["key"])
        if len(self._row) - later != stamp.rows:
            self._compare(db)
        if np.count_nonzero(~self._alive[: self._used]) > DEAD * self._used:
            self._close_up()

    def _compare(self, db: Database) -> None:
        """Something left, or came with an earlier time: the keys tell what."""
        embedder, kind, collection, _ = self._name
        there = {row["key"] for row in db.rows(f"SELECT key FROM vectors WHERE {_IN}", embedder=embedder, kind=kind, collection=collection)}
        for key in self._row.keys() - there:
            self._drop(key)
        missing = list(there - self._row.keys())
        for start in range(0, len(missing), PAGE):
            self._add(db.rows(f"SELECT {_ROW} FROM vectors WHERE embedder = :embedder AND key IN :keys", embedder=embedder, keys=missing[start : start + PAGE]))

    def _add(self, rows: list[dict[str, Any]]) -> None:
        part = _as_part(rows, self._name[-1])
        first, end = self._used, self._used + len(part.keys)
        self._reserve(end)
        for row in rows:
            self._drop(row["key"])
            self._row[row["key"]] = -1
        self._row.update(zip(part.keys, range(first, end), strict=True))
        self._keys[first:end], self._documents[first:end], self._matrix[first:end], self._alive[first:end] = part.keys, part.documents, part.matrix, True
        self._used = end

    def _drop(self, key: str) -> None:
        row = self._row.pop(key, -1)
        if row >= 0:
            self._alive[row] = False

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._keys):
            return
        room = int(rows * SPARE) if self._used else rows
        self._move(slice(self._used), room)

    def _close_up(self) -> None:
        self._move(np.flatnonzero(self._alive[: self._used]), int(len(self._row) * SPARE))
        self._row.update(zip(self._keys[: self._used], range(self._used), strict=True))

    def _move(self, rows: slice | np.ndarray, room: int) -> None:
        """These rows into new arrays with room for so many."""
        for name in ("_keys", "_documents", "_matrix", "_alive"):
            old = getattr(self, name)[rows]
            new = np.empty((room, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self._used = len(old)


def _pages(db: Database, name: _Name, last: tuple[float, str] = (0.0, "")) -> Iterator[list[dict[str, Any]]]:
    """The collection's rows behind `last` in the order of their changes, which is that of the index."""
    embedder, kind, collection, _ = name
    sql = f"""SELECT {_ROW} FROM vectors WHERE {_IN} AND changed_at >= :at AND (changed_at > :at OR key > :key)
              ORDER BY changed_at, key LIMIT :page"""
    at, key = last
    while rows := db.rows(sql, embedder=embedder, kind=kind, collection=collection, at=at, key=key, page=PAGE):
        yield rows
        if len(rows) < PAGE:
            return
        at, key = rows[-1]["changed_at"], rows[-1]["key"]


def _of_documents(columns: str, documents: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Statements over the documents' keys, with their values. One part a document: of ranges behind OR, SQLite reads the whole embedder's index."""
    for start in range(0, len(documents), NAMED):
        some = documents[start : start + NAMED]
        one = f"SELECT {columns} FROM vectors WHERE embedder = :embedder AND key >= :first{{0}} AND key < :behind{{0}}"
        # A key is {document_id}#chunk_{i}, and "$" follows "#" in ASCII.
        values = {f"{name}{at}": document + edge for at, document in enumerate(some) for name, edge in (("first", "#"), ("behind", "$"))}
        yield " UNION ALL ".join(one.format(at) for at in range(len(some))), values


def _as_part(rows: list[dict[str, Any]], dimensions: int) -> _Part:
    """Those rows whose vector has the question's length; another comes from another model under the same name."""
    fitting = [row for row in rows if len(row["vector"]) == dimensions * 4]
    matrix = np.frombuffer(b"".join(row["vector"] for row in fitting), np.float32).reshape(len(fitting), dimensions)
    keys, documents = ([row[name] for row in fitting] for name in ("key", "document_id"))
    return _Part(np.array(keys, dtype=object), np.array(documents, dtype=object), matrix)


def _scored(part: _Part, documents: tuple[str, ...], vector: np.ndarray, limit: int) -> list[Hit]:
    scores = part.matrix @ vector.astype(np.float32)
    counted = np.ones(len(scores), bool) if part.alive is None else part.alive
    if documents:
        counted = counted & np.isin(part.documents, list(documents))
    rows = np.flatnonzero(counted)
    if len(rows) > limit:
        rows = rows[np.argpartition(-scores[rows], limit - 1)[:limit]]
    return [Hit(part.keys[row], float(scores[row])) for row in rows]


def _best(hits: list[Hit], limit: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.score)[:limit]
