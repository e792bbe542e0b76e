"""Word search by SQLite's FTS5: one index per tenant and kind, over folded words and over English stems.

FTS5 finds the candidates, with the filter inside the query (a join behind it ranks every match first: 365 ms instead of 28 ms at 100 k chunks).
The scores are computed here from the few candidates' words: parts of a question carry weights, and a score is BM25 over the most it could be, so
that scores of tenants, kinds and languages can be compared. Which words count is text.py's to say; how scores are used, flow/ranking.py's.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maisale.contracts import Database, Transaction
from maisale.errors import StorageFailed
from maisale.frequency import telling
from maisale.records import Chunk, SearchFilter, WordHit
from maisale.stemming import porter, stem, variants
from maisale.text import content_words, indexed_text, language, word_pairs, words

K1, B = 1.2, 0.75  # Robertson & Zaragoza, The Probabilistic Relevance Framework, 2009
PAIR_WEIGHT = 0.5  # of a word pair beside a word; 1 costs English .02 R@1, 0 costs Vietnamese .055 (XQuAD)
CANDIDATES = 2  # rows taken from FTS5 for each one asked for
FEWEST_ROWS = 200  # in an index of three chunks, words would else weigh nothing beside those that occur in none
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
        for name in (f"{table}:words:counts", f"{table}:stems:counts", f"{table}:words", f"{table}:stems", table):
            tx.execute(f'DROP TABLE IF EXISTS "{name}"')

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
        tables = [(table, counts) for tenant in tenants if (counts := self._count(table := _table(tenant, kind))) is not None]
        total = sum(counts.rows for _, counts in tables)
        seen = [self._seen(table, "words", counts, wanted) for table, counts in tables]
        return {word: _idf(total, sum(one[word] for one in seen)) for word in wanted}

    def _candidates(self, table: str, counts: _Counts, where: SearchFilter, question: _Question, limit: int) -> list[dict]:
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

    def _question(self, table: str, counts: _Counts, parts: Sequence[tuple[str, float]]) -> _Question:
        made = []
        for text, weight in parts:
            language_of = language(text)
            part = _Part.of(text, weight, language_of)
            if not part.words:
                continue
            seen = self._seen(table, "words", counts, part.words)
            part.idf.update((word, _idf(counts.rows, seen[word]) * telling(word, language_of)) for word in part.words)
            seen = self._seen(table, "pairs", counts, part.pairs)
            part.pair_idf.update((pair, _idf(counts.rows, seen[pair])) for pair in part.pairs)
            if language_of == "en":
                part.stems.extend(dict.fromkeys(stem(word) for word in part.words))
                seen = self._seen(table, "stems", counts, part.words)
                for word in part.words:
                    weight = _idf(counts.rows, seen[word]) * telling(word, language_of)
                    part.stem_idf[stem(word)] = max(part.stem_idf.get(stem(word), 0.0), weight)
            made.append(part)
        return _Question(made, counts.length)

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


@dataclass
class _Part:
    """One turn of the conversation as words to look for."""

    weight: float
    words: list[str]
    pairs: list[tuple[str, str]]
    idf: dict[str, float] = field(default_factory=dict)
    pair_idf: dict[tuple[str, str], float] = field(default_factory=dict)
    stems: list[str] = field(default_factory=list)
    stem_idf: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, weight: float, language_of: str) -> _Part:
        return cls(weight, list(dict.fromkeys(content_words(text, language_of))), list(dict.fromkeys(word_pairs(text, language_of))))


class _Question:
    """The weighted parts, ready to score a row's words."""

    def __init__(self, parts: list[_Part], mean_length: float):
        self.parts = parts
        self._mean_length = mean_length
        self._most_words = (K1 + 1) * sum(part.weight * (sum(part.idf.values()) + PAIR_WEIGHT * sum(part.pair_idf.values())) for part in parts)
        self._most_stems = (K1 + 1) * sum(part.weight * sum(part.stem_idf.values()) for part in parts)
        self._words = {word for part in parts for word in part.words}
        self._pairs = {pair for part in parts for pair in part.pairs}
        self._stems = {one for part in parts for one in part.stems}
        # A stem keeps its word's first letters; most words of a row need not be stemmed.
        self._starts = {form[:2] for part in parts if part.stems for word in part.words for form in variants(word)}

    def score(self, key: str, body: str) -> WordHit:
        found = body.split()
        longer = K1 * (1 - B + B * len(found) / self._mean_length)
        times_of = Counter(found)
        tally = {word: times_of[word] for word in self._words if word in times_of}
        running = f" {body} "
        near = ((one, two) for one, two in self._pairs if one in times_of and two in times_of)
        pairs = {(one, two): times for one, two in near if (times := running.count(f" {one} {two} "))}
        stems: Counter[str] = Counter()
        for word, times in times_of.items() if self._stems else ():
            if word[:2] in self._starts and (root := stem(word)) in self._stems:
                stems[root] += times

        def saturated(times: int) -> float:
            return times * (K1 + 1) / (times + longer)

        by_words = by_stems = 0.0
        for part in self.parts:
            by_words += part.weight * sum(part.idf[word] * saturated(tally[word]) for word in part.words if word in tally)
            by_words += part.weight * PAIR_WEIGHT * sum(part.pair_idf[pair] * saturated(pairs[pair]) for pair in part.pairs if pair in pairs)
            by_stems += part.weight * sum(part.stem_idf[one] * saturated(stems[one]) for one in part.stems if one in stems)
        return WordHit(key, _over(by_words, self._most_words), _over(by_stems, self._most_stems))


def _over(score: float, most: float) -> float:
    return score / most if most else 0.0


def _idf(rows: int, seen: int) -> float:
    return math.log(1 + (max(rows, FEWEST_ROWS) - seen + 0.5) / (seen + 0.5)) if rows else 0.0


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
        tx.execute(f"""CREATE VIRTUAL TABLE "{table}:{which}:counts" USING fts5vocab("{table}:{which}", 'row')""")


def _insert(tx: Transaction, table: str, chunk: Chunk) -> None:
    found = words(indexed_text(chunk.title, chunk.heading, chunk.text))
    place = f"{_token('zc', chunk.collection_id)} {_token('zd', chunk.document_id or '')}"
    row = {"body": " ".join(found), "place": place}
    tx.execute(f'INSERT INTO "{table}"(key, body, place, length) VALUES (:key, :body, :place, :length)', key=chunk.key, length=len(found), **row)
    for index in (f"{table}:words", f"{table}:stems"):
        tx.execute(f'INSERT INTO "{index}"(rowid, body, place) SELECT id, :body, :place FROM "{table}" WHERE key = :key', key=chunk.key, **row)
