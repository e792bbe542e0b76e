"""Words by what they mean: in other words, in the other language, without marks; and nothing of a word that nobody knows."""

import numpy as np
import pytest

from maisale import meaning


def near(asked, text, asked_in="en"):
    return meaning.nearness(meaning.vector([(asked, 1.0)], asked_in), "", "", text)


def test_the_tables_fit_together():
    table, pieces = meaning._table()
    assert table.shape == (len(pieces) + len(meaning._units()), meaning.DIMENSIONS)
    assert table.dtype == np.int8 and (table != 0).any(axis=1).all()


@pytest.mark.parametrize(
    ("asked", "asked_in", "text"),
    [
        ("How do I get rid of a chat?", "en", "To delete a conversation, press the trash can."),
        ("Can I repair my car here?", "en", "Vehicles are mended in the workshop."),
        ("lam sao bo mat khau", "vi", "Để xoá khoá đăng nhập, mở trang Tài khoản."),
        ("sao luu du lieu o dau", "vi", "Backups of the files are written every night."),
        ("where are backups of the files", "en", "Sao lưu dữ liệu nằm trong thư mục riêng."),
    ],
)
def test_what_means_the_same_is_nearer_than_what_does_not(asked, asked_in, text):
    others = ["The soup is cooked for three hours.", "Nồi phở được ninh ba tiếng.", "The team won the match in the last minute."]
    assert near(asked, text, asked_in) > max(near(asked, other, asked_in) for other in others) + 0.1


def test_marks_do_not_matter():
    text = "Mật khẩu được đổi trên trang Tài khoản."
    assert near("đổi mật khẩu ở đâu", text, "vi") == pytest.approx(near("doi mat khau o dau", text, "vi"))


def test_a_passage_is_read_with_its_heading():
    asked = meaning.vector([("password", 1.0)], "en")
    assert meaning.nearness(asked, "", "Password", "It is changed once a year.") > meaning.nearness(asked, "", "", "It is changed once a year.")


@pytest.mark.parametrize("text", ["", "???", "x" * 1_000_000, "€ — !"])
def test_a_text_without_a_known_word_is_near_to_nothing(text):
    assert near(text, "The warranty lasts 24 months.") < 0.4
    assert near("warranty", text) < 0.4


def test_earlier_turns_count_by_their_weight():
    turns = [("And in winter?", 1.0), ("How often are roses watered?", 0.5)]
    both, alone = (meaning.nearness(meaning.vector(parts, "en"), "", "", "Roses need water twice a week.") for parts in (turns, turns[:1]))
    assert both > alone
