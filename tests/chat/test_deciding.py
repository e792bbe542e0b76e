"""Who is decided next, and who is refused because the line is too long."""

import asyncio
import time

import pytest

from conftest import LINH
from maisale.chat.deciding import ALWAYS_OPEN, HELD_BACK_S, LONGEST_WAIT_S, MANY, Deciding, Gone, Pace
from maisale.chat.replies import Replies
from maisale.errors import Overloaded
from maisale.records import Reply
from maisale.store import conversations


class Working(Deciding):
    """Decides by a function of the test's, in the place of retrieval."""

    def __init__(self, work, elsewhere=None):
        super().__init__(None, elsewhere)
        self.work = work

    def _decide(self, scope, reply, writer):
        return self.work(reply)


def run(body, work=lambda reply: reply):
    """`body(deciding)` in an event loop of its own."""

    async def whole():
        deciding = Working(work)
        try:
            return await body(deciding)
        finally:
            await deciding.close(5)

    return asyncio.run(whole())


def test_answers_are_decided_one_at_a_time_in_the_order_of_asking():
    begun, at_once, now = [], [], []

    def work(number):
        now.append(number)
        at_once.append(len(now))
        time.sleep(0.01)
        now.remove(number)
        return number

    async def body(deciding):
        return await asyncio.gather(*(deciding.decide(lambda number=number: begun.append(number), LINH, number, None) for number in range(5)))

    assert run(body, work) == begun == [0, 1, 2, 3, 4]
    assert set(at_once) == {1}


def test_none_is_begun_while_a_question_is_being_accepted():
    begun = []

    async def body(deciding):
        with deciding.accepting():
            waiting = asyncio.create_task(deciding.decide(lambda: begun.append(1), LINH, 1, None))
            await asyncio.sleep(0.05)
            before = list(begun)
        await waiting
        return before

    assert run(body) == [] and begun == [1]


def test_questions_without_a_pause_do_not_hold_answers_back_for_ever():
    async def body(deciding):
        with deciding.accepting():
            return await asyncio.wait_for(deciding.decide(lambda: None, LINH, "decided", None), HELD_BACK_S + 5)

    assert run(body) == "decided"


def test_closing_waits_for_what_is_being_decided():
    decided = []

    async def body(deciding):
        waiting = asyncio.create_task(deciding.decide(lambda: None, LINH, 1, None))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await deciding.close(5)
        return list(decided)

    assert run(body, lambda _: (time.sleep(0.2), decided.append(1))) == [1]


class Beside:
    """Another process that can be had, and may be gone."""

    at_a_time = 2

    def __init__(self, gone=False):
        self.ready, self.gone, self.wanted, self.rested, self.decided = False, gone, 0, 0, []

    def want(self):
        self.wanted, self.ready = self.wanted + 1, True

    def decide(self, scope, reply, writer):
        if self.gone:
            raise Gone("it ended")
        self.decided.append(reply)
        return reply

    def rest(self):
        self.rested += 1

    def close(self):
        self.ready = False


def ask_many(services, beside, count):
    """The decisions of as many questions, asked at once."""
    asked = [services.db.write(lambda tx: conversations.accept_question(tx, LINH, None, "What is it?", "t", {}))[0] for _ in range(count)]
    replies = [Reply(ack.reply_id, ack.message_id, ack.conversation_id, "waiting", "") for ack in asked]

    async def whole():
        deciding = Deciding(services, beside)
        try:
            return await asyncio.gather(*(deciding.decide(lambda: None, LINH, reply, None) for reply in replies))
        finally:
            await deciding.close(5)

    return asyncio.run(whole())


def test_few_are_decided_here_and_many_elsewhere(services):
    beside = Beside()
    ask_many(services, beside, MANY - 1)
    assert (beside.wanted, beside.decided) == (0, [])
    ask_many(services, beside, MANY * 3)
    assert beside.wanted and beside.decided and beside.rested


def test_without_the_other_process_they_are_decided_here(services):
    decisions = ask_many(services, Beside(gone=True), MANY * 2)
    assert {decision.outcome for decision in decisions} == {"abstain"}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def after(ends, each_s):
    """The pace after so many replies."""
    clock = Clock()
    pace = Pace(clock)
    pace.begin()
    for _ in range(ends):
        clock.now += each_s
        pace.end()
    return pace


@pytest.mark.parametrize(("each_s", "taken"), [(0.03, 2500), (0.5, 150), (20.0, ALWAYS_OPEN - 1)])
def test_as_many_are_taken_on_as_can_be_answered_in_time(each_s, taken):
    pace = after(200, each_s)
    pace.check(taken)
    with pytest.raises(Overloaded, match="was not stored") as refused:
        pace.check(2 * taken + 2)
    assert refused.value.retry_after_s == pytest.approx((2 * taken + 2) * each_s - LONGEST_WAIT_S, rel=0.05)


def test_one_slow_answer_and_a_rest_shut_nobody_out():
    pace = after(1, 5.0)
    pace.check(200)
    clock = Clock()
    rested = Pace(clock)
    clock.now = 3600.0
    rested.begin()
    clock.now += 0.05
    rested.end()
    rested.check(1500)


def test_what_cannot_be_served_in_time_is_refused_before_it_is_stored(services):
    async def asking():
        replies = Replies(services, Pace(always=2, longest_s=0.01))
        try:
            await asyncio.gather(*(replies.ask(LINH, "How long is the warranty?") for _ in range(2)))
            with pytest.raises(Overloaded, match="Too many questions are being answered right now"):
                await replies.ask(LINH, "And the filter?")
        finally:
            await replies.close()

    asyncio.run(asking())
    assert len(conversations.list_conversations(services.db, LINH)) == 2
