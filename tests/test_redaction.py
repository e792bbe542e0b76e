"""Texts with placeholders in the place of what identifies somebody, and questions that still find it."""

import re

from maisale.records import Chunk
from maisale.redaction import NOWHERE, as_indexed, hash_word, plain, redacted, searched, vector_text, words_text
from maisale.text import language, words

KEY = b"one instance's secret"


def chunk(title, heading, text, key=KEY):
    return Chunk("d#chunk_0", "t", "c", title, text, 0, 9, 0.0, heading=heading, searched=searched(title, heading, text, key)[0])


def test_a_placeholder_names_the_kind_and_carries_a_hash_word():
    text, counts = redacted("Call 0912 345 678 or write to anna@example.com.", KEY)
    assert re.fullmatch(r"Call ‹phone zp[0-9a-f]{16}z› or write to ‹email zp[0-9a-f]{16}z›\.", text)
    assert counts == {"phone": 1, "email": 1}


def test_the_hash_word_is_one_folded_word_and_depends_on_the_key():
    one = hash_word("+84912345678", KEY)
    assert words(one) == [one] and one != hash_word("+84912345678", b"another instance's") and one != NOWHERE


def test_what_holds_nothing_is_not_stored_twice():
    assert searched("Returns", "Returns > Boxes", "Order 0912345678 came back.", KEY)[0] == ""


def test_title_heading_and_text_are_redacted_each():
    made = chunk("Anna 0912345678", "Anna 0912345678 > Mail", "anna@example.com")
    assert made.sought[1].endswith(" > Mail") and "0912345678" not in words_text(made) and "anna" not in made.sought[2]
    assert vector_text(made) == "Anna ‹phone› > Mail\n‹email›"


def test_a_model_reads_placeholders_alone():
    hashed = redacted("MST 0100109106, 0912345678", KEY)[0]
    assert plain("MST 0100109106, 0912345678") == plain(hashed) == "MST ‹tax code›, ‹phone›"


def test_a_question_takes_the_hash_word_only_where_the_index_holds_it():
    held = {hash_word("+84912345678", KEY), hash_word("0100109106", KEY)}
    asked = ["whose number is 0912.345.678?", "0100109106", "order 0987654321"]
    phone, tax, other = as_indexed(asked, KEY, lambda wanted: wanted & held)
    assert hash_word("+84912345678", KEY) in phone and hash_word("0100109106", KEY) in tax and other == asked[2]


def test_a_placeholder_says_nothing_about_the_language():
    assert language(redacted("sdt 0912345678 la cua ai vay", KEY)[0]) == "vi" and language("‹phone›?", "vi") == "vi"
