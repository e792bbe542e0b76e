"""What is expected of every route, in one table: which are open, which need which permission, and what somebody gets whose the things are not.

A route that the server lists and that is not here is a finding. A new route gets a line; a page's function needs one only when it asks for more than
ids (probe_functions.py).
"""

from __future__ import annotations

from maisale.ops.probe_calls import ADMIN, ANYONE, CLOSED, MAKES, OPEN, WHATEVER, Call
from maisale.ops.probe_calls import json_of as _json
from maisale.ops.probe_clients import MCP, OPENAI
from maisale.ops.probe_wire import SAME_ORIGIN


def _admins(manager: int | None, foreign: int | None, admin: int | None) -> dict[str, int | None]:
    return {"manager": manager, "foreign admin": foreign, "admin": admin}


# What needs a fresh key: another tenant's admin does not get so far, with one or without.
_NOT_FRESH = {**_admins(403, 404, 403), "the manager's page": 403, "the admin's page": 403, "the foreign admin's fresh page": 404}
_FRESH = ("the manager's fresh page", "the foreign admin's fresh page")
_INSIDERS = {**MAKES, "colleague": 422, "outsider": None, "foreign admin": None}  # strangers would make their own, with the mark in its name
_ADDED = {"params": {"action": "document_add", "limit": "1000"}}
NOTE = {"files": {"file": ("taken.md", b"Taken over.")}}
V1: tuple[Call, ...] = (
    Call("GET", "/v1/openapi.json", ANYONE),
    Call("HEAD", "/v1/openapi.json", ANYONE),
    Call("GET", "/v1/docs", ANYONE),
    Call("GET", "/v1/swagger/swagger-ui-bundle.js", ANYONE),
    Call("GET", "/v1/swagger/swagger-ui.css", ANYONE),
    Call("GET", "/v1/swagger/favicon-32x32.png", ANYONE),
    Call("GET", "/v1/routes", ADMIN, by=_admins(403, 403, 200)),
    # conversations
    Call("GET", "/v1/conversations", "read", shows="title"),
    Call("POST", "/v1/conversations", "chat", 201, _json(title="My own"), MAKES),
    Call("GET", "/v1/conversations/search", "read", 200, {"params": {"q": "{topics}"}}, shows="title question"),
    Call("GET", "/v1/conversations/{conversation_id}", "read", 404, shows="title question document"),
    Call("PATCH", "/v1/conversations/{conversation_id}", "chat", 404, _json(title="Taken over")),
    Call("GET", "/v1/conversations/{conversation_id}/export", "read", 404, shows="title question document"),
    Call("GET", "/v1/conversations/{conversation_id}/export", "read", 404, {"params": {"format": "json"}}, shows="title question document"),
    Call("POST", "/v1/conversations/{conversation_id}/messages", "chat", 404, _json(text="What is written here about {topics}?")),
    Call("DELETE", "/v1/conversations/{conversation_id}", "chat", 404),
    Call("DELETE", "/v1/conversations/{conversation_id}", "chat", 404, values={"conversation_id": "running_conversation_id"}),
    # answers
    Call("GET", "/v1/replies/{reply_id}", "read", 404, shows="document"),
    Call("GET", "/v1/replies/{reply_id}", "read", 404, values={"reply_id": "running_id"}),
    Call("GET", "/v1/replies/{reply_id}/events", "read", 404, shows="document"),
    Call("GET", "/v1/replies/{reply_id}/events", "read", 404, headers={"Last-Event-ID": "1"}, values={"reply_id": "running_id"}),
    Call("POST", "/v1/replies/{reply_id}/stop", "chat", 404),
    Call("POST", "/v1/replies/{reply_id}/stop", "chat", 404, values={"reply_id": "running_id"}),
    # documents
    Call("GET", "/v1/collections", "read", shows={"owner": "collection shared_collection", "colleague": "shared_collection"}),
    Call("GET", "/v1/documents", "read", shows={"owner": "document_name shared_name", "colleague": "shared_name"}),
    Call("GET", "/v1/documents", "read", 404, {"params": {"conversation_id": "{conversation_id}"}}, shows="file_name"),
    Call("GET", "/v1/documents/names", "read", shows={"owner": "document_name shared_name", "colleague": "shared_name"}),
    Call("GET", "/v1/documents/names", "read", 404, {"params": {"conversation_id": "{conversation_id}"}}, shows="file_name"),
    Call("POST", "/v1/documents", "write", 404, {**NOTE, "data": {"conversation_id": "{conversation_id}"}}),
    Call("POST", "/v1/documents", "write", 403, {**NOTE, "data": {"collection": "{decoy}", "visibility": "public"}}, MAKES),
    # A private collection of this name is the owner's; whoever names it gets one of their own.
    Call("POST", "/v1/documents", "write", 202, {**NOTE, "data": {"collection": "{decoy}", "visibility": "private"}}, MAKES),
    Call("POST", "/v1/documents", "write", 202, {**NOTE, "data": {"collection": "{shared_collection}", "visibility": "private"}}, _INSIDERS),
    Call("GET", "/v1/documents/{document_id}", "read", 404, shows="document_name"),
    Call("GET", "/v1/documents/{document_id}", "read", 404, values={"document_id": "file_id"}, shows="file_name"),
    Call("GET", "/v1/documents/{document_id}", "read", 404, by={"colleague": 200}, values={"document_id": "shared_id"}, shows={"colleague": "shared_name"}),
    Call("DELETE", "/v1/documents/{document_id}", "write", 404),
    Call("DELETE", "/v1/documents/{document_id}", "write", 404, values={"document_id": "file_id"}),
    Call("DELETE", "/v1/documents/{document_id}", "write", 404, by={"colleague": 403, "manager": None}, values={"document_id": "shared_id"}),
    Call("POST", "/v1/documents/{document_id}/retry", "write", 404),
    Call("POST", "/v1/documents/{document_id}/retry", "write", 404, by={"colleague": 403, "manager": 422}, values={"document_id": "shared_id"}),
    Call("POST", "/v1/documents/{document_id}/cancel", "write", 404),
    Call("POST", "/v1/documents/{document_id}/cancel", "write", 404, by={"colleague": 403, "manager": 422}, values={"document_id": "shared_id"}),
    # Read by everybody, changed by the instance's admin only, who is told that it has not failed.
    Call("POST", "/v1/documents/{document_id}/retry", "write", 403, by={"admin": 422}, values={"document_id": "help_id"}),
    Call("GET", "/v1/search", "read", 200, {"params": {"q": "{topics}", "limit": "50"}}, shows={"owner": "document shared", "colleague": "shared"}),
    Call("GET", "/v1/search", "read", 404, {"params": {"q": "{topics}", "conversation_id": "{conversation_id}"}}, shows="file"),
    Call("GET", "/v1/search", "read", 404, {"params": {"q": "{topics}", "collection": "{collection}"}}, shows="document"),
    # what was given up: everybody sees the own things', a tenant's admin the tenant's
    Call("GET", "/v1/jobs", "read"),
    Call("POST", "/v1/jobs/{job_id}/retry", "write", 404, values={"job_id": "document_id"}),
    Call("POST", "/v1/jobs/{job_id}/skip", "write", 404, values={"job_id": "document_id"}),
    # receipts of deletions: everybody sees the own ones, a tenant's admin the tenant's
    Call("GET", "/v1/erasures", "read"),
    Call("GET", "/v1/erasures/{erasure_id}", "read", 404, by={"manager": 200, "admin": 200, "the manager's narrow key": 404, "the owner's page": 200}),
    Call("DELETE", "/v1/messages/{message_id}", "chat", 404),
    Call("DELETE", "/v1/messages/{message_id}", "chat", 404, values={"message_id": "running_id"}),
    # keys
    Call("GET", "/v1/me", ANYONE, shows="person"),
    Call("GET", "/v1/keys", ANYONE, shows="key"),
    Call("POST", "/v1/keys", ANYONE, 403, _json(permissions=["admin"]), {**_admins(None, None, None), "demoted": 403}),
    Call(
        "POST",
        "/v1/keys",
        ANYONE,
        403,
        _json(permissions=["read", "chat", "write"]),
        {**_admins(None, None, None), "colleague": None, "outsider": None, "a key to read": 403, "a key to chat": 403, "a key to write": 403},
    ),  # fmt: skip
    Call("POST", "/v1/keys/fresh", ANYONE, 403, _json(), {"admin": None, "the admin's page": 403}),
    Call("POST", "/v1/session/fresh", ANYONE, 403, _json(key="{manager_key}"), {"the owner's page": 403, "the admin's page": 403}),
    Call("POST", "/v1/session/fresh", ANYONE, 403, _json(key="{manager_narrow_key}"), {"the manager's page": 403}),
    Call("POST", "/v1/keys/{key_id}/rotate", ANYONE, 404, _json(), {"manager": 403, "admin": 403, "a key to read": 403, "the foreign admin's fresh page": 404}),
    Call("DELETE", "/v1/keys/{key_id}", ANYONE, 404, by={"manager": None, "admin": None}),
    # people and tenants
    Call("GET", "/v1/users", ADMIN, shows={"manager": "person", "admin": "person"}, by={"demoted": 403}),
    Call("POST", "/v1/users", ADMIN, 201, _json(name="{somebody}", tenant="{tenant}"), _admins(None, 404, None)),
    Call("POST", "/v1/users", ADMIN, 403, _json(name="{somebody}", role="instance_admin"), {"admin": None}),
    Call("GET", "/v1/users/{user_id}", ADMIN, 200, by={"foreign admin": 404}, shows={"manager": "person"}),
    Call("GET", "/v1/users/{user_id}", ADMIN, values={"user_id": "chief"}, by=_admins(403, 404, 200)),
    Call("PATCH", "/v1/users/{user_id}", ADMIN, 404, _json(role="tenant_admin"), _admins(None, 404, None)),
    Call("PATCH", "/v1/users/{user_id}", ADMIN, 403, _json(role="instance_admin"), {"foreign admin": 404, "admin": None}),
    Call("PATCH", "/v1/users/{user_id}", ADMIN, 404, _json(role="tenant_admin"), _admins(422, 404, None), values={"user_id": "manager"}),
    Call("DELETE", "/v1/users/{user_id}", ADMIN, by=_NOT_FRESH),
    Call("POST", "/v1/users/{user_id}/invitation", ADMIN, by=_NOT_FRESH),
    Call("DELETE", "/v1/users/{user_id}", ADMIN, values={"user_id": "chief"}, by={**_NOT_FRESH, "the manager's fresh page": 403}),
    Call("GET", "/v1/users/{user_id}/keys", ADMIN, by={"foreign admin": 404}, shows={"manager": "key"}),
    Call("POST", "/v1/users/{user_id}/keys", ADMIN, sent=_json(), by=_NOT_FRESH),
    Call("GET", "/v1/tenants", ADMIN, shows={"manager": "tenant"}),
    Call("POST", "/v1/tenants", ADMIN, 403, _json(name="{somebody}"), MAKES),
    Call("PATCH", "/v1/tenants/{tenant_id}", ADMIN, sent=_json(model_sees_originals=False), by={**_admins(None, 404, None), "demoted": 403}),
    Call("DELETE", "/v1/tenants/{tenant_id}", ADMIN, by={**_NOT_FRESH, "foreign admin": 403, **dict.fromkeys(_FRESH, 403)}),
    # Whoever asks for the owner's rows by id has sent the id; among those of an action it would be shown unasked.
    Call("GET", "/v1/audit", ADMIN, 200, _ADDED, {"demoted": 403}, shows={"manager": "person_id", "admin": "person_id"}),
)
OURS: tuple[Call, ...] = (
    Call("GET", "/healthz", OPEN),
    Call("GET", "/metrics", OPEN, WHATEVER),  # 404 without METRICS_KEY, else 401 for every person's key
    Call("GET", "/login", OPEN),
    Call("POST", "/login", OPEN, 403),
    Call("POST", "/login", OPEN, 422, headers=SAME_ORIGIN, by={"another site": None}),
    Call("GET", "/logout", ANYONE, 303),
    Call("POST", "/logout", OPEN, 403),
    # A link that was used: its text opens nothing any more.
    Call("GET", "/link/{token}", OPEN, 410),
    Call("POST", "/link/{token}", OPEN, 403),
    Call("POST", "/link/{token}", OPEN, 410, headers=SAME_ORIGIN, by={"another site": None}),
    Call("GET", "/files/{document_id}", "read", 404, shows="document"),
    Call("GET", "/files/{document_id}", "read", 404, values={"document_id": "file_id"}, shows="file"),
    Call("GET", "/files/{document_id}", "read", 404, by={"colleague": 200}, values={"document_id": "shared_id"}, shows={"colleague": "shared"}),
    Call("GET", "/files/{document_id}/read", "read", 404, shows="document"),
    Call("GET", "/files/{document_id}/read", "read", 404, values={"document_id": "file_id"}, shows="file"),
    Call("GET", "/files/{document_id}/read", "read", 404, by={"colleague": 200}, values={"document_id": "shared_id"}, shows={"colleague": "shared"}),
)
_SESSION = {"session_hash": "{session_hash}"}
_NUMBERED = {"fn_index": "{number}", "data": ["{conversation_id}"]}
_HOST = {"path_or_url": "host_file", "path": "host_file"}
GRADIO: tuple[Call, ...] = (
    Call("GET", "/", ANYONE),
    Call("HEAD", "/", ANYONE),
    Call("GET", "/config", ANYONE),
    Call("GET", "/static/{path:path}", OPEN, WHATEVER, values={"path": "climb"}),
    Call("GET", "/assets/{path:path}", OPEN, WHATEVER, values={"path": "climb"}),
    Call("GET", "/theme.css", OPEN),
    Call("GET", "/gradio_api/theme.css", OPEN),
    Call("GET", "/favicon.ico", OPEN, WHATEVER),
    Call("GET", "/robots.txt", OPEN),
    Call("GET", "/manifest.json", OPEN),
    Call("GET", "/pwa_icon", ANYONE, WHATEVER),
    Call("GET", "/pwa_icon/{size}", ANYONE, WHATEVER),
    Call("POST", "/login/", ANYONE, WHATEVER),  # Gradio's own, behind ours
    Call("GET", "/gradio_api/info", ANYONE),
    Call("GET", "/gradio_api/openapi.json", ANYONE),
    Call("GET", "/gradio_api/user", ANYONE),
    Call("GET", "/gradio_api/login_check", ANYONE),
    Call("GET", "/gradio_api/app_id", ANYONE),
    Call("GET", "/gradio_api/queue/status", ANYONE),
    *(Call(method, "/gradio_api/file={path_or_url:path}", ANYONE, 404, shows="upload" if method == "GET" else "") for method in ("GET", "HEAD")),
    Call("GET", "/gradio_api/file={path_or_url:path}", ANYONE, 404, values=_HOST, by={"owner": 404}),
    Call("GET", "/gradio_api/file/{path:path}", ANYONE, 404, shows="upload"),
    Call("GET", "/gradio_api/file/{path:path}", ANYONE, 404, values=_HOST, by={"owner": 404}),
    Call("POST", "/gradio_api/upload", ANYONE, 404, {"params": {"upload_id": "{upload_id}"}, "files": {"files": ("x.txt", b"x")}}),
    Call("GET", "/gradio_api/upload_progress", ANYONE, 404, {"params": {"upload_id": "{upload_id}"}}),
    Call("GET", "/gradio_api/queue/data", ANYONE, 404, {"params": _SESSION}),
    Call("GET", "/gradio_api/heartbeat/{session_hash}", ANYONE, 404),
    Call("GET", "/gradio_api/call/{api_name}/{event_id}", ANYONE, 404),
    Call("GET", "/gradio_api/call/v2/{api_name}/{event_id}", ANYONE, 404),
    Call("POST", "/gradio_api/reset", ANYONE, 404, _json(event_id="{event_id}")),
    Call("POST", "/gradio_api/cancel", ANYONE, 404, _json(event_id="{joined_id}", fn_index="{number}", **_SESSION)),
    Call("POST", "/gradio_api/cancel", ANYONE, 404, _json(event_id="{joined_id}", fn_index="{number}", session_hash="{somebody}")),
    Call("POST", "/gradio_api/component_server", ANYONE, 404, _json(component_id=1, fn_name="x", data=None, **_SESSION)),
    Call("POST", "/gradio_api/queue/join", ANYONE, 404, _json(**_NUMBERED, **_SESSION)),
    # By name and by number these are called in probe_functions.py; here they are refused to nobody, and to who names another's session.
    Call("POST", "/gradio_api/call/{api_name}", ANYONE, 404, _json(data=["{conversation_id}"], **_SESSION)),
    Call("POST", "/gradio_api/call/v2/{api_name}", ANYONE, 404, _json(conversation_id="{conversation_id}", **_SESSION)),
    *(Call("POST", f"/gradio_api/{way}/{{api_name}}", ANYONE, 404, _json(**_NUMBERED, **_SESSION)) for way in ("run", "api")),
    *(Call("POST", f"/gradio_api/{way}/{{api_name}}", ANYONE, 404, _json(data=["{conversation_id}"])) for way in ("run", "api")),
)
_PARTS = "/gradio_api/stream/{session_hash}/{run}/{component_id}"
NOT_THERE: tuple[str, ...] = (
    *("GET /svelte/{path:path}", "GET /monitoring", "GET /monitoring/summary", "GET /monitoring/{key}", "GET /gradio_api/deep_link"),
    *("GET /gradio_api/token", "GET /gradio_api/dev/reload", "GET /gradio_api/runs", "GET /gradio_api/startup-events"),
    *("GET /gradio_api/custom_component/{id}/{environment}/{type}/{file_name}", "POST /gradio_api/process_recording"),
    *("GET /gradio_api/proxy={url_path:path}", "HEAD /gradio_api/proxy={url_path:path}"),
    *("POST /gradio_api/stream/{event_id}", "POST /gradio_api/stream/{event_id}/close"),
    *(f"GET {_PARTS}/playlist.m3u8", f"GET {_PARTS}/{{segment_id}}.{{ext}}", f"GET {_PARTS}/playlist-file"),
    *("POST /gradio_api/vibe-edit", "POST /gradio_api/undo-vibe-edit", "GET /gradio_api/vibe-code", "POST /gradio_api/vibe-code"),
    "POST /gradio_api/vibe-starter-queries",
)
CALLS: tuple[Call, ...] = (*V1, *OPENAI, *MCP, *OURS, *GRADIO, *(Call(*route.split(" ", 1), CLOSED, 404) for route in NOT_THERE))


def calls_of(method: str, path: str) -> list[Call]:
    """The lines of one route, with or without a slash at its end; empty: the table does not know it."""
    exact = [call for call in CALLS if (call.method, call.path) == (method, path)]
    return exact or [call for call in CALLS if (call.method, call.path) == (method, path.rstrip("/"))]
