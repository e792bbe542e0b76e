"""The audit log, for admins, and which calls below /v1 are noted there when they are refused. What is done is noted where it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from maisale.access import audit, gate
from maisale.api.v1.shapes import Anyone
from maisale.chat.replies import Replies
from maisale.errors import MaiSaleError

# (method, path below /v1) -> action, kind of its subject, and the parameter of the path that names it.
NOTED: dict[tuple[str, str], tuple[str, str, str]] = {
    ("GET", "/conversations/{conversation_id}/export"): ("conversation_export", "conversation", "conversation_id"),
    ("DELETE", "/conversations/{conversation_id}"): ("conversation_delete", "conversation", "conversation_id"),
    ("DELETE", "/messages/{message_id}"): ("message_delete", "message", "message_id"),
    ("POST", "/documents"): ("document_add", "document", ""),
    ("DELETE", "/documents/{document_id}"): ("document_delete", "document", "document_id"),
    ("POST", "/documents/{document_id}/retry"): ("document_retry", "document", "document_id"),
    ("POST", "/documents/{document_id}/cancel"): ("document_cancel", "document", "document_id"),
    ("POST", "/jobs/{job_id}/retry"): ("job_retry", "job", "job_id"),
    ("POST", "/jobs/{job_id}/skip"): ("job_skip", "job", "job_id"),
    ("POST", "/keys"): ("key_issue", "key", ""),
    ("POST", "/keys/fresh"): ("key_fresh", "key", ""),
    ("POST", "/session/fresh"): ("key_retype", "key", ""),
    ("POST", "/keys/{key_id}/rotate"): ("key_rotate", "key", "key_id"),
    ("DELETE", "/keys/{key_id}"): ("key_revoke", "key", "key_id"),
    ("GET", "/erasures/{erasure_id}"): ("erasures_read", "erasure", "erasure_id"),
    ("GET", "/users"): ("users_read", "", ""),
    ("POST", "/users"): ("user_add", "user", ""),
    ("GET", "/users/{user_id}"): ("users_read", "user", "user_id"),
    ("PATCH", "/users/{user_id}"): ("user_role", "user", "user_id"),
    ("DELETE", "/users/{user_id}"): ("user_delete", "user", "user_id"),
    ("POST", "/users/{user_id}/invitation"): ("invitation_make", "user", "user_id"),
    ("GET", "/users/{user_id}/keys"): ("keys_read", "user", "user_id"),
    ("POST", "/users/{user_id}/keys"): ("key_issue", "user", "user_id"),
    ("GET", "/tenants"): ("tenants_read", "", ""),
    ("POST", "/tenants"): ("tenant_add", "tenant", ""),
    ("PATCH", "/tenants/{tenant_id}"): ("privacy_choose", "tenant", "tenant_id"),
    ("DELETE", "/tenants/{tenant_id}"): ("tenant_delete", "tenant", "tenant_id"),
    ("GET", "/audit"): ("audit_read", "", ""),
}


class EntryOut(BaseModel):
    number: int
    at: float
    tenant_id: str = Field(description="That the act concerned.")
    user_id: str = Field(description="Who did it; empty: the server itself, or somebody at its command line.")
    key_id: str
    address: str = Field(description="Of the network; through cli the operating system's user.")
    door: str = Field(description="page, api, mcp, cli or server.")
    action: str
    subject_kind: str
    subject_id: str
    detail: str
    result: str = Field(description="done, or refused and the kind of the error.")
    before_hash: str
    hash: str = Field(description="SHA-256 of this row and, through it, of all before.")


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(tags=["audit"])

    @routes.get("/audit")
    def list_audit(
        caller: Anyone,
        limit: Annotated[int, Query(ge=1, le=audit.MOST)] = 100,
        before: Annotated[int | None, Query(ge=1, le=2**53, description="Only rows below this number: that of the last row that came.")] = None,
        action: str | None = None,
        user: Annotated[str | None, Query(description="The id of who did it.")] = None,
        since: Annotated[float | None, Query(description="Seconds since 1970.")] = None,
        until: Annotated[float | None, Query(description="Not included.")] = None,
    ) -> list[EntryOut]:
        """List what was done, the latest first, in the tenants that you manage."""
        wanted = {"limit": limit, "before": before, "action": action, "user_id": user, "since": since, "until": until}
        return [EntryOut(**asdict(one)) for one in audit.entries(running().services.db, caller, **wanted)]

    return routes


def note_refusal(running: Callable[[], Replies], request: Request, problem: MaiSaleError) -> None:
    """Notes a refused call in the audit log, when its doing would be noted there."""
    noted = NOTED.get((request.method, getattr(request.scope.get("route"), "path", "")))
    if noted and isinstance(problem, audit.REFUSALS):
        action, kind, parameter = noted
        subject_id = request.path_params.get(parameter, "")
        audit.refused(running().services.db, gate.caller(request).scope, problem, action, kind, subject_id)
