"""A conversation as the chat shows it."""

from dataclasses import replace

import pytest

from maisale.records import Citation, Message, Reply
from maisale.ui.turns import answer, linked, question, turns

CITATION = Citation(1, "d#chunk_0", "T", "", "x", 1.0, "strong")
REPLY = Reply("abcdefgh-1", "q", "c", "done", "So it is [1][2].", citations=(CITATION,))


def test_a_known_number_opens_its_card_and_an_unknown_one_stays_text():
    assert linked(REPLY) == "So it is [[1]](#src-1-abcdefgh)[2]."


def test_a_number_never_leads_to_another_site():
    assert linked(replace(REPLY, text="See [1](https://evil.example/x) and [3](//evil.example).")) == "See [[1]](#src-1-abcdefgh) and [3]."


def test_a_question_is_neither_markdown_nor_html():
    assert question("# <b>*x*</b>")["content"] == r"\# &lt;b\>\*x\*&lt;/b\>"


def test_a_running_answer_without_words_shows_its_step():
    shown = answer(replace(REPLY, state="running", step="searching", text=""), "en")
    assert shown[0]["metadata"] == {"title": "Searching", "status": "pending"}


def test_the_number_of_sources_is_said_while_they_are_read():
    shown = answer(replace(REPLY, state="running", step="reading", text=""), "vi")
    assert shown[0]["metadata"]["title"] == "Đang đọc 1 nguồn"


@pytest.mark.parametrize(("place", "language", "words"), [
    (1, "en", "next in line"), (2, "en", "2nd in line"), (3, "en", "3rd in line"), (11, "en", "11th in line"), (23, "en", "23rd in line"),
    (1, "vi", "thứ 1 trong hàng"),
])  # fmt: skip
def test_who_waits_for_a_model_sees_the_place(place, language, words):
    shown = answer(replace(REPLY, state="running", step="queued", place_in_line=place, text=""), language)
    assert shown[0]["metadata"]["title"].endswith(words)


def test_thinking_is_folded_away():
    shown = answer(replace(REPLY, thinking="Let me see."), "en")
    assert shown[0]["metadata"] == {"title": "Thinking", "status": "done"} and shown[1]["content"].startswith("So it is")


@pytest.mark.parametrize(
    ("state", "text", "words"),
    [
        ("stopped", "half", "Stopped. What was written is kept."),
        ("stopped", "", "Stopped before anything was written."),
        ("interrupted", "half", "Interrupted. What was written is kept."),
        ("failed", "", "This answer failed: no &lt;disk&gt;"),
    ],
)
def test_an_unwell_end_says_so_and_offers_to_ask_again(state, text, words):
    shown = answer(replace(REPLY, state=state, text=text, cause="no <disk>"), "en")
    assert words in shown[-1]["content"] and '<a href="#again-abcdefgh-1">Ask again</a>' in shown[-1]["content"]


def test_unfinished_bold_words_flash_no_asterisks():
    assert linked(replace(REPLY, state="running", text="It is **24 mon")) == "It is **24 mon**"


def test_a_second_question_waits_for_its_turn():
    first, second = (Message(name, "c", "assistant", "", 0, {}, 0.0, replace(REPLY, id=name, state="waiting", text="")) for name in ("a", "b"))
    assert [one["metadata"]["title"] for one in turns([first, second], "en")] == ["Searching", "Waiting for its turn"]


def test_what_a_model_thinks_is_neither_markdown_nor_html():
    shown = answer(replace(REPLY, thinking="![x](https://evil.example/x.png) <img src=x>"), "en")
    assert shown[0]["content"] == r"\!\[x\]\(https\://evil\.example/x\.png\) &lt;img src\=x\>"
