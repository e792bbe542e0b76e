"""Turns of conversations that their clients keep: what is read of them, how they are answered, and what becomes of one that is left."""

import asyncio
import contextlib
import pickle
from dataclasses import replace

import pytest

from conftest import HOA, LINH
from fake_ollama import FakeOllama
from maisale.chat.ask import QUESTION_CHARACTERS, RECENT_MESSAGES, Turn, sent_turn
from maisale.chat.deciding import Pace
from maisale.chat.replies import Replies
from maisale.errors import BadInput, NotFound, Overloaded
from maisale.services import open_services
from tests.chat.test_replies import QUESTION, WARRANTY, add_passages, run, wait_for


@pytest.fixture
def library(services):
    add_passages(services, LINH, WARRANTY)
    return services


async def whole(replies, scope, turn):
    async with contextlib.aclosing(replies.answer(scope, turn)) as snapshots:
        return [reply async for reply in snapshots][-1]


def answered(services, scope, *said, **more):
    turn = sent_turn(services, scope, [(("user", "assistant")[place % 2], text) for place, text in enumerate(said)], **more)
    return run(services, lambda replies: whole(replies, scope, turn))


def test_a_turn_is_answered_from_what_its_person_may_read(library):
    reply = answered(library, LINH, QUESTION)
    assert reply.state == "done" and "24 months" in reply.text and reply.citations[0].cited
    assert answered(library, HOA, QUESTION).citations == ()


def test_nothing_of_it_is_stored(library):
    answered(library, LINH, "Hello", "Good day", QUESTION)
    assert library.db.rows("SELECT id FROM conversations") == library.db.rows("SELECT id FROM messages") == []


def test_the_history_is_what_was_sent_last_and_without_links(library):
    said = [(("user", "assistant")[place % 2], f"So [[1]](http://x/files/{place}).") for place in range(30)] + [("user", QUESTION)]
    turn = sent_turn(library, LINH, said)
    assert len(turn.history) == RECENT_MESSAGES and turn.history[-1] == ("assistant", "So [1].") and turn.question == QUESTION


def test_a_long_earlier_message_is_cut_and_a_blank_one_left_out(library):
    turn = sent_turn(library, LINH, [("user", "x" * 50_000), ("assistant", " "), ("user", QUESTION)])
    assert [len(text) for _, text in turn.history] == [QUESTION_CHARACTERS]


@pytest.mark.parametrize("said", [[], [("user", "Hello"), ("assistant", "Good day")], [("user", "  ")], [("user", "a\0b")], [("user", "x" * 40_000)]])
def test_what_is_no_question_is_refused(library, said):
    with pytest.raises(BadInput):
        sent_turn(library, LINH, said)


def test_another_persons_collection_is_not_there(library):
    with pytest.raises(NotFound, match="Policies"):
        sent_turn(library, HOA, [("user", QUESTION)], ("Policies",))


def test_a_mention_narrows_the_turn(library):
    turn = sent_turn(library, LINH, [("user", f"@warranty.md {QUESTION}")])
    assert turn.documents == ("d1",) and turn.question == QUESTION
    assert run(library, lambda replies: whole(replies, LINH, turn)).trace.only_in == ("Warranty policy",)


def test_another_process_can_be_given_a_turn():
    turn = Turn(QUESTION, (("user", "Hello"),), ("Policies",), ("d1",))
    assert pickle.loads(pickle.dumps(turn)) == turn


def test_what_would_come_too_late_is_refused_before_it_begins(library):
    async def story():
        replies = Replies(library, pace=Pace(always=0, longest_s=-1.0))
        with pytest.raises(Overloaded) as refused:
            await anext(replies.answer(LINH, Turn(QUESTION)))
        await replies.close()
        return refused.value.retry_after_s, replies._open

    wait_s, begun = asyncio.run(story())
    assert wait_s > 0 and begun == {}


@pytest.mark.parametrize("snapshots", [1, 2])
def test_a_turn_that_is_left_holds_no_place(library, snapshots):
    async def story(replies):
        answering = replies.answer(LINH, Turn(QUESTION))
        for _ in range(snapshots):
            await anext(answering)
        await answering.aclose()
        ends = asyncio.get_running_loop().time() + 10
        while replies._open:
            assert asyncio.get_running_loop().time() < ends
            await asyncio.sleep(0.02)

    run(library, story)


def test_a_turn_that_is_left_closes_the_models_request(settings):
    with FakeOllama(token_delay_s=0.02, answer=lambda messages: "word " * 400) as ollama:
        services = open_services(replace(settings, ollama_urls=(ollama.url,)), "cli")
        wait_for(services.models.chat_models)
        add_passages(services, LINH, WARRANTY)

        async def story(replies):
            async with contextlib.aclosing(replies.answer(LINH, Turn(QUESTION))) as snapshots:
                async for reply in snapshots:
                    if len(reply.text) > 20:
                        break
            while not ollama.cancels:
                await asyncio.sleep(0.02)

        run(services, story)
        services.close()
        assert ollama.cancels[0].path == "/api/chat"
