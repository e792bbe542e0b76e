"""A question laid beside a passage: how much of it the passage and its sentences carry, which sentences answer, what to highlight. Pure."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maisale import meaning
from maisale.frequency import telling
from maisale.records import Chunk
from maisale.redaction import plain, words_text
from maisale.stemming import stem, variants
from maisale.text import HASH_WORD, PLACEHOLDER, content_words, fold, headings, sentence_words, sentences, stop_words, table_heads, word_pairs, words

PAIRS = 0.5  # of a sentence's pair coverage beside its word coverage; small words count in a pair: best sentence right .786 -> .800 (XQuAD en)
ANSWER_TYPE = 0.2  # for a sentence that holds what is asked for: a number, a date, a name
RANK = 0.1  # off for each passage in front, beside what its score is behind
HIGHLIGHTS = 6  # a passage
FEWEST_WORDS = 3  # of a sentence that says something by itself
_WORD = re.compile(r"[^\W_]+")
_FENCE = re.compile(r"(?:`{3,}|~{3,})\s*[\w+-]*")
_NUMBER = re.compile(r"\d")
_CODE = re.compile(r"(?<!\w)[^\W_]*(?:[-./]?\d+)+(?:[-./]?[^\W_]+)*(?!\w)")
_HASHED = re.compile(HASH_WORD)
_NAME = re.compile(r"(?<![.!?…:\"“]\s)(?<!^)\b[A-ZĐÀ-Ỹ][\w-]*")
_ASKS = {
    "en": (
        (r"\bhow (?:many|much|long|old|far|often|high|tall|large|big|fast)\b|\bwhat (?:percentage|number|year|price|cost)\b|\bwhen\b|\bwhich year\b", "number"),
        (r"\bwho(?:m|se)?\b|\bwhere\b|\bwhich\b", "name"),
    ),
    "vi": (
        (r"\bbao (?:nhieu|lau|xa|gio)\b|\bmay\b|\bkhi nao\b|\bnam nao\b|\bngay nao\b|\bluc nao\b|\bgia\b", "number"),
        (r"\bai\b|\bo dau\b|\bnguoi nao\b|\bnoi nao\b", "name"),
    ),
}


@dataclass(frozen=True)
class Question:
    """A question as search reads it."""

    text: str  # as it is searched
    language: str  # en or vi: of the answer too
    dependent: bool  # it leans on earlier turns ("and for a service?")
    parts: tuple[tuple[str, float], ...]  # the question and earlier user turns, each with its weight


@dataclass(frozen=True)
class Quote:
    """A sentence that may answer, verbatim."""

    number: int  # of its passage
    text: str
    position: int  # in its passage
    score: float
    row: tuple[tuple[str, str], ...] = ()  # of a table that it stands in: (name of the column, cell)


class Reader:
    """One question, ready to be laid beside passages. idf: of the folded words of its parts among what is searched; unknown ones count as the rarest.

    Which passage answers, a word rare in its language tells; which sentence of a passage, what is rare in the library alone tells better
    (best sentence right: .786 and not .775, XQuAD en).
    """

    def __init__(self, question: Question, idf: Mapping[str, float]):
        self.language = question.language
        self.dependent = question.dependent
        self._question = question
        self._form = stem if question.language == "en" else str
        self._idf = idf
        self._rarest = max(idf.values(), default=0.0) or 1.0
        of_parts = [(word, share) for text, share in question.parts for word in content_words(text)]
        content = content_words(question.text, question.language)
        self._weights = {self._form(word): self.weight(word) for word in content}
        self._of_all_turns: dict[str, float] = {}
        for word, share in of_parts:
            form = self._form(word)
            self._of_all_turns[form] = max(self._of_all_turns.get(form, 0.0), share * self.weight(word))
        self._starts = {variant[:2] for word in (*content, *(word for word, _ in of_parts)) for variant in variants(word)}
        rare = {word: idf.get(word, self._rarest) for word in content}
        self._rare = {self._form(word): weight for word, weight in rare.items()}
        self._pairs = {
            (self._form(one), self._form(two)): rare.get(one, 0.0) + rare.get(two, 0.0) for one, two in word_pairs(question.text, question.language)
        }
        self._wanted = self._asked_for()
        self._meant: np.ndarray | None = None
        self._scored: dict[Chunk, list[Quote]] = {}  # read for the quotation, then for the highlights

    def weight(self, word: str) -> float:
        """How much a folded word of the question says, in the library and in its language."""
        return self._idf.get(word, self._rarest) * telling(word, self.language)

    def coverage(self, chunk: Chunk) -> float:
        """Share of the words of the question, and of earlier turns as far as they count, in the passage's best sentence, 0..1; rare words count more."""
        weights = self._of_all_turns
        whole = sum(weights.values())
        if not whole:
            return 0.0
        best = 0.0
        for found in sentence_words(chunk.sought[2]):
            forms = {stem(word) for word in found if word[:2] in self._starts} if self._form is stem else set(found)
            best = max(best, sum(weights[one] for one in weights.keys() & forms))
        return best / whole

    def meaning(self, chunk: Chunk) -> float:
        """How near the passage is to the question and to earlier turns, in other words or the other language too, 0..1."""
        if self._meant is None:
            self._meant = meaning.vector(self._question.parts, self.language)
        return meaning.nearness(self._meant, *chunk.sought)

    @property
    def alone(self) -> bool:
        """Nothing was asked before the question."""
        return len(self._question.parts) == 1

    def chunk_coverage(self, chunk: Chunk) -> float:
        """Share of the question's words in the passage, 0..1."""
        return _share(self._weights, self._forms(words(words_text(chunk))))

    def must_occur(self) -> frozenset[str]:
        """The folded numbers and names of the question."""
        asked = self._question.text
        names = _NAME.findall(asked) if asked != asked.upper() else []
        found = words(" ".join([*names, *(word for word in re.findall(r"\w+", asked) if _NUMBER.search(word))]))
        return frozenset(found) - stop_words(self.language)

    def lacks(self, chunks: Iterable[Chunk]) -> list[str]:
        """The numbers and codes of the question ("2019", "RO-15", "‹phone›") that none of the passages names: they cannot answer it."""
        held = [f" {' '.join(words(words_text(chunk)))} " for chunk in chunks]
        replaced = {hashed[0]: plain(one[0]) for one in PLACEHOLDER.finditer(self._question.text) if (hashed := _HASHED.search(one[0]))}
        codes = {code: replaced.get(code, code) for code in _CODE.findall(self._question.text)}
        return [shown for code, shown in codes.items() if not any(f" {' '.join(words(code))} " in text for text in held)]

    def words_of(self, chunk: Chunk) -> frozenset[str]:
        return frozenset(words(words_text(chunk)))

    def quotes(self, number: int, chunk: Chunk, rank: int = 0, behind: float = 0.0) -> list[Quote]:
        """The sentences of a passage that can answer, scored. rank: 0 for the best passage. behind: how far its score is from the best one's."""
        return [Quote(number, one.text, one.position, one.score - RANK * rank - behind) for one in self._sentences(chunk)]

    def _sentences(self, chunk: Chunk) -> list[Quote]:
        """The sentences that can answer, as those of a passage without a number are scored."""
        if (made := self._scored.get(chunk)) is not None:
            return made
        made, silent = self._scored.setdefault(chunk, []), table_heads(chunk.text) | headings(chunk.text, alone=bool(chunk.document_id))
        title, heading, text = chunk.sought
        above, led = self._forms(words(f"{title} {heading}")), []
        shown, sought = (_without_fences(one) for one in (chunk.text, text))
        sought = sought if len(sought) == len(shown) else shown  # a number that two sentences shared
        for position, ((sentence, _), (_, searched)) in enumerate(zip(shown, sought, strict=True)):
            if sentence in silent:
                continue  # the names of columns answer nothing, nor do headings
            forms, asks = self._forms(searched), sentence.endswith("?")
            if not asks and len(forms) >= FEWEST_WORDS:
                # What the title says holds for every sentence below it: "Capacity: 12 litres" need not repeat the product. So does what a question asks.
                score = _share(self._rare, [*forms, *above, *led]) + PAIRS * _share(self._pairs, zip(forms, forms[1:], strict=False))
                score += ANSWER_TYPE if self._holds_wanted(sentence) else 0.0
                led_to = shown[position + 1][0] if sentence.endswith(":") and position + 1 < len(shown) else ""
                made.append(Quote(0, f"{sentence} {led_to}".rstrip(), position, score))
            if asks or len(forms) >= FEWEST_WORDS:  # "Yes." stands between a question and its answer
                led = forms if asks else []
        return made

    def highlights(self, chunk: Chunk) -> tuple[str, ...]:
        """Verbatim spans of the best sentence that carry the question's words, single words in between included."""
        best = max(self._sentences(chunk), key=lambda quote: quote.score, default=None)
        return tuple(span for span in self._spans(best.text) if span in chunk.text)[:HIGHLIGHTS] if best and best.score > 0 else ()

    def _spans(self, sentence: str) -> list[str]:
        runs: list[list[int]] = []
        last = -10
        for index, word in enumerate(_WORD.finditer(sentence)):
            if self._form(fold(word[0])) in self._weights:
                if index - last <= 2:
                    runs[-1][1] = word.end()
                else:
                    runs.append([word.start(), word.end()])
                last = index
        return [sentence[start:end] for start, end in runs]

    def _forms(self, found: Sequence[str]) -> Sequence[str]:
        """Words as the question's words are compared; only those that can match one are stemmed."""
        return [stem(word) if word[:2] in self._starts else word for word in found] if self._form is stem else found

    def _asked_for(self) -> str:
        folded = fold(self._question.text)
        return next((kind for pattern, kind in _ASKS[self.language] if re.search(pattern, folded)), "")

    def _holds_wanted(self, sentence: str) -> bool:
        if self._wanted == "number":
            return bool(_NUMBER.search(sentence))
        if self._wanted == "name":
            asked = set(words(self._question.text))
            return any(not set(words(name)) <= asked for name in _NAME.findall(sentence))
        return False


def _share(weights: Mapping[Hashable, float], found: Iterable[Hashable]) -> float:
    """The weight of what was found over the weight of everything, 0..1."""
    whole = sum(weights.values())
    return sum(weights[one] for one in weights.keys() & set(found)) / whole if whole else 0.0


def _without_fences(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Its sentences with their folded words; no marks before and after code."""
    return [one for one in zip(sentences(text), sentence_words(text), strict=True) if not _FENCE.fullmatch(one[0])]
