"""How much a word says, as far as its language at large tells: "stator" much, "attached" little. A library of 200 passages cannot know that.

The frequencies are wordfreq's (Speer 2022, snapshot of 2021, small lists of English and Vietnamese), chosen over a table of our own, which would carry
its licence (CC BY-SA 4.0), and over simplemma's and NLTK's lists, which know no Vietnamese. Vietnamese is counted folded, syllable by syllable.
"""

from __future__ import annotations

import math
from functools import cache

from wordfreq import get_frequency_dict

from maisale.text import words

# On the Zipf scale (logarithm of uses in 10^9 words; van Heuven et al. 2014), and what a word of every sentence still weighs. On the plateau between
# 2..6.5 and 4..5.5, .2 and .5: R@1 .925 -> .937 (XQuAD vi), R@5 .860 -> .876 (MTRAG-UN), English unchanged.
RARE, COMMON = 3.5, 5.5
LEAST = 0.4


def telling(word: str, language: str) -> float:
    """What share of its weight in search a folded word keeps: 1 for a rare or an unknown one, LEAST for one of every sentence. language: en or vi."""
    common = (_zipf(language).get(word, 0.0) - RARE) / (COMMON - RARE)
    return 1 - (1 - LEAST) * min(1.0, max(0.0, common))


@cache
def _zipf(language: str) -> dict[str, float]:
    """By folded word, for those that are common at all."""
    used: dict[str, float] = {}
    for written, share in get_frequency_dict(language, "small").items():
        for word in words(written):
            used[word] = used.get(word, 0.0) + share
    return {word: zipf for word, share in used.items() if (zipf := math.log10(share) + 9) > RARE}
