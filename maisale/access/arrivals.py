"""When a request came and what it is called: the id that its answer names, that every line of the log about it names, and that its span carries.

An id that came with it (X-Request-Id, from a proxy or a program) is taken when it looks like one. What could be a person's, or a secret, would
stand in the log then: such a one is replaced.
"""

from __future__ import annotations

import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maisale import spans
from maisale.access.gate import way_of
from maisale.identifiers import find
from maisale.spans import Origin, origin

# Longer are keys (64 characters) and the tokens of links (43); UUIDs, ULIDs and what nginx and Envoy make are shorter.
_SANE = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[0-9A-Za-z][0-9A-Za-z_-]{15,39}")
_NAME = b"x-request-id"


class Arrivals:
    """ASGI middleware around everything. Puts `began` (time.perf_counter) and `origin` into the scope."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        scope["began"] = time.perf_counter()
        request_id = request_id_of(scope)
        scope["origin"] = Origin(request_id)
        origin.set(scope["origin"])
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_NAME, request_id.encode())]
            await send(message)

        if not spans.traced() or scope["type"] != "http":
            return await self._app(scope, receive, sending)
        with spans.span("request", **{"http.request.method": scope["method"], "maisale.door": way_of(scope).door, "maisale.request_id": request_id}) as later:
            scope["origin"] = origin.get()
            await self._app(scope, receive, sending)
            later["http.response.status_code"] = status


def request_id_of(scope: Scope) -> str:
    """The one that came with the request, when it is sane; else a new one."""
    given = next((value for name, value in scope["headers"] if name == _NAME), b"").decode("latin-1")
    return given if given and _SANE.fullmatch(given) and not find(given) else uuid.uuid4().hex
