"""The short way to ask: POST /v1/conversations/{id}/messages without the routing around it.

Of a hundred questions at the same instant the last one waits for the work of all, and most of that was the routing of two applications. What is
not plainly a question takes the documented route, in conversations.py, which has the words for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maisale.access import keys
from maisale.access.gate import in_json, route_path
from maisale.api.v1.shapes import Question
from maisale.chat.replies import Replies
from maisale.errors import MaiSaleError
from maisale.records import Scope as Person
from maisale.records import Way

_PATH = re.compile(r"/v1/conversations/([^/]+)/messages")
_JSON = (b"content-type", b"application/json")


class ShortWay:
    """ASGI middleware inside the gate. running: the replies of the app's life, asked for at each request."""

    def __init__(self, app: ASGIApp, running: Callable[[], Replies]):
        self._app, self._running = app, running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PATH.fullmatch(route_path(scope)) if scope["type"] == "http" and scope["method"] == "POST" else None
        if not found or _JSON not in scope["headers"]:
            return await self._app(scope, receive, send)
        message = await receive()
        if (asked := _question(message)) is None:
            return await self._app(scope, _again(message, receive), send)
        try:
            who = scope["caller"]
            keys.require(who, "chat")
            person = Person(who.user.tenant_id, who.user.id, Way("api", key_id=who.key_id, began=scope.get("began", 0.0)))
            ack = await self._running().ask(person, asked.text, found[1], tuple(asked.collections), tuple(asked.documents))
        except MaiSaleError as problem:
            return await in_json(problem)(scope, receive, send)
        taken = {"conversation_id": ack.conversation_id, "message_id": ack.message_id, "reply_id": ack.reply_id}
        await Response(orjson.dumps(taken), 202, media_type="application/json")(scope, receive, send)


def _question(message: Message) -> Question | None:
    """What came whole with the first part of the body, when it is one."""
    if message["type"] != "http.request" or message.get("more_body", False):
        return None
    try:
        return Question.model_validate_json(message.get("body", b""))
    except ValidationError:
        return None


def _again(message: Message, receive: Receive) -> Receive:
    """`receive` as it was before this message was taken from it."""
    waiting = [message]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
