"""Receipts of deletions, and the deletion of a single turn. Everybody sees the own receipts, an admin those of the tenant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from maisale.access import audit
from maisale.api.v1 import shapes
from maisale.api.v1.jobs import managed
from maisale.api.v1.shapes import Chatter, Reader
from maisale.chat.replies import Replies
from maisale.ops import receipts


class HeldOut(BaseModel):
    name: str = Field(description="Of its file.")
    taken_at: float
    expires_at: float | None = Field(description="When it makes way for newer ones; null: it is kept by whoever made it.")


class ErasureOut(BaseModel):
    id: str
    kind: Literal["message", "conversation", "document", "user", "tenant"]
    subject_id: str = Field(description="Of what was deleted.")
    state: Literal["pending", "erased"] = Field(description="erased: no file of the server's data folder holds it any more.")
    asked_at: float
    due_at: float = Field(description="When it is erased at the latest.")
    erased_at: float | None
    counts: dict[str, int] = Field(description="What went: messages, documents, passages, vectors, files, jobs, answers that rested on it, and so on.")
    backups: list[HeldOut] = Field(description="Those that still hold it.")


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(tags=["deletions"])

    @routes.get("/erasures")
    def list_erasures(caller: Reader, limit: Annotated[int, Query(ge=1, le=shapes.LIST)] = receipts.LISTED) -> list[ErasureOut]:
        """List the receipts of your deletions, and of those in the tenants that you manage, the latest first."""
        services, of = running().services, managed(caller)
        found = receipts.visible(services, caller.scope, of, limit)
        if of:
            audit.read(services.db, caller, "erasures_read")
        return [_out(one) for one in found]

    @routes.get("/erasures/{erasure_id}")
    def get_erasure(erasure_id: str, caller: Reader) -> ErasureOut:
        """Get a receipt: whether any file still holds what was deleted, and which backups do."""
        services, of = running().services, managed(caller)
        found = receipts.get(services, caller.scope, of, erasure_id)
        if of:
            audit.read(services.db, caller, "erasures_read", "erasure", erasure_id)
        return _out(found)

    @routes.delete("/messages/{message_id}", tags=["conversations"])
    async def delete_message(message_id: str, caller: Chatter) -> shapes.Erased:
        """Delete a question with its answer, for good, by the id of either. The turns after it stay."""
        receipt = await running().delete_message(caller.scope, message_id)
        return shapes.Erased(deleted=message_id, erasure_id=receipt)

    return routes


def _out(receipt: receipts.Receipt) -> ErasureOut:
    one = receipt.erasure
    backups = [HeldOut(name=Path(backup.path).name, taken_at=backup.taken_at, expires_at=backup.expires_at) for backup in receipt.backups]
    return ErasureOut(
        id=one.id,
        kind=one.kind,
        subject_id=one.subject_id,
        state=one.state,
        asked_at=one.asked_at,
        due_at=receipt.due_at,
        erased_at=one.erased_at,
        counts=one.counts,
        backups=backups,
    )
