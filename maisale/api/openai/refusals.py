"""Refusals as OpenAI's clients read them: {"error": {"message", "type", "code"}}, whether the gate, the routing or the answer refuses."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maisale.access.gate import route_path

PATHS = re.compile(r"/v1/(?:chat/completions|models(?:/.*)?|embeddings)/?", re.DOTALL)
# By the kind of our refusal: (type, code). What stands nowhere here is by its status.
KINDS = {
    "NotSignedIn": ("authentication_error", "invalid_api_key"),
    "NotAllowed": ("permission_error", "permission_denied"),
    "UnknownModel": ("invalid_request_error", "model_not_found"),
    "NotFound": ("invalid_request_error", "not_found"),
    "BadInput": ("invalid_request_error", "invalid_value"),
    "TooLarge": ("invalid_request_error", "request_too_large"),
    "TooOften": ("rate_limit_error", "rate_limit_exceeded"),
    "QuotaSpent": ("insufficient_quota", "insufficient_quota"),
    "Overloaded": ("server_error", "overloaded"),
    "ModelUnavailable": ("server_error", "model_unavailable"),
    "ModelFailed": ("server_error", "model_failed"),
}
OTHERS = (("invalid_request_error", "invalid_request"), ("server_error", "internal_error"))  # below 500, and from there on


class AsOpenAI:
    """ASGI middleware around the gate. What is not refused passes untouched, and streams are not wrapped again."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not PATHS.fullmatch(route_path(scope)):
            return await self._app(scope, receive, send)
        start: Message | None = None
        parts: list[bytes] = []

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] >= 400:
                start = message
            elif start is None:
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await _send_rewritten(start, b"".join(parts), send)

        await self._app(scope, receive, sending)


async def _send_rewritten(start: Message, body: bytes, send: Send) -> None:
    try:
        refused = json.loads(body)
        words, kind = refused["error"], refused["kind"]
    except (ValueError, KeyError, TypeError):  # a broken server's own words
        words, kind = "Mai-Sale could not answer this. Its log says why.", ""
    status = 400 if start["status"] == 422 else start["status"]  # as OpenAI says it
    body = json.dumps(problem(words, kind, status)).encode()
    kept = [(name, value) for name, value in start["headers"] if name.lower() not in (b"content-length", b"content-type")]
    headers = [*kept, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({**start, "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def problem(words: str, kind: str, status: int) -> dict[str, Any]:
    """kind: the name of a MaiSaleError."""
    of_type, code = KINDS.get(kind, OTHERS[status >= 500])
    return {"error": {"message": words, "type": of_type, "param": None, "code": code}}
