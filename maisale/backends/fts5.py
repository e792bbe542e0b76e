"""Word search by SQLite's FTS5: one index per tenant and kind, over folded words and over English stems.

FTS5 says which rows hold a word (fts5_counts.py); they are put in order in memory, and the first ones are scored by their text (fts5_scores.py).
Which words count is text.py's to say; how scores are used, flow/ranking.py's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from maisale.backends.fts5_counts import Counts
from maisale.backends.fts5_purge import purge
from maisale.backends.fts5_scores import Part, WeightedQuestion, best_rows, idf_of
from maisale.contracts import Database, Transaction
from maisale.errors import StorageFailed
from maisale.frequency import telling
from maisale.records import Chunk, SearchFilter, WordHit
from maisale.redaction import words_text
from maisale.stemming import porter, stem, variants
from maisale.text import language, words

CANDIDATES = 2  # rows read and scored for each one asked for
# Matches that a question may walk through before its commonest words are left to the scoring: at 100,000 chunks 8,000 and 20,000 agree on .992 of the
# first three chunks, which two equal runs do on .995.
MANY_ROWS = 8_000


Parts = tuple[tuple[str, float], ...]


class FTS5Index:
    """The LexicalIndex of a SQLite database. Its tables appear with the first chunk of a tenant and kind."""

    label = "FTS5"

    def __init__(self, db: Database):
        self._db = db
        self._counts: dict[str, Counts] = {}
        self._asked: dict[str, tuple[Counts, Parts, WeightedQuestion]] = {}  # the last one of each table: a question is searched, then its candidates scored

    def add(self, tx: Transaction, chunks: Iterable[Chunk]) -> None:
        """Indexes `chunks`; a key that is there already is replaced."""
        by_table: dict[str, list[Chunk]] = {}
        for chunk in chunks:
            by_table.setdefault(_table(chunk.tenant_id, "messages" if chunk.message_id else "documents"), []).append(chunk)
        for table, group in by_table.items():
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
        found: list[WordHit] = []
        for tenant in where.tenants:
            table = _table(tenant, kind)
            if (counts := self._count(table)) is None:
                continue
            question = self._question(counts, parts)
            found.extend(question.score(row["key"], row["body"]) for row in self._candidates(counts, where, question, limit))
        by_words = sorted(found, key=lambda hit: -hit.words)[:limit]
        by_stems = sorted(found, key=lambda hit: -hit.stems)[:limit]
        kept = {hit.key: hit for hit in by_words + by_stems if hit.words > 0 or hit.stems > 0}
        return sorted(kept.values(), key=lambda hit: -(hit.words + hit.stems))[:limit]

    def scores(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], keys: Sequence[str]) -> dict[str, WordHit]:
        found: dict[str, WordHit] = {}
        may_see = _seer(where)
        for tenant in where.tenants if keys else ():
            table = _table(tenant, kind)
            if (counts := self._count(table)) is None:
                continue
            question = self._question(counts, parts)
            rows = self._db.rows(f'SELECT key, body, place FROM "{table}" WHERE key IN :keys', keys=list(keys))
            found.update((row["key"], question.score(row["key"], row["body"])) for row in rows if may_see(row["place"]))
        return found

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

    def idf(self, kind: str, tenants: Sequence[str], words: Iterable[str]) -> Mapping[str, float]:
        wanted = list(dict.fromkeys(words))
        tables = [counts for tenant in tenants if (counts := self._count(_table(tenant, kind))) is not None]
        total = sum(counts.rows for counts in tables)
        seen = [counts.seen("words", wanted) for counts in tables]
        return {word: idf_of(total, sum(one[word] for one in seen)) for word in wanted}

    def _candidates(self, counts: Counts, where: SearchFilter, question: WeightedQuestion, limit: int) -> list[dict[str, Any]]:
        """key and body of the rows that come first for a part by words with their pairs, and of those that do by stems."""
        inside = None if _holds_all(counts, where) else counts.inside(_place_filter(where))
        best: dict[int, None] = {}
        for part in question.parts:
            rows = counts.rows_of("words", _rare_first(part.words, counts.seen("words", part.words)))
            best |= dict.fromkeys(best_rows([*rows.values(), *part.pair_rows.values()], counts, inside, limit * CANDIDATES))
            if part.stems:
                rare = _rare_first(part.words, counts.seen("stems", part.words))
                forms = [porter(form) for word in rare for form in variants(word)]
                rows = counts.rows_of("stems", set(forms))
                best |= dict.fromkeys(best_rows([rows[form] for form in forms], counts, inside, limit * CANDIDATES))
        ids = list(best)
        found = {row["id"]: row for row in self._db.rows(f'SELECT id, key, body, place FROM "{counts.table}" WHERE id IN :ids', ids=ids)}
        # Looked at again: the counts that left the filter out may be two seconds old.
        may_see = _seer(where)
        return [found[row] for row in ids if row in found and may_see(found[row]["place"])]

    def _question(self, counts: Counts, parts: Sequence[tuple[str, float]]) -> WeightedQuestion:
        asked = tuple(parts)
        of, before, question = self._asked.get(counts.table, (None, (), None))
        if question is None or of is not counts or before != asked:
            question = self._weigh(counts, asked)
            self._asked[counts.table] = counts, asked, question
        return question

    def _weigh(self, counts: Counts, parts: Parts) -> WeightedQuestion:
        made = []
        for text, weight in parts:
            language_of = language(text)
            part = Part.of(text, weight, language_of)
            if not part.words:
                continue
            seen = counts.seen("words", part.words)
            part.idf.update((word, idf_of(counts.rows, seen[word]) * telling(word, language_of)) for word in part.words)
            part.pair_rows.update(counts.rows_of_pairs(part.pairs))
            part.pair_idf.update((pair, idf_of(counts.rows, len(part.pair_rows[pair]))) for pair in part.pairs)
            if language_of == "en":
                part.stems.extend(dict.fromkeys(stem(word) for word in part.words))
                seen = counts.seen("stems", part.words)
                for word in part.words:
                    weight = idf_of(counts.rows, seen[word]) * telling(word, language_of)
                    part.stem_idf[stem(word)] = max(part.stem_idf.get(stem(word), 0.0), weight)
            made.append(part)
        return WeightedQuestion(made, counts.mean_length)

    def _count(self, table: str) -> Counts | None:
        """What the table holds; None while the tenant has no such table or nothing in it."""
        counts = self._counts.get(table)
        if counts is None and not self._ready(table):
            return None
        counts = self._counts[table] = Counts.of(self._db, table, counts)
        return counts if counts.rows else None

    def _ready(self, table: str) -> bool:
        if _exists(self._db, f"{table}:stems:rows"):
            return True
        if not _exists(self._db, table):
            return False
        self._db.write(lambda tx: _create_vocabularies(tx, table))  # of a library that an earlier version made
        return True


def _holds_all(counts: Counts, where: SearchFilter) -> bool:
    """Whether every row is inside the filter, which then changes nothing."""
    if where.documents:
        return False
    places = list(dict.fromkeys(_token("zc", one) for one in where.collections))
    return sum(counts.seen("words", places).values()) == counts.rows


def _rare_first(terms: Sequence[str], seen: Mapping[str, int]) -> list[str]:
    """Terms, rare ones first, until they match MANY_ROWS rows: the commonest of a large tenant change few ranks and cost the most time."""
    walked, kept = 0, []
    for term in sorted(terms, key=lambda one: seen[one]):
        if kept and walked + seen[term] > MANY_ROWS:
            break
        walked += seen[term]
        kept.append(term)
    return kept


def _table(tenant_id: str, kind: str) -> str:
    return f"words:{kind}:{tenant_id}".replace('"', "")


def _token(prefix: str, identifier: str) -> str:
    """An id as one word that no text contains and no stemmer changes."""
    return f"{prefix}{hashlib.blake2s(identifier.encode(), digest_size=8).hexdigest()}z"


def _place_filter(where: SearchFilter) -> str:
    collections = " OR ".join(_token("zc", one) for one in where.collections) or "znowhere"
    documents = " OR ".join(_token("zd", one) for one in where.documents)
    return f"({collections}) AND ({documents})" if documents else collections


def _seer(where: SearchFilter) -> Callable[[str], bool]:
    """Whether a row's place is inside the filter."""
    collections, documents = ({_token(prefix, one) for one in some} for prefix, some in (("zc", where.collections), ("zd", where.documents)))

    def may_see(place: str) -> bool:
        collection, document = place.split(" ")
        return collection in collections and (document in documents or not documents)

    return may_see


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
    """They store nothing: each shows in how many rows, or in which, the terms of an index occur."""
    for which in ("words", "stems"):
        for name, kind in (("counts", "row"), ("rows", "instance")):
            tx.execute(f"""CREATE VIRTUAL TABLE IF NOT EXISTS "{table}:{which}:{name}" USING fts5vocab("{table}:{which}", '{kind}')""")


def _insert(tx: Transaction, table: str, chunk: Chunk) -> None:
    found = words(words_text(chunk))
    place = f"{_token('zc', chunk.collection_id)} {_token('zd', chunk.document_id or '')}"
    row = {"body": " ".join(found), "place": place}
    tx.execute(f'INSERT INTO "{table}"(key, body, place, length) VALUES (:key, :body, :place, :length)', key=chunk.key, length=len(found), **row)
    for index in (f"{table}:words", f"{table}:stems"):
        tx.execute(f'INSERT INTO "{index}"(rowid, body, place) SELECT id, :body, :place FROM "{table}" WHERE key = :key', key=chunk.key, **row)
