"""What English words mean, as vectors: how near a passage is to a question that is asked in other words ("get rid of a chat", "delete a conversation").

The table is distilled from all-MiniLM-L6-v2 (distil.py says how, NOTICE whose it is): 27,558 words and word pieces, 128 numbers each, 3.5 MB. A text is
the sum of its words, common ones counting little (Arora et al. 2017). It knows no Vietnamese. The table is read when the first text is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from wordfreq import get_frequency_dict

from maisale.text import fold, sentences

DIMENSIONS = 128
TABLE, WORDS = (Path(__file__).with_name(f"english.{kind}") for kind in ("npy", "txt"))
LONGEST = 40  # letters of a word
_APART = "\x1f"  # the unit separator: folding sentences one by one costs more
_WORD = re.compile(r"[^\W_]+")
COMMON = 5e-4  # share of a word among all words from which it counts half; 3e-4 tells subjects apart better, 1e-3 ranks better


def vector(parts: Sequence[tuple[str, float]]) -> np.ndarray:
    """float32, shape (DIMENSIONS,), of unit length, or zero when no word is known. parts: (text, weight), as contracts.Embedder has them."""
    of_texts = _sums([text for text, _ in parts])
    return _unit(sum((weight * _unit(one) for one, (_, weight) in zip(of_texts, parts, strict=True)), np.zeros(DIMENSIONS, np.float32)))


def nearness(asked: np.ndarray, title: str, heading: str, text: str) -> float:
    """How near a passage is, 0..1: the mean of the cosines of the whole of it and of its best sentence."""
    whole, apart = _passage(title, heading, text)
    return max(0.0, float(whole @ asked + np.max(apart @ asked, initial=0.0)) / 2)


@lru_cache(maxsize=2000)  # as text.sentences keeps: of 10 MB at most
def _passage(title: str, heading: str, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of the passage with what stands above it, shape (DIMENSIONS,), and of its sentences, shape (sentences, DIMENSIONS)."""
    sums = _sums([f"{title} {heading}", *sentences(text)])
    lengths = np.linalg.norm(sums[1:], axis=1, keepdims=True)
    return _unit(sums.sum(axis=0)), sums[1:] / np.where(lengths, lengths, 1)


def _sums(texts: Sequence[str]) -> np.ndarray:
    """float32, shape (texts, DIMENSIONS)."""
    rows, shares, places = [], [], []
    for place, folded in enumerate(fold(_APART.join(texts)).split(_APART)):
        for word in _WORD.findall(folded):
            pieces, share = _word(word)
            rows += pieces
            shares += [share] * len(pieces)
            places += [place] * len(pieces)
    sums = np.zeros((len(texts), DIMENSIONS), np.float32)
    if rows:
        of = np.array(places)
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        sums[of[starts]] = np.add.reduceat(_table()[0][rows] * np.array(shares, np.float32)[:, None], starts, axis=0)
    return sums


@lru_cache(maxsize=50_000)
def _word(word: str) -> tuple[tuple[int, ...], float]:
    """The rows of its pieces, the longest first as WordPiece does, and how much each counts. No rows: it is unknown."""
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
    # Mapped, so that the processes of one machine share it.
    return np.load(TABLE, mmap_mode="r"), {word: row for row, word in enumerate(WORDS.read_text("utf-8").split())}


@cache
def _shares() -> dict[str, float]:
    return get_frequency_dict("en", "small")


def _unit(given: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(given))
    return given / np.float32(length) if length else given
