"""Vectors in memory as exact search compares them: one collection's, read once and then brought up to date by what changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from maisale.contracts import Database

PAGE = 1000  # rows read at once
COMPARED_S = 60.0  # how long a collection may stand uncounted: after the clock was set back, new rows are not the latest
SPARE = 1.25  # times the rows: what comes behind a collection that is being indexed is not copied with it each time
DEAD = 0.25  # share of rows that have gone, from which the others move together

_IN = "embedder = :embedder AND kind = :kind AND collection_id = :collection"
ROW = "key, kind, collection_id, document_id, vector, changed_at"
Name = tuple[str, str, str, int]  # embedder, kind, collection, dimensions


@dataclass(frozen=True)
class Part:
    """Rows to compare. matrix: float32, shape (len(keys), dimensions); kept ones column by column. alive: which rows count; None when all do."""

    keys: np.ndarray
    documents: np.ndarray
    matrix: np.ndarray
    alive: np.ndarray | None = None


class HeldRows:
    """A collection's vectors in memory, in the order of their changes. A row is never written again: what is being read elsewhere stays as it is."""

    def __init__(self, name: Name, rows: int):
        self._name = name
        self._lock = threading.Lock()
        self._row: dict[str, int] = {}  # by key; -1 for a vector of another length, which says nothing about this question
        self._last = (0.0, "")  # the latest change, and its key
        self._compared_at = time.monotonic()
        self._used = 0
        self._keys = self._documents = np.empty(0, object)
        self._matrix = np.empty((0, name[-1]), np.float32, order="F")
        self._alive = np.empty(0, bool)
        self._reserve(rows)
        self.doubted = False  # something that it holds has left SQL

    @classmethod
    def of(cls, db: Database, name: Name) -> HeldRows:
        """Empty, with room for the collection as it is now."""
        return cls(name, _count(db, name))

    @property
    def size(self) -> int:
        """Bytes of the vectors that it holds or is about to."""
        return self._matrix.nbytes

    def part(self, db: Database, latest: float) -> Part:
        """All rows as they stand in SQL; deleted ones perhaps among them. latest: the collection's latest change."""
        with self._lock:
            if self._last[0] < latest:
                self._catch_up(db)
            if self.doubted or time.monotonic() - self._compared_at > COMPARED_S:
                self._compare(db)
            rows = slice(self._used)
            alive = None if self._alive[rows].all() else self._alive[rows].copy()
            return Part(self._keys[rows], self._documents[rows], self._matrix[rows], alive)

    def _catch_up(self, db: Database) -> None:
        for rows in pages(db, self._name, self._last):
            self._add(rows)
            self._last = (rows[-1]["changed_at"], rows[-1]["key"])
        self._close_up()

    def _compare(self, db: Database) -> None:
        """Lets go of what has left, and takes what came with an earlier time than others."""
        doubted, self.doubted, self._compared_at = self.doubted, False, time.monotonic()
        if not doubted and _count(db, self._name) == len(self._row):
            return
        embedder, kind, collection, _ = self._name
        there = {row["key"] for row in db.rows(f"SELECT key FROM vectors WHERE {_IN}", embedder=embedder, kind=kind, collection=collection)}
        for key in self._row.keys() - there:
            self._drop(key)
        missing = list(there - self._row.keys())
        for start in range(0, len(missing), PAGE):
            self._add(db.rows(f"SELECT {ROW} FROM vectors WHERE embedder = :embedder AND key IN :keys", embedder=embedder, keys=missing[start : start + PAGE]))
        self._close_up()

    def _add(self, rows: list[dict[str, Any]]) -> None:
        part = as_part(rows, self._name[-1])
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
        """Moves the others together when many have gone."""
        if np.count_nonzero(~self._alive[: self._used]) <= DEAD * self._used:
            return
        self._move(np.flatnonzero(self._alive[: self._used]), int(len(self._row) * SPARE))
        self._row.update(zip(self._keys[: self._used], range(self._used), strict=True))

    def _move(self, rows: slice | np.ndarray, room: int) -> None:
        """These rows into new arrays with room for so many."""
        for name in ("_keys", "_documents", "_matrix", "_alive"):
            old = getattr(self, name)[rows]
            new = np.empty((room, *old.shape[1:]), old.dtype, order="F")  # a question reads some columns only
            new[: len(old)] = old
            setattr(self, name, new)
        self._used = len(old)


def _count(db: Database, name: Name) -> int:
    embedder, kind, collection, _ = name
    return db.rows(f"SELECT count(*) AS n FROM vectors WHERE {_IN}", embedder=embedder, kind=kind, collection=collection)[0]["n"]


def pages(db: Database, name: Name, last: tuple[float, str] = (0.0, "")) -> Iterator[list[dict[str, Any]]]:
    """The collection's rows behind `last` in the order of their changes, which is that of the index."""
    embedder, kind, collection, _ = name
    sql = f"""SELECT {ROW} FROM vectors WHERE {_IN} AND changed_at >= :at AND (changed_at > :at OR key > :key)
              ORDER BY changed_at, key LIMIT :page"""
    at, key = last
    while rows := db.rows(sql, embedder=embedder, kind=kind, collection=collection, at=at, key=key, page=PAGE):
        yield rows
        if len(rows) < PAGE:
            return
        at, key = rows[-1]["changed_at"], rows[-1]["key"]


def as_part(rows: list[dict[str, Any]], dimensions: int) -> Part:
    """Those rows whose vector has the question's length; another comes from another model under the same name."""
    fitting = [row for row in rows if len(row["vector"]) == dimensions * 4]
    matrix = np.frombuffer(b"".join(row["vector"] for row in fitting), np.float32).reshape(len(fitting), dimensions)
    keys, documents = ([row[name] for row in fitting] for name in ("key", "document_id"))
    return Part(np.array(keys, dtype=object), np.array(documents, dtype=object), matrix)
