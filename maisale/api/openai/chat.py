"""POST /v1/chat/completions: an answer to the conversation that was sent, whole or as it is written.

A client that closes its connection ends the answer, and with it the model's own request: nobody would read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from maisale.api.openai import models, shapes
from maisale.api.openai.links import Links
from maisale.api.openai.refusals import problem
from maisale.api.v1.replies import STREAM, with_heartbeat
from maisale.api.v1.shapes import Chatter
from maisale.chat.ask import Turn, sent_turn
from maisale.chat.replies import Replies
from maisale.errors import BadInput, MaiSaleError, ModelFailed, Overloaded
from maisale.records import Reply, Scope
from maisale.services import Services
from maisale.text import estimate_tokens

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
GONE = Response(status_code=499)  # nobody reads it


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter()

    @routes.post("/chat/completions", response_model=shapes.Completion, responses={200: {"content": STREAM}})
    async def complete(asked: shapes.Chat, caller: Chatter, request: Request) -> Any:
        """Answer the last message of a conversation that the client keeps; nothing of it is stored.

        The sources stand in the text as links, [[1]](address), and in `citations`. With `stream` the answer comes as chunks, `data: {...}`, the
        sources with the last one, and ends with `data: [DONE]`. Mai-Sale has its own instructions: those in system messages are not followed.
        """
        replies = running()
        turn, tokens = await asyncio.to_thread(_read, replies.services, caller.scope, asked)
        answering = replies.answer(caller.scope, turn)
        first = await anext(answering)  # refused here when it would come too late, before a stream begins
        address = replies.services.settings.public_url.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"
        writing = _Writing(asked, first.id, tokens, Links(address))
        if asked.stream:
            return StreamingResponse(writing.chunks(answering), media_type="text/event-stream", headers=HEADERS)
        whole = await _while_connected(request, answering)
        return GONE if whole is None else writing.whole(whole)

    return routes


def _read(services: Services, scope: Scope, asked: shapes.Chat) -> tuple[Turn, int]:
    """The turn, and about how many tokens were sent. Raises BadInput or NotFound."""
    said = _conversation(asked)
    turn = sent_turn(services, scope, said, models.collections_of(services, scope, asked.model))
    return turn, sum(estimate_tokens(text) for _, text in said)


def _conversation(asked: shapes.Chat) -> list[tuple[str, str]]:
    """What was said, oldest first: (user or assistant, text). Raises BadInput for what cannot be done."""
    if asked.n not in (None, 1):
        raise BadInput("n: one answer is given at a time. Leave it out.")
    if asked.response_format and asked.response_format.type != "text":
        raise BadInput("response_format: answers are text with citations. Leave it out.")
    return [(one.role, _text(one)) for one in asked.messages if one.role in ("user", "assistant")]


def _text(message: shapes.Message) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    if other := [part.type for part in message.content if part.type != "text"]:
        raise BadInput(f"messages: a part of the type {other[0][:40]!r} cannot be read here, only text. Add files on Mai-Sale's page or at POST /v1/documents.")
    return "\n".join(part.text or "" for part in message.content)


async def _while_connected(request: Request, answering: AsyncIterator[Reply]) -> Reply | None:
    """The end of the answer; None when the client left before it, which ends the answer too."""

    async def last() -> Reply:
        async with contextlib.aclosing(answering):
            return [reply async for reply in answering][-1]

    leaving, work = asyncio.ensure_future(_left(request)), asyncio.ensure_future(last())
    try:
        await asyncio.wait({leaving, work}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        for task in (leaving, work):
            task.cancel()
        await asyncio.wait({leaving, work})


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Writing:
    """One answer on its way out. asked_tokens: of all that was said before."""

    def __init__(self, asked: shapes.Chat, reply_id: str, asked_tokens: int, links: Links):
        self._with_usage = bool(asked.stream_options and asked.stream_options.include_usage)
        self._asked_tokens, self._links = asked_tokens, links
        self._head = {"id": f"chatcmpl-{reply_id}", "object": "chat.completion.chunk", "created": int(time.time()), "model": asked.model}

    def whole(self, reply: Reply) -> shapes.Completion:
        if refused := _refused(reply):
            raise refused
        said = shapes.Said(content=self._links.linked(reply.text, reply.citations))
        head = {name: self._head[name] for name in ("id", "created", "model")}
        sources = self._links.sources(reply.citations)
        return shapes.Completion(**head, choices=[shapes.Choice(message=said)], usage=self._usage(reply), citations=sources, written_by=reply.model)

    async def chunks(self, answering: AsyncIterator[Reply]) -> AsyncIterator[bytes]:
        sent = 0  # characters
        yield self._chunk({"role": "assistant", "content": ""})
        # Closed from the inside out, as in v1/replies.py: closing the answer closes the model's request.
        async with contextlib.aclosing(answering), contextlib.aclosing(with_heartbeat(answering)) as beats:
            try:
                async for reply in beats:
                    if reply is None:
                        yield b": still here\n\n"
                        continue
                    text = self._links.linked(reply.text, reply.citations)
                    # Blank so far: a model that fails here is replaced by a quotation.
                    if len(text) > sent and (reply.ended or not text.isspace()):
                        yield self._chunk({"content": text[sent:]})
                        sent = len(text)
                    if reply.ended:
                        for last in self._end(reply):
                            yield last
                        return
            except MaiSaleError as refused:
                yield _event(problem(str(refused), type(refused).__name__, refused.status))

    def _end(self, reply: Reply) -> Sequence[bytes]:
        if refused := _refused(reply):
            return (_event(problem(str(refused), type(refused).__name__, refused.status)),)
        chunks = [self._chunk({}, "stop", citations=self._links.sources(reply.citations), written_by=reply.model)]
        if self._with_usage:
            chunks.append(_event({**self._head, "choices": [], "usage": self._usage(reply).model_dump()}))
        return (*chunks, b"data: [DONE]\n\n")

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        usage = {"usage": None} if self._with_usage else {}
        return _event({**self._head, "choices": [choice], **usage, **more})

    def _usage(self, reply: Reply) -> shapes.Usage:
        written = estimate_tokens(reply.text)
        return shapes.Usage(prompt_tokens=self._asked_tokens, completion_tokens=written, total_tokens=self._asked_tokens + written)


def _refused(reply: Reply) -> MaiSaleError | None:
    """Why an answer has no proper end."""
    if reply.state == "failed":
        return ModelFailed(reply.cause)
    if reply.state != "done":
        return Overloaded("The answer was interrupted: Mai-Sale is closing. Ask again in a moment.")
    return None


def _event(data: dict[str, Any]) -> bytes:
    return b"".join((b"data: ", orjson.dumps(data), b"\n\n"))
