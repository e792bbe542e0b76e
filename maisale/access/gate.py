"""The door: every request passes here first, as pure ASGI so that streams are not wrapped again.

It finds out who calls, by key or session, refuses what another site sends with a person's cookie and what comes too often (limits.py), lets
nobody near another's things on Gradio's routes (ownership.py), and cuts open streams when their key ends. Not its business: what a person may
read, which the store decides by scope.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from maisale.access import audit, keys, sessions
from maisale.access.heads import check_head
from maisale.access.limits import Limits, WrongKeys
from maisale.access.ownership import Ownership, Surface
from maisale.contracts import Database
from maisale.errors import MaiSaleError, NotAllowed, NotSignedIn
from maisale.records import Caller, Way
from maisale.spans import NO_REQUEST, origin

log = logging.getLogger(__name__)

COOKIE = "maisale_session"
RECHECKED_EVERY_S = 2.0  # of an open stream: within 5 s of a revocation it is cut
SHARED_S = 1.0  # how long all streams of a key take one answer
NOTED_KEYS = 10_000
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

# Below /v1: what starts work although it only reads. Every other GET there counts as reading, every other method as work.
_SEARCHES = re.compile(r"/v1/(search|conversations/search)")
_ENDS_WORK = re.compile(r"/v1/replies/[^/]+/stop")  # somebody in a hurry must not wait to stop

# What answers without a key: all of it, and a test holds every other route against this table.
OPEN: tuple[tuple[tuple[str, ...], str], ...] = (
    (("GET", "HEAD", "POST"), r"/login"),
    (("POST",), r"/logout"),
    (("GET", "HEAD", "POST"), r"/link/[^/]+"),
    (("GET", "HEAD"), r"/healthz"),
    (("GET",), r"/metrics"),  # for no person's key: it has one of its own, which api/metrics.py asks for
    (("GET", "HEAD"), r"/(static|assets)/.+"),
    (("GET", "HEAD"), r"(/gradio_api)?/theme\.css"),
    (("GET", "HEAD"), r"/(manifest\.json|robots\.txt|favicon\.ico)"),
)
_OPEN = tuple((methods, re.compile(path)) for methods, path in OPEN)


class Gate:
    """ASGI middleware. accounts, limits: of the app's life, or raise Overloaded while there is none."""

    def __init__(self, app: ASGIApp, accounts: Callable[[], Database], limits: Callable[[], Limits], surface: Surface):
        self._app = app
        self._accounts = accounts
        self._limits = limits
        self._wrong_keys = WrongKeys(lambda: limits().counts)
        self._ownership = Ownership(surface, lambda name, user_id, lasts_s: limits().counts.claim(name, user_id, lasts_s))
        self._noted: dict[str, float] = {}  # key id -> when its last use was written
        self._rechecked: dict[tuple[str | None, str | None], tuple[float, bool]] = {}  # what opened a stream -> when it was asked, the answer
        self._writing: set[asyncio.Task] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["wrong_keys"] = self._wrong_keys
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        anyone = scope["type"] == "http" and is_open(scope["method"], route_path(scope))
        try:
            check_head(scope)
            if not anyone:
                caller = await self._admit_caller(scope, headers)
                limits = scope["limits"] = self._limits()
                if scope["type"] == "http":
                    receive, send = await self._admit_request(caller, limits, scope, receive, send)
        except MaiSaleError as problem:
            return await _refuse(scope, headers, problem, receive, send)
        if anyone:
            return await self._app(scope, receive, send)
        scope["caller"], scope["user_id"] = caller, caller.user.id
        self._note_use(caller)
        await self._serve(scope, headers, receive, send)

    async def _admit_request(self, caller: Caller, limits: Limits, scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Counts the request and lets it through to what is the caller's own."""
        path, user_id = route_path(scope), caller.user.id
        # An upload of the page is counted by the event that takes it, which has words for a person.
        if starts_work(scope["method"], path) or (path == "/gradio_api/upload" and not caller.session_id):
            limits.start_work(user_id)
        else:
            limits.read(user_id)
        return await self._ownership.admit(
            user_id, scope["method"], path, scope["query_string"], receive, send, start_work=lambda: limits.start_work(user_id)
        )

    async def _admit_caller(self, scope: Scope, headers: Headers) -> Caller:
        caller = self._find_caller(headers)
        if caller is None:
            if wrong := key_of(headers):
                await self._wrong_keys.slow_down(address_of(scope), keys.id_of(wrong))
                await asyncio.to_thread(note_wrong_key, scope, self._accounts(), wrong)
            raise NotSignedIn("This needs a key: send the header X-API-Key, or sign in at /login.")
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if caller.session_id and unsafe and not same_origin(headers):
            raise NotAllowed("This request did not come from Mai-Sale's own page. Programs send the header X-API-Key instead of the cookie.")
        return caller

    def _find_caller(self, headers: Headers) -> Caller | None:
        """Asked at every request and never remembered: a revoked key is refused at once, whoever revoked it."""
        if key := key_of(headers):
            return keys.caller_of_key(self._accounts(), key)
        if session := session_of(headers):
            return sessions.caller_of_session(self._accounts(), session)
        return None

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Serves the request as long as its key or session is valid."""
        began = ended = False

        async def sending(message: Any) -> None:
            nonlocal began, ended
            began = began or message["type"] == "http.response.start"
            ended = ended or (message["type"] == "http.response.body" and not message.get("more_body", False))
            await send(message)

        work = asyncio.ensure_future(self._app(scope, receive, sending))
        try:
            while not (await asyncio.wait({work}, timeout=RECHECKED_EVERY_S))[0]:
                if not self._still_admitted(headers):
                    break
        finally:
            finished = work.done()
            if not finished:
                work.cancel()
                await asyncio.wait({work})
        if finished:
            work.result()
        elif ended:
            return  # a cancelled stream may end itself
        elif began:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await _refuse(scope, headers, NotSignedIn("The key or session ended meanwhile."), receive, send)

    def _still_admitted(self, headers: Headers) -> bool:
        """Asked once for all streams of a key: a person may have many open."""
        opener, now = (key_of(headers), session_of(headers)), time.monotonic()
        asked_at, admitted = self._rechecked.get(opener, (-SHARED_S, True))
        if now - asked_at < SHARED_S:
            return admitted
        try:
            admitted = self._find_caller(headers) is not None
        except MaiSaleError:  # the app closes, and closes this stream itself
            return True
        if len(self._rechecked) > NOTED_KEYS:
            self._rechecked.clear()
        self._rechecked[opener] = (now, admitted)
        return admitted

    def _note_use(self, caller: Caller) -> None:
        """Writes a key's last use behind the request's back, and at most once a minute."""
        now = time.monotonic()
        if caller.key_id == sessions.LINK_KEY_ID or now - self._noted.get(caller.key_id, -keys.NOTED_EVERY_S) < keys.NOTED_EVERY_S:
            return
        if len(self._noted) > NOTED_KEYS:
            self._noted.clear()
        self._noted[caller.key_id] = now
        writing = asyncio.ensure_future(self._write_use(caller.key_id))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write_use(self, key_id: str) -> None:
        try:
            await keys.note_use(self._accounts(), key_id)
        except MaiSaleError as problem:  # a full disk must not keep people from reading
            log.warning("the last use of key %s was not written: %s", key_id, problem)


def caller(request: Any) -> Caller:
    """Who sent this request: a gr.Request or a Starlette one. Raises NotSignedIn for one that did not pass the gate."""
    inner = getattr(request, "request", None) or request
    scope = getattr(inner, "scope", {})
    found = scope.get("caller")
    if found is None:
        raise NotSignedIn("This needs a key: send the header X-API-Key, or sign in at /login.")
    # Gradio's queue calls every handler in the context of the request that was the first.
    origin.set(scope.get("origin", NO_REQUEST))
    return replace(found, way=way_of(scope, found.key_id))


async def slow_down(request: Any, wrong_key: str) -> None:
    """For a key that was typed and is wrong: waits as in front of the door. Raises TooOften."""
    inner = getattr(request, "request", None) or request
    await inner.scope["wrong_keys"].slow_down(address_of(inner.scope), keys.id_of(wrong_key))


def note_wrong_key(scope: Scope, db: Database, wrong_key: str) -> None:
    """In the audit log, as far as it has room for what anybody may send."""
    if scope["wrong_keys"].noteworthy(address_of(scope)):
        audit.wrong_key(db, way_of(scope), wrong_key)


def limits(request: Any) -> Limits:
    """What counts the work of the person who sent this request."""
    inner = getattr(request, "request", None) or request
    return inner.scope["limits"]


def starts_work(method: str, path: str) -> bool:
    """Whether a request below /v1 counts as work."""
    if not path.startswith("/v1/") or _ENDS_WORK.fullmatch(path):
        return False
    return method not in SAFE_METHODS or bool(_SEARCHES.fullmatch(path))


def is_open(method: str, path: str) -> bool:
    return any(method in methods and pattern.fullmatch(path) for methods, pattern in _OPEN)


def route_path(scope: Scope) -> str:
    """The path below the mount: a proxy's prefix must not carry a request past the tables."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] or "/" if root and (path == root or path.startswith(root + "/")) else path


def address_of(scope: Scope) -> str:
    """The network address that the request came from; behind a trusted proxy uvicorn puts the client's here."""
    return (scope.get("client") or ("unknown", 0))[0]


def way_of(scope: Scope, key_id: str = "") -> Way:
    """How this request came, as the audit log keeps it."""
    root = scope.get("app_root_path", scope.get("root_path", ""))  # what is mounted below takes its own path for the root
    path = route_path({"path": scope.get("path", ""), "root_path": root})
    door = "mcp" if path == "/mcp" else "api" if path.startswith(("/v1/", "/gradio_api/call/")) else "page"
    return Way(door, address_of(scope), key_id, scope.get("began", 0.0))


def key_of(headers: Headers) -> str | None:
    if key := headers.get("x-api-key"):
        return key.strip()
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def session_of(headers: Headers) -> str | None:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)


def same_origin(headers: Headers) -> bool:
    """Whether the browser says that our own page sent this. A cookie alone says only whose browser it is."""
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = urlsplit(headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == headers.get("host")


async def _refuse(scope: Scope, headers: Headers, problem: MaiSaleError, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": str(problem)[:100]})
        return
    await _refusal(scope, headers, problem)(scope, receive, send)


def _refusal(scope: Scope, headers: Headers, problem: MaiSaleError) -> Response:
    if isinstance(problem, NotSignedIn) and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        return RedirectResponse(scope.get("root_path", "").rstrip("/") + "/login", status_code=303)
    return in_json(problem)


def in_json(problem: MaiSaleError) -> Response:
    """A refusal as programs read it."""
    headers = {"Cache-Control": "no-store"}
    if isinstance(problem, NotSignedIn):
        headers["WWW-Authenticate"] = 'Bearer realm="Mai-Sale"'
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
    # Gradio's page reads `error` of some answers and `detail` of others.
    return JSONResponse({"error": str(problem), "detail": str(problem), "kind": type(problem).__name__}, problem.status, headers)
