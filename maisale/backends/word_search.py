"""Word search over what a back end can say of a table of words: which rows hold a term, and their texts.

Rows that hold a word are put in order in memory, and the first ones are scored by their text (word_scores.py). Every back end finds the same.
Which words count is text.py's to say; how scores are used, flow/ranking.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from maisale.backends.word_scores import Pair, Part, WeightedQuestion, best_rows, idf_of
from maisale.frequency import telling
from maisale.records import Chunk, SearchFilter, WordHit
from maisale.stemming import porter, stem, variants
from maisale.text import language

CANDIDATES = 2  # rows read and scored for each one asked for
# Matches that a question may walk through before its commonest words are left to the scoring: at 100,000 chunks 8,000 and 20,000 agree on .992 of the
# first three chunks, which two equal runs do on .995.
MANY_ROWS = 8_000
REMEMBERED = 10_000  # terms with their counts

Parts = tuple[tuple[str, float], ...]


class WordTable(Protocol):
    """One tenant's and kind's words as they are; counts and lengths perhaps as they were a moment ago."""

    name: str
    rows: int
    mean_length: float  # in words
    lengths: np.ndarray  # by row id; the last one, for rows that came later, is the mean

    def seen(self, which: str, terms: Sequence[str]) -> dict[str, int]:
        """In how many rows each word or its stem occurs. which: words or stems; irregular forms are added up."""

    def rows_of(self, which: str, terms: Iterable[str]) -> dict[str, np.ndarray]:
        """The ids of the rows that hold each word, or a word of its stem, once each, ascending. which: words or stems."""

    def rows_of_pairs(self, pairs: Sequence[Pair]) -> dict[Pair, np.ndarray]:
        """The ids of the rows that hold each pair of neighbours, once each, ascending."""

    def inside(self, where: SearchFilter) -> np.ndarray | None:
        """Whether each row is inside the filter, by row id, False behind the last one; None when all are."""

    def texts(self, where: SearchFilter, ids: Sequence[int] = (), keys: Sequence[str] = ()) -> list[dict[str, Any]]:
        """id, key and body of those of the rows that are inside the filter."""


def grouped(chunks: Iterable[Chunk], table_of: Callable[[str, str], str]) -> dict[str, list[Chunk]]:
    """The chunks of each table. table_of: its name, of a tenant and kind."""
    found: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        found.setdefault(table_of(chunk.tenant_id, "messages" if chunk.message_id else "documents"), []).append(chunk)
    return found


def seen(known: dict[str, dict[str, int]], which: str, terms: Sequence[str], count: Callable[[str, list[str]], Mapping[str, int]]) -> dict[str, int]:
    """WordTable.seen. known: what is remembered of words and of stems. count: in how many rows each form occurs, asked of the others only."""
    remembered = known.setdefault(which, {})
    forms = {
        term: [term] if which == "words" else [porter(form) for form in variants(term)] for term in dict.fromkeys(terms) if term not in remembered
    }
    counted = count(which, list(dict.fromkeys(form for each in forms.values() for form in each))) if forms else {}
    anew = {term: sum(counted[form] for form in each) for term, each in forms.items()}
    if len(remembered) < REMEMBERED:
        remembered.update(anew)
    return {term: anew[term] if term in anew else remembered[term] for term in terms}


class WordSearch:
    """The reading half of a LexicalIndex. table_of: of a tenant and kind; None while there is none, or nothing in it."""

    def __init__(self, table_of: Callable[[str, str], WordTable | None]):
        self._table_of = table_of
        self._asked: dict[str, tuple[WordTable, Parts, WeightedQuestion]] = {}  # the last one of each table: a question is searched, then its candidates scored

    def search(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], limit: int) -> list[WordHit]:
        found: list[WordHit] = []
        for table in self._tables(where.tenants, kind):
            inside = table.inside(where)
            if inside is not None and not inside.any():
                continue
            question = self._question(table, parts)
            found.extend(question.score(row["key"], row["body"]) for row in _candidates(table, where, inside, question, limit))
        by_words = sorted(found, key=lambda hit: -hit.words)[:limit]
        by_stems = sorted(found, key=lambda hit: -hit.stems)[:limit]
        kept = {hit.key: hit for hit in by_words + by_stems if hit.words > 0 or hit.stems > 0}
        return sorted(kept.values(), key=lambda hit: -(hit.words + hit.stems))[:limit]

    def scores(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], keys: Sequence[str]) -> dict[str, WordHit]:
        found: dict[str, WordHit] = {}
        for table in self._tables(where.tenants, kind) if keys else ():
            if rows := table.texts(where, keys=keys):
                question = self._question(table, parts)
                found.update((row["key"], question.score(row["key"], row["body"])) for row in rows)
        return found

    def idf(self, kind: str, tenants: Sequence[str], words: Iterable[str]) -> Mapping[str, float]:
        wanted = list(dict.fromkeys(words))
        tables = self._tables(tenants, kind)
        total = sum(table.rows for table in tables)
        seen = [table.seen("words", wanted) for table in tables]
        return {word: idf_of(total, sum(one[word] for one in seen)) for word in wanted}

    def _tables(self, tenants: Sequence[str], kind: str) -> list[WordTable]:
        return [table for tenant in tenants if (table := self._table_of(tenant, kind)) is not None]

    def _question(self, table: WordTable, parts: Sequence[tuple[str, float]]) -> WeightedQuestion:
        asked = tuple(parts)
        of, before, question = self._asked.get(table.name, (None, (), None))
        if question is None or of is not table or before != asked:
            question = _weigh(table, asked)
            self._asked[table.name] = table, asked, question
        return question


def _candidates(table: WordTable, where: SearchFilter, inside: np.ndarray | None, question: WeightedQuestion, limit: int) -> list[dict[str, Any]]:
    """key and body of the rows that come first for a part by words with their pairs, and of those that do by stems."""
    if inside is not None and np.count_nonzero(inside) <= limit:
        return table.texts(where, ids=np.flatnonzero(inside).tolist())  # a conversation's messages, say, among those of all
    best: dict[int, None] = {}
    for part in question.parts:
        rows = table.rows_of("words", _rare_first(part.words, table.seen("words", part.words)))
        best |= dict.fromkeys(best_rows([*rows.values(), *part.pair_rows.values()], table, inside, limit * CANDIDATES))
        if part.stems:
            rare = _rare_first(part.words, table.seen("stems", part.words))
            forms = [form for word in rare for form in variants(word)]
            rows = table.rows_of("stems", set(forms))
            best |= dict.fromkeys(best_rows([rows[form] for form in forms], table, inside, limit * CANDIDATES))
    ids = list(best)
    # The filter is applied again: the counts that left it out may be two seconds old.
    found = {row["id"]: row for row in table.texts(where, ids=ids)}
    return [found[row] for row in ids if row in found]


def _weigh(table: WordTable, parts: Parts) -> WeightedQuestion:
    made = []
    for text, weight in parts:
        language_of = language(text)
        part = Part.of(text, weight, language_of)
        if not part.words:
            continue
        seen = table.seen("words", part.words)
        part.idf.update((word, idf_of(table.rows, seen[word]) * telling(word, language_of)) for word in part.words)
        part.pair_rows.update(table.rows_of_pairs(part.pairs))
        part.pair_idf.update((pair, idf_of(table.rows, len(part.pair_rows[pair]))) for pair in part.pairs)
        if language_of == "en":
            part.stems.extend(dict.fromkeys(stem(word) for word in part.words))
            seen = table.seen("stems", part.words)
            for word in part.words:
                weight = idf_of(table.rows, seen[word]) * telling(word, language_of)
                part.stem_idf[stem(word)] = max(part.stem_idf.get(stem(word), 0.0), weight)
        made.append(part)
    return WeightedQuestion(made, table.mean_length)


def _rare_first(terms: Sequence[str], seen: Mapping[str, int]) -> list[str]:
    """Terms, rare ones first, until they match MANY_ROWS rows: the commonest of a large tenant change few ranks and cost the most time."""
    walked, kept = 0, []
    for term in sorted(terms, key=lambda one: seen[one]):
        if kept and walked + seen[term] > MANY_ROWS:
            break
        walked += seen[term]
        kept.append(term)
    return kept
