"""The headers of every answer: what a browser may do with it, and what a client may make Gradio believe.

Outermost, so that pages, programs' answers, files, streams, refusals and mishaps all bear them. Every answer but a page of ours is given a policy
under which nothing loads and nothing runs. A page names the scripts that stand in it by their hashes; no page writes what people typed outside of
JSON. What each looser word is for stands in knowledge/docs/security.md, and a browser test goes through the page without a violation.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maisale.access.gate import route_path
from maisale.config import Settings
from maisale.errors import MaiSaleError

Pairs = list[tuple[bytes, bytes]]

SPACES = "https://huggingface.co"  # whose frame a Space stands in
CLOSED = "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; form-action 'none'"  # a browser shows plain text with a style of its own
PDF = "object-src 'self'; script-src 'none'; base-uri 'none'; form-action 'none'"  # the viewers of browsers do not work in a sandbox
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # "no-referrer" would take the Origin from our own forms too
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=(), fullscreen=(self)"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
PACKED_FROM = 20_000  # bytes of a page; those for signing in, which may show a key, stay as they are
HSTS = (b"strict-transport-security", b"max-age=31536000")
NO_STORE = (b"cache-control", b"private, no-store")

# Gradio 6.31 believes these from anybody and builds addresses of them. uvicorn has taken what trusted proxies say before this.
_BELIEVED = frozenset((b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-for", b"x-forwarded-port", b"x-forwarded-prefix", b"x-gradio-server"))
_PUBLIC = re.compile(r"/(static|assets)/.+|(/gradio_api)?/theme\.css|/(manifest\.json|robots\.txt|favicon\.ico)")  # the same for everybody
_PAGES = re.compile(r"/|/login|/logout|/link/[^/]+|/v1/docs")  # ours: HTML at any other address is somebody's file
_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_STYLE = re.compile(rb"<style[^>]*>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)


class SecurityHeaders:
    """ASGI middleware. settings: of the app's life, or raises a MaiSaleError while there is none. script: that Gradio puts into its page's head."""

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings], script: str = ""):
        self._app, self._settings = app, settings
        self._script = _hash(script.encode()) if script else ""
        self._of: Settings | None = None
        self._always: Pairs = []
        self._framed_by = ""
        self._of_others: dict[str, tuple[bytes, bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        settings = self._learn()
        if not settings.on_space:  # there every request comes through its proxy, which writes them
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in _BELIEVED]
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = route_path(scope)  # now: whoever mounts an app below writes its root into this scope
        packed = _packed_here(scope) if scope["method"] == "GET" else b""
        always = [*self._always, HSTS] if scope["scheme"] == "https" and HSTS not in self._always else self._always
        start: Message = {}
        parts: list[bytes] = []

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                given = dict(message["headers"])
                message["headers"] = [*message["headers"], *always]
                if b"cache-control" not in given and not _PUBLIC.fullmatch(path):
                    message["headers"].append(NO_STORE)
                kind = given.get(b"content-type", b"")
                if kind.startswith(b"text/html") and _PAGES.fullmatch(path) and b"content-encoding" not in given:
                    start = message  # until its scripts are known
                    return
                message["headers"].append(self._of_others[PDF if kind == b"application/pdf" else CLOSED])
            elif start:
                parts.append(message.get("body", b""))
                if message.get("more_body", False):
                    return
                page = b"".join(parts)
                start["headers"].append(self._policy(page_policy(page, self._script)))
                if b"gzip" in packed and len(page) > PACKED_FROM:
                    page = gzip.compress(page, 4)
                    kept = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                    start["headers"] = [*kept, (b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding"), (b"content-length", b"%d" % len(page))]
                await send(start)
                message = {"type": "http.response.body", "body": page}
            await send(message)

        await self._app(scope, receive, sending)

    def _learn(self) -> Settings:
        try:
            settings = self._settings()
        except MaiSaleError:  # there is no life yet; what refuses the request says so
            settings = self._of or Settings()
        if settings is not self._of:
            self._of = settings
            self._framed_by = f"; frame-ancestors {SPACES}" if settings.on_space else "; frame-ancestors 'none'"
            https = settings.on_space or settings.public_url.startswith("https://")  # a proxy that is not trusted says nothing of it
            self._always = [*ALWAYS, HSTS] if https else list(ALWAYS)
            self._of_others = {policy: self._policy(policy) for policy in (PDF, CLOSED)}
        return settings

    def _policy(self, policy: str) -> tuple[bytes, bytes]:
        return (b"content-security-policy", (policy + self._framed_by).encode())


def _packed_here(scope: Scope) -> bytes:
    """What a browser that opens a page takes packed. It is taken from the request: Gradio 6.31 would pack its page before its scripts are known here."""
    headers = scope["headers"]
    if not any(name == b"accept" and b"text/html" in value for name, value in headers):
        return b""
    scope["headers"] = [pair for pair in headers if pair[0] != b"accept-encoding"]
    return b",".join(value for name, value in headers if name == b"accept-encoding")


def page_policy(page: bytes, script: str = "") -> str:
    """The policy of an HTML page: its own scripts, by their hashes, and nothing of another host. script: the hash of one that Gradio adds to its page."""
    scripts = " ".join(_hash(found) for found in _SCRIPT.findall(page))
    if b"<script" not in page:  # signing in
        styles = " ".join(_hash(found) for found in _STYLE.findall(page)) or "'none'"
        return f"default-src 'none'; style-src {styles}; img-src 'self' data:; form-action 'self'; base-uri 'none'"
    # Gradio 6.31 compiles the templates and listeners of its components in the browser.
    evaluated = f" 'unsafe-eval' {script}".rstrip() if b"window.gradio_config" in page else ""
    return (
        f"default-src 'none'; script-src 'self'{evaluated} {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; object-src 'none'; form-action 'self'; base-uri 'self'"
    )


def _hash(text: bytes) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text).digest()).decode()}'"
