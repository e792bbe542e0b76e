"""What is taken as a verdict."""

import asyncio
from dataclasses import replace

import pytest

from conftest import LINH
from maisale.chat.feedback import COMMENT_CHARACTERS, judge_reply
from maisale.errors import BadInput
from maisale.store import conversations
from maisale.store.feedback import get_feedback


@pytest.fixture
def reply_id(services):
    ack, _ = services.db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How long?", "t", {}))
    ended = replace(conversations.get_reply(services.db, LINH, ack.reply_id), state="done", text="24 months")
    services.db.write(lambda tx: conversations.save_reply(tx, LINH, ended))
    return ack.reply_id


def test_a_comment_is_cleaned_like_a_question(services, reply_id):
    asyncio.run(judge_reply(services, LINH, reply_id, "down", "  Thie\u0302\u0301u gia\u0301 \x07 \n" + "x" * 100))
    assert get_feedback(services.db, LINH, reply_id).comment == "Thiếu giá  \n" + "x" * 100


@pytest.mark.parametrize(
    ("verdict", "comment", "words"),
    [
        ("sideways", "", "one of up, down"),
        ("down", "x" * (COMMENT_CHARACTERS + 1), "2,000 is the most"),
        ("down", "\x00\x01", "not readable text"),
    ],
)
def test_what_is_no_verdict_is_refused_in_words_and_not_stored(services, reply_id, verdict, comment, words):
    with pytest.raises(BadInput, match=words):
        asyncio.run(judge_reply(services, LINH, reply_id, verdict, comment))
    assert get_feedback(services.db, LINH, reply_id) is None


def test_an_empty_verdict_takes_the_last_one_back(services, reply_id):
    asyncio.run(judge_reply(services, LINH, reply_id, "up"))
    asyncio.run(judge_reply(services, LINH, reply_id, ""))
    assert get_feedback(services.db, LINH, reply_id) is None
