"""What words mean, as vectors: how near a passage is to a question that is asked in other words ("get rid of a chat", "delete a conversation").

English: all-MiniLM-L6-v2's words and word pieces, 27,558 of them. Vietnamese, without marks: 18,541 syllables and pairs of syllables, each the mean of
the English words that translations show beside it, so that both languages share one space. 128 numbers each, 6 MB. A text is the sum of its words,
common ones counting little (Arora et al. 2017). distil.py and NOTICE say how the tables were made and whose they are. They are read when first needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import chain
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
    vectors = _vietnamese if language_of == "vi" else _english
    of_texts = [list(vectors(found)) for found in texts]
    numbers = np.array([len(one) for one in of_texts])
    sums = np.zeros((len(texts), DIMENSIONS), np.float32)
    if numbers.any():
        filled = numbers > 0
        starts = np.cumsum(numbers) - numbers
        sums[filled] = np.add.reduceat(np.array(list(chain.from_iterable(of_texts))), starts[filled], axis=0)
    return sums


def _english(found: Sequence[str]) -> Iterator[np.ndarray]:
    return (known for word in found if (known := _word(word)) is not None)


def _vietnamese(found: Sequence[str]) -> Iterator[np.ndarray]:
    """A known pair of syllables speaks for both; what is no syllable is taken for English."""
    held = set()
    for at, pair in enumerate(zip(found, found[1:], strict=False)):
        if (known := _syllables(" ".join(pair))) is not None and not STOP_VI.issuperset(pair):
            held |= {at, at + 1}
            yield known
    for at, word in enumerate(found):
        if at in held or word in STOP_VI:
            continue
        if (known := _syllables(word)) is not None:
            yield np.float32(BY_ITSELF) * known
        elif not is_syllable(word) and (known := _word(word)) is not None:
            yield known


@lru_cache(maxsize=20_000)  # of 13 MB at most, as the one below
def _word(word: str) -> np.ndarray | None:
    """Of an English word: the sum of its pieces, the longest first as WordPiece does, as long as it counts. None: it is unknown."""
    if len(word) > LONGEST:
        return None
    table, places = _table()
    rows: list[int] = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        end = next((end for end in range(len(word), start, -1) if mark + word[start:end] in places), 0)
        if not end:
            return None
        rows.append(places[mark + word[start:end]])
        start = end
    found = table[rows].sum(axis=0, dtype=np.float32)
    return found * np.float32(COMMON / (COMMON + _shares().get(word, 0.0)) / (float(np.linalg.norm(found)) or 1.0))


@lru_cache(maxsize=20_000)
def _syllables(unit: str) -> np.ndarray | None:
    """Of a Vietnamese syllable or pair of syllables, as long as it counts. None: it is unknown."""
    row, share = _units().get(unit, (-1, 0.0))
    if row < 0:
        return None
    found = _table()[0][row].astype(np.float32)
    return found * np.float32(share / float(np.linalg.norm(found)))


@cache
def _table() -> tuple[np.ndarray, dict[str, int]]:
    """All rows, the English ones first, and where each English piece stands."""
    both = np.concatenate([np.load(HERE / "english.npy"), np.load(HERE / "vietnamese.npy")])
    return both, {word: row for row, word in enumerate((HERE / "english.txt").read_text("utf-8").split("\n")[:-1])}


@cache
def _units() -> dict[str, tuple[int, float]]:
    """Of Vietnamese, without marks: its row of the table, and how much it counts: less when its translations differ or are seldom seen."""
    pieces = _table()[1]
    found = {}
    for row, line in enumerate((HERE / "vietnamese.txt").read_text("utf-8").split("\n")[:-1], len(pieces)):
        unit, share = line.split("\t")
        found[unit] = row, float(share)
    return found


@cache
def _shares() -> dict[str, float]:
    return get_frequency_dict("en", "small")


def _unit(given: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(given))
    return given / np.float32(length) if length else given
