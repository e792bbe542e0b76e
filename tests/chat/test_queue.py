"""Answers that wait for a model's free slot: seen as they wait, fair, and ended however they end."""

import asyncio
import contextlib
import time
from dataclasses import replace

import pytest

from conftest import LINH, MINH
from fake_ollama import FakeOllama
from maisale.chat.ask import sent_turn
from maisale.services import open_services
from maisale.store import conversations, quota
from tests.chat.test_replies import QUESTION, WARRANTY, add_passages, last, run, wait_for


def long_answer(_messages):
    return "word " * 2000


@contextlib.contextmanager
def with_servers(settings, *servers, **changed):
    """Services that see all of them."""
    opened = open_services(replace(settings, ollama_urls=tuple(one.url for one in servers), **changed), "cli")
    try:
        wait_for(lambda: len(opened.models.chat_models()) == sum("gpt-oss:latest" in one.models for one in servers))
        add_passages(opened, LINH, WARRANTY)
        yield opened
    finally:
        opened.close()


@pytest.fixture
def busy():
    """Its answers take minutes."""
    with FakeOllama(token_delay_s=0.05, answer=long_answer) as server:
        yield server


async def until(replies, scope, ack, true):
    """The first state of a reply for which that holds."""
    async for reply in replies.tail(scope, ack.reply_id):
        if true(reply):
            return reply
    raise AssertionError(f"it ended as {reply}")


def writing(reply):
    return bool(reply.text)


def queued(place):
    return lambda reply: reply.step == "queued" and reply.place_in_line == place


def test_who_waits_sees_the_place_and_the_sources(settings, busy):
    async def body(replies):
        acks = [await replies.ask(LINH, QUESTION) for _ in range(3)]
        await until(replies, LINH, acks[0], writing)
        second = await until(replies, LINH, acks[1], queued(1))
        third = await until(replies, LINH, acks[2], queued(2))
        await replies.stop(LINH, acks[0].reply_id)
        return second, third, await until(replies, LINH, acks[1], writing), await until(replies, LINH, acks[2], queued(1))

    with with_servers(settings, busy) as services:
        second, third, begun, next_one = run(services, body)
    assert second.state == "running" and second.citations and second.trace and not second.ended
    assert begun.place_in_line == 0 and begun.step == "writing" and next_one.place_in_line == 1
    assert busy.most_open["/api/chat"] == 1


def test_a_stopped_one_leaves_the_line(settings, busy):
    async def body(replies):
        acks = [await replies.ask(LINH, QUESTION) for _ in range(3)]
        await until(replies, LINH, acks[2], queued(2))
        stopped = await replies.stop(LINH, acks[1].reply_id)
        await until(replies, LINH, acks[2], queued(1))
        return stopped

    with with_servers(settings, busy) as services:
        stopped = run(services, body)
    assert (stopped.state, stopped.text, stopped.step, stopped.place_in_line) == ("stopped", "", "", 0)
    assert len(busy.asked("chat")) == 1


def test_another_person_does_not_wait_for_all_that_one_asked(settings, busy):
    async def body(replies):
        first = await replies.ask(LINH, QUESTION)
        await until(replies, LINH, first, writing)
        others = [await replies.ask(LINH, QUESTION) for _ in range(4)]
        await until(replies, LINH, others[-1], queued(4))
        theirs = await replies.ask(MINH, QUESTION)
        await until(replies, MINH, theirs, queued(1))
        await replies.stop(LINH, first.reply_id)
        return await until(replies, MINH, theirs, writing)

    with with_servers(settings, busy) as services:
        assert run(services, body).model == "gpt-oss"


def test_answers_are_spread_over_the_servers(settings, busy):
    with FakeOllama(token_delay_s=0.05, answer=long_answer) as other, with_servers(settings, busy, other, generate_concurrency=2) as services:

        async def body(replies):
            acks = [await replies.ask(LINH, QUESTION) for _ in range(5)]
            await until(replies, LINH, acks[-1], queued(1))
            while other.open["/api/chat"] < 2 or busy.open["/api/chat"] < 2:
                await asyncio.sleep(0.02)

        run(services, body)
        assert (busy.most_open["/api/chat"], other.most_open["/api/chat"]) == (2, 2)


@pytest.mark.parametrize("fault", [
    {"status": 503, "error": "server busy"}, {"after": 0, "then": "cut"}, {"after": 1, "then": "cut"}, {"status": 500, "error": "unexpectedly stopped"},
])  # fmt: skip
def test_a_server_that_fails_before_the_first_word_is_replaced_by_another(settings, fault):
    with FakeOllama() as failing, FakeOllama() as well, with_servers(settings, failing, well) as services:
        failing.fail_next("chat", **fault)

        async def body(replies):
            return await last(replies, LINH, (await replies.ask(LINH, QUESTION)).reply_id)

        reply = run(services, body)
        assert (reply.state, reply.model, reply.trace.notes) == ("done", "gpt-oss", ()) and "24 months" in reply.text
        assert (len(failing.asked("chat")), len(well.asked("chat"))) == (1, 1)


def test_a_server_that_dies_while_it_is_asked_is_replaced_by_another(settings):
    with FakeOllama(load_s=30) as dying, FakeOllama() as well, with_servers(settings, dying, well) as services:

        async def body(replies):
            ack = await replies.ask(LINH, QUESTION)
            while not dying.asked("chat"):
                await asyncio.sleep(0.02)
            await asyncio.to_thread(dying.stop)
            return await last(replies, LINH, ack.reply_id)

        assert run(services, body).model == "gpt-oss"


def test_words_that_were_said_are_never_said_by_another_server(settings):
    with FakeOllama() as failing, FakeOllama() as well, with_servers(settings, failing, well) as services:
        failing.fail_next("chat", after=5, then="cut")

        async def body(replies):
            return await last(replies, LINH, (await replies.ask(LINH, QUESTION)).reply_id)

        reply = run(services, body)
        assert reply.state == "failed" and reply.text and not well.asked("chat")


def test_when_every_server_fails_a_quotation_answers_and_says_why(settings):
    with FakeOllama() as one, FakeOllama() as two, with_servers(settings, one, two) as services:
        for server in (one, two):
            server.fail_next("chat", status=503, error="server busy")

        async def body(replies):
            return await last(replies, LINH, (await replies.ask(LINH, QUESTION)).reply_id)

        reply = run(services, body)
        assert (reply.state, reply.model) == ("done", "quotations") and [one.url in note for one, note in zip((one, two), reply.trace.notes)] == [True, True]


def test_who_waits_when_the_servers_go_away_gets_a_quotation(settings, busy):
    async def body(replies):
        acks = [await replies.ask(LINH, QUESTION) for _ in range(2)]
        await until(replies, LINH, acks[0], writing)
        await until(replies, LINH, acks[1], queued(1))
        await asyncio.to_thread(busy.stop)
        return [await last(replies, LINH, ack.reply_id) for ack in acks]

    with with_servers(settings, busy) as services:
        begun, waited = run(services, body)
    assert begun.state == "failed" and (waited.state, waited.model, waited.place_in_line) == ("done", "quotations", 0) and "24 months" in waited.text


def test_a_quota_that_is_spent_meanwhile_ends_who_waits_in_words(settings, busy):
    async def body(replies):
        acks = [await replies.ask(LINH, QUESTION) for _ in range(2)]
        await until(replies, LINH, acks[0], writing)
        await until(replies, LINH, acks[1], queued(1))
        replies.services.db.write(lambda tx: quota.spend(tx, LINH, 5000, time.time()))
        await replies.stop(LINH, acks[0].reply_id)
        return await last(replies, LINH, acks[1].reply_id)

    with with_servers(settings, busy, tokens_per_day=5000) as services:
        reply = run(services, body)
    assert reply.state == "failed" and "5,000 tokens of today are spent" in reply.cause and len(busy.asked("chat")) == 1


def test_who_waits_when_the_app_closes_is_answered_after_the_next_start(settings, busy):
    async def body(replies):
        acks = [await replies.ask(LINH, QUESTION) for _ in range(2)]
        await until(replies, LINH, acks[0], writing)
        await until(replies, LINH, acks[1], queued(1))
        return acks

    async def again(replies):
        await replies.recover()
        return await last(replies, LINH, waited.reply_id)

    with with_servers(settings, busy) as services:
        begun, waited = run(services, body)
        assert [conversations.get_reply(services.db, LINH, ack.reply_id).state for ack in (begun, waited)] == ["interrupted", "waiting"]
        busy.answer, busy.token_delay_s = (lambda messages: "Yes, 24 months [1]."), 0
        assert run(services, again).text == "Yes, 24 months [1]."


def test_leaving_a_conversation_that_its_client_keeps_leaves_the_line(settings, busy):
    async def body(replies):
        first = await replies.ask(LINH, QUESTION)
        await until(replies, LINH, first, writing)
        turn = sent_turn(replies.services, LINH, [("user", QUESTION)])
        async with contextlib.aclosing(replies.answer(LINH, turn)) as snapshots:
            async for reply in snapshots:
                if queued(1)(reply):
                    break
        behind = await replies.ask(LINH, QUESTION)
        await until(replies, LINH, behind, queued(1))

    with with_servers(settings, busy) as services:
        run(services, body)
    assert len(busy.asked("chat")) == 1
