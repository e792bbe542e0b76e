"""What one FTS5 table holds: rows, their lengths, and in which rows a word, a stem or a pair of words occurs.

FTS5's own ranking looks up the length and all positions of every row that matches. MATCH alone names a term's rows in a quarter of the time of its
vocabulary, which names them once for each occurrence (9,218 rows of 10,000: 5.4 and 20.4 ms).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from maisale.backends.word_scores import Pair
from maisale.backends.word_search import seen
from maisale.contracts import Database
from maisale.records import SearchFilter

FRESH_S = 2.0  # how long counts of a table that changes all the time are believed
FILTERS = 8  # kept with their rows, a byte a row
HELD = 1_000_000  # rows of terms that are kept, of all tables together, 8 bytes each
ENTRY = 100  # rows that would take the memory of a term's name


class HeldRows:
    """The rows of terms that were asked for last, for many threads: questions share their words. A name says of which state of which table."""

    def __init__(self, room: int = HELD):
        self._room = room
        self._rows: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Hashable) -> np.ndarray | None:
        with self._lock:
            if name in self._rows:
                self._rows.move_to_end(name)
            return self._rows.get(name)

    def put(self, name: Hashable, rows: np.ndarray) -> None:
        with self._lock:
            if name in self._rows:
                return
            self._rows[name] = rows
            self._room -= ENTRY + len(rows)
            while self._room < 0:
                self._room += ENTRY + len(self._rows.popitem(last=False)[1])


@dataclass(frozen=True, eq=False)
class Counts:
    """word_search.WordTable: a table as it is; its counts and lengths perhaps as they were FRESH_S ago."""

    db: Database
    name: str
    stamp: bytes  # changes with the table
    counted_at: float  # monotonic time
    rows: int
    mean_length: float  # in words
    lengths: np.ndarray  # by row id; the last one, for rows that came later, is the mean
    _seen: dict[str, dict[Any, int]] = field(default_factory=dict)
    _places: dict[str, np.ndarray] = field(default_factory=dict)
    _held: HeldRows = field(default_factory=HeldRows)

    @classmethod
    def of(cls, db: Database, table: str, before: Counts | None, held: HeldRows) -> Counts:
        """before: what is known of the table. It is not counted again while it is the same."""
        # FTS5's structure record: every change raises its counter of writes. Read first, so that a change meanwhile is noticed at the next question.
        stamp = db.rows(f'SELECT block FROM "{table}:words_data" WHERE id = 10')[0]["block"]
        if before and before.stamp == stamp:
            return before
        if before and before.counted_at + FRESH_S > time.monotonic():
            return replace(before, stamp=stamp, _places={})
        sql = f'SELECT count(*) AS n, coalesce(avg(length), 0) AS mean, group_concat(id) AS ids, group_concat(length) AS lengths FROM "{table}"'
        row = db.rows(sql)[0]
        ids, mean = _numbers(row["ids"]), row["mean"] or 1.0
        lengths = np.full(ids.max(initial=0) + 2, mean, np.float32)
        lengths[ids] = _numbers(row["lengths"])
        return cls(db, table, stamp, time.monotonic(), row["n"], mean, lengths, _held=held)

    def seen(self, which: str, terms: Sequence[str]) -> dict[str, int]:
        return seen(self._seen, which, terms, self._count)

    def rows_of(self, which: str, terms: Iterable[str]) -> dict[str, np.ndarray]:
        asked = list(terms)
        return dict(zip(asked, self._matching(which, [f'body : "{term}"' for term in asked]), strict=True))

    def rows_of_pairs(self, pairs: Sequence[Pair]) -> dict[Pair, np.ndarray]:
        seen = self.seen("words", [word for pair in pairs for word in pair])
        may = [pair for pair in pairs if seen[pair[0]] and seen[pair[1]]]
        found = self._matching("words", [f'body : "{one} {two}"' for one, two in may])
        return {**dict.fromkeys(pairs, np.empty(0, np.int64)), **dict(zip(may, found, strict=True))}

    def inside(self, where: SearchFilter) -> np.ndarray | None:
        if self._holds_all(where):
            return None
        place = _place_filter(where)
        if (held := self._places.get(place)) is None:
            ids = self._match("words", [f"place : ({place})"])[0]
            held = np.zeros(ids.max(initial=0) + 2, bool)
            held[ids] = True
            if len(self._places) < FILTERS:
                self._places[place] = held
        return held

    def texts(self, where: SearchFilter, ids: Sequence[int] = (), keys: Sequence[str] = ()) -> list[dict[str, Any]]:
        named, values = ("key", keys) if keys else ("id", ids)
        rows = self.db.rows(f'SELECT id, key, body, place FROM "{self.name}" WHERE {named} IN :values', values=list(values))
        may_see = _seer(where)
        return [row for row in rows if may_see(row["place"])]

    def _holds_all(self, where: SearchFilter) -> bool:
        """Whether every row is inside the filter, which then changes nothing."""
        if where.documents:
            return False
        places = list(dict.fromkeys(token("zc", one) for one in where.collections))
        return sum(self.seen("words", places).values()) == self.rows

    def _matching(self, which: str, matches: Sequence[str]) -> list[np.ndarray]:
        # Not by the stamp alone: a table that was dropped and made anew may come to the same one.
        names = {match: (self.name, self.counted_at, self.stamp, which, match) for match in matches}
        found = {match: rows for match, name in names.items() if (rows := self._held.get(name)) is not None}
        if new := [match for match in names if match not in found]:
            for match, rows in zip(new, self._match(which, new), strict=True):
                found[match] = rows
                self._held.put(names[match], rows)
        return [found[match] for match in matches]

    def _match(self, which: str, matches: list[str]) -> list[np.ndarray]:
        index = f"{self.name}:{which}"
        sql = f'SELECT (SELECT group_concat(rowid) FROM "{index}" WHERE "{index}" MATCH value) AS ids FROM json_each(:matches)'
        return [_numbers(row["ids"]) for row in self.db.rows(sql, matches=matches)]

    def _count(self, which: str, terms: Sequence[str]) -> dict[str, int]:
        rows = self.db.rows(f'SELECT term, doc FROM "{self.name}:{which}:counts" WHERE term IN :terms', terms=terms)
        return {**dict.fromkeys(terms, 0), **{row["term"]: row["doc"] for row in rows}}


def _numbers(listed: str | None) -> np.ndarray:
    """Of what group_concat wrote."""
    return np.fromstring(listed or "", np.int64, sep=",")


def token(prefix: str, identifier: str) -> str:
    """An id as one word that no text contains and no stemmer changes."""
    return f"{prefix}{hashlib.blake2s(identifier.encode(), digest_size=8).hexdigest()}z"


def _place_filter(where: SearchFilter) -> str:
    collections = " OR ".join(token("zc", one) for one in where.collections) or "znowhere"
    documents = " OR ".join(token("zd", one) for one in where.documents)
    return f"({collections}) AND ({documents})" if documents else collections


def _seer(where: SearchFilter) -> Callable[[str], bool]:
    """Whether a row's place is inside the filter."""
    collections, documents = ({token(prefix, one) for one in some} for prefix, some in (("zc", where.collections), ("zd", where.documents)))

    def may_see(place: str) -> bool:
        collection, document = place.split(" ")
        return collection in collections and (document in documents or not documents)

    return may_see
