"""Word search by SQLite's FTS5: one index per tenant and kind, over folded words and over English stems.

FTS5 finds the candidates, with the filter inside the query (a join behind it ranks every match first: 365 ms instead of 28 ms at 100 k chunks).
fts5_scores.py scores the few candidates by their words. Which words count is text.py's to say; how scores are used, flow/ranking.py's.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maisale.backends.fts5_scores import Part, WeightedQuestion, idf_of
from maisale.contracts import Database, Transaction
from maisale.frequency import telling
from maisale.records import Chunk, SearchFilter, WordHit
from maisale.stemming import porter, stem, variants
from maisale.text import indexed_text, language, words

CANDIDATES = 2  # rows taken from FTS5 for each one asked for
# Matches that a query may walk through before its commonest words are left to the scoring. At 100,000 chunks 20,000 take 66 ms and 8,000 take 48;
# of the first three chunks they agree on .992, which two equal runs do on .995.
MANY_ROWS = 8_000
FRESH_S = 2.0  # how long counts are believed; another process may index meanwhile


class FTS5Index:
    """The LexicalIndex of a SQLite database. Its tables appear with the first chunk of a tenant and kind."""

    label = "FTS5"

    def __init__(self, db: Database):
        self._db = db
        self._counts: dict[str, _Counts] = {}

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
            question = self._question(table, counts, parts)
            found.extend(question.score(row["key"], row["body"]) for row in self._candidates(table, counts, where, question, limit))
        by_words = sorted(found, key=lambda hit: -hit.words)[:limit]
        by_stems = sorted(found, key=lambda hit: -hit.stems)[:limit]
        kept = {hit.key: hit for hit in by_words + by_stems if hit.words > 0 or hit.stems > 0}
        return sorted(kept.values(), key=lambda hit: -(hit.words + hit.stems))[:limit]

    def scores(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], keys: Sequence[str]) -> dict[str, WordHit]:
        found: dict[str, WordHit] = {}
        for tenant in where.tenants if keys else ():
            table = _table(tenant, kind)
            if (counts := self._count(table)) is None:
                continue
            question = self._question(table, counts, parts)
            rows = self._db.rows(f'SELECT key, body, place FROM "{table}" WHERE key IN (SELECT value FROM json_each(:keys))', keys=json.dumps(list(keys)))
            found.update((row["key"], question.score(row["key"], row["body"])) for row in rows if _inside(where, row["place"]))
        return found

    def idf(self, kind: str, tenants: Sequence[str], words: Iterable[str]) -> Mapping[str, float]:
        wanted = list(dict.fromkeys(words))
        tables = [(table, counts) for tenant in tenants if (counts := self._count(table := _table(tenant, kind))) is not None]
        total = sum(counts.rows for _, counts in tables)
        seen = [self._seen(table, "words", counts, wanted) for table, counts in tables]
        return {word: idf_of(total, sum(one[word] for one in seen)) for word in wanted}

    def _candidates(self, table: str, counts: _Counts, where: SearchFilter, question: WeightedQuestion, limit: int) -> list[dict]:
        """key and body of the rows that FTS5 ranks first, for each part by words with their pairs and by stems."""
        place = "" if self._holds_all(table, counts, where) else f"place : ({_place_filter(where)}) AND "
        found: dict[str, dict] = {}
        for part in question.parts:
            pairs = [f'"{one} {two}"' for one, two in part.pairs]
            rare = _rare_first(part.words, self._seen(table, "words", counts, part.words))
            asked = [("words", [*(f'"{word}"' for word in rare), *pairs])]
            if part.stems:
                rare = _rare_first(part.words, self._seen(table, "stems", counts, part.words))
                asked.append(("stems", [f'"{form}"' for word in rare for form in variants(word)]))
            for which, terms in asked:
                if not terms:
                    continue
                index = f"{table}:{which}"
                sql = f"""SELECT t.key, t.body, t.place FROM "{table}" AS t JOIN
                          (SELECT rowid AS id FROM "{index}" WHERE "{index}" MATCH :match ORDER BY bm25("{index}", 1.0, 0.0) LIMIT :n) AS f ON t.id = f.id"""
                match = f"{place}body : ({' OR '.join(terms)})"
                # Looked at again: the counts that left the filter out may be two seconds old.
                rows = (row for row in self._db.rows(sql, match=match, n=limit * CANDIDATES) if place or _inside(where, row["place"]))
                found.update((row["key"], row) for row in rows)
        return list(found.values())

    def _holds_all(self, table: str, counts: _Counts, where: SearchFilter) -> bool:
        """Whether every row is inside the filter, which then costs a quarter of the search and changes nothing."""
        if where.documents:
            return False
        places = list(dict.fromkeys(_token("zc", one) for one in where.collections))
        return sum(self._seen(table, "words", counts, places).values()) == counts.rows

    def _question(self, table: str, counts: _Counts, parts: Sequence[tuple[str, float]]) -> WeightedQuestion:
        made = []
        for text, weight in parts:
            language_of = language(text)
            part = Part.of(text, weight, language_of)
            if not part.words:
                continue
            seen = self._seen(table, "words", counts, part.words)
            part.idf.update((word, idf_of(counts.rows, seen[word]) * telling(word, language_of)) for word in part.words)
            seen = self._seen(table, "pairs", counts, part.pairs)
            part.pair_idf.update((pair, idf_of(counts.rows, seen[pair])) for pair in part.pairs)
            if language_of == "en":
                part.stems.extend(dict.fromkeys(stem(word) for word in part.words))
                seen = self._seen(table, "stems", counts, part.words)
                for word in part.words:
                    weight = idf_of(counts.rows, seen[word]) * telling(word, language_of)
                    part.stem_idf[stem(word)] = max(part.stem_idf.get(stem(word), 0.0), weight)
            made.append(part)
        return WeightedQuestion(made, counts.length)

    def _count(self, table: str) -> _Counts | None:
        """How many rows of which mean length; None while the tenant has no such table."""
        counts = self._counts.get(table)
        if counts is None or counts.until < time.monotonic():
            if not _exists(self._db, table):
                return None
            row = self._db.rows(f'SELECT count(*) AS n, coalesce(avg(length), 0) AS mean FROM "{table}"')[0]
            counts = self._counts[table] = _Counts(row["n"], row["mean"] or 1.0, time.monotonic() + FRESH_S)
        return counts if counts.rows else None

    def _seen(self, table: str, which: str, counts: _Counts, terms: Sequence[Any]) -> dict[Any, int]:
        """In how many rows each word, its stem or a pair of words occurs. which: words, stems or pairs; irregular forms are added up."""
        known = counts.seen.setdefault(which, {})
        if missing := [term for term in dict.fromkeys(terms) if term not in known]:
            known.update(self._seen_anew(table, which, missing))
        return {term: known[term] for term in terms}

    def _seen_anew(self, table: str, which: str, terms: Sequence[Any]) -> dict[Any, int]:
        if which == "pairs":
            return {pair: self._seen_pair(table, pair) for pair in terms}
        if which == "words":
            return self._seen_terms(f"{table}:words", terms)
        forms = {word: [porter(form) for form in variants(word)] for word in terms}
        seen = self._seen_terms(f"{table}:stems", list(dict.fromkeys(form for each in forms.values() for form in each)))
        return {word: sum(seen[form] for form in each) for word, each in forms.items()}

    def _seen_terms(self, index: str, terms: Sequence[str]) -> dict[str, int]:
        rows = self._db.rows(f'SELECT term, doc FROM "{index}:counts" WHERE term IN :terms', terms=terms)
        return {**dict.fromkeys(terms, 0), **{row["term"]: row["doc"] for row in rows}}

    def _seen_pair(self, table: str, pair: tuple[str, str]) -> int:
        index = f"{table}:words"
        return self._db.rows(f'SELECT count(*) AS n FROM "{index}" WHERE "{index}" MATCH :match', match=f'body : "{pair[0]} {pair[1]}"')[0]["n"]


@dataclass
class _Counts:
    rows: int
    length: float  # mean, in words
    until: float  # monotonic time
    seen: dict[str, dict[Any, int]] = field(default_factory=dict)


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


def _inside(where: SearchFilter, place: str) -> bool:
    collection, document = place.split(" ")
    if where.documents and document not in {_token("zd", one) for one in where.documents}:
        return False
    return collection in {_token("zc", one) for one in where.collections}


def _exists(source: Database | Transaction, table: str) -> bool:
    return bool(source.rows("SELECT 1 FROM sqlite_master WHERE name = :name", name=table))


def _create(tx: Transaction, table: str) -> None:
    tx.execute(f'CREATE TABLE "{table}" (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL, place TEXT NOT NULL, length INTEGER NOT NULL)')
    # Their mean length is asked for often; without this index it would read every text.
    tx.execute(f'CREATE INDEX "{table}:lengths" ON "{table}"(length)')
    for which, tokenizer in (("words", "unicode61"), ("stems", "porter unicode61")):
        tx.execute(f"""CREATE VIRTUAL TABLE "{table}:{which}" USING fts5(body, place, content="{table}", content_rowid='id', tokenize='{tokenizer}')""")
        tx.execute(f"""CREATE VIRTUAL TABLE "{table}:{which}:counts" USING fts5vocab("{table}:{which}", 'row')""")


def _insert(tx: Transaction, table: str, chunk: Chunk) -> None:
    found = words(indexed_text(chunk.title, chunk.heading, chunk.text))
    place = f"{_token('zc', chunk.collection_id)} {_token('zd', chunk.document_id or '')}"
    row = {"body": " ".join(found), "place": place}
    tx.execute(f'INSERT INTO "{table}"(key, body, place, length) VALUES (:key, :body, :place, :length)', key=chunk.key, length=len(found), **row)
    for index in (f"{table}:words", f"{table}:stems"):
        tx.execute(f'INSERT INTO "{index}"(rowid, body, place) SELECT id, :body, :place FROM "{table}" WHERE key = :key', key=chunk.key, **row)
