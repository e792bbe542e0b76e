"""BM25 of a question's words, word pairs and English stems: of a row's text, and of all rows at once where only their order is asked.

Parts of a question carry weights, and a score is BM25 over the most it could be, so that scores of tenants, kinds and languages can be compared.
Pure; which words count is text.py's to say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from maisale.records import WordHit
from maisale.stemming import stem, variants
from maisale.text import content_words, word_pairs

K1, B = 1.2, 0.75  # Robertson & Zaragoza, The Probabilistic Relevance Framework, 2009
PAIR_WEIGHT = 0.5  # of a word pair beside a word; 1 costs English .02 R@1, 0 costs Vietnamese .055 (XQuAD)
FEWEST_ROWS = 200  # in an index of three chunks, words would else weigh nothing beside those that occur in none
LEAST_IDF = 1e-6  # of a term in more than half of the rows, as in FTS5
PLACE_WORDS = 2  # beside a row's text; FTS5 counts them

Pair = tuple[str, str]


class Lengths(Protocol):
    """How long a table's rows are."""

    rows: int
    mean_length: float  # in words
    lengths: np.ndarray  # by row id; the last one, for rows that came later, is the mean


@dataclass
class Part:
    """One turn of the conversation as words to look for."""

    weight: float
    words: list[str]
    pairs: list[Pair]
    idf: dict[str, float] = field(default_factory=dict)
    pair_idf: dict[Pair, float] = field(default_factory=dict)
    pair_rows: dict[Pair, np.ndarray] = field(default_factory=dict)  # ids of the rows that hold them
    stems: list[str] = field(default_factory=list)
    stem_idf: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, weight: float, language_of: str) -> Part:
        return cls(weight, list(dict.fromkeys(content_words(text, language_of))), list(dict.fromkeys(word_pairs(text, language_of))))


class WeightedQuestion:
    """The weighted parts, ready to score a row's words."""

    def __init__(self, parts: list[Part], mean_length: float):
        self.parts = parts
        self._mean_length = mean_length
        self._most_words = (K1 + 1) * sum(part.weight * (sum(part.idf.values()) + PAIR_WEIGHT * sum(part.pair_idf.values())) for part in parts)
        self._most_stems = (K1 + 1) * sum(part.weight * sum(part.stem_idf.values()) for part in parts)
        self._words: dict[str, float] = {}  # what each weighs in all parts together
        self._pairs: dict[str, float] = {}  # as they stand in a text
        self._stems: dict[str, float] = {}
        self._roots: dict[str, str] = {}  # of the rows' words: thousands of them are a few hundred
        for part in parts:
            _add(self._words, part.weight, part.idf)
            _add(self._pairs, part.weight * PAIR_WEIGHT, {f" {one} {two} ": idf for (one, two), idf in part.pair_idf.items()})
            _add(self._stems, part.weight, {one: part.stem_idf[one] for one in part.stems})
        # A stem keeps its word's first letters; most words of a row need not be looked at. From a space on: the pattern is looked for at spaces only.
        starts = {form[:2] for part in parts for word in part.words for form in (variants(word) if part.stems else (word,))}
        self._may_count = re.compile(f" ((?:{'|'.join(sorted(starts))})[^ ]*)")

    def score(self, key: str, body: str) -> WordHit:
        running = f" {body} "
        longer = K1 * (1 - B + B * (running.count(" ") - 1) / self._mean_length)
        words: dict[str, int] = {}
        stems: dict[str, int] = {}
        for word in self._may_count.findall(running):
            if word in self._words:
                words[word] = words.get(word, 0) + 1
            if root := self._root_of(word):
                stems[root] = stems.get(root, 0) + 1
        pairs = {pair: times for pair in self._pairs if (times := running.count(pair))}
        by_words = _saturated(self._words, words, longer) + _saturated(self._pairs, pairs, longer)
        return WordHit(key, _over(by_words, self._most_words), _over(_saturated(self._stems, stems, longer), self._most_stems))

    def _root_of(self, word: str) -> str:
        """Its stem, if the question has that one."""
        found = self._roots.get(word)
        if found is None:
            found = self._roots[word] = root if self._stems and (root := stem(word)) in self._stems else ""
        return found


def best_rows(terms: Sequence[np.ndarray], counts: Lengths, inside: np.ndarray | None, limit: int) -> list[int]:
    """Ids of the rows that BM25 puts first when each holds a term once, the best first. terms: the rows of each. inside: by row id.

    How often a row holds a term is in its text, which the first ones are scored by; a tsvector does not tell it of many rows in good time.
    """
    scores = np.zeros(max((int(rows[-1]) for rows in terms if len(rows)), default=-1) + 1)
    for held in terms:
        longer = K1 * (1 - B + B * (counts.lengths.take(held, mode="clip") + PLACE_WORDS) / (counts.mean_length + PLACE_WORDS))
        idf = max(LEAST_IDF, math.log((max(counts.rows - len(held), 0) + 0.5) / (len(held) + 0.5)))
        scores[held] += idf * (K1 + 1) / (1 + longer)
    ids = np.flatnonzero(scores)
    if inside is not None:
        ids = ids[inside.take(ids, mode="clip")]
    found = scores[ids]
    if len(found) > limit:  # sorting all of them costs more than finding the last score that counts
        ids, found = (each[found >= np.partition(found, -limit)[-limit]] for each in (ids, found))
    return ids[np.argsort(-found, kind="stable")[:limit]].tolist()


def _add(weights: dict[str, float], share: float, idf: Mapping[str, float]) -> None:
    for term, weight in idf.items():
        weights[term] = weights.get(term, 0.0) + share * weight


def _saturated(weights: Mapping[str, float], times_of: Mapping[str, int], longer: float) -> float:
    """BM25: the weight of each term that is there, times how much its number of times says."""
    score = 0.0
    for term, times in times_of.items():
        score += weights[term] * times * (K1 + 1) / (times + longer)
    return score


def _over(score: float, most: float) -> float:
    return score / most if most else 0.0


def idf_of(rows: int, seen: int) -> float:
    return math.log(1 + (max(rows, FEWEST_ROWS) - seen + 0.5) / (seen + 0.5)) if rows else 0.0
