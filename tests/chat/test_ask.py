"""What a conversation is called."""

import pytest

from maisale.chat.ask import TITLE_CHARACTERS, title_of


@pytest.mark.parametrize("words", range(6, 12))
def test_a_title_never_ends_within_somebodys_number(words):
    question = f"{' '.join(['pump'] * words)} and whose number is +84 912 345 678, please tell me all about it"
    title = title_of(question)
    assert len(title) <= TITLE_CHARACTERS + 1 and title.endswith("…")
    assert "+84" not in title or "+84 912 345 678" in title
