"""The built-in embedder: hashed word and letter n-grams. No model, no download, under a millisecond a chunk.

It finds spellings, endings and typing errors rather than meanings. Its vectors depend on nothing but the text, so stored ones never go stale:
how rare a word is enters on the question's side only.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from langchain_core.embeddings import Embeddings

from maisale.text import STOP_EN, STOP_VI, words

DIMENSIONS = 1024
GRAMS = (3, 4, 5)  # letters, word borders counted as one
PAIR_WEIGHT = 2.0  # of two neighbouring words beside a word: Vietnamese words are pairs (R@1 .80 -> .83, English .884 -> .89)
_STOP = STOP_EN | STOP_VI  # of both languages: a vector must not depend on which one a passage is taken for


class HashEmbedder(Embeddings):
    """contracts.Embedder and langchain_core's Embeddings. Keeps nothing but a cache of words."""

    name = "hash-1024"
    dimensions = DIMENSIONS

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([_unit(_sum(words(text))) for text in texts]) if texts else np.zeros((0, DIMENSIONS), np.float32)

    def query_vector(self, parts: Sequence[tuple[str, float]], weight_of: Callable[[str], float]) -> np.ndarray:
        total = np.zeros(DIMENSIONS, np.float32)
        for text, weight in parts:
            total += weight * _unit(_sum(words(text), weight_of))
        return _unit(total)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.vectors(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.query_vector([(text, 1.0)], lambda _word: 1.0).tolist()


def _sum(found: Sequence[str], weight_of: Callable[[str], float] | None = None) -> np.ndarray:
    """float32, shape (1024,): every feature once, by the logarithm of its times, with its sign; a question's also by the rarity of its word."""
    kept = Counter(word for word in found if word not in _STOP) or Counter(found)
    pairs = Counter((one, two) for one, two in zip(found, found[1:], strict=False) if one in kept or two in kept)
    if not kept:
        return np.zeros(DIMENSIONS, np.float32)
    of_words = [_hashes(word) for word in kept]
    of_pairs = np.fromiter((zlib.crc32(f"{one} {two}".encode()) for one, two in pairs), np.uint32, len(pairs))
    sizes = [*map(len, of_words), *[1] * len(pairs)]
    every, inverse = np.unique(np.concatenate([*of_words, of_pairs]), return_inverse=True)
    times = np.bincount(inverse, np.repeat([*kept.values(), *pairs.values()], sizes))
    rare = {word: weight_of(word) if weight_of else 1.0 for word in kept}
    weights = [*rare.values(), *(PAIR_WEIGHT * max(rare.get(one, 0.0), rare.get(two, 0.0)) for one, two in pairs)]
    heaviest = np.zeros(len(every))
    np.maximum.at(heaviest, inverse, np.repeat(weights, sizes))
    signed = np.where(every & 0x80000000, heaviest, -heaviest) * (1 + np.log(times))
    return np.bincount(every % DIMENSIONS, signed, minlength=DIMENSIONS).astype(np.float32)


@lru_cache(maxsize=100_000)
def _hashes(word: str) -> np.ndarray:
    """Of the word itself and of its letter n-grams: a hash's low bits are a place in the vector, its highest bit is the sign."""
    edged = f" {word} "
    grams = [word, *(edged[at : at + size] for size in GRAMS for at in range(len(edged) - size + 1))]
    return np.fromiter((zlib.crc32(gram.encode()) for gram in grams), np.uint32, len(grams))


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    if not length:
        # A text without a single word still needs a direction: every index refuses a zero vector.
        vector = np.full(DIMENSIONS, 1.0, np.float32)
        length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float32)
