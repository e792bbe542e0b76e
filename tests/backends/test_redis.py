"""What several processes share over a real Redis, and that nobody waits for one that is gone or hangs."""

import asyncio
import time

import pytest
from authority import Authority
from redis_server import RedisServer

from maisale.backends import redis as backend
from maisale.backends.alone import Alone, FileLocks
from maisale.backends.redis import RedisShared
from maisale.errors import RedisUnavailable


@pytest.fixture
def server():
    with RedisServer() as running:
        yield running


@pytest.fixture
def join(server, tmp_path):
    """Another process's share in the same Redis; each on a machine of its own unless a folder is named."""
    opened = []

    def open_one(folder=None, **options):
        place = tmp_path / (folder or f"machine{len(opened)}")
        place.mkdir(exist_ok=True)
        opened.append(RedisShared(server.url, FileLocks(place), **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def until(condition, wait_s=15.0):
    ends = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


def test_what_happens_anywhere_counts_once_over_all_processes(join):
    counts = [join().counts for _ in range(2)]
    waits = [counts[number % 2].hit(4, "work", "linh") for number in range(7)]
    assert waits[:4] == [0.0] * 4 and all(0 < wait_s <= 1 for wait_s in waits[4:])
    assert counts[0].hit(4, "work", "minh") == 0.0
    assert [counts[number % 2].increase("address 10.0.0.1", 60) for number in range(4)] == [1, 2, 3, 4]


def test_what_is_claimed_anywhere_belongs_to_the_first_for_a_while(server, join):
    here, there = (join().counts for _ in range(2))
    assert here.claim("session 1", "linh", 60) and there.claim("session 1", "linh", 60)
    assert not there.claim("session 1", "minh", 60) and there.claim("session 2", "minh", 60) and not here.claim("session 2", "linh", 60)
    with server.client() as client:
        assert 0 < client.ttl("maisale:claims:1:session 1") <= 60


def test_the_keys_name_strategy_and_version_and_end_by_themselves(server, join):
    counts = join().counts
    counts.hit(4, "work", "linh")
    counts.increase("address 10.0.0.1", 60)
    with server.client() as client:
        names = sorted(key.decode() for key in client.scan_iter() if b"look" not in key)
        assert [name.split(":LIMITER")[0] for name in names] == ["maisale:counts:fixed-window:1:address 10.0.0.1", "maisale:limits:moving-window:1"]
        assert all(0 < client.ttl(name) <= 60 for name in names)


@pytest.mark.parametrize("end", ["kill", "hang"])
def test_one_caller_waits_a_moment_for_a_redis_that_is_away_and_nobody_after_that(server, join, end):
    shared = join()
    shared.counts.hit(4, "work", "linh")
    getattr(server, end)()
    took = []
    for _ in range(20):
        began = time.monotonic()
        with pytest.raises(RedisUnavailable, match="Redis does not answer"):
            shared.counts.hit(4, "work", "linh")
        took.append(time.monotonic() - began)
    assert sum(took[1:]) < backend.ANSWER_S
    if end == "kill":
        server.start()
    else:
        server.go_on()
    until(lambda: not shared.away)
    assert shared.counts.hit(4, "work", "linh") == 0.0


def test_without_redis_at_the_start_it_is_found_later(server, join, caplog):
    server.kill()
    shared = join()
    assert "Redis does not answer" in shared.away
    server.start()
    until(lambda: not shared.away)
    assert [record.getMessage() for record in caplog.records if "Redis" in record.getMessage()][-1] == "Redis answers again."


def test_a_redis_that_takes_no_writes_is_away(server, join):
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        shared = join()
        assert "read only" in shared.away
        client.replicaof("NO", "ONE")
    until(lambda: not shared.away)


def test_a_lock_is_held_once_over_all_machines_and_on_each(join):
    one, sibling, other = join("here"), join("here"), join("there")
    with one.locks.hold("scheduler") as held:
        assert sibling.locks.hold("scheduler") is None and other.locks.hold("scheduler") is None
        with other.locks.hold("something else"):
            assert not held.lost
    with other.locks.hold("scheduler"):
        assert one.locks.hold("scheduler") is None


def test_a_lock_outlives_its_lease_while_its_holder_lives(server, join):
    one, other = join(lease_s=0.5), join(lease_s=0.5)
    with one.locks.hold("scheduler") as held, server.client() as client:
        renewed = [client.pttl("maisale:lock:1:scheduler")]
        until(lambda: renewed.append(client.pttl("maisale:lock:1:scheduler")) or renewed[-1] > renewed[-2])
        assert other.locks.hold("scheduler") is None and not held.lost


def test_a_redis_that_forgot_the_lock_is_told_again_and_one_that_gave_it_to_another_has_the_last_word(server, join):
    one, other = join(lease_s=0.5), join(lease_s=0.5)
    with one.locks.hold("scheduler") as held:
        server.kill()
        until(lambda: one.away)
        server.start()
        with server.client() as client:
            until(lambda: client.exists("maisale:lock:1:scheduler"))
            assert not held.lost and other.locks.hold("scheduler") is None
            client.set("maisale:lock:1:scheduler", "another's")
        until(lambda: held.lost)


def test_without_redis_the_processes_of_one_machine_still_take_turns(server, join):
    server.kill()
    one, sibling = join("here"), join("here")
    with one.locks.hold("scheduler"):
        assert sibling.locks.hold("scheduler") is None
    with sibling.locks.hold("scheduler"):
        pass

@pytest.mark.parametrize(("authority", "trusted"), [("ours", True), ("other", False)])
def test_over_tls_only_a_redis_of_the_given_authority_is_asked(tmp_path, authority, trusted):
    ours = Authority(tmp_path)
    signed_by = ours if authority == "ours" else Authority(tmp_path, authority)
    with RedisServer(signed_by.sign("redis")) as server:
        shared = RedisShared(f"{server.url}&ssl_ca_certs={ours.file}", FileLocks(tmp_path))
        assert (not shared.away) == trusted and (trusted or "certificate" in shared.away)
        shared.close()


def heard_by_another(server, join, body):
    """What `body(events)` publishes as it arrives at another process."""

    async def story():
        here, there = join().events(), join().events()
        heard = []
        here.listen(["mine"], heard.append)
        there.listen(["all", "theirs"], heard.append)
        await happens(lambda: here.live and there.live)
        try:
            return await body(here, there, heard)
        finally:
            await here.close()
            await there.close()

    return asyncio.run(story())


async def happens(condition, wait_s=15.0):
    ends = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        await asyncio.sleep(0.01)


def test_a_message_reaches_those_who_listen_to_its_channel(server, join):
    async def body(here, there, heard):
        here.publish("nobody's", {"n": 0})
        here.publish("all", {"n": 1})
        here.publish("theirs", {"n": 2})
        await happens(lambda: len(heard) == 2)
        return heard

    assert heard_by_another(server, join, body) == [{"n": 1}, {"n": 2}]


def test_of_messages_with_one_key_the_latest_is_sent(server, join):
    async def body(here, there, heard):
        for n in range(50):
            here.publish("all", {"n": n}, key="snapshot")
        here.publish("all", {"n": "end"})
        await happens(lambda: {"n": "end"} in heard)
        return heard

    heard = heard_by_another(server, join, body)
    assert heard[-2] == {"n": 49} and len(heard) <= 3


@pytest.mark.parametrize("end", ["kill", "hang"])
def test_messages_are_dropped_while_redis_is_away_and_flow_when_it_is_back(server, join, end):
    async def body(here, there, heard):
        getattr(server, end)()
        here.publish("all", {"n": "lost"})
        await happens(lambda: not here.live and not there.live)
        here.publish("all", {"n": "dropped"})
        if end == "kill":
            await asyncio.to_thread(server.start)
        else:
            server.go_on()
        await happens(lambda: here.live and there.live)
        here.publish("all", {"n": "after"})
        await happens(lambda: {"n": "after"} in heard)
        return heard

    assert {"n": "dropped"} not in heard_by_another(server, join, body)


def test_two_installations_on_two_database_numbers_do_not_hear_each_other(server, tmp_path):
    async def story():
        ours, theirs = (RedisShared(f"{server.url}?db={number}", FileLocks(tmp_path)) for number in (0, 1))
        here, there, heard, heard_there = ours.events(), theirs.events(), [], []
        here.listen(["all"], heard.append)
        there.listen(["all"], heard_there.append)
        await happens(lambda: here.live and there.live)
        there.publish("all", {"n": "theirs"})
        here.publish("all", {"n": "ours"})
        await happens(lambda: heard and heard_there)
        assert heard == [{"n": "ours"}] and heard_there == [{"n": "theirs"}]
        for one in (here, there):
            await one.close()
        for one in (ours, theirs):
            one.close()

    asyncio.run(story())


def test_alone_a_lock_is_held_once_and_nobody_is_told(tmp_path):
    one, sibling = Alone(tmp_path), Alone(tmp_path)
    with one.locks.hold("scheduler"):
        assert sibling.locks.hold("scheduler") is None
    with sibling.locks.hold("scheduler") as held:
        assert not held.lost and not one.events().live and one.counts is None
