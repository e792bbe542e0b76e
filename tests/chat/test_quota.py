"""Tokens a person and day: what a model spends is counted, and the next question over it is refused before it is stored."""

import asyncio
import re
import time
from dataclasses import replace

import pytest
from office import QUESTION, ask, events, open_office, upload, wait_for

from conftest import LINH, MINH
from fake_ollama import FakeOllama
from maisale.chat import quota
from maisale.chat.replies import Replies
from maisale.errors import QuotaSpent
from maisale.services import open_services
from maisale.store import conversations
from maisale.store.quota import spend, spent_today

MIDNIGHT = 1_800_057_600.0  # 2027-01-16 00:00 UTC
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """Where one answer of a model spends the day's tokens."""
    with FakeOllama() as ollama, open_office(tmp_path_factory.mktemp("quota"), ollama=ollama.url, tokens_per_day=50) as opened:
        wait_for(opened.services.models.chat_models)
        upload(opened.linh.http)
        opened.work_off()
        opened.ollama = ollama
        yield opened


def spent(office, person):
    return spent_today(office.services.db, person.user.scope, time.time())


def exhausted(office, name):
    """Somebody who has asked once."""
    person = office.hire("sales", name)
    assert list(events(person.http, ask(person.http)["reply_id"]))[-1][0] == "done"
    return person


def stored(office):
    return [office.services.db.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in ("messages", "replies", "jobs", "documents", "token_use")]


def test_an_answer_of_a_model_costs_its_prompt_and_its_words(office):
    person = office.hire("sales", "counted")
    assert spent(office, person) == 0
    last = list(events(person.http, ask(person.http)["reply_id"]))[-1][1]
    assert last["model"] == "gpt-oss" and spent(office, person) > len(last["text"].split())


DOORS = {
    "rest": lambda person, talk: person.http.post(f"/v1/conversations/{talk}/messages", json={"text": QUESTION}),
    "rest, in two parts": lambda person, talk: person.http.post(f"/v1/conversations/{talk}/messages", content=iter([b'{"text": ', b'"Hello?"}']), headers=JSON),
    "openai": lambda person, talk: person.http.post("/v1/chat/completions", json={"model": "mai-sale", "messages": [{"role": "user", "content": QUESTION}]}),
    "openai stream": lambda person, talk: person.http.post(
        "/v1/chat/completions", json={"model": "mai-sale", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_over_the_limit_every_http_door_refuses_before_it_stores(office, door):
    person = exhausted(office, door)
    talk = person.http.post("/v1/conversations", json={}).json()["id"]
    before = stored(office)
    answer = DOORS[door](person, talk)
    assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 86_400
    assert "Your 50 tokens of today are spent. They renew at 00:00 UTC, in" in answer.text
    assert stored(office) == before


def test_over_the_limit_the_named_function_says_so(office):
    person = exhausted(office, "by name")
    before = stored(office)
    event = person.call("ask", QUESTION, None, None, None).json()["event_id"]
    assert "Your 50 tokens of today are spent" in person.read("ask", event)[-1]["error"]
    assert stored(office) == before


def test_over_the_limit_mcp_says_so(office):
    person = exhausted(office, "mcp")
    before = stored(office)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ask", "arguments": {"question": QUESTION}}}
    answer = person.http.post("/mcp", json=call, headers={"Accept": "application/json, text/event-stream"})
    assert "Your 50 tokens of today are spent" in answer.json()["result"]["content"][0]["text"] and stored(office) == before


def test_reading_and_searching_go_on(office):
    person = exhausted(office, "reading")
    assert person.http.get("/v1/search", params={"q": "filter"}).status_code == 200


def test_a_turn_that_its_client_keeps_is_counted_too(office):
    person = office.hire("sales", "keeper")
    sent = {"model": "mai-sale", "messages": [{"role": "user", "content": QUESTION}]}
    assert person.http.post("/v1/chat/completions", json=sent).status_code == 200
    assert spent(office, person) > 0 and person.http.post("/v1/chat/completions", json=sent).json()["error"]["code"] == "insufficient_quota"


def test_quotations_cost_nothing(tmp_path):
    with open_office(tmp_path, tokens_per_day=1) as office:
        upload(office.linh.http)
        office.work_off()
        for _ in range(2):
            assert list(events(office.linh.http, ask(office.linh.http)["reply_id"]))[-1][1]["model"] == "quotations"
        assert spent(office, office.linh) == 0


def test_without_a_limit_nothing_is_counted(tmp_path):
    with FakeOllama() as ollama, open_office(tmp_path, ollama=ollama.url) as office:
        wait_for(office.services.models.chat_models)
        upload(office.linh.http)
        office.work_off()
        assert list(events(office.linh.http, ask(office.linh.http)["reply_id"]))[-1][1]["model"] == "gpt-oss"
        assert office.services.db.rows("SELECT * FROM token_use") == []


def test_there_is_one_row_a_person_and_day_and_old_days_go(db):
    for at in (MIDNIGHT - 3 * 86_400, MIDNIGHT, MIDNIGHT + 60, MIDNIGHT + 86_399):
        db.write(lambda tx, at=at: spend(tx, LINH, 10, at))
    db.write(lambda tx: spend(tx, MINH, 7, MIDNIGHT))
    assert db.rows("SELECT user_id, day, tokens FROM token_use ORDER BY user_id, day") == [
        {"user_id": "linh", "day": "2027-01-16", "tokens": 30},
        {"user_id": "minh", "day": "2027-01-16", "tokens": 7},
    ]
    assert spent_today(db, LINH, MIDNIGHT + 86_400) == 0


def test_the_refusal_says_when_the_tokens_renew(db):
    db.write(lambda tx: spend(tx, LINH, 100, MIDNIGHT))
    quota.check(db, LINH, 101, MIDNIGHT + 10)
    with pytest.raises(QuotaSpent, match=re.escape("Your 100 tokens of today are spent. They renew at 00:00 UTC, in 1 h 30 min.")) as refused:
        quota.check(db, LINH, 100, MIDNIGHT + 86_400 - 5400)
    assert refused.value.retry_after_s == 5400
    quota.check(db, LINH, 100, MIDNIGHT + 86_400)
    quota.check(db, LINH, 0, MIDNIGHT)


def test_what_was_counted_of_a_deleted_person_goes_too(tmp_path):
    with open_office(tmp_path, tokens_per_day=5) as office:
        leaver = office.hire("sales", "leaver")
        office.services.db.write(lambda tx: spend(tx, leaver.user.scope, 5, time.time()))
        assert office.fresh().delete(f"/v1/users/{leaver.user.id}").status_code == 200
        assert office.services.db.rows("SELECT * FROM token_use") == []


def test_a_stopped_answer_counts_what_was_read_and_written(settings):
    with FakeOllama(answer=lambda messages: "word " * 500, token_delay_s=0.02) as ollama:
        services = open_services(replace(settings, ollama_urls=(ollama.url,), tokens_per_day=1000), "app")
        wait_for(services.models.chat_models)

        async def story():
            replies = Replies(services)
            ack = await replies.ask(LINH, "Hello, who are you? Tell me everything about the weather.")
            async for reply in replies.tail(LINH, ack.reply_id):
                if reply.text or reply.ended:
                    break
            await replies.stop(LINH, ack.reply_id)
            stopped = conversations.get_reply(services.db, LINH, ack.reply_id)
            await replies.close()
            return stopped

        stopped = asyncio.run(story())
        counted = spent_today(services.db, LINH, time.time())
        assert (counted > 0) == (stopped.state == "stopped" and stopped.model == "gpt-oss")
        services.close()
