"""The receipts on the account page, in both languages."""

import pytest

from maisale.ops.held import Held
from maisale.ops.receipts import Receipt
from maisale.records import Erasure
from maisale.ui.deletions import deletions
from maisale.ui.markup import Clock

NOW = 1_790_000_000.0


def shown(language="en", state="pending", backups=(), **more):
    made = {"counts": {"passages": 12, "answers": 1}, "state": state, "erased_at": NOW if state == "erased" else None, **more}
    one = Erasure("r", "t", "u", "document", "d", 0.0, NOW - 7200, **made)
    return deletions([Receipt(one, NOW + 3600, backups)], 24, Clock(language, 0, NOW))


def test_nothing_is_shown_while_nothing_was_deleted():
    assert deletions([], 24, Clock("en", 0, NOW)) == ""


WORDS = [("en", "In the files until", "Erased from every file"), ("vi", "Còn trong các tệp", "Đã xoá khỏi mọi tệp")]


@pytest.mark.parametrize(("language", "pending", "erased"), WORDS)
def test_a_receipt_says_whether_the_files_hold_it(language, pending, erased):
    assert pending in shown(language) and erased not in shown(language)
    assert erased in shown(language, "erased") and pending not in shown(language, "erased")


def test_it_counts_what_went():
    assert "12 passages · 1 answer rested on it" in shown()


def test_it_names_the_backups_and_when_the_last_goes():
    backups = [Held("/b/1.tar", NOW - 9000, NOW + 86400, True), Held("/b/2.tar", NOW - 9500, None, True)]
    said = shown(backups=backups)
    assert "still in 2 backups · the last one expires" in said and "1 of them is kept by whoever made it" in said
    assert "still in" not in shown() and "/b/" not in said
