"""A question laid beside a passage: how much of it the passage and its sentences carry, which sentences answer, what to highlight. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from maisale.flow.state import Question, Quote
from maisale.records import Chunk
from maisale.stemming import stem
from maisale.text import content_words, fold, indexed_text, sentences, stop_words, word_pairs, words

PAIRS = 0.5  # of a sentence's pair coverage beside its word coverage
ANSWER_TYPE = 0.15  # for a sentence that holds what is asked for: a number, a date, a name
RANK = 0.15  # off for each passage in front
HIGHLIGHTS = 6  # a passage
_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d")
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


class Reader:
    """One question, ready to be laid beside passages. idf: of folded words; unknown ones weigh as the rarest."""

    def __init__(self, question: Question, idf: Mapping[str, float]):
        self.language = question.language
        self._question = question
        self._form = stem if question.language == "en" else str
        rarest = max(idf.values(), default=0.0) or 1.0
        content = content_words(question.text, question.language)
        weight = {word: idf.get(word, rarest) for word in content}
        self._weights = {self._form(word): weight[word] for word in content}
        self._pairs = {
            (self._form(one), self._form(two)): weight[one] + weight[two]
            for one, two in word_pairs(question.text, question.language)
            if one in content and two in content
        }
        self._starts = {form[:2] for form in self._weights}
        self._all_words = sum(self._weights.values())
        self._all_pairs = sum(self._pairs.values())
        self._wanted = self._asked_for()

    def coverage(self, chunk: Chunk) -> float:
        """Share of the question's words in the passage's best sentence, 0..1, rare words counting more."""
        return max((self._words_in(self._forms(sentence)) for sentence in sentences(chunk.text)), default=0.0)

    def chunk_coverage(self, chunk: Chunk) -> float:
        """Share of the question's words in the passage, 0..1."""
        return self._words_in(self._forms(indexed_text(chunk.title, chunk.heading, chunk.text)))

    def must_occur(self) -> frozenset[str]:
        """The folded numbers and names of the question."""
        asked = self._question.text
        names = _NAME.findall(asked) if asked != asked.upper() else []
        found = words(" ".join([*names, *(word for word in re.findall(r"\w+", asked) if _NUMBER.search(word))]))
        return frozenset(found) - stop_words(self.language)

    def words_of(self, chunk: Chunk) -> frozenset[str]:
        return frozenset(words(indexed_text(chunk.title, chunk.heading, chunk.text)))

    def quotes(self, number: int, chunk: Chunk, rank: int) -> list[Quote]:
        """The sentences of a passage, scored. rank: 0 for the best passage."""
        made = []
        for position, sentence in enumerate(sentences(chunk.text)):
            forms = self._forms(sentence)
            score = self._words_in(forms) + PAIRS * self._pairs_in(forms) + (ANSWER_TYPE if self._holds_wanted(sentence) else 0.0) - RANK * rank
            made.append(Quote(number, sentence, position, score))
        return made

    def highlights(self, chunk: Chunk) -> tuple[str, ...]:
        """Verbatim spans of the best sentence that carry the question's words, single words in between included."""
        scored = sorted(self.quotes(0, chunk, 0), key=lambda quote: -quote.score)
        return tuple(span for quote in scored[:1] if quote.score > 0 for span in self._spans(quote.text) if span in chunk.text)[:HIGHLIGHTS]

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

    def _forms(self, text: str) -> list[str]:
        """The words of `text` as the question's words are compared; only those that can match one are stemmed."""
        found = words(text)
        return [stem(word) if word[:2] in self._starts else word for word in found] if self._form is stem else found

    def _words_in(self, forms: Sequence[str]) -> float:
        return sum(self._weights[form] for form in self._weights.keys() & set(forms)) / self._all_words if self._all_words else 0.0

    def _pairs_in(self, forms: Sequence[str]) -> float:
        return sum(self._pairs[pair] for pair in self._pairs.keys() & set(zip(forms, forms[1:], strict=False))) / self._all_pairs if self._all_pairs else 0.0

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
