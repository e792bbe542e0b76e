"""Conversations: create, list, find, read, rename, delete, export, and ask in one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from maisale.api import plain
from maisale.api.v1 import shapes
from maisale.api.v1.shapes import Chatter, Reader
from maisale.chat import transcript
from maisale.chat.ask import checked_question
from maisale.chat.find import find_conversations
from maisale.chat.replies import Replies
from maisale.records import Conversation, Message, Scope
from maisale.store import audit, conversations

EXPORTED = 100_000  # messages
BUSY = {409: {"model": shapes.Refusal, "description": "Three questions wait in this conversation already; this one was not stored."}}


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(prefix="/conversations", tags=["conversations"])

    @routes.post("", status_code=201)
    async def new_conversation(asked: shapes.NewConversation, caller: Chatter) -> shapes.ConversationOut:
        """Begin an empty conversation."""
        db, title = running().services.db, asked.title or conversations.UNTITLED
        return shapes.ConversationOut(**asdict(await db.awrite(lambda tx: conversations.new_conversation(tx, caller.scope, title))))

    @routes.get("")
    def list_conversations(caller: Reader, limit: Annotated[int, Query(ge=1, le=shapes.LIST)] = 200) -> list[shapes.ConversationOut]:
        """List your conversations, the latest first."""
        return [shapes.ConversationOut(**asdict(one)) for one in conversations.list_conversations(running().services.db, caller.scope, limit)]

    @routes.get("/search")
    def search_conversations(
        caller: Reader, q: Annotated[str, Query(min_length=1)], limit: Annotated[int, Query(ge=1, le=shapes.PASSAGES)] = 20
    ) -> list[shapes.FoundConversation]:
        """Find your conversations by what was said in them or by their titles, best first."""
        found = find_conversations(running().services, caller.scope, checked_question(q), limit)
        return [shapes.FoundConversation(**asdict(one.conversation), score=one.score, message_id=one.message_id, excerpt=one.excerpt) for one in found]

    @routes.get("/{conversation_id}")
    def get_conversation(
        conversation_id: str, caller: Reader, limit: Annotated[int, Query(ge=1, le=shapes.LIST, description="the last messages")] = shapes.LIST
    ) -> shapes.WholeConversation:
        """Get a conversation with its messages, oldest first."""
        found, said = _whole(caller.scope, conversation_id, limit)
        return shapes.WholeConversation(**asdict(found), messages=[plain.message(one) for one in said])

    @routes.patch("/{conversation_id}")
    async def rename_conversation(conversation_id: str, asked: shapes.Renamed, caller: Chatter) -> shapes.ConversationOut:
        """Give a conversation another title."""
        db = running().services.db
        await db.awrite(lambda tx: conversations.rename_conversation(tx, caller.scope, conversation_id, asked.title))
        return shapes.ConversationOut(**asdict(await asyncio.to_thread(conversations.get_conversation, db, caller.scope, conversation_id)))

    @routes.delete("/{conversation_id}")
    async def delete_conversation(conversation_id: str, caller: Chatter) -> shapes.Erased:
        """Delete a conversation with its messages and its files, for good."""
        receipt = await running().delete_conversation(caller.scope, conversation_id)
        return shapes.Erased(deleted=conversation_id, erasure_id=receipt)

    @routes.get("/{conversation_id}/export", response_class=Response, responses={200: {"content": {"text/markdown": {}, "application/json": {}}}})
    def export_conversation(conversation_id: str, caller: Reader, format: Literal["markdown", "json"] = "markdown") -> Response:
        """Download a conversation with the sources of its answers."""
        found, said = _whole(caller.scope, conversation_id, EXPORTED)
        running().services.db.write(lambda tx: audit.note(tx, caller.scope, "conversation_export", "conversation", conversation_id, detail=format))
        if format == "json":
            whole = shapes.WholeConversation(**asdict(found), messages=[plain.message(one) for one in said])
            return _download(whole.model_dump_json(indent=1), "application/json", transcript.file_name(found, "json"))
        return _download(transcript.as_markdown(found, said), "text/markdown; charset=utf-8", transcript.file_name(found, "md"))

    @routes.post("/{conversation_id}/messages", status_code=202, responses=BUSY)
    async def ask(conversation_id: str, asked: shapes.Question, caller: Chatter) -> shapes.Accepted:
        """Ask a question. It is durable when this answers; GET /v1/replies/{reply_id} or its /events bring the answer."""
        ack = await running().ask(caller.scope, asked.text, conversation_id, tuple(asked.collections), tuple(asked.documents))
        return shapes.Accepted(conversation_id=ack.conversation_id, message_id=ack.message_id, reply_id=ack.reply_id)

    def _whole(scope: Scope, conversation_id: str, limit: int) -> tuple[Conversation, list[Message]]:
        db = running().services.db
        return conversations.get_conversation(db, scope, conversation_id), conversations.messages(db, scope, conversation_id, limit)

    return routes


def _download(text: str, media_type: str, name: str) -> Response:
    headers: dict[str, Any] = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(text, media_type=media_type, headers=headers)
