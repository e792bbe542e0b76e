"""Two apps on one database: what one answers is followed, stopped and deleted at the other, and neither takes what the other one does."""

import asyncio
import time
from dataclasses import replace

import pytest
from answering import QUESTION, WARRANTY, add_passages, last, wait_for
from redis_server import RedisServer

from conftest import HOA, LINH, MINH
from fake_ollama import FakeOllama
from maisale.chat.replies import Replies
from maisale.errors import Busy, NotFound
from maisale.services import open_services
from maisale.store import conversations, open_replies

LONG = "word " * 400


@pytest.fixture
def ollama():
    with FakeOllama(token_delay_s=0.02) as server:
        yield server


@pytest.fixture(params=["with Redis", "without Redis"])
def redis(request):
    if request.param == "without Redis":
        yield None
        return
    with RedisServer() as running:
        yield running


@pytest.fixture
def apps(settings, ollama, redis):
    """The services of two apps on one database, each with connections of its own."""
    given = replace(settings, ollama_urls=(ollama.url,), redis_url=redis.url if redis else "")
    opened = [open_services(given, "cli") for _ in range(2)]
    wait_for(lambda: all(one.models.chat_models() for one in opened))
    add_passages(opened[0], LINH, WARRANTY)
    yield opened
    for one in opened:
        one.close()


def run(apps, body):
    """`body(here, there)` with the replies of two apps."""

    async def whole():
        both = [Replies(one) for one in apps]
        for one in both:
            await one.recover()
        if apps[0].settings.redis_url:
            await happens(lambda: all(one._siblings._events.live for one in both))
        try:
            return await body(*both)
        finally:
            for one in both:
                await one.close()

    return asyncio.run(whole())


async def happens(condition, wait_s=30.0):
    ends = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.02)


async def begun(replies, scope, reply_id):
    """Until something of it was written."""
    async for reply in replies.tail(scope, reply_id):
        if reply.text:
            return reply


def stored(apps, reply_id, scope=LINH):
    return conversations.get_reply(apps[0].db, scope, reply_id)


def lapse(apps, ack, **columns):
    """As if the process that has this reply had died some time ago."""
    given = {"lease_until": 0, "runner": "a process that died", **columns}
    sets = ", ".join(f"{name} = :{name}" for name in given)
    apps[0].db.write(lambda tx: tx.execute(f"UPDATE replies SET {sets} WHERE id = :id", id=ack.reply_id, **given))


def test_a_reply_is_followed_at_another_app_to_its_end(apps):
    async def body(here, there):
        ack = await here.ask(LINH, QUESTION)
        return [reply async for reply in there.tail(LINH, ack.reply_id)]

    snapshots = run(apps, body)
    texts = [reply.text for reply in snapshots]
    assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:]))
    assert snapshots[-1].state == "done" and snapshots[-1] == stored(apps, snapshots[-1].id)


def test_with_messages_it_is_followed_as_it_is_written(apps, ollama, redis):
    ollama.answer = lambda messages: "word " * (100 if redis else 400)  # without them it is looked for twice a second

    async def body(here, there):
        ack = await here.ask(LINH, QUESTION)
        return [reply async for reply in there.tail(LINH, ack.reply_id)]

    snapshots = run(apps, body)
    written = [reply for reply in snapshots if reply.state == "running" and reply.text]
    assert len({reply.text for reply in written}) > (10 if redis else 1)
    assert all(reply.citations and reply.trace for reply in written)


def test_stop_reaches_the_app_that_answers(apps, ollama):
    ollama.answer = lambda messages: LONG

    async def body(here, there):
        ack = await here.ask(LINH, QUESTION)
        await begun(here, LINH, ack.reply_id)
        began = time.monotonic()
        stopped = await there.stop(LINH, ack.reply_id)
        return stopped, await here.stop(LINH, ack.reply_id), time.monotonic() - began

    stopped, again, took_s = run(apps, body)
    assert stopped.state == "stopped" and 0 < len(stopped.text) < len(LONG) - 100 and again == stopped
    wait_for(lambda: ollama.cancels)


def test_a_waiting_reply_is_stopped_from_another_app_too(apps, ollama):
    ollama.answer = lambda messages: LONG

    async def body(here, there):
        first = await here.ask(LINH, QUESTION)
        second = await here.ask(LINH, QUESTION, first.conversation_id)
        await begun(here, LINH, first.reply_id)
        return (await there.stop(LINH, second.reply_id)).state, (await here.current(LINH, first.reply_id)).state

    assert run(apps, body) == ("stopped", "running")


@pytest.mark.parametrize("stranger", [MINH, HOA])
def test_a_stranger_neither_follows_nor_stops_at_another_app(apps, ollama, stranger):
    async def body(here, there):
        ack = await here.ask(LINH, QUESTION)
        with pytest.raises(NotFound):
            await last(there, stranger, ack.reply_id)
        with pytest.raises(NotFound):
            await there.stop(stranger, ack.reply_id)
        return await last(here, LINH, ack.reply_id)

    assert run(apps, body).state == "done"


def test_a_conversation_that_is_deleted_at_another_app_is_answered_no_more(apps, ollama):
    ollama.answer = lambda messages: LONG

    async def body(here, there):
        ack = await here.ask(LINH, QUESTION)
        await here.ask(LINH, QUESTION, ack.conversation_id)
        await begun(here, LINH, ack.reply_id)
        await there.delete_conversation(LINH, ack.conversation_id)
        await happens(lambda: not here._open)
        with pytest.raises(NotFound):
            await last(here, LINH, ack.reply_id)

    run(apps, body)
    wait_for(lambda: ollama.cancels)
    assert apps[0].db.rows("SELECT id FROM replies") == []


def test_an_answer_whose_row_goes_while_it_is_written_ends_there(apps, ollama):
    """By an app that could not reach the one that answers."""
    ollama.answer = lambda messages: LONG

    async def body(here, there):
        ack = await here.ask(LINH, QUESTION)
        await begun(here, LINH, ack.reply_id)
        await here.services.db.awrite(lambda tx: conversations.delete_conversation(tx, LINH, ack.conversation_id))
        await happens(lambda: not here._open)

    run(apps, body)
    wait_for(lambda: ollama.cancels)


def test_questions_of_one_conversation_are_answered_in_turn_over_both_apps(apps, ollama):
    async def body(here, there):
        first = await here.ask(LINH, QUESTION)
        asked = [first] + [await one.ask(LINH, QUESTION, first.conversation_id) for one in (there, here, there)]
        with pytest.raises(Busy):
            await here.ask(LINH, QUESTION, first.conversation_id)
        ends = []

        async def note_end(replies, ack):
            assert (await last(replies, LINH, ack.reply_id)).state == "done"
            ends.append(ack)

        await asyncio.gather(*(note_end(one, ack) for one, ack in zip((here, there, here, there), asked)))
        return asked, ends

    asked, ends = run(apps, body)
    assert ends == asked and ollama.most_open["/api/chat"] == 1


def test_what_an_earlier_answer_says_is_known_to_the_next_one_at_another_app(apps, ollama):
    async def body(here, there):
        first = await here.ask(LINH, QUESTION)
        second = await there.ask(LINH, "And the filter?", first.conversation_id)
        return await last(here, LINH, first.reply_id), await last(there, LINH, second.reply_id)

    first, second = run(apps, body)
    assert second.state == "done" and first.text[:20] in str(ollama.requests[-1])


def test_a_start_leaves_the_replies_of_a_living_app_alone(apps, ollama):
    ollama.answer = lambda messages: "word " * 100

    async def body(here, there):
        first = await here.ask(LINH, QUESTION)
        second = await here.ask(LINH, QUESTION, first.conversation_id)
        await begun(here, LINH, first.reply_id)
        await there._leases.take_over(there._taken, alone=False)
        assert not there._open
        return [(await last(here, LINH, ack.reply_id)).state for ack in (first, second)]

    assert run(apps, body) == ["done", "done"]


def test_of_a_dead_apps_replies_the_begun_one_is_interrupted_and_waiting_ones_are_answered_once(apps, ollama):
    async def body(here, there):
        made = []
        for _ in range(3):
            conversation = made[0].conversation_id if made else None
            made.append(here.services.db.write(lambda tx, to=conversation: conversations.accept_question(tx, LINH, to, QUESTION, "t", {}))[0])
        lapse(apps, made[0], state="running")
        for ack in made[1:]:
            lapse(apps, ack)
        return [await last(one, LINH, ack.reply_id) for one, ack in zip((here, there, here), made)]

    ends = run(apps, body)
    assert [reply.state for reply in ends] == ["interrupted", "done", "done"]
    assert len([one for one in ollama.requests if "/api/chat" in str(one)]) == 2


def test_what_a_dead_app_was_asked_to_stop_is_stopped_and_not_answered(apps, ollama):
    async def body(here, there):
        ack = here.services.db.write(lambda tx: conversations.accept_question(tx, LINH, None, QUESTION, "t", {}))[0]
        lapse(apps, ack, stop_asked=1)
        return await last(here, LINH, ack.reply_id)

    assert run(apps, body).state == "stopped"


def test_two_apps_never_take_the_same_reply(apps):
    async def body(here, there):
        acks = [here.services.db.write(lambda tx: conversations.accept_question(tx, LINH, None, QUESTION, "t", {}))[0] for _ in range(20)]
        for ack in acks:
            lapse(apps, ack)
        taken = []
        for _ in range(5):
            both = [one.services.db.awrite(lambda tx, one=one: open_replies.take_over(tx, one.runner)) for one in (here, there)]
            taken += [reply.id for found in await asyncio.gather(*both) for _, reply, _ in found]
        return acks, taken

    acks, taken = run(apps, body)
    assert len(taken) == len(set(taken)) <= len(acks)


def test_an_app_that_stood_still_stores_nothing_of_what_another_one_took_over(apps, ollama):
    ollama.answer = lambda messages: LONG

    async def body(here, there):
        ack = await here.ask(LINH, QUESTION)
        await begun(here, LINH, ack.reply_id)
        taken = await there.services.db.awrite(lambda tx: open_replies.take_over(tx, there.runner, all_of_others=True))
        for scope, reply, stop_asked in taken:
            await there._taken(scope, reply, stop_asked)
        followed = await last(here, LINH, ack.reply_id)
        await happens(lambda: not here._open)
        return followed

    followed = run(apps, body)
    assert followed.state == "interrupted" and stored(apps, followed.id) == followed


def test_what_waits_when_an_app_ends_is_answered_by_the_other_one_soon(apps, ollama):
    ollama.answer = lambda messages: LONG

    async def body(here, there):
        first = await here.ask(LINH, QUESTION)
        second = await here.ask(LINH, QUESTION, first.conversation_id)
        await begun(here, LINH, first.reply_id)
        await here.close()
        ollama.answer = lambda messages: "Twenty-four months [1]."
        began = time.monotonic()
        ends = [await last(there, LINH, ack.reply_id) for ack in (first, second)]
        assert time.monotonic() - began < conversations.LEASE_S
        return [reply.state for reply in ends]

    assert run(apps, body) == ["interrupted", "done"]


@pytest.mark.parametrize("redis", ["with Redis"], indirect=True)
@pytest.mark.parametrize("end", ["kill", "hang"])
def test_redis_may_go_in_the_middle_and_come_back(apps, ollama, redis, end):
    ollama.answer = lambda messages: LONG

    async def body(here, there):
        ack = await here.ask(LINH, QUESTION)
        await begun(there, LINH, ack.reply_id)
        getattr(redis, end)()
        seen = []
        async for reply in there.tail(LINH, ack.reply_id):
            seen.append(reply.text)
            if len(set(seen)) > 3 and not there._siblings._events.live:
                break
        second = await there.ask(LINH, QUESTION)  # accepting does not wait either
        await there.stop(LINH, second.reply_id)
        stopped = await there.stop(LINH, ack.reply_id)
        if end == "kill":
            await asyncio.to_thread(redis.start)
        else:
            redis.go_on()
        await happens(lambda: here._siblings._events.live and there._siblings._events.live)
        third = await here.ask(LINH, QUESTION)
        live = []
        async for reply in there.tail(LINH, third.reply_id):
            live.append(reply.text)
            if len(set(live)) > 20:
                break
        await there.stop(LINH, third.reply_id)
        return seen, stopped

    seen, stopped = run(apps, body)
    assert all(later.startswith(earlier) for earlier, later in zip(seen, seen[1:]))
    assert stopped.state == "stopped"
