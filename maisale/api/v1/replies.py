"""Answers: as they stand, as they are written, and stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header
from starlette.responses import Response, StreamingResponse

from maisale.api import plain
from maisale.api.v1 import shapes
from maisale.api.v1.shapes import Chatter, Reader
from maisale.chat.replies import Replies
from maisale.errors import BadInput, MaiSaleError
from maisale.records import Reply
from maisale.store import conversations

HEARTBEAT_S = 15.0  # a comment in a silent stream, or a proxy takes it for dead
STREAM = {"text/event-stream": {}}  # its events are described in words: OpenAPI 3.1 has no schema for them


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(prefix="/replies", tags=["replies"])

    @routes.get("/{reply_id}", response_model=shapes.Answer)
    async def get_reply(reply_id: str, caller: Reader) -> Response:
        """Get an answer as it stands, with its sources."""
        return Response(plain.answer_json(await running().current(caller.scope, reply_id)), media_type="application/json")

    @routes.get("/{reply_id}/events", response_class=StreamingResponse, responses={200: {"content": STREAM}})
    async def follow_reply(
        reply_id: str,
        caller: Reader,
        last_event_id: Annotated[str | None, Header(description="How many characters came already: the id of the last event.")] = None,
    ) -> StreamingResponse:
        """Follow an answer as server-sent events.

        `delta` carries the next characters as {"text"}, its id is how many came so far; `state` says what is being done, and while it is queued for a
        model its place in the line; `done` carries the whole answer as GET /v1/replies/{reply_id} does, and ends the stream. Who comes back sends
        Last-Event-ID and gets the rest. Leaving does not stop the answer.
        """
        sent = _characters(last_event_id)
        first = await running().current(caller.scope, reply_id)  # refused in words, before a stream begins
        snapshots = _one(first) if first.ended else running().tail(caller.scope, reply_id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(snapshots, sent), media_type="text/event-stream", headers=headers)

    @routes.post("/{reply_id}/stop")
    async def stop_reply(reply_id: str, caller: Chatter) -> shapes.Answer:
        """Stop an answer, keeping what was written. Harmless when it has ended."""
        await asyncio.to_thread(conversations.get_reply, running().services.db, caller.scope, reply_id)
        return shapes.Answer(**plain.answer(await running().stop(caller.scope, reply_id)))

    return routes


async def _events(snapshots: AsyncIterator[Reply], sent: int) -> AsyncIterator[bytes]:
    """sent: characters that the reader has already."""
    said = None
    # Closed from the inside out: a reader who leaves in the middle of an event must not leave the heartbeat waiting for the next snapshot.
    async with contextlib.aclosing(snapshots), contextlib.aclosing(with_heartbeat(snapshots)) as beats:
        try:
            async for reply in beats:
                if reply is None:
                    yield b": still here\n\n"
                    continue
                # Blank so far: a model that fails here is replaced by a quotation, whose characters are counted from the beginning.
                if len(reply.text) > sent and (reply.ended or not reply.text.isspace()):
                    delta, sent = reply.text[sent:], len(reply.text)
                    yield _event("delta", {"text": delta}, sent)
                if reply.ended:
                    yield _event("done", orjson.Fragment(plain.answer_json(reply)), sent)
                    return
                if (state := {"state": reply.state, "step": reply.step, "place_in_line": reply.place_in_line}) != said:
                    said = state
                    yield _event("state", state)
        except MaiSaleError as problem:  # its conversation was deleted meanwhile
            yield _event("error", {"error": str(problem), "kind": type(problem).__name__})


async def with_heartbeat(snapshots: AsyncIterator[Reply]) -> AsyncIterator[Reply | None]:
    """None when nothing came for a while."""
    coming = asyncio.ensure_future(anext(snapshots, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=HEARTBEAT_S)
            if not coming.done():
                yield None
                continue
            if (reply := coming.result()) is None:
                return
            coming = asyncio.ensure_future(anext(snapshots, None))
            yield reply
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, MaiSaleError):
            await coming


async def _one(reply: Reply) -> AsyncIterator[Reply]:
    yield reply


def _event(kind: str, data: dict[str, Any], event_id: int | None = None) -> bytes:
    head = f"id: {event_id}\n" if event_id is not None else ""
    return b"".join((f"{head}event: {kind}\ndata: ".encode(), orjson.dumps(data), b"\n\n"))


def _characters(last_event_id: str | None) -> int:
    if last_event_id is None or last_event_id == "":
        return 0
    if not last_event_id.isdecimal() or len(last_event_id) > 9:
        raise BadInput(f"Last-Event-ID is {last_event_id[:40]!r}; it is the id of the last event that came, a whole number.")
    return int(last_event_id)
