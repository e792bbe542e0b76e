"""How much a word says in its language."""

import pytest

from maisale.frequency import LEAST, telling


@pytest.mark.parametrize(("rare", "common", "language"), [("stator", "attached", "en"), ("warranty", "company", "en"), ("tuabin", "nguoi", "vi")])
def test_a_rare_word_says_more_than_a_common_one(rare, common, language):
    assert LEAST <= telling(common, language) < telling(rare, language) <= 1


def test_a_word_that_no_list_has_says_most():
    assert telling("ro9x", "en") == telling("ro9x", "vi") == 1


def test_vietnamese_is_counted_without_its_marks():
    assert telling("nguoi", "vi") == LEAST < telling("khuyu", "vi")


def test_a_word_is_judged_by_the_language_it_is_asked_in():
    assert telling("nguoi", "en") == 1
