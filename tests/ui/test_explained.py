"""An explanation reads as a sentence in both languages, whatever became of the document."""

import pytest

from maisale.chat.explain import VERDICTS, Explanation
from maisale.records import Candidate, Chunk, Document
from maisale.ui.explained import in_words

PRICES = Document("d", "c", "Prices", "prices.xlsx", "prices.xlsx", "", 1, 0.0, None, "complete")
BEST = Candidate(Chunk("d#chunk_0", "t", "c", "Prices", "", 0, 9, 0.0, document_id="d"), vector_score=0.31, word_score=0.22, score=0.47, number=2)


@pytest.mark.parametrize("language", ["en", "vi"])
@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("rank", [7, None])
def test_every_verdict_has_words(verdict, language, rank):
    found = Explanation(verdict, PRICES, rank is None, rank, 31, BEST, 0.52, 0.05, 0.1, "It is empty.")
    words = in_words(found, language)
    assert "prices.xlsx" in words and "{" not in words and "None" not in words


def test_a_verdict_of_now_says_today():
    found = Explanation("behind", PRICES, True, None, 31, BEST, 0.52)
    assert in_words(found, "en") == "Asked again today: prices.xlsx: Its best passage scores 0.47, behind all 31 candidates; the last one used has 0.52."
    assert in_words(found, "vi").startswith("Hỏi lại hôm nay: prices.xlsx: ") and "0,47" in in_words(found, "vi")


def test_a_source_is_told_with_its_number():
    found = Explanation("used", PRICES, False, 2, 31, BEST, 0.47)
    assert in_words(found, "en") == "prices.xlsx is used: its best passage stands at rank 2 of 31, as [2], with score 0.47. Meaning 0.31, words 0.22."
