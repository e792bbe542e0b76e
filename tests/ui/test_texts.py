"""The words of the page in both languages."""

import re

from maisale.ui.texts import TABLES, say


def stems(language):
    return {key for key in TABLES[language] if not key.endswith("_one")}


def test_both_languages_say_the_same_things():
    assert stems("en") == stems("vi")


def test_both_languages_take_the_same_values():
    for key in stems("en"):
        assert set(re.findall(r"{\w+}", TABLES["en"][key])) == set(re.findall(r"{\w+}", TABLES["vi"][key])), key


def test_english_counts_one_thing_in_the_singular():
    assert (say("en", "n_documents", n=1), say("en", "n_documents", n=2)) == ("1 document", "2 documents")


def test_nothing_is_shouted():
    assert not [words for table in TABLES.values() for words in table.values() if "!" in words or "Oops" in words]


def test_vietnamese_placeholders_fit_a_phone():
    assert max(len(say("vi", key)) for key in ("ask_placeholder", "search_conversations", "find_document")) < 40
