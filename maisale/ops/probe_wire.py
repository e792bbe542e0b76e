"""How the probe calls: by whom, with patience for 429, and never longer than a stream needs to show what it has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx

from maisale.errors import BadInput

WRONG_KEYS = "Too many wrong keys"  # a 429 that refuses the key itself; any other asks for patience
TRIES = 60  # after a 429
CONNECTIONS = 3  # tried for one call
ANSWER_S = 30.0
READ_BYTES = 1 << 20
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass(frozen=True)
class Caller:
    """Somebody who calls.

    kind: owner; member, admin (people whose the planted things are not); narrow (the owner's own key with fewer permissions); page (the owner's or an
    admin's session in a browser); site (the owner's cookie, sent by another site); dead (nobody, or a key that has ended), ended (the same, of whom
    there are many, and who knock at a few routes only).
    """

    name: str
    kind: str
    headers: Mapping[str, str] = field(default_factory=dict)
    sees: frozenset[str] = frozenset()  # names of the marks that may be shown to them
    permissions: tuple[str, ...] = ()  # of a narrow key


@dataclass(frozen=True)
class Answer:
    status: int
    text: str  # as far as it was read
    headers: Mapping[str, str]
    seconds: float
    ended: bool  # whether the answer came to its end

    def json(self) -> Any:
        return httpx.Response(self.status, text=self.text).json()


class Line:
    """The connection to one server. As an async context manager it is closed at the end."""

    def __init__(self, url: str):
        wide = httpx.Limits(max_connections=400, max_keepalive_connections=100, keepalive_expiry=2.0)  # uvicorn closes after 5 s
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(base_url=self.url, timeout=ANSWER_S, limits=wide, verify=httpx.create_ssl_context(), trust_env=False)  # SSL_CERT_FILE
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # a caller's session must not become everybody's

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def send(self, caller: Caller, method: str, path: str, *, read_s: float = 3.0, headers: Mapping[str, str] | None = None, **what: Any) -> Answer:
        """The answer, read for `read_s` at most. what: json, params, data or files, as httpx takes them. Raises BadInput when nobody answers."""
        for _ in range(TRIES):
            answer = await self._once(caller, method, path, read_s, headers or {}, what)
            if answer.status != 429 or WRONG_KEYS in answer.text:
                break
            await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
        return answer

    async def _once(self, caller: Caller, method: str, path: str, read_s: float, headers: Mapping[str, str], what: Mapping[str, Any]) -> Answer:
        began = time.monotonic()
        answer = await self._begin(method, path, {**caller.headers, **headers}, what)
        read, ended = bytearray(), False

        async def reading() -> None:
            async for part in answer.aiter_bytes():
                read.extend(part)
                if len(read) > READ_BYTES:
                    break

        try:
            await asyncio.wait_for(reading(), read_s)
            ended = True
        except (asyncio.TimeoutError, httpx.TransportError):
            pass  # a stream that goes on, or was cut: what it showed until then is judged
        finally:
            await answer.aclose()
        return Answer(answer.status_code, read.decode("utf-8", "replace"), dict(answer.headers), time.monotonic() - began, ended)

    async def _begin(self, method: str, path: str, headers: Mapping[str, str], what: Mapping[str, Any]) -> httpx.Response:
        for left in range(CONNECTIONS - 1, -1, -1):
            try:
                return await self._http.send(self._http.build_request(method, path, headers=headers, **what), stream=True)
            except httpx.TransportError as problem:  # also of a connection that the server closes just now
                if not left:
                    raise BadInput(f"{self.url} did not answer {method} {path} ({type(problem).__name__}). Does Mai-Sale run there?") from problem
        raise AssertionError("unreachable")
