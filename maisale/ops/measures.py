"""Measures of a ranking and of a yes/no score, and the paired bootstrap that says whether two runs differ. Pure.

Definitions as in trec_eval, with which the tests compare them: recall over all relevant ones, nDCG with the grade as gain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

RESAMPLES = 10_000
SEED = 20_231


def recall(ranked: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Share of the relevant ones among the first k, 0..1."""
    relevant = {key for key, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """1 / rank of the first relevant one among the first k, else 0."""
    return next((1 / rank for rank, key in enumerate(ranked[:k], 1) if grades.get(key, 0) > 0), 0.0)


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Normalised discounted cumulative gain of the first k, 0..1 (Järvelin & Kekäläinen, 2002)."""
    best = _gain(sorted(grades.values(), reverse=True)[:k])
    return _gain([grades.get(key, 0) for key in ranked[:k]]) / best if best else 0.0


def _gain(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, 1) if grade > 0)


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """Chance that a positive's score is above a negative's, ties counting half; None without one of the two."""
    if not positive or not negative:
        return None
    below = np.searchsorted(np.sort(negative), positive, "left")
    not_above = np.searchsorted(np.sort(negative), positive, "right")
    return float((below + not_above).sum() / 2 / len(positive) / len(negative))


def paired_bootstrap(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """(mean of other - one, and the borders of its 95 % interval), by resampling the questions that both runs answered."""
    differences = np.asarray(other, float) - np.asarray(one, float)
    draws = np.random.default_rng(SEED).integers(0, len(differences), (RESAMPLES, len(differences)), dtype=np.int32)
    low, high = np.quantile(differences[draws].mean(axis=1), (0.025, 0.975))
    return float(differences.mean()), float(low), float(high)
