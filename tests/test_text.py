"""Folding, words, language, tokens, sentences, stems."""

import pytest

from maisale.stemming import stem
from maisale.text import (
    asks,
    content_words,
    estimate_tokens,
    fold,
    is_vietnamese,
    language,
    main_language,
    named_row,
    sentences,
    table_cells,
    word_pairs,
    words,
)


def test_folding_forgets_marks_and_case():
    assert fold("Đường Bảo Hành") == "duong bao hanh"


def test_composed_and_decomposed_letters_are_the_same_word():
    assert words("b\u1ea3o") == words("ba\u0309o") == ["bao"]


def test_codes_and_figures_are_words():
    assert words("RO-9: 8.490.000 ₫") == ["ro", "9", "8", "490", "000"]


@pytest.mark.parametrize(
    "text",
    [
        "Máy lọc nước bảo hành bao lâu?",
        "may loc nuoc bao hanh bao lau",
        "gia loi loc RO-9 la bao nhieu",
        "chinh sach doi tra the nao",
        "con thoi gian giao hang thi sao",
    ],
)
def test_vietnamese_is_recognised_with_and_without_marks(text):
    assert is_vietnamese(text)


@pytest.mark.parametrize(
    "text",
    [
        "How long is the warranty?",
        "can I return it",
        "the price of a filter",
        "RO-9?",
        "",
        "What is an AI model?",
        "so can you do it",
        "Hello",
        "Where is Hải Phòng?",
        "Who runs the shop in Đà Nẵng?",
    ],
)
def test_other_text_is_not_taken_for_vietnamese(text):
    assert not is_vietnamese(text)


def test_a_text_that_does_not_show_its_language_takes_the_given_one():
    assert (language("RO-9?", "vi"), language("and the price?", "vi"), language("RO-9?")) == ("vi", "en", "en")


def test_an_english_document_may_name_vietnamese_places():
    assert main_language(["The office in Đà Nẵng opens at eight and closes at five on every working day of the week."]) == "en"


def test_content_words_leave_out_what_every_question_has():
    assert content_words("How much does the RO-9 cost?", "en") == ["ro", "9", "cost"]
    assert content_words("Giá của lõi lọc là bao nhiêu?", "vi") == ["gia", "loi", "loc"]


def test_a_pair_needs_one_word_that_says_something():
    assert word_pairs("price of the filter", "en") == [("price", "of"), ("the", "filter")]


def test_estimates_follow_the_length_of_a_text():
    assert estimate_tokens("") == 0
    assert 9 <= estimate_tokens("The warranty lasts for 24 months from the purchase.") <= 14
    assert estimate_tokens("word " * 1000) == pytest.approx(953, abs=2)


def test_sentences_are_verbatim_and_in_order():
    assert sentences("It costs 8.490.000 ₫. Dr. Nam agrees! Does it? Yes.") == ["It costs 8.490.000 ₫.", "Dr. Nam agrees!", "Does it?", "Yes."]


def test_a_line_break_inside_a_paragraph_ends_no_sentence():
    assert sentences("The warranty lasts\nfor 24 months.\n\nFilters are\nexcluded.") == ["The warranty lasts for 24 months.", "Filters are excluded."]


def test_list_items_and_table_rows_stand_alone_without_their_marks():
    text = "# Prices\n- RO-7 costs 5 million\n- RO-9 costs 8 million\n\n| Model | Price |\n|---|---|\n| RO-9 | 8.490.000 |"
    assert sentences(text) == ["Prices", "RO-7 costs 5 million", "RO-9 costs 8 million", "Model | Price", "RO-9 | 8.490.000"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("warranties", "warranti"),
        ("returned", "return"),
        ("relational", "relat"),
        ("hopping", "hop"),
        ("electricity", "electr"),
        ("sky", "sky"),
        ("1990s", "1990"),
        ("is", "is"),
    ],
)
def test_stems_are_those_of_the_word_index(word, expected):
    assert stem(word) == expected


@pytest.mark.parametrize("text", ["X_API_KEY_ADMIN de lam gi vay", "job loi may lan thi thanh dead, con lease_until de lam gi"])
def test_identifiers_do_not_make_a_question_english(text):
    assert language(text) == "vi"


def test_capitals_alone_are_read():
    assert language("HOW LONG IS THE WARRANTY?") == "en"


@pytest.mark.parametrize(("one", "other"), [("began", "begin"), ("died", "die"), ("sent", "sends"), ("children", "child"), ("written", "writing")])
def test_irregular_forms_share_a_stem(one, other):
    assert stem(one) == stem(other)


@pytest.mark.parametrize(("one", "other"), [("founded", "found"), ("lives", "life"), ("leaves", "leaf")])
def test_forms_of_two_words_are_left_to_the_rules(one, other):
    assert stem(one) != stem(other)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("may ro-9 gia bao nhieu", True),
        ("neu bi om thi sao", True),
        ("shop mo cua khong", True),
        ("con bc-50", True),
        ("ok and can I pay in instalments", True),
        ("tell me about the warranty", True),
        ("and filters", True),
        ("The shop in Da Nang opens at eight on Sundays.", False),
        ("Our budget for this project is 40 million dong", False),
        ("Mã đơn hàng của tôi là DH-2231.", False),
        ("Khach o Da Nang muon giao hang vao thu bay tuan nay", False),
        ("The code is 4711.", False),
    ],
)
def test_a_question_is_told_from_a_statement_without_its_mark(text, question):
    assert asks(text) is question


def test_what_people_shorten_in_a_chat_is_written_out():
    assert content_words("sđt của nv kho là bn", "vi") == ["so", "dien", "thoai", "nhan", "vien", "kho"]
    assert content_words("how much is a k of memory", "en") == content_words("how much is a K of memory", "en")


TABLE = "Fares:\n\n| Id | Name | Fare |\n| --- | --- | --- |\n| 1 | Braund, Mr. Owen | 7.25 |\n| 2 | A \\| B |  |\n\nOther text with 7.25."


def test_a_row_of_a_table_comes_with_the_names_of_its_columns():
    assert named_row(TABLE, "1 | Braund, Mr. Owen | 7.25") == [("Id", "1"), ("Name", "Braund, Mr. Owen"), ("Fare", "7.25")]
    assert named_row(TABLE, "2 | A \\| B |") == [("Id", "2"), ("Name", "A | B"), ("Fare", "")]


@pytest.mark.parametrize("sentence", ["Other text with 7.25.", "Id | Name | Fare", "Fares:", "nothing of it"])
def test_what_is_no_row_has_no_columns(sentence):
    assert named_row(TABLE, sentence) == []


@pytest.mark.parametrize(("head", "named"), [("Item | 2023 | 2024", True), ("Kettle | 7.25 | 3", False), ("Item | Item | Fare", False), ("Item | % | #", True)])
def test_a_first_row_of_data_names_nothing(head, named):
    assert bool(named_row(f"| {head} |\n| --- | --- | --- |\n| Pump | 8 | 9 |", "Pump | 8 | 9")) == named


def test_cells_are_cut_at_bars_that_stand_for_themselves():
    assert table_cells("| a |  | b \\| c |") == ["a", "", "b | c"]
