"""Word search by SQLite's FTS5: one index per tenant and kind, over folded words and over English stems.

What the tables hold is written here; FTS5 says which rows hold a word (fts5_counts.py), and word_search.py finds the best of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from maisale.backends.fts5_counts import Counts, HeldRows, token
from maisale.backends.fts5_purge import purge
from maisale.backends.word_search import WordSearch, grouped
from maisale.contracts import Database, Transaction
from maisale.errors import StorageFailed
from maisale.records import Chunk, SearchFilter, WordHit
from maisale.redaction import words_text
from maisale.text import words


class FTS5Index:
    """The LexicalIndex of a SQLite database. Its tables appear with the first chunk of a tenant and kind."""

    label = "FTS5"

    def __init__(self, db: Database):
        self._db = db
        self._counts: dict[str, Counts] = {}
        self._held = HeldRows()
        self._search = WordSearch(self._table)

    def add(self, tx: Transaction, chunks: Iterable[Chunk]) -> None:
        """Indexes `chunks`; a key that is there already is replaced."""
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

    def _remove(self, tx: Transaction, table: str, keys: Sequence[str]) -> None:
        self._counts.pop(table, None)
        for row in tx.rows(f'SELECT id, body, place FROM "{table}" WHERE key IN (SELECT value FROM json_each(:keys))', keys=json.dumps(list(keys))):
            for index in (f"{table}:words", f"{table}:stems"):
                # An index over another table's text is told what to forget, word for word.
                tx.execute(f'INSERT INTO "{index}"("{index}", rowid, body, place) VALUES (\'delete\', :id, :body, :place)', **row)
            tx.execute(f'DELETE FROM "{table}" WHERE id = :id', id=row["id"])

    def search(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], limit: int) -> list[WordHit]:
        return self._search.search(kind, where, parts, limit)

    def scores(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], keys: Sequence[str]) -> dict[str, WordHit]:
        return self._search.scores(kind, where, parts, keys)

    def idf(self, kind: str, tenants: Sequence[str], words: Iterable[str]) -> Mapping[str, float]:
        return self._search.idf(kind, tenants, words)

    def rename(self, tx: Transaction, tenant_id: str, kind: str, before: str, after: str) -> None:
        table = _table(tenant_id, kind)
        if _exists(tx, table):
            sql = f'UPDATE "{table}" SET key = :after || substr(key, :cut) WHERE key >= :before AND key < :behind'
            tx.execute(sql, after=after, cut=len(before) + 1, before=before, behind=_behind(before))

    def remove_some(self, tx: Transaction, tenant_id: str, kind: str, begin: str, limit: int) -> int:
        table = _table(tenant_id, kind)
        if not _exists(tx, table):
            return 0
        rows = tx.rows(f'SELECT key FROM "{table}" WHERE key >= :begin AND key < :behind LIMIT :limit', begin=begin, behind=_behind(begin), limit=limit)
        self._remove(tx, table, [row["key"] for row in rows])
        return len(rows)

    def drop(self, tx: Transaction, tenant_id: str, kind: str) -> None:
        table = _table(tenant_id, kind)
        self._counts.pop(table, None)
        # Earlier versions made the tables "rows" as well.
        for name in (*(f"{table}:{which}:{of}" for which in ("words", "stems") for of in ("counts", "rows")), f"{table}:words", f"{table}:stems", table):
            tx.execute(f'DROP TABLE IF EXISTS "{name}"')

    def purge(self) -> None:
        for row in self._db.rows("SELECT name FROM sqlite_master WHERE name LIKE 'words:%' AND sql LIKE '%USING fts5(%'"):
            purge(self._db, row["name"])

    def lost(self, tenant_id: str, kind: str, keys: Sequence[str]) -> list[str]:
        table = _table(tenant_id, kind)
        if not _exists(self._db, table):
            return list(keys)
        there = {row["key"] for row in self._db.rows(f'SELECT key FROM "{table}"')}
        for index in (f"{table}:words", f"{table}:stems"):
            try:
                self._db.write(lambda tx, index=index: tx.execute(f'INSERT INTO "{index}"("{index}", rank) VALUES (\'integrity-check\', 1)'), bulk=True)
            except StorageFailed:  # FTS5 says only that something differs
                return list(keys)
        return [key for key in keys if key not in there]

    def found(self, tenant_id: str, kind: str, asked: Mapping[str, Sequence[str]]) -> set[str]:
        table = _table(tenant_id, kind)
        if not asked or not _exists(self._db, table):
            return set()
        matches = {key: "body : (" + " AND ".join(f'"{word}"' for word in words) + ")" for key, words in asked.items()}
        holds = 'EXISTS (SELECT 1 FROM "{0}" WHERE "{0}" MATCH wanted.value AND rowid = one.id)'
        held = " AND ".join(holds.format(f"{table}:{which}") for which in ("words", "stems"))
        sql = f'SELECT one.key FROM json_each(:matches) AS wanted JOIN "{table}" AS one ON one.key = wanted.key WHERE {held}'
        return {row["key"] for row in self._db.rows(sql, matches=json.dumps(matches))}

    def _table(self, tenant_id: str, kind: str) -> Counts | None:
        """What the table holds; None while the tenant has no such table or nothing in it."""
        table = _table(tenant_id, kind)
        counts = self._counts.get(table)
        if counts is None and not self._ready(table):
            return None
        counts = self._counts[table] = Counts.of(self._db, table, counts, self._held)
        return counts if counts.rows else None

    def _ready(self, table: str) -> bool:
        if _exists(self._db, f"{table}:stems:counts"):
            return True
        if not _exists(self._db, table):
            return False
        self._db.write(lambda tx: _create_vocabularies(tx, table))  # of a library that an earlier version made
        return True


def _table(tenant_id: str, kind: str) -> str:
    return f"words:{kind}:{tenant_id}".replace('"', "")


def _behind(begin: str) -> str:
    """The first key that no longer begins so: a range is served by the key's index, LIKE would scan."""
    return begin[:-1] + chr(ord(begin[-1]) + 1)


def _exists(source: Database | Transaction, table: str) -> bool:
    return bool(source.rows("SELECT 1 FROM sqlite_master WHERE name = :name", name=table))


def _create(tx: Transaction, table: str) -> None:
    tx.execute(f'CREATE TABLE "{table}" (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL, place TEXT NOT NULL, length INTEGER NOT NULL)')
    # Their mean length is asked for often; without this index it would read every text.
    tx.execute(f'CREATE INDEX "{table}:lengths" ON "{table}"(length)')
    for which, tokenizer in (("words", "unicode61"), ("stems", "porter unicode61")):
        tx.execute(f"""CREATE VIRTUAL TABLE "{table}:{which}" USING fts5(body, place, content="{table}", content_rowid='id', tokenize='{tokenizer}')""")
    _create_vocabularies(tx, table)


def _create_vocabularies(tx: Transaction, table: str) -> None:
    """They store nothing: each shows in how many rows the terms of an index occur."""
    for which in ("words", "stems"):
        tx.execute(f"""CREATE VIRTUAL TABLE IF NOT EXISTS "{table}:{which}:counts" USING fts5vocab("{table}:{which}", 'row')""")


def _insert(tx: Transaction, table: str, chunk: Chunk) -> None:
    found = words(words_text(chunk))
    place = f"{token('zc', chunk.collection_id)} {token('zd', chunk.document_id or '')}"
    row = {"body": " ".join(found), "place": place}
    tx.execute(f'INSERT INTO "{table}"(key, body, place, length) VALUES (:key, :body, :place, :length)', key=chunk.key, length=len(found), **row)
    for index in (f"{table}:words", f"{table}:stems"):
        tx.execute(f'INSERT INTO "{index}"(rowid, body, place) SELECT id, :body, :place FROM "{table}" WHERE key = :key', key=chunk.key, **row)
