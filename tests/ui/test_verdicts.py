"""The thumbs of the answers, from messages and verdicts."""

from maisale.records import Message, Reply
from maisale.ui.verdicts import verdicts

REPLY = Reply("r1", "q", "c", "done", "24 months")
ASKED = Message("q", "c", "user", "How long?", 1, {}, 0.0)
SAID = Message("r1", "c", "assistant", "24 months", 1, {}, 0.0, REPLY)
WRITING = Message("r2", "c", "assistant", "", 1, {}, 0.0, Reply("r2", "q", "c", "running", ""))


def test_each_ended_answer_has_two_buttons_with_names():
    shown = verdicts([ASKED, SAID], {}, "en")
    assert shown.count("aria-pressed=\"false\"") == 2 and 'aria-label="Good answer"' in shown and 'aria-label="Bad answer"' in shown
    assert "<textarea" not in shown


def test_an_answer_that_is_still_written_keeps_its_place_without_buttons():
    shown = verdicts([ASKED, WRITING, ASKED, SAID], {}, "en")
    assert "r2" not in shown and shown.index('<span class="verdict"></span>') < shown.index("r1")


def test_after_a_verdict_a_field_asks_why():
    assert "Thiếu hoặc sai điều gì?" in verdicts([SAID], {"r1": ("down", "")}, "vi")
    assert "What was good?" in verdicts([SAID], {"r1": ("up", "")}, "en")


def test_a_comment_is_shown_as_text():
    shown = verdicts([SAID], {"r1": ("down", "</textarea><script>")}, "en")
    assert shown.count("&lt;/textarea&gt;&lt;script&gt;") == 2 and "<script" not in shown
