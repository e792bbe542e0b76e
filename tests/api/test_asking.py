"""The short way to ask: it takes what is plainly a question and hands everything else on, whole."""

import asyncio
import json
from dataclasses import replace

import pytest

from conftest import LINH
from maisale.api.v1.asking import ShortWay
from maisale.chat.replies import Replies
from maisale.records import Caller, User
from maisale.store import conversations

LINHS_KEY = Caller(User(LINH.user_id, LINH.tenant_id, "t", "linh", "member"), "k1", ("chat", "read"))
QUESTION = {"text": "How long is the RO-9 under warranty?"}


def post(services, *parts, caller=LINHS_KEY, kind=b"application/json", path="/v1/conversations/{}/messages"):
    """(status, body) of the short way, or (None, the body that the route behind it got)."""
    talk = services.db.write(lambda tx: conversations.new_conversation(tx, LINH)).id
    sent = [{"type": "http.request", "body": part, "more_body": number < len(parts)} for number, part in enumerate(parts, 1)]
    answered = []

    async def receive():
        return sent.pop(0)

    async def send(message):
        answered.append(message)

    async def documented_route(_scope, receive, _send):
        got = b""
        while (message := await receive())["more_body"]:
            got += message["body"]
        answered.append({"status": None, "body": got + message["body"]})

    async def whole():
        replies = Replies(services)
        try:
            scope = {"type": "http", "method": "POST", "path": path.format(talk), "headers": [(b"content-type", kind)], "caller": caller}
            await ShortWay(documented_route, lambda: replies)(scope, receive, send)
        finally:
            await replies.close()

    asyncio.run(whole())
    return answered[0]["status"], answered[-1]["body"]


def test_a_question_is_taken_and_stored(services):
    status, body = post(services, json.dumps(QUESTION).encode())
    ack = json.loads(body)
    assert status == 202 and set(ack) == {"conversation_id", "message_id", "reply_id"}
    assert conversations.get_message(services.db, LINH, ack["message_id"]).text == QUESTION["text"]


@pytest.mark.parametrize(
    ("parts", "other"),
    [
        ((b'{"text": "a"', b"}"), {}),
        ((b'{"text": "a"}',), {"kind": b"text/plain"}),
        ((b'{"text": "a"}',), {"path": "/v1/conversations/{}/messages/"}),
        ((b'{"text": 7}',), {}),
        ((b'{"text": "a", "colection": []}',), {}),
        ((b"{",), {}),
        ((b"",), {}),
    ],
)
def test_what_is_not_plainly_a_question_is_handed_on_whole(services, parts, other):
    assert post(services, *parts, **other) == (None, b"".join(parts))
    assert [one.title for one in conversations.list_conversations(services.db, LINH)] == [""]


def test_a_refusal_has_the_words_of_every_other(services):
    status, body = post(services, json.dumps(QUESTION).encode(), caller=replace(LINHS_KEY, permissions=("read",)))
    assert status == 403 and json.loads(body)["kind"] == "NotAllowed"
    status, body = post(services, b'{"text": " "}')
    assert status == 422 and "is empty" in json.loads(body)["error"]
    status, body = post(services, json.dumps(QUESTION).encode(), path="/v1/conversations/another/messages")
    assert status == 404 and json.loads(body)["kind"] == "NotFound"
