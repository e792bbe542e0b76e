"""What becomes of a fault of our own: words for whoever asked, an incident that both they and the log name, and nothing of the inside.

Starlette would send "Internal Server Error" from outside of every middleware, without the headers, and Gradio 6.31 an object without words.
"""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maisale.access.gate import in_json
from maisale.errors import Broken, incident

log = logging.getLogger(__name__)

KEPT_BYTES = 1000  # of what would have been sent, for the log


class Mishaps:
    """ASGI middleware around the gate: an answer of 500, and an exception that nobody caught, become one in words."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = broken = False
        said = b""

        async def sending(message: Message) -> None:
            nonlocal begun, broken, said
            if message["type"] == "http.response.start" and message["status"] == 500:
                broken = True
            elif broken:
                said = (said + message.get("body", b""))[:KEPT_BYTES]
            else:
                begun = True
                await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            if begun:
                raise  # the connection is cut: whoever reads must not take what came for the whole
            found = incident()
            log.exception("incident %s: %s %r", found, scope["method"], scope["path"])
        else:
            if not broken:
                return
            found = incident()
            log.error("incident %s: %s %r would have answered 500: %r", found, scope["method"], scope["path"], said)
        await in_json(Broken(f"This broke inside Mai-Sale, and nothing more is known here (incident {found}, which the log explains). Try again."))(
            scope, receive, send
        )
