"""The Python API: nine named functions for gradio_client, curl and the page's API panel.

Gradio checks no type, so every argument is looked at here; each refusal is one sentence. Who calls is asked of the gate, never of an argument.
"""
# No `from __future__ import annotations` here: Gradio 6.31 reads the hints as they stand.

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from maisale.access import audit, gate, keys
from maisale.api import plain
from maisale.chat.ask import checked_question
from maisale.chat.replies import Replies
from maisale.errors import BadInput, MaiSaleError
from maisale.flow.search import search
from maisale.library import documents as library
from maisale.library import progress
from maisale.records import Reply, Scope
from maisale.store import conversations, documents

TITLE_CHARACTERS = 200
ID_CHARACTERS = 100
NAME_CHARACTERS = 200
NAMES = 50
PASSAGES = 50
HEADER = "Send the header X-API-Key with your key (or Authorization: Bearer): Client(url, headers={'X-API-Key': key})."


def declare(running: Callable[[], Replies]) -> None:
    """The endpoints, inside a Blocks. running: raises MaiSaleError while there are none."""
    endpoints = Endpoints(running)
    for function in (
        endpoints.ask,
        endpoints.new_conversation,
        endpoints.list_conversations,
        endpoints.get_conversation,
        endpoints.rename_conversation,
        endpoints.delete_conversation,
        endpoints.search,
        endpoints.list_documents,
        endpoints.add_document,
    ):
        gr.api(function, api_name=function.__name__, api_description=f"{inspect.getdoc(function)}\n\n{HEADER}", concurrency_limit=None)


class Endpoints:
    """An endpoint is named by its method. Each describes itself to people who have never seen the page."""

    def __init__(self, running: Callable[[], Replies]):
        self._running = running

    async def ask(
        self,
        question: str,
        conversation_id: str | None = None,
        collections: list[str] | None = None,
        documents: list[str] | None = None,
        request: gr.Request = None,
    ) -> dict:
        """Ask a question and follow its answer.

        Streams objects with conversation_id, message_id (the question's), reply_id, state (waiting, running, done, stopped, interrupted or failed), step,
        place_in_line (while the step is queued: 1 is next), text (so far, with [n] for its sources), citations, retrieval (how the sources were found;
        null until then), model, error (in words, when it failed) and done. The first comes when the question is stored, before anything is searched.
        Leaving the stream does not stop the answer: get_conversation shows it.
        conversation_id: goes on there; without it a new conversation begins. collections: search only in these, by name. documents: only in these, by id.
        """
        with _in_words():
            scope = _scope(request, "chat")
            replies = self._running()
            place, only_in, only = _id(conversation_id, "conversation_id"), _names(collections, "collections"), _names(documents, "documents")
            ack = await replies.ask(scope, question, place, only_in, only)
            yield plain.answer(Reply(ack.reply_id, ack.message_id, ack.conversation_id, "waiting", ""))
            sources = plain.Sources()
            async with contextlib.aclosing(replies.tail(scope, ack.reply_id)) as snapshots:
                async for reply in snapshots:
                    yield plain.answer(reply, sources)

    async def new_conversation(self, title: str | None = None, request: gr.Request = None) -> dict:
        """Begin an empty conversation. Without a title it is named after its first question. Returns id, title, created_at and updated_at."""
        with _in_words():
            scope = _scope(request, "chat")
            named = _title(title) if title else conversations.UNTITLED
            return asdict(await self._running().services.db.awrite(lambda tx: conversations.new_conversation(tx, scope, named)))

    def list_conversations(self, limit: int = 200, request: gr.Request = None) -> list[dict]:
        """List your conversations, the latest first: id, title, created_at and updated_at of each. limit: 1 to 1000."""
        with _in_words():
            scope = _scope(request, "read")
            return [asdict(one) for one in conversations.list_conversations(self._running().services.db, scope, _whole(limit, "limit", 1000))]

    def get_conversation(self, conversation_id: str, request: gr.Request = None) -> dict:
        """Get a conversation with its messages, oldest first. An answer carries what `ask` streamed last."""
        with _in_words():
            scope, db = _scope(request, "read"), self._running().services.db
            found = conversations.get_conversation(db, scope, _needed_id(conversation_id, "conversation_id"))
            said = conversations.messages(db, scope, found.id)
            return {**asdict(found), "messages": [plain.message(one) for one in said]}

    async def rename_conversation(self, conversation_id: str, title: str, request: gr.Request = None) -> dict:
        """Give a conversation another title. Returns its id and title."""
        with _in_words():
            scope, found, named = _scope(request, "chat"), _needed_id(conversation_id, "conversation_id"), _title(title)
            await self._running().services.db.awrite(lambda tx: conversations.rename_conversation(tx, scope, found, named))
            return {"id": found, "title": named}

    async def delete_conversation(self, conversation_id: str, request: gr.Request = None) -> dict:
        """Delete a conversation with its messages and its files, for good. Returns {"deleted": id, "erasure_id": of the receipt}."""
        with _in_words(), self._noted(request, "conversation_delete", "conversation", conversation_id):
            scope, found = _scope(request, "chat"), _needed_id(conversation_id, "conversation_id")
            receipt = await self._running().delete_conversation(scope, found)
            return {"deleted": found, "erasure_id": receipt}

    def search(
        self, query: str, limit: int = 10, collections: list[str] | None = None, conversation_id: str | None = None, request: gr.Request = None
    ) -> list[dict]:
        """Find passages without an answer, best first.

        Each has key, document_id, title, place, heading, text, score and its parts: vector_score, word_score, meaning_score, freshness.
        limit: 1 to 50. collections: only these, by name. conversation_id: that conversation's files too.
        """
        with _in_words():
            scope, text, most = _scope(request, "read"), checked_question(query), _whole(limit, "limit", PASSAGES)
            names, conversation = _names(collections, "collections"), _id(conversation_id, "conversation_id")
            found = search(self._running().services, scope, text, most, names=names, conversation_id=conversation)
            return [plain.passage(one) for one in found]

    def list_documents(self, conversation_id: str | None = None, request: gr.Request = None) -> list[dict]:
        """List the documents that you may read, the latest first, or the files of one conversation.

        Each has id, title, source, collection, size, chunks, embedded, stage (received, read, chunked, searchable, complete or failed),
        cause (why it failed or stays as it is) and seconds_left (until it is complete; null when that is not known).
        """
        with _in_words():
            scope = _scope(request, "read")
            db = self._running().services.db
            found = progress.with_seconds_left(db, documents.list_documents(db, scope, _id(conversation_id, "conversation_id")))
            return [plain.document(one) for one in found]

    def add_document(self, file: dict, collection: str | None = None, conversation_id: str | None = None, request: gr.Request = None) -> dict:
        """Add a file to the knowledge, or to one conversation. Returns the document at the stage `received`; list_documents shows how it goes on.

        file: gradio_client.handle_file("report.pdf"); with curl, {"path": P} where P came back from POST /gradio_api/upload.
        collection: its name, made when it is missing; without one, "Knowledge", which your whole tenant reads.
        conversation_id: private to this conversation instead.
        """
        with _in_words(), self._noted(request, "document_add", "document"):
            scope, path, name = _scope(request, "write"), *_file(file)
            place, conversation = _line(collection, "collection", NAME_CHARACTERS) or None, _id(conversation_id, "conversation_id")
            return plain.document(library.add_document(self._running().services, scope, path, name, collection=place, conversation_id=conversation))

    @contextlib.contextmanager
    def _noted(self, request: gr.Request, action: str, kind: str, subject_id: Any = "") -> Iterator[None]:
        """What is refused inside is noted in the audit log."""
        try:
            yield
        except audit.REFUSALS as problem:
            named = subject_id if isinstance(subject_id, str) else ""
            audit.refused(self._running().services.db, gate.caller(request).scope, problem, action, kind, named)
            raise


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Hands a refusal to the caller as it is; its kind is the title."""
    try:
        yield
    except MaiSaleError as problem:
        raise gr.Error(str(problem), title=type(problem).__name__, duration=None, print_exception=False) from problem


def _scope(request: gr.Request, permission: str) -> Scope:
    caller = gate.caller(request)
    keys.require(caller, permission)
    return caller.scope


def _id(value: Any, name: str) -> str | None:
    """None for nothing, as programs write it: null or an empty text."""
    return _line(value, name, ID_CHARACTERS) or None


def _needed_id(value: Any, name: str) -> str:
    if not (found := _id(value, name)):
        raise BadInput(f"{name} is missing. list_conversations shows the ids.")
    return found


def _title(value: Any) -> str:
    title = " ".join(_line(value, "title", TITLE_CHARACTERS).split())
    if not title:
        raise BadInput("The title is empty. Give the conversation a name.")
    return title


def _names(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadInput(f'{name} is a list of texts, such as ["Handbook"]; this is {_kind(value)}.')
    if len(value) > NAMES:
        raise BadInput(f"{name} has {len(value)} entries; {NAMES} is the most.")
    return tuple(_line(one, name, NAME_CHARACTERS) for one in value)


def _whole(value: Any, name: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BadInput(f"{name} is a whole number from 1 to {most}; this is {value if isinstance(value, (int, float)) else _kind(value)}.")
    return value


def _line(value: Any, name: str, characters: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{name} is a text; this is {_kind(value)}.")
    if len(value) > characters:
        raise BadInput(f"{name} has {len(value):,} characters; {characters} is the most.")
    if not value.isprintable():
        raise BadInput(f"{name} holds line breaks or control characters. Write it on one line.")
    return value.strip()


def _file(value: Any) -> tuple[Path, str]:
    """Where the upload lies and what it is called. That it is the caller's own, the gate has seen to."""
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str) or not path:
        raise BadInput('file is an uploaded file: gradio_client.handle_file("report.pdf"), or {"path": P} with P from POST /gradio_api/upload.')
    name = value.get("orig_name")
    return Path(path), name if isinstance(name, str) and name else Path(path).name


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object", type(None): "nothing"}
    return kinds.get(type(value), type(value).__name__)
