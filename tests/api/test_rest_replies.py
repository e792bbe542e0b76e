"""Answers below /v1 as they are written: followed, taken up again, stopped, and cut off with their key."""

import asyncio
import statistics
import threading
import time

import pytest
from office import answered, ask, events, open_office, upload, wait_for

from fake_ollama import FakeOllama
from maisale.access import gate, keys
from maisale.api.v1 import replies
from maisale.records import Reply

LONG = "Two words, một câu. " * 300  # with 20 ms a token some seconds long


@pytest.fixture(scope="module")
def ollama():
    with FakeOllama(token_delay_s=0.02) as server:
        yield server


@pytest.fixture(scope="module")
def office(tmp_path_factory, ollama):
    with open_office(tmp_path_factory.mktemp("replies"), ollama.url) as opened:
        wait_for(opened.services.models.chat_models)
        upload(opened.linh.http)
        opened.work_off()
        yield opened


@pytest.fixture
def linh(office):
    return office.linh.http


@pytest.fixture
def at_length(ollama):
    """The model writes for seconds."""
    ollama.answer, before = (lambda messages: LONG), ollama.answer
    yield
    ollama.answer = before


def text_of(seen):
    return "".join(data["text"] for kind, data, _ in seen if kind == "delta")


def test_the_deltas_add_up_to_the_text_and_their_ids_count_it(linh):
    seen = list(events(linh, ask(linh)["reply_id"]))
    kind, whole, last_id = seen[-1]
    assert kind == "done" and whole["state"] == "done" and whole["citations"]
    assert text_of(seen) == whole["text"] and int(last_id) == len(whole["text"])
    counted = 0
    for kind, data, event_id in seen:
        counted += len(data["text"]) if kind == "delta" else 0
        assert event_id is None or int(event_id) == counted
    assert "searching" in {data.get("step") for kind, data, _ in seen if kind == "state"}


def test_who_comes_back_gets_exactly_the_rest(linh, ollama, at_length):
    ollama.answer = lambda messages: LONG[:600]
    reply_id = ask(linh)["reply_id"]
    first = []
    for event in events(linh, reply_id):
        first.append(event)
        if len(text_of(first)) > 200:
            break
    again = list(events(linh, reply_id, last_event_id=first[-1][2]))
    assert text_of(first) + text_of(again) == again[-1][1]["text"]


def test_who_waits_for_a_model_is_told_the_place_in_the_line(linh, at_length):
    first, second = ask(linh)["reply_id"], ask(linh)["reply_id"]
    for kind, data, _ in events(linh, second):
        if kind == "state" and data["step"] == "queued":
            break
    answer = linh.get(f"/v1/replies/{second}").json()
    assert (data["place_in_line"], answer["step"], answer["place_in_line"], answer["done"]) == (1, "queued", 1, False)
    linh.post(f"/v1/replies/{first}/stop")
    begun = next(data for kind, data, _ in events(linh, second) if kind == "state" and data["step"] == "writing")
    assert begun["place_in_line"] == 0 and linh.post(f"/v1/replies/{second}/stop").json()["state"] == "stopped"


@pytest.mark.parametrize("sent", [0, 1, 17, 10_000])
def test_an_answer_that_has_ended_is_resumed_too(linh, sent):
    whole = answered(linh)
    seen = list(events(linh, whole["reply_id"], last_event_id=str(sent)))
    assert text_of(seen) == whole["text"][sent:] and seen[-1][:2] == ("done", whole)


@pytest.mark.parametrize("wrong", ["-1", "1.5", "x", "1" * 10, "٣٤x", "0x10"])
def test_a_strange_last_event_id_is_refused_in_words(linh, wrong):
    reply_id = answered(linh)["reply_id"]
    answer = linh.get(f"/v1/replies/{reply_id}/events", headers={"Last-Event-ID": wrong.encode()})
    assert answer.status_code == 422 and "Last-Event-ID" in answer.json()["error"]


def test_several_readers_follow_one_answer(linh):
    reply_id = ask(linh)["reply_id"]
    heard = [[], []]
    readers = [threading.Thread(target=lambda into=into: into.extend(events(linh, reply_id))) for into in heard]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(20)
    assert text_of(heard[0]) == text_of(heard[1]) == heard[0][-1][1]["text"]


def test_a_stopped_answer_keeps_what_was_written(linh, at_length):
    reply_id = ask(linh)["reply_id"]
    seen, stopped = [], None
    for event in events(linh, reply_id):
        seen.append(event)
        if len(text_of(seen)) > 50 and not stopped:
            stopped = linh.post(f"/v1/replies/{reply_id}/stop").json()
    kind, whole, _ = seen[-1]
    assert kind == "done" and whole["state"] == "stopped"
    assert text_of(seen) == whole["text"] == stopped["text"]
    assert 50 < len(whole["text"]) < len(LONG)
    assert linh.post(f"/v1/replies/{reply_id}/stop").json() == whole  # harmless


def test_leaving_does_not_stop_the_answer(linh):
    reply_id = ask(linh)["reply_id"]
    for kind, *_ in events(linh, reply_id):
        if kind == "delta":
            break
    assert list(events(linh, reply_id))[-1][1]["state"] == "done"


def test_a_deleted_conversation_ends_its_stream(linh, at_length):
    ack = ask(linh)
    seen, gone = [], None
    for event in events(linh, ack["reply_id"]):
        seen.append(event)
        if text_of(seen) and not gone:
            gone = linh.delete(f"/v1/conversations/{ack['conversation_id']}")
    assert gone.status_code == 200 and seen[-1][0] in ("done", "error")
    assert linh.get(f"/v1/replies/{ack['reply_id']}").status_code == 404


def test_an_answer_is_current_while_it_is_written(linh, at_length):
    reply_id = ask(linh)["reply_id"]
    now = wait_for(lambda: (now := linh.get(f"/v1/replies/{reply_id}").json())["text"] and now)
    assert now["state"] == "running" and not now["done"]
    linh.post(f"/v1/replies/{reply_id}/stop")


def test_a_model_that_fails_after_a_blank_leaves_no_blank_in_front_of_the_quotation(linh, ollama):
    ollama.fail_next("chat", chunks=[{"content": "\n"}] * 8, after=8, then="cut")
    seen = list(events(linh, ask(linh)["reply_id"]))
    assert text_of(seen) == seen[-1][1]["text"] and "30 days" in text_of(seen)


def test_a_reader_who_leaves_in_the_middle_of_an_event_leaves_nothing_waiting():
    closed = []

    async def snapshots():
        try:
            yield Reply("r", "q", "c", "running", "so far")
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    async def story():
        stream = replies._events(snapshots(), 0)
        assert (await anext(stream)).startswith(b"id: 6\nevent: delta")
        await asyncio.sleep(0)  # the next snapshot is waited for by now
        await stream.aclose()
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(story()) == [] and closed


# Revocation


def cut_after(office, reply_id, end) -> float:
    """Seconds between the end of the key, or of what it stands for, and that of its stream. end: gets the id of the key."""
    key, text = keys.issue_key(office.services.db, office.linh.user)
    client = office.with_key(text)
    with client.stream("GET", f"/v1/replies/{reply_id}/events", timeout=30) as answer:
        lines = answer.iter_lines()
        next(lines)
        end(key.id)
        began = time.monotonic()
        for line in lines:
            assert not line.startswith("event: done"), "the answer ended by itself"
    assert client.get(f"/v1/replies/{reply_id}").status_code == 401
    return time.monotonic() - began


def test_a_stream_is_cut_within_five_seconds_of_the_revocation(office, linh, at_length):
    """Measured at five moments of the gate's clock: the median is about half of its period."""
    took = []
    reply_id = ask(linh)["reply_id"]

    def one(number):
        took.append(cut_after(office, reply_id, lambda key_id: (time.sleep(0.4 * number), linh.delete(f"/v1/keys/{key_id}"))))

    at_once = [threading.Thread(target=one, args=(number,)) for number in range(5)]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join(30)
    linh.post(f"/v1/replies/{reply_id}/stop")
    print(f"a stream was cut after {statistics.median(took):.2f} s (median of 5; {min(took):.2f} to {max(took):.2f})")
    assert len(took) == 5 and max(took) < 5


def test_signing_out_cuts_the_browsers_stream(office, linh, at_length):
    reply_id = ask(linh)["reply_id"]
    browser = office.browser(office.linh.key)
    leaving = office.anyone(**{"Sec-Fetch-Site": "same-origin", "Cookie": f"{gate.COOKIE}={browser.cookies[gate.COOKIE]}"})
    with browser.stream("GET", f"/v1/replies/{reply_id}/events", timeout=30) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert leaving.post("/logout").status_code == 303
        began = time.monotonic()
        assert not [line for line in lines if line.startswith("event: done")]
    assert time.monotonic() - began < 5
    linh.post(f"/v1/replies/{reply_id}/stop")
