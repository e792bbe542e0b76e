"""How often somebody may start work, and how long a wrong key waits."""

import asyncio
import threading
import time

import pytest
from redis_server import RedisServer

from maisale.access.limits import FREE_TRIES, HELD, LONGEST_DELAY_S, WIDER, Limits, WrongKeys
from maisale.backends.alone import FileLocks
from maisale.backends.redis import ANSWER_S, RedisShared
from maisale.errors import TooOften


def taken(count, tries):
    """How many of `tries` are taken."""
    for number in range(tries):
        try:
            count("linh")
        except TooOften:
            return number
    return tries


def test_work_is_limited_and_reading_more_widely():
    limits = Limits(5)
    assert taken(limits.start_work, 20) == 5
    assert taken(limits.read, 1000) == 5 * WIDER
    limits.start_work("minh")


def test_a_refusal_says_when_to_try_again():
    limits = Limits(2)
    taken(limits.start_work, 2)
    with pytest.raises(TooOften, match="More than 2 a second is too fast; this one was not taken. Try again in 1 s.") as refused:
        limits.start_work("linh")
    assert 0 < refused.value.retry_after_s <= 1
    time.sleep(refused.value.retry_after_s + 0.05)
    limits.start_work("linh")


def test_what_was_refused_does_not_count():
    limits = Limits(2)
    ends = time.monotonic() + 1.1
    served = 0
    while time.monotonic() < ends:
        served += taken(limits.start_work, 1)
        time.sleep(0.02)
    assert served >= 3


async def waited(wrong, address, key_id):
    began = time.monotonic()
    await wrong.slow_down(address, key_id)
    return time.monotonic() - began


def test_the_first_wrong_keys_are_answered_at_once_and_the_next_ever_later():
    async def story():
        wrong = WrongKeys()
        return [await waited(wrong, "10.0.0.1", f"key{number}") for number in range(FREE_TRIES + 2)]

    *free, first, second = asyncio.run(story())
    assert max(free) < 0.1 and 0.2 < first < second


def test_another_address_with_another_key_does_not_wait():
    async def story():
        wrong = WrongKeys()
        for number in range(FREE_TRIES):
            await wrong.slow_down("10.0.0.1", f"key{number}")
        return await waited(wrong, "10.0.0.2", "another")

    assert asyncio.run(story()) < 0.1


def test_no_more_than_some_wrong_answers_wait_at_a_time():
    async def story():
        wrong = WrongKeys()
        tasks = [asyncio.create_task(wrong.slow_down("10.0.0.1", f"key{number}")) for number in range(FREE_TRIES + HELD + 5)]
        done, waiting = await asyncio.wait(tasks, timeout=0.15)
        refused = [task.exception() for task in done if task.exception()]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        return refused, len(waiting), +wrong._held

    refused, waiting, held = asyncio.run(story())
    assert (len(refused), waiting) == (5, HELD) and not held
    assert all(isinstance(one, TooOften) and one.retry_after_s <= LONGEST_DELAY_S for one in refused)


def test_counting_starts_no_threads_and_forgets_all_the_same():
    counted = Limits(1000, forget_s=0.05)
    counted.read("somebody")
    time.sleep(0.1)  # the package's own first sweep
    before = threading.active_count()
    started = []
    for _ in range(30):
        counted.start_work("linh")
        started.append(threading.active_count())
        time.sleep(0.005)
    assert max(started) <= before
    time.sleep(1.1)
    counted.start_work("minh")
    assert sum(map(len, counted.counts.own.storage.events.values())) == 1


@pytest.fixture
def server():
    with RedisServer() as running:
        yield running


@pytest.fixture
def two_processes(server, tmp_path):
    """What each of two processes shares over one Redis."""
    both = [RedisShared(server.url, FileLocks(tmp_path)) for _ in range(2)]
    yield both
    for one in both:
        one.close()


def test_a_person_has_one_limit_over_all_processes(two_processes):
    here, there = (Limits(5, one.counts) for one in two_processes)
    assert taken(here.start_work, 3) == 3
    assert taken(there.start_work, 20) == 2
    with pytest.raises(TooOften, match="More than 5 a second is too fast"):
        here.start_work("linh")


def test_a_guesser_who_changes_from_process_to_process_waits_all_the_same(two_processes):
    async def story():
        here, there = (Limits(5, one.counts) for one in two_processes)
        doors = [WrongKeys(lambda: here.counts), WrongKeys(lambda: there.counts)]
        return [await waited(doors[number % 2], "10.0.0.1", f"key{number}") for number in range(FREE_TRIES + 2)]

    *_, first, second = asyncio.run(story())
    assert 0.2 < first < second


@pytest.mark.parametrize("end", ["kill", "hang"])
def test_while_redis_is_away_each_process_counts_for_itself_and_says_so_once(server, two_processes, caplog, end):
    here, there = (Limits(5, one.counts) for one in two_processes)
    here.read("linh")
    getattr(server, end)()
    began = time.monotonic()
    assert taken(here.start_work, 20) == taken(there.start_work, 20) == 5
    assert time.monotonic() - began < 2 * ANSWER_S + 1
    assert sum("Redis does not answer" in record.getMessage() for record in caplog.records) == 2  # one line of each process
