"""English stems as FTS5's `porter` makes them (M. F. Porter, An algorithm for suffix stripping, 1980). Pure; folding and words are in text.py."""

from __future__ import annotations

import re
from functools import lru_cache

_C, _V = "(?:[^aeiou](?:[^aeiouy])*)", "(?:[aeiouy][aeiou]*)"
_MEASURE_1 = re.compile(f"^{_C}?{_V}{_C}")
_MEASURE_ONE = re.compile(f"^{_C}?{_V}{_C}{_V}?$")
_MEASURE_2 = re.compile(f"^{_C}?{_V}{_C}{_V}{_C}")
_VOWEL = re.compile(f"^{_C}?[aeiouy]")
_DOUBLE = re.compile(r"([^aeiouylsz])\1$")
_SHORT = re.compile(f"^{_C}[aeiouy][^aeiouwxy]$")
_STEP_2 = dict(
    ational="ate",
    tional="tion",
    enci="ence",
    anci="ance",
    izer="ize",
    logi="log",
    bli="ble",
    alli="al",
    entli="ent",
    eli="e",
    ousli="ous",
    ization="ize",
    ation="ate",
    ator="ate",
    alism="al",
    iveness="ive",
    fulness="ful",
    ousness="ous",
    aliti="al",
    iviti="ive",
    biliti="ble",
)
_STEP_3 = dict(icate="ic", ative="", alize="al", iciti="ic", ical="ic", ful="", ness="")
_STEP_4 = ("ement", "ance", "ence", "able", "ible", "ment", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "ion", "al", "er", "ic", "ou")


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The stem of a folded word; made for English, so other words may lose an ending too."""
    if len(word) < 3 or not word.isascii():
        return word
    word = _plural(word)
    word = _past_and_ing(word)
    if word.endswith("y") and _VOWEL.match(word[:-1]):
        word = word[:-1] + "i"
    word = _suffix(_suffix(word, _STEP_2), _STEP_3)
    return _final_e(_drop(word))


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past_and_ing(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _MEASURE_1.match(word[:-3]) else word
    for ending in ("ed", "ing"):
        head = word.removesuffix(ending)
        if head == word or not _VOWEL.match(head):
            continue
        if head.endswith(("at", "bl", "iz")):
            return head + "e"
        if _DOUBLE.search(head):
            return head[:-1]
        return head + "e" if _SHORT.match(head) else head
    return word


def _suffix(word: str, table: dict[str, str]) -> str:
    for ending in sorted((e for e in table if word.endswith(e)), key=len, reverse=True)[:1]:
        head = word[: -len(ending)]
        return head + table[ending] if _MEASURE_1.match(head) else word
    return word


def _drop(word: str) -> str:
    for ending in sorted((e for e in _STEP_4 if word.endswith(e)), key=len, reverse=True)[:1]:
        head = word[: -len(ending)]
        if _MEASURE_2.match(head) and (ending != "ion" or head.endswith(("s", "t"))):
            return head
    return word


def _final_e(word: str) -> str:
    if word.endswith("e"):
        head = word[:-1]
        if _MEASURE_2.match(head) or (_MEASURE_ONE.match(head) and not _SHORT.match(head)):
            word = head
    return word[:-1] if word.endswith("ll") and _MEASURE_2.match(word[:-1]) else word
