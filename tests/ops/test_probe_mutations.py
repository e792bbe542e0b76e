"""Every check that keeps people apart is taken out of a running server, and the probe has to notice. What is noticed where, `pytest -rP` prints.

A check that another one stands in front of is taken out together with that one; `behind` says so, and `found` names what only the last one prevents.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from dataclasses import dataclass

import httpx
import pytest
from door import serving
from mutations import Edit, applied
from running import ADMIN_KEY, ROOT

from fake_ollama import FakeOllama
from maisale.access import keys, limits, sessions
from maisale.ops.probe import Probe
from maisale.ops.probe_wire import Caller
from maisale.ops.probe_world import open_page
from maisale.store import accounts


@dataclass(frozen=True)
class Mutation:
    """only: the routes to call, as the probe's `only`. found: a part of what it has to find."""

    name: str
    edits: tuple[Edit, ...]
    only: str
    found: str = ""
    behind: str = ""
    before: str = ""  # what the test has to do by SQL first, for no call can wait so long
    spoils: bool = False  # more than the owner's things: the world is planted anew


def one(module: str, where: str, old: str, new: str, only: str, found: str = "", **more) -> Mutation:
    return Mutation(f"{module}.{where}: {' '.join(old.split())[:60]}", (Edit(module, where, old, new),), only, found, **more)


def several(name: str, *edits: tuple[str, str, str, str], only: str, found: str, behind: str, **more) -> Mutation:
    return Mutation(name, tuple(Edit(*edit) for edit in edits), only, found, behind, **more)


EXACTLY = "^{}$".format
GATE = (
    one("access.gate", "is_open", "pattern.fullmatch(path)", "pattern.match(path)", EXACTLY("POST /login/"), "anonymous"),
    one("access.gate", "is_open", "return any(", 'return path == "/gradio_api/app_id" or any(', EXACTLY("GET /gradio_api/app_id"), "anonymous"),
    one(
        "access.gate",
        "Gate._admit_caller",
        "unsafe and not same_origin(headers)",
        "False",
        EXACTLY("PATCH /v1/conversations/{conversation_id}"),
        "another site",
    ),
    one("access.gate", "same_origin", 'return site == "same-origin"', "return True", EXACTLY("POST /v1/conversations"), "another site"),
    one("access.gate", "same_origin", 'origin.netloc == headers.get("host")', "True", EXACTLY("POST /v1/conversations"), "old browser"),
    one("access.gate", "Gate._still_admitted", "self._find_caller(headers) is not None", "True", "heartbeat", "went on for"),
)
KEYS = (
    one(
        "access.keys",
        "caller_of_key",
        "if not compare_digest(secret_hash, hash_of(form.group(2) if form else text)):",
        "if False:",
        EXACTLY("GET /v1/me"),
        "forged",
    ),
    one("store.accounts", "valid_key", "k.revoked_at IS NULL AND", "", EXACTLY("GET /v1/me"), "a revoked key"),
    one("store.accounts", "valid_key", "(k.expires_at IS NULL OR", "(1 = 1 OR", EXACTLY("GET /v1/me"), "an expired key"),
    one("access.keys", "issue_key", 'if "admin" in permissions and user.role == "member":', "if False:", EXACTLY("POST /v1/keys"), "demoted"),
    one("access.keys", "issue_own", "sorted(set(wanted) & set(PERMISSIONS) - set(caller.permissions))", "[]", EXACTLY("POST /v1/keys"), "a key to"),
    one("access.keys", "_no_longer", "if caller.expires_at is None:", "if True:", EXACTLY("POST /v1/keys"), "lasts longer"),
    one("access.keys", "mint_fresh", "caller.key_id != ADMIN_KEY_ID or", "False or", EXACTLY("POST /v1/keys/fresh"), "foreign admin"),
    one("access.keys", "mint_fresh", "or caller.session_id", "", EXACTLY("POST /v1/keys/fresh"), "the admin's page"),
    one("access.keys", "rotate_key", "sorted(set(key.permissions) - set(caller.permissions))", "[]", "rotate", "a key to read"),
    one("access.keys", "require", "if permission not in caller.permissions:", "if False:", EXACTLY("GET /v1/(users|conversations)"), "a key to chat"),
    one("access.keys", "require_fresh", "if not caller.fresh:", "if False:", EXACTLY("POST /v1/users/{user_id}/keys"), "manager"),
    one("api.v1.keys", "router.rotate_key", "keys.require_fresh(caller)", "pass", "rotate", "manager"),
    one("access.people", "key_of", "managed(db, caller, key.user_id)", "pass", "/v1/keys/{key_id}", "colleague"),
)
SESSIONS = (
    one(
        "access.sessions",
        "caller_of_session",
        "if opener else None",
        "if opener else Caller(user, key_id, keys.USUAL_PERMISSIONS)",
        EXACTLY("GET /v1/me"),
        "expired key's",
    ),
    one("access.sessions", "caller_of_session", "fresh = fresh_until > now", "fresh = True", "invitation", "the manager's page|the admin's page"),
    one(
        "store.accounts",
        "valid_session",
        "AND s.expires_at > :now",
        "AND (1 = 1 OR s.expires_at > :now)",
        EXACTLY("GET /v1/me"),
        "an old session",
        before="session",
    ),
    one("store.accounts", "delete_session", "WHERE id = :id", "WHERE id = :id AND 1 = 0", EXACTLY("POST /logout"), "signed out"),
    several(
        "store.accounts.revoke_key: DELETE FROM sessions",
        ("store.accounts", "revoke_key", "DELETE FROM sessions WHERE key_id = :id", "DELETE FROM sessions WHERE key_id = :id AND 1 = 0"),
        ("access.sessions", "caller_of_session", "if opener else None", "if opener else Caller(user, key_id, keys.USUAL_PERMISSIONS)"),
        only=EXACTLY("DELETE /v1/keys/{key_id}"),
        found="session of a revoked key",
        behind="caller_of_session, which asks for the key",
    ),
    one("access.sessions", "type_key_again", "or typed.user.id != caller.user.id", "", "session/fresh", "the owner's page", spoils=True),
    one("access.sessions", "type_key_again", 'keys.require(typed, "admin")', "pass", "session/fresh", "the manager's page", spoils=True),
    one("access.sessions", "type_key_again", "if not caller.session_id:", "if False:", "session/fresh", "manager", spoils=True),
    one("store.accounts", "use_link", "AND used_at IS NULL AND", "AND", EXACTLY("POST /link/{token}"), "instead of 410"),
    one("store.accounts", "use_link", "AND expires_at > :now", "AND (1 = 1 OR :now > 0)", EXACTLY("POST /link/{token}"), "instead of 410", before="link"),
    one("store.accounts", "open_link", "AND used_at IS NULL AND", "AND", EXACTLY("GET /link/{token}"), "instead of 410"),
    one("store.accounts", "open_link", "AND expires_at > :now", "AND (1 = 1 OR :now > 0)", EXACTLY("GET /link/{token}"), "instead of 410", before="link"),
    one("store.accounts", "delete_links", "WHERE user_id = :id", "WHERE 1 = 0 AND user_id = :id", EXACTLY("POST /link/{token}"), "a later one replaces"),
)
ACCOUNTS = "__import__('maisale.store.accounts', fromlist=['accounts'])"
PEOPLE = (
    one("access.people", "_require_admin", 'if caller.user.role not in ("tenant_admin", "instance_admin"):', "if False:", EXACTLY("GET /v1/users"), "demoted"),
    one("access.people", "_require_admin", 'keys.require(caller, "admin")', "pass", EXACTLY("GET /v1/users"), "the manager's narrow key"),
    one("access.people", "require_instance_admin", 'if caller.user.role != "instance_admin":', "if False:", EXACTLY("GET /v1/routes"), "manager"),
    one("access.people", "require_instance_admin", 'keys.require(caller, "admin")', "pass", EXACTLY("GET /v1/routes"), "the admin's narrow key"),
    one("api.v1.server", "router.list_routes", "people.require_instance_admin(caller)", "pass", EXACTLY("GET /v1/routes"), "colleague"),
    one("access.people", "add_colleague", "_require_admin(caller)", "pass", EXACTLY("POST /v1/users"), "colleague"),
    one("access.people", "add_colleague", "if place != caller.user.tenant:", "if False:", EXACTLY("POST /v1/users"), "foreign admin"),
    one("access.people", "add_colleague", 'if role == "instance_admin":', "if False:", EXACTLY("POST /v1/users"), "manager"),
    one("access.people", "managed_tenant", "_require_admin(caller)", "pass", EXACTLY("GET /v1/users"), "colleague"),
    one("access.people", "managed_tenant", "else caller.user.tenant_id", "else None", EXACTLY("GET /v1/users"), "person"),
    one("access.people", "managed", "_require_admin(caller)", "pass", EXACTLY("GET /v1/users/{user_id}"), "colleague"),
    one("access.people", "managed", "if user.tenant_id != caller.user.tenant_id:", "if False:", EXACTLY("GET /v1/users/{user_id}"), "foreign admin"),
    one("access.people", "managed", 'if user.role == "instance_admin":', "if False:", EXACTLY("GET /v1/users/{user_id}"), "manager"),
    one(
        "api.v1.people",
        "router.get_user",
        "people.managed(db, caller, user_id)",
        f"{ACCOUNTS}.get_user(db, user_id)",
        EXACTLY("GET /v1/users/{user_id}"),
        "outsider",
    ),
    one("api.v1.people", "router.list_keys_of", "people.managed(db, caller, user_id)", f"{ACCOUNTS}.get_user(db, user_id)", "users/{user_id}/keys", "key"),
    one(
        "api.v1.people",
        "router.invite_again",
        "people.managed(running().services.db, caller, user_id)",
        f"{ACCOUNTS}.get_user(running().services.db, user_id)",
        "invitation",
        "foreign admin's fresh page",
    ),
    one("api.v1.people", "router.invite_again", "keys.require_fresh(caller)", "pass", "invitation", "manager"),
    one(
        "access.people",
        "issue_for",
        "user = managed(db, caller, user_id)",
        "user = accounts.get_user(db, user_id)",
        "users/{user_id}/keys",
        "foreign admin's fresh page",
    ),
    one("access.people", "issue_for", "keys.require_fresh(caller)", "pass", "users/{user_id}/keys", "manager"),
    one(
        "access.people", "set_role", "user = managed(db, caller, user_id)", "user = accounts.get_user(db, user_id)", "PATCH /v1/users", "colleague", spoils=True
    ),
    one(
        "access.people",
        "set_role",
        'if role == "instance_admin" and caller.user.role != "instance_admin":',
        "if False:",
        "PATCH /v1/users",
        "manager",
        spoils=True,
    ),
    one("access.people", "set_role", "user.id == caller.user.id or", "False or", "PATCH /v1/users", "manager"),
    one(
        "access.people",
        "removable",
        "user = managed(db, caller, user_id)",
        "user = accounts.get_user(db, user_id)",
        "DELETE /v1/users",
        "foreign admin",
        spoils=True,
    ),
    one("access.people", "removable", "keys.require_fresh(caller)", "pass", "DELETE /v1/users", "manager", spoils=True),
    one("access.people", "list_tenants", "_require_admin(caller)", "pass", EXACTLY("GET /v1/tenants"), "outsider"),
    one("access.people", "list_tenants", 'found if caller.user.role == "instance_admin" else', "found if True else", EXACTLY("GET /v1/tenants"), "tenant"),
    one("access.audit", "entries", "people.managed_tenant(caller)", "None", EXACTLY("GET /v1/audit"), "foreign admin.*person id"),
    one("access.audit", "entries", "people.managed_tenant(caller)", "caller.user.tenant_id", EXACTLY("GET /v1/audit"), "colleague"),
    one("access.people", "choose_privacy", "not in {tenant.id for tenant in list_tenants(db, caller)}", "== ''", "PATCH /v1/tenants", "foreign admin"),
    one("access.people", "add_tenant", "require_instance_admin(caller)", "pass", EXACTLY("POST /v1/tenants"), "manager"),
    one("access.people", "removable_tenant", "require_instance_admin(caller)", "pass", "DELETE /v1/tenants", "the manager's fresh page", spoils=True),
    one("access.people", "removable_tenant", "keys.require_fresh(caller)", "pass", "DELETE /v1/tenants", "admin", spoils=True),
)
PERMISSIONS = (
    one(
        "api.v1.shapes",
        "_caller.find",
        "keys.require(found, permission)",
        "permission.strip()",
        EXACTLY("GET /v1/(conversations|documents|search)"),
        "a key to write",
    ),
    one("api.endpoints", "_scope", "keys.require(caller, permission)", "pass", "fn list_conversations", "a key to chat"),
    one("api.files", "router.file", 'keys.require(who, "read")', "pass", "GET /files", "a key to chat"),
    one("api.files", "router.read", 'keys.require(who, "read")', "pass", "GET /files", "a key to chat"),
    one("ui.scene", "reader", 'keys.require(found, "read")', "pass", EXACTLY("fn load"), "a key to write"),
    one("ui.scene", "Reader.require", "keys.require(self.caller, permission)", "pass", EXACTLY("fn rail_acts"), "conversation was"),
    one("ui.scene", "Reader.start", "self.require(permission)", "pass", EXACTLY("fn page_acts"), "private documents was"),
)
OURS, ALL = "AND {_OWN}", "AND (1 = 1 OR {_OWN})"
ID = "{conversation_id}"
CONVERSATION_FOUND = 'Conversation(conversation_id, "", 0.0, 0.0)'
REPLY = "r.tenant_id = :tenant AND r.user_id = :user"
STORE = "store.conversations"
CONVERSATIONS = (
    one(STORE, "_OWN", "user_id = :user", "(1 = 1 OR user_id = :user)", EXACTLY("GET /v1/conversations"), "colleague"),
    one(STORE, "list_conversations", "WHERE {_OWN}", "WHERE (1 = 1 OR {_OWN})", EXACTLY("GET /v1/conversations"), "outsider"),
    one(STORE, "list_conversations", "WHERE {_OWN}", "WHERE (1 = 1 OR {_OWN})", EXACTLY("GET /v1/conversations/search"), "title"),
    one(STORE, "get_conversation", OURS, ALL, EXACTLY(re.escape(f"GET /v1/conversations/{ID}")), "title"),
    one(STORE, "rename_conversation", OURS, ALL, EXACTLY(re.escape(f"PATCH /v1/conversations/{ID}")), "conversation was"),
    several(
        f"{STORE}.delete_conversation: _OWN",
        (STORE, "delete_conversation", OURS, ALL),
        ("library.deletion", "delete_conversation", "conversations.get_conversation(tx, scope, conversation_id).created_at", "0.0"),
        (
            "chat.replies",
            "Replies.delete_conversation",
            "await asyncio.to_thread(conversations.get_conversation, self.services.db, scope, conversation_id)",
            "pass",
        ),
        only=re.escape(f"DELETE /v1/conversations/{ID}"),
        found="conversation was",
        behind="the two functions that it is called through, which ask for the conversation; and each of these behind it",
    ),
    several(
        "store.turns: _OWN",
        ("store.turns", "turn_of", REPLY, f"(1 = 1 OR {REPLY})"),
        (STORE, "get_reply", REPLY, f"(1 = 1 OR {REPLY})"),
        ("store.turns", "delete_messages", OURS, ALL),
        ("library.deletion", "_retitle", 'conversations.get_conversation(tx, scope, turn["conversation_id"]).title', '""'),
        only="DELETE /v1/messages",
        found="conversation was",
        behind="get_reply, which the stopping asks; and each other",
    ),
    one(
        "ops.receipts",
        "get",
        "if not own and managed not in (EVERY_TENANT, one.tenant_id):",
        "if False:",
        EXACTLY("GET /v1/erasures/{erasure_id}"),
        "colleague",
    ),
    one(STORE, "messages", "get_conversation(db, scope, conversation_id)", "pass", EXACTLY("fn follow"), "question"),
    one(STORE, "accept_question", "get_conversation(tx, scope, conversation_id) if", f"{CONVERSATION_FOUND} if", "/messages", "instead of 404"),
    one(STORE, "get_reply", REPLY, f"(1 = 1 OR {REPLY})", EXACTLY("GET /v1/replies/{reply_id}"), "document"),
    several(
        f"{STORE}.get_message: _OWN",
        (STORE, "get_message", OURS, ALL),
        (STORE, "get_reply", REPLY, f"(1 = 1 OR {REPLY})"),
        (STORE, "accept_question", "get_conversation(tx, scope, conversation_id) if", f"{CONVERSATION_FOUND} if"),
        only=EXACTLY("fn ask_again"),
        found="conversation was",
        behind="get_reply, and in front of accept_question",
    ),
    one("chat.replies", "Replies.current", "if running and running.scope == scope:", "if running:", EXACTLY("GET /v1/replies/{reply_id}"), "instead of 404"),
    several(
        "chat.replies.Replies.tail: running.scope == scope",
        ("chat.replies", "Replies.tail", "if running and running.scope == scope:", "if running:"),
        ("chat.replies", "Replies.current", "if running and running.scope == scope:", "if running:"),
        only="GET /v1/replies/{reply_id}/events",
        found="opens the door",  # a piece of the answer
        behind="Replies.current",
    ),
    several(
        "chat.replies.Replies.stop: running.scope == scope",
        ("chat.replies", "Replies.stop", "if running and running.scope == scope:", "if running:"),
        ("api.v1.replies", "router.stop_reply", "await asyncio.to_thread(conversations.get_reply, running().services.db, caller.scope, reply_id)", "running()"),
        only="POST /v1/replies/{reply_id}/stop",
        found="the running answer was",
        behind="the route, which asks for the reply",
    ),
    several(
        "store.feedback.set_feedback, clear_feedback: get_reply and _OWN",
        ("store.feedback", "set_feedback", "if not get_reply(tx, scope, reply_id).ended:", "if False:"),
        ("store.feedback", "clear_feedback", "get_reply(tx, scope, reply_id)", "pass"),
        ("store.feedback", "clear_feedback", "AND {_OWN}", "AND (1 = 1 OR {_OWN})"),
        only=EXACTLY("fn judge"),
        found="verdict was",
        behind="each other",
    ),
    several(
        "store.feedback.verdicts: _OWN",
        ("store.feedback", "verdicts", "AND {_OWN}", "AND (1 = 1 OR {_OWN})"),
        (STORE, "messages", "get_conversation(db, scope, conversation_id)", "pass"),
        only=EXACTLY("fn follow"),
        found="comment",
        behind="messages",
    ),
)
DOCS = "store.documents"
MAY_READ, READ_ALL = "AND {_MAY_READ}", "AND (1 = 1 OR {_MAY_READ})"
NAMES = "GET /v1/documents/names"
A_DOCUMENT = re.escape("/v1/documents/{document_id}")
NAMELESS = '__import__("types").SimpleNamespace(title="x.md")'
DOCUMENTS = (
    one(
        DOCS,
        "_READABLE",
        "(c.owner_id = :user OR c.visibility = 'tenant')",
        "(1 = 1 OR c.owner_id = :user)",
        EXACTLY("GET /v1/(collections|search)"),
        "colleague",
    ),
    one(DOCS, "_READABLE", "c.tenant_id = :tenant AND", "", EXACTLY("GET /v1/collections"), "outsider"),
    one(DOCS, "_MAY_READ", "d.tenant_id = :tenant AND d.owner_id = :user", "(1 = 1 OR d.owner_id = :user)", f"GET {A_DOCUMENT}$", "file name"),
    one(DOCS, "_MAY_READ", "(c.owner_id = :user OR c.visibility = 'tenant')", "(1 = 1 OR c.owner_id = :user)", f"GET {A_DOCUMENT}$", "document name"),
    one(DOCS, "list_collections", "WHERE {_READABLE}", "WHERE (1 = 1 OR {_READABLE})", EXACTLY("GET /v1/collections"), "collection"),
    one(DOCS, "list_documents", "get_conversation(db, scope, conversation_id)", "pass", EXACTLY("GET /v1/documents"), "instead of 404"),
    one(DOCS, "list_documents", MAY_READ, READ_ALL, EXACTLY("GET /v1/documents"), "document name"),
    one(DOCS, "document_names", "WHERE {_MAY_READ}", "WHERE (1 = 1 OR {_MAY_READ})", EXACTLY(NAMES), "document name"),
    one("chat.naming", "find_names", "conversations.get_conversation(db, scope, conversation_id)", "pass", EXACTLY(NAMES), "instead of 404"),
    one(DOCS, "get_document", MAY_READ, READ_ALL, f"GET {A_DOCUMENT}$", "document name"),
    one(DOCS, "searchable", "sorted(set(names) - {one.name for one in readable})", "[]", EXACTLY("GET /v1/search"), "instead of 404"),
    one(DOCS, "searchable", "get_conversation(db, scope, conversation_id).id", "conversation_id", EXACTLY("GET /v1/search"), "file"),
    several(
        f"{DOCS}.outlines: READABLE",
        (DOCS, "outlines", MAY_READ, READ_ALL),
        (DOCS, "list_documents", MAY_READ, READ_ALL),
        only=EXACTLY("fn page_acts"),
        found="document name",
        behind="the rows of a page, which are read anew",
    ),
    several(
        f"{DOCS}.searchable: get_document",
        (DOCS, "searchable", "get_document(db, scope, document_id).collection_id", 'document_row(db, document_id)["collection_id"]'),
        (DOCS, "searchable", "(*own, *(one.id for one in chosen))", "(*own, *homes, *(one.id for one in chosen))"),
        ("chat.ask", "_checked", "documents.get_document(services.db, scope, document_id).title", '""'),
        only=EXACTLY("fn ask"),
        found="document",
        behind="the readable collections, and the titles of the trace",
    ),
    one(DOCS, "collection_named", "AND (visibility <> 'private' OR owner_id = :user)", "", EXACTLY("POST /v1/documents"), "private documents was"),
    one(DOCS, "private_documents", "AND c.owner_id = :user", "", "DELETE /v1/users", "private documents was"),
    one(
        DOCS,
        "hand_over",
        "AND owner_id = :user AND visibility = 'private'",
        "AND visibility = 'private'",
        "DELETE /v1/users",
        "private collections was",
        spoils=True,
    ),
    one(
        DOCS,
        "hand_over",
        "UPDATE {table} SET owner_id = :heir WHERE owner_id = :user",
        "UPDATE {table} SET owner_id = :heir",
        "DELETE /v1/users",
        "file was",
        spoils=True,
    ),
    one(
        DOCS,
        "hand_over",
        "UPDATE collections SET owner_id = :heir WHERE owner_id = :user AND",
        "UPDATE collections SET owner_id = :heir WHERE",
        "DELETE /v1/users",
        "private collections was",
        spoils=True,
    ),
    several(
        "store.chunks.chunks: tenants and collections",
        ("store.chunks", "chunks", "AND tenant_id IN :tenants", "AND 1 = 1 OR key IN :keys AND tenant_id IN :tenants"),
        ("backends.word_search", "_candidates", "inside = table.inside(where)", "inside = None"),
        ("backends.fts5_counts", "Counts.texts", 'if may_see(row["place"])', "if may_see is not None"),
        only=EXACTLY("GET /v1/search"),
        found="document",
        behind="the index, whose hits it checks again",
    ),
    one("library.documents", "check_may_change", "documents.get_document(tx, scope, document_id)", NAMELESS, f"POST {A_DOCUMENT}/retry", "instead of 404"),
    one("library.documents", "check_may_change", 'if row["owner_id"] == scope.user_id:', "if True:", f"DELETE {A_DOCUMENT}", "shared document was"),
    one(
        "library.documents",
        "check_may_change",
        'if accounts.get_user(tx, scope.user_id).role not in _changers(row["tenant_id"]):',
        "if False:",
        f"DELETE {A_DOCUMENT}",
        "shared document was",
    ),
    one("library.documents", "_changers", '("instance_admin",) if', '("instance_admin", "tenant_admin") if', "retry", "instead of 403"),
    one("library.deletion", "remove_document", "check_may_change(tx, scope, document_id)", "scope.user_id", f"DELETE {A_DOCUMENT}", "private documents was"),
    one("library.readings", "retry_document", "check_may_change(tx, scope, document_id)", "scope.user_id", "retry", "instead of 404"),
    one("library.readings", "cancel_document", "check_may_change(tx, scope, document_id)", "scope.user_id", f"POST {A_DOCUMENT}/cancel", "instead of 404"),
    one("library.documents", "open_file", "documents.get_document(services.db, scope, document_id)", NAMELESS, "GET /files", "document"),
    one("library.documents", "read_text", "documents.get_document(services.db, scope, document_id)", NAMELESS, "GET /files", "document"),
    one(
        "library.documents",
        "add_document",
        "conversations.get_conversation(tx, scope, conversation_id).id",
        "(scope, conversation_id)[1]",
        EXACTLY("POST /v1/documents"),
        "instead of 404",
    ),
    one("library.documents", "writable_collection", 'if visibility == "public" and', "if False and", EXACTLY("POST /v1/documents"), "instead of 403"),
    one("library.documents", "writable_collection", "if visibility and kept != visibility:", "if False:", EXACTLY("POST /v1/documents"), "instead of 422"),
)
OWN = "access.ownership"
GRADIO = (
    one(OWN, "Claims.claim", "if self._owners.setdefault(thing, user_id) != user_id:", "if False:", "queue/data", "outsider"),
    one(OWN, "Claims.owns", "return self._owners.get(thing) == user_id", "return True", "GET /gradio_api/file", "colleague"),
    one(OWN, "Ownership._admit_reading", 'if not self._files.owns(user_id, (user_id, found["path"])):', "if False:", "GET /gradio_api/file", "upload"),
    one(OWN, "Ownership._admit_reading", 'self._claim_session(user_id, found["session"])', "pass", "heartbeat", "instead of 404"),
    one(OWN, "Ownership._admit_reading", 'self._check_event(user_id, found["event"])', "pass", "GET /gradio_api/call", "title|question"),
    one(OWN, "Ownership._admit_reading", 'self._claim_session(user_id, _one(query, "session_hash"))', "pass", "queue/data", "title|question"),
    one(OWN, "Ownership._admit_reading", 'self._claim_upload(user_id, _one(query, "upload_id"))', "pass", "upload_progress", "instead of 404"),
    one(OWN, "Ownership._admit_reading", 'raise NotFound("There is nothing here.")', "pass", "GET /gradio_api/(startup|runs|token)", "instead of 404"),
    one(OWN, "Ownership.admit", "_SHUT.fullmatch(path) or", "", "GET /(monitoring|svelte)", "instead of 404"),
    several(
        f"{OWN}.Ownership.admit: deep_link",
        (OWN, "Ownership.admit", 'or "/gradio_api/deep_link" in path', ""),
        (OWN, "Ownership._admit_reading", 'raise NotFound("There is nothing here.")', "pass"),
        only="deep_link",
        found="instead of 404",
        behind="the table of routes to read",
    ),
    one(OWN, "Ownership._admit_work", 'self._claim_upload(user_id, _one(query, "upload_id"))', "pass", EXACTLY("POST /gradio_api/upload"), "instead of 404"),
    one(OWN, "Ownership._admit_work", 'raise NotFound("There is nothing here.")', "pass", "POST /gradio_api/(vibe|stream|process)", "instead of 404"),
    one(OWN, "Ownership._check_body", "self._claim_session(user_id, session)", "pass", "POST /gradio_api/(queue|component|run)", "instead of 404"),
    one(OWN, "Ownership._check_body", "self._check_event(user_id, event)", "pass", "POST /gradio_api/(reset|cancel)", "instead of 404"),
    one(
        OWN,
        "Ownership._check_body",
        "if not isinstance(path, str) or not self._files.owns(user_id, (user_id, path)):",
        "if False:",
        "fn add",
        "was let in",
        spoils=True,
    ),
    one("access.wire", "paths", 'if value.get("path") is not None:', "if False:", "fn add_document", "was let in", spoils=True),
    one("access.wire", "paths", "waiting.extend(value.values())", "pass", "fn add_document", "was let in", spoils=True),
    one("access.wire", "paths", "elif isinstance(value, list):", "elif False:", "fn add_document", "was let in", spoils=True),
)
# These take from everybody, the help pages too.
LAST = (
    one(DOCS, "documents_of_tenant", "WHERE tenant_id = :tenant", "WHERE (1 = 1 OR tenant_id = :tenant)", "DELETE /v1/tenants", "documents was"),
    one(DOCS, "delete_collections", "WHERE tenant_id = :tenant", "WHERE (1 = 1 OR tenant_id = :tenant)", "DELETE /v1/tenants", "private collections was"),
)
MISSED = "not noticed"
MUTATIONS = (*GATE, *KEYS, *SESSIONS, *PEOPLE, *PERMISSIONS, *CONVERSATIONS, *DOCUMENTS, *GRADIO)


class Laboratory:
    """The real application in this process, and one probe that is used again and again."""

    def __init__(self, url: str, life, demo):
        self.url, self.demo = url, demo
        self._life = life
        self._loop = asyncio.new_event_loop()
        self._probe = Probe(url, ADMIN_KEY)
        self.wait(self._probe.__aenter__())

    def wait(self, coming):
        return self._loop.run_until_complete(coming)

    def run(self, only: str = ""):
        return self.wait(self._probe.run(only))

    @contextlib.contextmanager
    def prepared(self, mutation: Mutation):
        """What an earlier mutation spoiled is planted again, and what has ended by time is made to have ended."""
        self.wait(self._probe.mend())
        world, db = self._probe.world, self._life.running().services.db
        token = world.values["token"]
        if mutation.before == "session":
            page = self.wait(open_page(world, world.owner.headers["X-API-Key"]))
            session = keys.hash_of(page.headers["Cookie"].partition("=")[2])
            db.write(lambda tx: tx.execute("UPDATE sessions SET expires_at = 1 WHERE id = :id", id=session))
            world.callers["an old session"] = Caller("an old session", "ended", page.headers)
        if mutation.before == "link":
            world.values["token"] = sessions.make_invitation(db, accounts.get_user(db, world.values["chief"]))
            db.write(lambda tx: tx.execute("UPDATE links SET expires_at = 1 WHERE used_at IS NULL"))
        yield
        world.callers.pop("an old session", None)
        world.values["token"] = token

    def replant(self) -> None:
        self.wait(self._probe.replant())

    def close(self) -> None:
        self.wait(self._probe.__aexit__())
        self._loop.close()


def slow_at_length(messages) -> str:
    """The model's answer: one that takes minutes when it is asked for, else a short one."""
    return " ".join(["It opens the door [1]."] * 4000) if "at length" in messages[-1]["content"] else "It is so [1]."


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    with FakeOllama(("gpt-oss",), answer=slow_at_length, token_delay_s=0.05) as ollama:
        ollama.models["gpt-oss:latest"].slot = asyncio.Semaphore(50)
        settings = {"DATA_DIR": str(folder), "KNOWLEDGE_DIR": str(ROOT / "knowledge"), "X_API_KEY_ADMIN": ADMIN_KEY, "OLLAMA_HOST": ollama.url}
        settings |= {"RATE_LIMIT": "1000", "GENERATE_CONCURRENCY": "50"}
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        slow, limits.LONGEST_DELAY_S = limits.LONGEST_DELAY_S, 0.0  # wrong keys are many here
        try:
            import app

            with serving(app.app) as url:
                wait_until_served(url)
                opened = Laboratory(url, app.life, app.demo)
                yield opened
                opened.close()
        finally:
            limits.LONGEST_DELAY_S = slow
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def wait_until_served(url: str) -> None:
    ends = time.monotonic() + 60
    while httpx.get(f"{url}/healthz").status_code != 200:
        assert time.monotonic() < ends
        time.sleep(0.1)


def noticed(laboratory: Laboratory, mutation: Mutation) -> str:
    """Where the probe noticed that the check is gone, and what else it saw when that is not what is expected."""
    with laboratory.prepared(mutation), applied(*mutation.edits):
        report = laboratory.run(mutation.only)
    if mutation.spoils:
        laboratory.replant()
    found = [f"{one.route} | {one.caller} | {one.seen}" for one in report.findings if one.caller != "owner"]
    return next((one for one in found if re.search(mutation.found, one)), f"{MISSED}: {found[:6]}")


@pytest.mark.long
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_probe_notices_that_a_check_is_gone(laboratory, mutation):
    where = noticed(laboratory, mutation)
    print(f"{mutation.name}  ->  {where}")
    assert not where.startswith(MISSED), where


@pytest.mark.long
def test_the_probe_notices_that_gradio_serves_files_of_the_host(laboratory):
    """has_launched stands behind the gate's look for paths, so both are taken out: Gradio itself then refuses no file."""
    gate = Edit("access.wire", "paths", 'if value.get("path") is not None:', "if False:")
    seen = {}
    for launched in (True, False):
        laboratory.demo.has_launched = launched
        try:
            with applied(gate):
                seen[launched] = [one.seen for one in laboratory.run("fn add_document").findings if "gradio.FileData" in one.seen and "/etc/passwd" in one.seen]
        finally:
            laboratory.demo.has_launched = True
        laboratory.replant()
    assert seen[True] and all("then refused" in one for one in seen[True])
    assert any("taken" in one for one in seen[False])


@pytest.mark.long
def test_with_all_checks_in_place_the_probe_finds_nothing(laboratory):
    report = laboratory.run()
    assert report.findings == []
    assert report.calls > 1500


@pytest.mark.long
@pytest.mark.parametrize("mutation", LAST, ids=lambda mutation: mutation.name)
def test_the_probe_notices_that_an_erasure_takes_from_others(laboratory, mutation):
    where = noticed(laboratory, mutation)
    print(f"{mutation.name}  ->  {where}")
    assert not where.startswith(MISSED), where
    laboratory.replant()
