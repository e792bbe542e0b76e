"""The words of the page in both languages."""

import re

import pytest

from maisale.library.reading import ENDINGS
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


PROSE = {"en": {"html": "web pages", "txt": "text"}, "vi": {"html": "trang web", "txt": "văn bản"}}
OFFICE = {"docx": "Word", "xlsx": "Excel", "pptx": "PowerPoint", "md": "Markdown"}
ALIKE = {"markdown": "md", "htm": "html", "xhtml": "html", "tsv": "csv", "jsonl": "json", "ndjson": "json", **dict.fromkeys(("text", "rst", "log"), "txt")}


@pytest.mark.parametrize("language", TABLES)
def test_the_drop_zones_name_every_kind_that_is_read(language):
    kinds = {ALIKE.get(ending, ending) for ending in (ending.lstrip(".") for ending in ENDINGS)}
    for zone in ("drop_here_who", "drop_to_ask_who"):
        words = say(language, zone, mb=50, collection="x")
        assert [kind for kind in kinds if (OFFICE | PROSE[language]).get(kind, kind.upper()) not in words] == []


def test_every_kind_of_work_that_can_be_given_up_is_counted_in_words():
    kinds = {key.removeprefix("job_") for key in TABLES["en"] if key.startswith("job_")}
    assert kinds and {f"given_up_{kind}" for kind in kinds} <= stems("en")
