"""What words mean, as vectors: how near a passage is to a question that is asked in other words ("get rid of a chat", "delete a conversation").

English: all-MiniLM-L6-v2's words and word pieces, 27,558 of them. Vietnamese, without marks: 18,541 syllables and pairs of syllables, each the mean of
the English words that translations show beside it, so that both languages share one space. 128 numbers each, 6 MB. A text is the sum of its words,
common ones counting little (Arora et al. 2017). distil.py and NOTICE say how the tables were made and whose they are. They are read when first needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from wordfreq import get_frequency_dict

from maisale.text import STOP_VI, is_syllable, language, sentence_words, words

DIMENSIONS = 128
HERE = Path(__file__).parent
COMMON = 5e-4  # share of a word among all words from which it counts half; 3e-4 tells subjects apart better, 1e-3 ranks better
LONGEST = 40  # letters of a word
BY_ITSELF = 0.8  # of a Vietnamese syllable that no known pair holds: without marks one syllable is several words
LANGUAGE_SHOWS = 400  # letters of a passage
Counted = tuple[tuple[int, ...], float]  # rows of the table, and how much each counts


def vector(parts: Sequence[tuple[str, float]], language_of: str) -> np.ndarray:
    """float32, shape (DIMENSIONS,), of unit length, or zero when no word is known.

    parts: (text, weight), as contracts.Embedder has them. language_of: en or vi, of all of them.
    """
    of_texts = _sums([words(text) for text, _ in parts], language_of)
    return _unit(sum((weight * _unit(one) for one, (_, weight) in zip(of_texts, parts, strict=True)), np.zeros(DIMENSIONS, np.float32)))


def nearness(asked: np.ndarray, title: str, heading: str, text: str) -> float:
    """How near a passage is, 0..1: the mean of the cosines of the whole of it and of its best sentence."""
    whole, apart = _passage(title, heading, text)
    return max(0.0, float(whole @ asked + np.max(apart @ asked, initial=0.0)) / 2)


@lru_cache(maxsize=2000)  # as text.sentences keeps: of 10 MB at most
def _passage(title: str, heading: str, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of the passage with what stands above it, shape (DIMENSIONS,), and of its sentences, shape (sentences, DIMENSIONS)."""
    sums = _sums([words(f"{title} {heading}"), *sentence_words(text)], language(text[:LANGUAGE_SHOWS]))
    lengths = np.linalg.norm(sums[1:], axis=1, keepdims=True)
    return _unit(sums.sum(axis=0)), sums[1:] / np.where(lengths, lengths, 1)


def _sums(texts: Sequence[Sequence[str]], language_of: str) -> np.ndarray:
    """float32, shape (texts, DIMENSIONS). texts: the folded words of each."""
    rows, shares, places = [], [], []
    counted = _vietnamese if language_of == "vi" else _english
    for place, found in enumerate(texts):
        for pieces, share in counted(found):
            rows += pieces
            shares += [share] * len(pieces)
            places += [place] * len(pieces)
    sums = np.zeros((len(texts), DIMENSIONS), np.float32)
    if rows:
        of = np.array(places)
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        sums[of[starts]] = np.add.reduceat(_table()[0][rows] * np.array(shares, np.float32)[:, None], starts, axis=0)
    return sums


def _english(found: Sequence[str]) -> Iterable[Counted]:
    return map(_word, found)


def _vietnamese(found: Sequence[str]) -> Iterator[Counted]:
    """A known pair of syllables speaks for both; what is no syllable is taken for English."""
    units, held = _units(), set()
    for at, pair in enumerate(zip(found, found[1:], strict=False)):
        if (known := units.get(" ".join(pair))) and not STOP_VI.issuperset(pair):
            held |= {at, at + 1}
            yield known
    for at, word in enumerate(found):
        if at in held or word in STOP_VI:
            continue
        if known := units.get(word):
            yield known[0], BY_ITSELF * known[1]
        elif not is_syllable(word):
            yield _word(word)


@lru_cache(maxsize=50_000)
def _word(word: str) -> Counted:
    """Of an English word: its pieces, the longest first as WordPiece does. No rows: it is unknown."""
    if len(word) > LONGEST:
        return (), 0.0
    table, places = _table()
    rows: list[int] = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        end = next((end for end in range(len(word), start, -1) if mark + word[start:end] in places), 0)
        if not end:
            return (), 0.0
        rows.append(places[mark + word[start:end]])
        start = end
    length = float(np.linalg.norm(table[rows].sum(axis=0, dtype=np.float32)))
    return tuple(rows), COMMON / (COMMON + _shares().get(word, 0.0)) / (length or 1.0)


@cache
def _table() -> tuple[np.ndarray, dict[str, int]]:
    """All rows, the English ones first, and where each English piece stands."""
    both = np.concatenate([np.load(HERE / "english.npy"), np.load(HERE / "vietnamese.npy")])
    return both, {word: row for row, word in enumerate((HERE / "english.txt").read_text("utf-8").split("\n")[:-1])}


@cache
def _units() -> dict[str, Counted]:
    """Of Vietnamese, without marks. How much each counts: less when its translations differ or are seldom seen."""
    table, pieces = _table()
    found = {}
    for row, line in enumerate((HERE / "vietnamese.txt").read_text("utf-8").split("\n")[:-1], len(pieces)):
        unit, share = line.split("\t")
        found[unit] = ((row,), float(share) / float(np.linalg.norm(table[row].astype(np.float32))))
    return found


@cache
def _shares() -> dict[str, float]:
    return get_frequency_dict("en", "small")


def _unit(given: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(given))
    return given / np.float32(length) if length else given
