"""Reading a call's body before the application does, and its answer before the caller does. What is done with them is ownership.py's."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from maisale.errors import BadInput, TooLarge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

UNFIT = "These values cannot be taken by this function. The server's log says more."
BODY_BYTES = 4 << 20  # of a call's JSON; files come through /gradio_api/upload


async def json_body(receive: Receive) -> tuple[bytes, dict[str, Any]]:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadInput("The request broke off.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > BODY_BYTES:
            raise TooLarge(f"The request is larger than {BODY_BYTES >> 20} MB. Send long texts as a file to /gradio_api/upload.")
    raw = b"".join(parts)
    try:
        body = json.loads(raw)
        if rb"\u" in raw:  # half a character passes for text here, and breaks whoever writes it on
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        raise BadInput("The body of the request is not JSON.") from problem
    if not isinstance(body, dict):
        raise BadInput('The body of the request has to be a JSON object, such as {"data": [...]}.')
    return raw, body


def again(raw: bytes, receive: Receive) -> Receive:
    """`receive` as it was before the body was read."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return next_message


def reading(send: Send, learn: Callable[[Any], None]) -> Send:
    """`send` that shows a JSON answer to `learn` before the caller gets it."""

    def read(start: Message, body: bytes) -> bytes:
        if start["status"] == 200:
            learn(json.loads(body))
        return body

    return _holding(send, read)


def with_words(send: Send) -> Send:
    """`send` that does not call a refusal a broken server: Gradio 6.31 answers 500 to every error of a direct call, without words to most.

    Values of a wrong type end in its components, before our functions could refuse them; the log has the cause of every one.
    """

    def read(start: Message, body: bytes) -> bytes:
        if start["status"] != 500 or (said := _error_in(body)) is None:
            return body
        start["status"] = 422
        if said:
            return body
        body = json.dumps({"error": UNFIT, "detail": UNFIT}).encode()
        start["headers"] = [(name, value) for name, value in start["headers"] if name != b"content-length"] + [(b"content-length", b"%d" % len(body))]
        return body

    return _holding(send, read)


def _holding(send: Send, read: Callable[[Message, bytes], bytes]) -> Send:
    start: Message = {}
    parts: list[bytes] = []

    async def hold(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
            return
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            body = read(start, b"".join(parts))
            await send(start)
            await send({"type": "http.response.body", "body": body, "more_body": False})

    return hold


def _error_in(body: bytes) -> str | None:
    """What Gradio's answer gives as its error, empty for none; None when it is no such answer."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return str(answer["error"] or "") if isinstance(answer, dict) and "error" in answer else None


def paths(body: Any) -> list[Any]:
    """What any `path` in the body, at any depth, points to. Gradio copies such a file for the caller, whatever the parameter's type."""
    found, waiting = [], [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("path") is not None:
                found.append(value["path"])
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found
