"""How large a request's body may be. Counted as it comes, so that nothing larger is ever held in memory or on the disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maisale.access.gate import in_json
from maisale.errors import TooLarge


class Bounded:
    """ASGI middleware: 413 in a sentence for more bytes than `most` says, whatever the request says of its length. None: somebody else counts."""

    def __init__(self, app: ASGIApp, most: Callable[[Scope], int | None]):
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        most, size = self._most(scope) if scope["type"] == "http" else None, 0
        if most is None:
            return await self._app(scope, receive, send)
        refused: TooLarge | None = None

        async def counted() -> Message:
            nonlocal size, refused
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                refused = _too_large(most)
                raise refused
            return message

        async def sending(message: Message) -> None:
            if refused is None:  # else the application only says that it could not read on
                await send(message)

        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > most:
            refused = _too_large(most)
        else:
            with contextlib.suppress(TooLarge):
                await self._app(scope, counted, sending)
        if refused:
            await in_json(refused)(scope, receive, send)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The request is larger than {most / 1e6:.0f} MB, which is the most here; nothing of it was kept. Send less, or split the file.")
