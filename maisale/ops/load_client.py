"""A light HTTP client for loads: one connection a person, kept open, with server-sent events.

Plain asyncio streams: httpx costs 1-2 ms of CPU a request, and on two cores a hundred such people would measure themselves.
It reads what our own server sends, HTTP/1.1 with a length or in chunks, and no more.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from maisale.errors import BadInput

ANSWER_S = 120.0  # for one answer, or one stream, to come whole
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    taken_s: float  # from the first byte sent to the last one read

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One person's connection, opened by the first request and again after it was closed. One request at a time."""

    def __init__(self, url: str, key: str):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"The address is {url!r}; it looks like http://127.0.0.1:7860.")
        self._host, self._tls = parts.hostname, parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._root = parts.path.rstrip("/")
        self._head = f"Host: {parts.netloc}\r\nX-API-Key: {key}\r\n"
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Answer:
        """The whole answer, a stream to its end, whatever its status. body: bytes, or what becomes JSON.

        Raises OSError, EOFError or asyncio.TimeoutError when no whole answer comes.
        """
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        about = f"Content-Type: {kind}\r\nContent-Length: {len(raw)}\r\n" if body is not None else ""
        sent = f"{method} {self._root}{path} HTTP/1.1\r\n{self._head}{about}\r\n".encode() + raw
        whole = False
        try:
            await self.open()
            answer = await asyncio.wait_for(self._exchange(sent), ANSWER_S)
            whole = True
            return answer
        finally:
            if not whole:  # what still comes would be taken for the next answer
                self.close()

    async def open(self) -> None:
        if self._reader is not None and self._reader.at_eof():
            self.close()
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls or None, limit=READ_BYTES)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _exchange(self, sent: bytes) -> Answer:
        began = time.perf_counter()
        self._writer.write(sent)
        status, headers = await self._start()
        body = b"".join([part async for part in self._parts(headers)])
        return Answer(status, headers, body, time.perf_counter() - began)

    async def _start(self) -> tuple[int, dict[str, str]]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        return int(head[0].split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def _parts(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        """The body, in one or in chunks."""
        if "content-length" in headers:
            yield await self._reader.readexactly(int(headers["content-length"]))
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
