"""Word search on Postgres: a table per tenant and kind, with the folded words and the English stems of each chunk as tsvector under a GIN index.

The words are made in Python, so that both back ends find the same: Postgres folds no đ, and its own English stemmer is another one.
What the tables hold is written here; word_search.py finds the best of it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from maisale.backends.word_scores import Pair
from maisale.backends.word_search import WordSearch, grouped, seen
from maisale.contracts import Database, Transaction
from maisale.records import Chunk, SearchFilter, WordHit
from maisale.redaction import words_text
from maisale.stemming import porter
from maisale.text import words

LONGEST_WORD = 200  # letters; Postgres takes 2,046 bytes
LAST_POSITION = 16_383  # of a tsvector
LONGEST_NAME = 63  # bytes of a table's name
FRESH_S = 2.0  # how long counts of a table to which rows come all the time are believed
COUNTED_S = 60.0  # the same when nothing came; of what went, rows are not found at once, and only weights are late
FILTERS = 8  # kept with their rows


class PostgresWords:
    """The LexicalIndex of a Postgres database. Its tables appear with the first chunk of a tenant and kind."""

    label = "Postgres"

    def __init__(self, db: Database):
        self._db = db
        self._counts: dict[str, Counts] = {}
        self._search = WordSearch(self._table)

    def add(self, tx: Transaction, chunks: Iterable[Chunk]) -> None:
        """Indexes `chunks`; a key that is there already is replaced, by a row with a new id: readers notice by the highest one."""
        for table, group in grouped(chunks, _table).items():
            if not _exists(tx, table):
                _create(tx, table)
            self._remove(tx, table, [chunk.key for chunk in group])
            for chunk in group:
                _insert(tx, table, chunk)

    def remove(self, tx: Transaction, tenant_id: str, kind: str, keys: Sequence[str]) -> None:
        table = _table(tenant_id, kind)
        if _exists(tx, table):
            self._remove(tx, table, keys)

    def search(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], limit: int) -> list[WordHit]:
        return self._search.search(kind, where, parts, limit)

    def scores(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], keys: Sequence[str]) -> dict[str, WordHit]:
        return self._search.scores(kind, where, parts, keys)

    def idf(self, kind: str, tenants: Sequence[str], words: Iterable[str]) -> Mapping[str, float]:
        return self._search.idf(kind, tenants, words)

    def rename(self, tx: Transaction, tenant_id: str, kind: str, before: str, after: str) -> None:
        table = _table(tenant_id, kind)
        if _exists(tx, table):
            sql = f'UPDATE "{table}" SET key = CAST(:after AS TEXT) || substr(key, :cut) WHERE starts_with(key, :before)'
            tx.execute(sql, after=after, cut=len(before) + 1, before=before)

    def remove_some(self, tx: Transaction, tenant_id: str, kind: str, begin: str, limit: int) -> int:
        table = _table(tenant_id, kind)
        if not _exists(tx, table):
            return 0
        self._counts.pop(table, None)
        return tx.execute(f'DELETE FROM "{table}" WHERE id IN (SELECT id FROM "{table}" WHERE starts_with(key, :begin) LIMIT :limit)', begin=begin, limit=limit)

    def drop(self, tx: Transaction, tenant_id: str, kind: str) -> None:
        table = _table(tenant_id, kind)
        self._counts.pop(table, None)
        tx.execute(f'DROP TABLE IF EXISTS "{table}"')

    def purge(self) -> None:
        """Nothing to do: the words of removed rows go when the tables are written anew (Database.compact)."""

    def lost(self, tenant_id: str, kind: str, keys: Sequence[str]) -> list[str]:
        table = _table(tenant_id, kind)
        if not _exists(self._db, table):
            return list(keys)
        # That the index agrees with its table is the server's to keep.
        there = {row["key"] for row in self._db.rows(f'SELECT key FROM "{table}" WHERE length = 0 OR length(words) > 0')}
        return [key for key in keys if key not in there]

    def found(self, tenant_id: str, kind: str, asked: Mapping[str, Sequence[str]]) -> set[str]:
        table = _table(tenant_id, kind)
        if not asked or not _exists(self._db, table):
            return set()
        queries = {
            "words": [" & ".join(map(_lexeme, words)) for words in asked.values()],
            "stems": [" & ".join(_lexeme(porter(word)) for word in words) for words in asked.values()],
        }
        sql = f"""SELECT one.key FROM unnest(CAST(:keys AS text[]), CAST(:words AS text[]), CAST(:stems AS text[])) AS wanted(key, words, stems)
                  JOIN "{table}" AS one ON one.key = wanted.key
                  WHERE one.words @@ CAST(wanted.words AS tsquery) AND one.stems @@ CAST(wanted.stems AS tsquery)"""
        return {row["key"] for row in self._db.rows(sql, keys=list(asked), **queries)}

    def _remove(self, tx: Transaction, table: str, keys: Sequence[str]) -> None:
        self._counts.pop(table, None)
        tx.execute(f'DELETE FROM "{table}" WHERE key IN :keys', keys=list(keys))

    def _table(self, tenant_id: str, kind: str) -> Counts | None:
        """What the table holds; None while the tenant has no such table or nothing in it."""
        table = _table(tenant_id, kind)
        if not _exists(self._db, table):
            self._counts.pop(table, None)
            return None
        counts = self._counts[table] = Counts.of(self._db, table, self._counts.get(table))
        return counts if counts.rows else None


@dataclass(frozen=True, eq=False)
class Counts:
    """word_search.WordTable of a table."""

    db: Database
    name: str
    newest: int  # the highest id
    counted_at: float  # monotonic time
    rows: int
    mean_length: float
    lengths: np.ndarray
    _seen: dict[str, dict[str, int]] = field(default_factory=dict)
    _places: dict[SearchFilter, np.ndarray | None] = field(default_factory=dict)

    @classmethod
    def of(cls, db: Database, table: str, before: Counts | None) -> Counts:
        """before: what is known of the table. It is not counted again while that is fresh."""
        newest, now = db.rows(f'SELECT coalesce(max(id), 0) AS newest FROM "{table}"')[0]["newest"], time.monotonic()
        if before and before.rows and now < before.counted_at + (COUNTED_S if before.newest == newest else FRESH_S):
            return before if before.newest == newest else replace(before, newest=newest, _places={})
        sql = f"""SELECT count(*) AS n, coalesce(avg(length), 0) AS mean, string_agg(id::text, ',') AS ids, string_agg(length::text, ',') AS lengths
                  FROM "{table}" """
        row = db.rows(sql)[0]
        ids, mean = _numbers(row["ids"]), float(row["mean"]) or 1.0
        lengths = np.full(ids.max(initial=0) + 2, mean, np.float32)
        lengths[ids] = _numbers(row["lengths"])
        return cls(db, table, newest, now, row["n"], mean, lengths)

    def seen(self, which: str, terms: Sequence[str]) -> dict[str, int]:
        return seen(self._seen, which, terms, self._count)

    def rows_of(self, which: str, terms: Iterable[str]) -> dict[str, np.ndarray]:
        asked = list(terms)
        held = [_lexeme(term if which == "words" else porter(term)) for term in asked]
        return dict(zip(asked, self._matching(which, held), strict=True))

    def rows_of_pairs(self, pairs: Sequence[Pair]) -> dict[Pair, np.ndarray]:
        seen = self.seen("words", [word for pair in pairs for word in pair])
        may = [pair for pair in pairs if seen[pair[0]] and seen[pair[1]]]
        found = self._matching("words", [f"{_lexeme(one)} <-> {_lexeme(two)}" for one, two in may])
        return {**dict.fromkeys(pairs, np.empty(0, np.int64)), **dict(zip(may, found, strict=True))}

    def inside(self, where: SearchFilter) -> np.ndarray | None:
        if where not in self._places:
            sql, values = _inside(where)
            ids = _numbers(self.db.rows(f"""SELECT string_agg(id::text, ',') AS ids FROM "{self.name}" WHERE {sql}""", **values)[0]["ids"])
            held = np.zeros(ids.max(initial=0) + 2, bool)
            held[ids] = True
            if len(self._places) >= FILTERS:
                self._places.clear()
            self._places[where] = None if len(ids) == self.rows else held
        return self._places[where]

    def texts(self, where: SearchFilter, ids: Sequence[int] = (), keys: Sequence[str] = ()) -> list[dict[str, Any]]:
        named, values = ("key", keys) if keys else ("id", ids)
        if not values:
            return []
        sql, inside = _inside(where)
        return self.db.rows(f'SELECT id, key, body FROM "{self.name}" WHERE {named} IN :values AND {sql}', values=list(values), **inside)

    def _matching(self, which: str, queries: list[str]) -> list[np.ndarray]:
        sql = f"""SELECT (SELECT string_agg(id::text, ',') FROM "{self.name}" WHERE {which} @@ CAST(asked.query AS tsquery)) AS ids
                  FROM unnest(CAST(:queries AS text[])) WITH ORDINALITY AS asked(query, place) ORDER BY asked.place"""
        return [np.sort(_numbers(row["ids"])) for row in self.db.rows(sql, queries=queries)] if queries else []

    def _count(self, which: str, forms: list[str]) -> dict[str, int]:
        sql = f"""SELECT (SELECT count(*) FROM "{self.name}" WHERE {which} @@ CAST(asked.query AS tsquery)) AS n
                  FROM unnest(CAST(:queries AS text[])) WITH ORDINALITY AS asked(query, place) ORDER BY asked.place"""
        rows = self.db.rows(sql, queries=[_lexeme(form) for form in forms])
        return {form: row["n"] for form, row in zip(forms, rows, strict=True)}


def _inside(where: SearchFilter) -> tuple[str, dict[str, list[str]]]:
    """A condition and its values."""
    inside: dict[str, list[str]] = {"collections": list(where.collections)}
    if not where.documents:
        return "collection_id IN :collections", inside
    return "collection_id IN :collections AND document_id IN :documents", {**inside, "documents": list(where.documents)}


def _table(tenant_id: str, kind: str) -> str:
    name = f"words {kind} {tenant_id}".replace('"', "")
    if len(name.encode()) + 2 <= LONGEST_NAME:  # its indexes add two letters
        return name
    return f"words {kind} {hashlib.blake2s(tenant_id.encode(), digest_size=16).hexdigest()}"


def _exists(source: Database | Transaction, table: str) -> bool:
    sql = "SELECT 1 FROM pg_class WHERE relname = :name AND relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    return bool(source.rows(sql, name=table))


def _create(tx: Transaction, table: str) -> None:
    tx.execute(f"""CREATE TABLE "{table}" (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key TEXT COLLATE "C" NOT NULL UNIQUE,
                   collection_id TEXT COLLATE "C" NOT NULL, document_id TEXT COLLATE "C" NOT NULL, length INTEGER NOT NULL, body TEXT NOT NULL,
                   words TSVECTOR NOT NULL, stems TSVECTOR NOT NULL) WITH (toast_tuple_target = 128)""")  # texts stand apart: counting reads none
    # Without fastupdate: each search would read a list of what came lately.
    for name, which in (("w", "words"), ("s", "stems")):
        tx.execute(f'CREATE INDEX "{table} {name}" ON "{table}" USING gin ({which}) WITH (fastupdate = off)')
    tx.execute(f'CREATE INDEX "{table} c" ON "{table}" (collection_id, document_id)')


def _insert(tx: Transaction, table: str, chunk: Chunk) -> None:
    found = words(words_text(chunk))
    tx.execute(
        f"""INSERT INTO "{table}" (key, collection_id, document_id, length, body, words, stems)
            VALUES (:key, :collection, :document, :length, :body, CAST(:words AS tsvector), CAST(:stems AS tsvector))""",
        key=chunk.key,
        collection=chunk.collection_id,
        document=chunk.document_id or "",
        length=len(found),
        body=" ".join(found),
        words=_vector(found),
        stems=" ".join(_lexeme(one) for one in {porter(word) for word in found}),
    )


def _vector(found: Sequence[str]) -> str:
    """As Postgres reads a tsvector: each word with its places, which pairs are found by."""
    places: dict[str, list[str]] = {}
    for at, word in enumerate(found, 1):
        places.setdefault(word, []).append(str(min(at, LAST_POSITION)))
    return " ".join(f"{_lexeme(word)}:{','.join(at)}" for word, at in places.items())


def _lexeme(word: str) -> str:
    escaped = word[:LONGEST_WORD].replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _numbers(listed: str | None) -> np.ndarray:
    """Of what string_agg wrote."""
    return np.fromstring(listed or "", np.int64, sep=",")
