"""Three tools for programs that speak MCP: ask, search, list_documents, at POST /mcp behind the same gate.

The package's own server, with nothing kept between two requests: each is served alone, for whom the gate found. Gradio's MCP would offer every
named function, and runs queued ones through one client that all people share (Gradio 6.31); it stays shut (access/ownership.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import CallToolResult, JSONRPCMessage, TextContent, Tool, ToolAnnotations
from pydantic import Field, ValidationError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from maisale import __version__
from maisale.access import gate, keys, wire
from maisale.api import plain
from maisale.api.v1.shapes import LIST, PASSAGES, Id, Names, Sent
from maisale.chat.ask import QUESTION_CHARACTERS, checked_question
from maisale.chat.replies import Replies
from maisale.errors import BadInput, MaiSaleError, ModelFailed, NotAllowed, NotFound, incident
from maisale.flow.search import search
from maisale.library import progress
from maisale.records import Caller
from maisale.store import documents

log = logging.getLogger(__name__)

INSTRUCTIONS = "A team's own documents. `ask` answers a question with [n] for its sources; `search` finds passages; `list_documents` shows what there is."
Text = Annotated[str, Field(min_length=1, max_length=QUESTION_CHARACTERS)]


class Ask(Sent):
    question: Text
    conversation_id: Id | None = Field(None, description="Goes on there, as an earlier answer named it; without it a new conversation begins.")
    collections: Names = Field([], description="Search only in these, by name.")
    documents: Annotated[list[Id], Field(max_length=50)] = Field([], description="Search only in these, by id.")


class Search(Sent):
    query: Text
    limit: Annotated[int, Field(ge=1, le=PASSAGES)] = 5
    collections: Names = Field([], description="Only these, by name.")


class ListDocuments(Sent):
    limit: Annotated[int, Field(ge=1, le=LIST)] = 200


TOOLS = (
    Tool(
        name="ask",
        description="Ask the team's documents a question. The answer names its sources as [n]; it is kept among your conversations.",
        inputSchema=Ask.model_json_schema(),
        annotations=ToolAnnotations(title="Ask", readOnlyHint=False, destructiveHint=False, openWorldHint=False),
    ),
    Tool(
        name="search",
        description="Find passages in the team's documents without an answer, best first.",
        inputSchema=Search.model_json_schema(),
        annotations=ToolAnnotations(title="Search", readOnlyHint=True, openWorldHint=False),
    ),
    Tool(
        name="list_documents",
        description="List the documents that you may read, the latest first, with their collections and how far they are.",
        inputSchema=ListDocuments.model_json_schema(),
        annotations=ToolAnnotations(title="List documents", readOnlyHint=True, openWorldHint=False),
    ),
)


def route(running: Callable[[], Replies]) -> Route:
    """running: the replies of the app's life, asked for at each call."""
    return Route("/mcp", Door(running), methods=["GET", "POST", "DELETE"])


class Door:
    """ASGI application: one request, one server, and nothing that outlives them."""

    def __init__(self, running: Callable[[], Replies]):
        self._running = running
        self._server: Server = Server("mai-sale", version=__version__, instructions=INSTRUCTIONS)
        self._server.list_tools()(self._list)
        # Its own validation would speak of schemas; ours has words.
        self._server.call_tool(validate_input=False)(self._call)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":  # there is no stream to listen to and no session to end
            words = "MCP is spoken with POST here; nothing is kept between two requests."
            return await JSONResponse({"error": words, "detail": words, "kind": "BadInput"}, 405, {"Allow": "POST"})(scope, receive, send)
        if not _of_this_server(Headers(scope=scope), self._running().services.settings.public_url):
            refused = NotAllowed("This request came from a web page of another address. MCP is for programs, which send no Origin.")
            return await gate.in_json(refused)(scope, receive, send)
        try:  # the package would tell of its own classes and versions
            raw, body = await wire.json_body(receive)
            JSONRPCMessage.model_validate(body)
        except ValidationError:
            return await gate.in_json(BadInput("This is no message of MCP: it needs jsonrpc, method, and an id to be answered."))(scope, receive, send)
        except MaiSaleError as problem:
            return await gate.in_json(problem)(scope, receive, send)
        manager = StreamableHTTPSessionManager(self._server, json_response=True, stateless=True)
        async with manager.run():
            await manager.handle_request(scope, wire.again(raw, receive), send)

    async def _list(self) -> list[Tool]:
        return list(TOOLS)

    async def _call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        try:
            return await self._called(name, arguments, self._server.request_context.request)
        except MaiSaleError as problem:
            return _result(str(problem), {"error": str(problem), "kind": type(problem).__name__}, wrong=True)
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(map(str, first["loc"])) or "The arguments"
            return _result(f"{where[:100]}: {first['msg'].removeprefix('Value error, ')}.", {"kind": "BadInput"}, wrong=True)
        except Exception as problem:  # the package would send its text, whatever it says; the log has the cause
            found = incident()
            log.error("incident %s: the tool %s failed:\n%s", found, name if name in {one.name for one in TOOLS} else "that was asked for", where(problem))
            return _result(f"This broke off inside Mai-Sale (incident {found}, which the log explains). Try again.", {"kind": "Broken"}, wrong=True)

    async def _called(self, name: str, arguments: dict[str, Any], request: Any) -> CallToolResult:
        caller, counted = gate.caller(request), gate.limits(request)
        match name:
            case "ask":
                keys.require(caller, "chat")
                counted.start_work(caller.user.id)
                return await self._ask(caller, Ask.model_validate(arguments))
            case "search":
                keys.require(caller, "read")
                counted.start_work(caller.user.id)
                return await asyncio.to_thread(self._search, caller, Search.model_validate(arguments))
            case "list_documents":
                keys.require(caller, "read")
                return await asyncio.to_thread(self._documents, caller, ListDocuments.model_validate(arguments))
        raise NotFound(f"There is no tool {name[:80]!r}. There are ask, search and list_documents.")

    async def _ask(self, caller: Caller, asked: Ask) -> CallToolResult:
        replies = self._running()
        ack = await replies.ask(caller.scope, asked.question, asked.conversation_id, tuple(asked.collections), tuple(asked.documents))
        async with contextlib.aclosing(replies.tail(caller.scope, ack.reply_id)) as snapshots:
            reply = [reply async for reply in snapshots][-1]
        if reply.state == "failed":
            raise ModelFailed(reply.cause)
        found = plain.answer(reply)
        found.pop("retrieval")
        sources = [f"[{one.number}] {_place(one.title, one.place)}" for one in reply.citations if one.cited]
        return _result("\n\n".join([reply.text, *(["Sources:\n" + "\n".join(sources)] if sources else [])]), found)

    def _search(self, caller: Caller, asked: Search) -> CallToolResult:
        found = search(self._running().services, caller.scope, checked_question(asked.query), asked.limit, names=tuple(asked.collections))
        passages = [plain.passage(one) for one in found]
        told = [f"{_place(one['title'], one['place'])}:\n{one['text']}" for one in passages]
        return _result("\n\n".join(told) or "Nothing was found.", {"passages": passages})

    def _documents(self, caller: Caller, asked: ListDocuments) -> CallToolResult:
        db = self._running().services.db
        listed = [plain.document(one) for one in progress.with_seconds_left(db, documents.list_documents(db, caller.scope)[: asked.limit])]
        told = [f"{one['title']} ({one['collection']}, {one['stage']})" for one in listed]
        return _result("\n".join(told) or "There are no documents yet.", {"documents": listed})


def _of_this_server(headers: Headers, public_url: str) -> bool:
    """Whether a request from a browser came from a page of ours. A name other than PUBLIC_URL's may be another site's that was made to point here."""
    if not (origin := headers.get("origin")):
        return True
    sent = urlsplit(origin)
    if not sent.netloc:
        return False  # "null": a file, or a frame in a sandbox
    if sent.netloc == urlsplit(public_url).netloc:
        return True
    return sent.netloc == headers.get("host") and bool(re.fullmatch(r"localhost|[\d.]+|[\da-fA-F:]+", sent.hostname or ""))


def _place(title: str, place: str) -> str:
    return ", ".join(part for part in (title, place) if part)


def _result(text: str, plain_objects: dict[str, Any], wrong: bool = False) -> CallToolResult:
    structured = orjson.loads(orjson.dumps(plain_objects, option=orjson.OPT_SERIALIZE_NUMPY))
    return CallToolResult(content=[TextContent(type="text", text=text)], structuredContent=structured, isError=wrong)
