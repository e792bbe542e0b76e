"""How long the head of a request may be: its address and headers. uvicorn 0.54 reads it with httptools, which has no bound of its own.

Two bounds, because `uvicorn app:app` chooses its protocol itself: the gate refuses a head that came whole and is too long, and under
`python app.py` a head that does not end is cut off while it comes, before it fills the memory.
"""

from __future__ import annotations

from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from maisale.errors import TooLarge

ADDRESS_BYTES = 8_192
HEADERS = 100
HEAD_BYTES = 65_536
_ANSWER = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
)
_WORDS = b"The head of the request is too long. Send less in headers and address."


def check_head(scope: Scope) -> None:
    """Raises TooLarge, with the status that says what is too long."""
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > ADDRESS_BYTES:
        refused = TooLarge(f"The address is longer than {ADDRESS_BYTES:,} characters. Send what is long in the body.")
        refused.status = 414
        raise refused
    headers = scope["headers"]
    if len(headers) > HEADERS or sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES:
        refused = TooLarge(f"More than {HEADERS} headers, or more than {HEAD_BYTES >> 10} KB of them, came with the request. Send fewer.")
        refused.status = 431
        raise refused


class BoundedHeads(HttpToolsProtocol):
    """uvicorn's protocol, which gives up a head that goes on and on."""

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self._head_bytes: int | None = 0  # None while a body comes

    def data_received(self, data: bytes) -> None:
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_ANSWER % (len(_WORDS), _WORDS))
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()
