"""The process that decides beside the app: it decides as the app does, and its end costs nothing."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from desk import QUESTION, WARRANTY, Desk

from maisale.chat.ask import decide_answer
from maisale.chat.deciding import Gone
from maisale.decider import DeciderProcess, DeciderProcesses
from maisale.errors import NotFound
from maisale.records import Reply, Writer
from maisale.store import conversations


@pytest.fixture
def desk(services, tmp_path):
    made = Desk(services, tmp_path)
    made.document = made.add("warranty.md", WARRANTY)
    return made


@pytest.fixture
def decider(services):
    made = DeciderProcess(services.settings)
    made.want()
    ends = time.monotonic() + 60
    while not made.ready:
        assert time.monotonic() < ends, "it did not start"
        time.sleep(0.05)
    yield made
    made.close()


def waiting(desk):
    ack, _ = desk.services.db.write(lambda tx: conversations.accept_question(tx, desk.user.scope, None, QUESTION, "t", {}))
    return Reply(ack.reply_id, ack.message_id, ack.conversation_id, "waiting", "")


@pytest.mark.parametrize("writer", [None, Writer("gpt-oss", 16384)])
def test_it_decides_as_the_app_does(desk, decider, writer):
    reply = waiting(desk)
    there, here = decider.decide(desk.user.scope, reply, writer), decide_answer(desk.services, desk.user.scope, reply, writer)
    assert (there.outcome, there.text, there.prompt) == (here.outcome, here.text, here.prompt)
    assert [one.document_id for one in there.citations] == [desk.document]


def test_a_refusal_comes_back_in_its_words(desk, decider):
    with pytest.raises(NotFound, match="was deleted"):
        decider.decide(desk.user.scope, Reply("r", "no such question", "c", "waiting", ""), None)
    assert decider.decide(desk.user.scope, waiting(desk), None).outcome == "answer"


def test_its_end_is_noticed(desk, decider):
    decider._process.kill()
    with pytest.raises(Gone):
        decider.decide(desk.user.scope, waiting(desk), None)
    assert not decider.ready


def test_it_ends_with_whoever_started_it(decider):
    process = decider._process
    decider.close()
    assert process.poll() is not None


def test_while_one_of_several_lives_they_decide(desk):
    several = DeciderProcesses(desk.services.settings, 2)
    try:
        ends = time.monotonic() + 90
        while not all(one.ready for one in several._each):
            assert time.monotonic() < ends, "they did not start"
            several.want()
            time.sleep(0.05)
        with ThreadPoolExecutor(several.at_a_time) as threads:
            decided = list(threads.map(lambda _: several.decide(desk.user.scope, waiting(desk), None), range(8)))
        assert {one.outcome for one in decided} == {"answer"}
        several._each[0].close()
        assert several.ready and several.decide(desk.user.scope, waiting(desk), None).outcome == "answer"
        several._each[1].close()
        with pytest.raises(Gone):
            several.decide(desk.user.scope, waiting(desk), None)
    finally:
        several.close()
