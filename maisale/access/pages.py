"""Signing in and out, invitations, and /healthz: what answers without a key. A key that was typed is never sent back, and never logged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from maisale.access import audit, sessions
from maisale.access.gate import COOKIE, address_of, note_wrong_key, same_origin, session_of, slow_down, way_of
from maisale.config import Settings
from maisale.contracts import Database
from maisale.errors import MaiSaleError, TooOften

LANGUAGE_COOKIE = "maisale_language"
LANGUAGES = ("en", "vi")
LANGUAGE_S = 365 * 86400
FORM_BYTES = 4096  # a key has 64

_WORDS = {
    "en": {
        "wrong": "This key is not valid. Check that it was copied whole; a revoked or expired key needs a new one from your admin.",
        "empty": "Paste your key first.",
        "used": "This link was used already or has expired (sign-in: ten minutes, invitation: three days). Sign in with a key, or ask for a new link.",
        "often": "Too many wrong keys came from your address. Wait some seconds, then sign in with a valid key.",
        "foreign": "This form was not sent from Mai-Sale's own page. Type your key here.",
    },
    "vi": {
        "wrong": "Khoá này không hợp lệ. Hãy kiểm tra đã chép đủ; nếu khoá bị thu hồi hoặc hết hạn, hãy xin quản trị viên khoá mới.",
        "empty": "Hãy dán khoá vào trước.",
        "used": "Liên kết này đã dùng hoặc đã hết hạn (đăng nhập: mười phút, lời mời: ba ngày). Hãy đăng nhập bằng khoá, hoặc xin liên kết mới.",
        "often": "Quá nhiều khoá sai từ địa chỉ của bạn. Hãy đợi vài giây rồi đăng nhập bằng khoá hợp lệ.",
        "foreign": "Biểu mẫu này không được gửi từ trang của Mai-Sale. Hãy nhập khoá tại đây.",
    },
}


class Served(Protocol):
    """What the app serves with; its callable raises Overloaded before the start."""

    @property
    def db(self) -> Database: ...

    @property
    def settings(self) -> Settings: ...


class Looks(Protocol):
    """The pages as HTML, made by the page's own floor."""

    def sign_in_page(self, language: str, error: str | None = None) -> str: ...

    def link_page(self, language: str, invited: bool = False) -> str: ...

    def key_page(self, language: str, key: str) -> str: ...


def router(running: Callable[[], Any], looks: Looks) -> APIRouter:
    """running().services is Served."""
    routes = APIRouter()

    def served() -> Served:
        return running().services

    def sign_in_page(request: Request, error: str = "", status: int = 200) -> Response:
        language = language_of(request)
        return _page(request, looks.sign_in_page(language, _WORDS[language][error] if error else None), status)

    @routes.get("/healthz")
    def healthz() -> Response:
        try:
            served().db.rows("SELECT 1 AS one")
        except MaiSaleError as problem:
            return JSONResponse({"status": "starting", "cause": str(problem)}, problem.status, {"Retry-After": "2"})
        return JSONResponse({"status": "ok"})

    @routes.get("/login")
    def show_sign_in(request: Request) -> Response:
        return sign_in_page(request)

    @routes.post("/login")
    async def sign_in(request: Request) -> Response:
        if not same_origin(request.headers):
            return sign_in_page(request, "foreign", 403)
        key = await _typed_key(request)
        if not key:
            return sign_in_page(request, "empty", 422)
        if session := await asyncio.to_thread(sessions.sign_in, served().db, key, way_of(request.scope)):
            return _come_in(_go(request, "/"), request, served(), session)
        try:
            await slow_down(request, key)
        except TooOften:
            return sign_in_page(request, "often", 429)
        await asyncio.to_thread(note_wrong_key, request.scope, served().db, key)
        return sign_in_page(request, "wrong", 401)

    # The link itself only shows a button: a mail program that looks at it must not use it up.
    @routes.get("/link/{token}")
    def show_link(request: Request, token: str) -> Response:
        kind = sessions.open_link(served().db, token)
        if kind is None:
            return sign_in_page(request, "used", 410)
        return _page(request, looks.link_page(language_of(request), kind == "invite"))

    @routes.post("/link/{token}")
    async def use_link(request: Request, token: str) -> Response:
        if not same_origin(request.headers):
            return sign_in_page(request, "foreign", 403)
        found = await asyncio.to_thread(sessions.use_link, served().db, token, way_of(request.scope))
        if found is None:
            if request.scope["wrong_keys"].noteworthy(address_of(request.scope)):
                await asyncio.to_thread(audit.wrong_link, served().db, way_of(request.scope))
            return sign_in_page(request, "used", 410)
        session, key = found
        answer = _page(request, looks.key_page(language_of(request), key)) if key else _go(request, "/")
        return _come_in(answer, request, served(), session)

    # Gradio 6.31 has a GET /logout of its own, which would end nothing here.
    @routes.get("/logout")
    def show_sign_out(request: Request) -> Response:
        return _go(request, "/")

    @routes.post("/logout")
    async def sign_out(request: Request) -> Response:
        if not same_origin(request.headers):
            return sign_in_page(request, "foreign", 403)
        if session := session_of(request.headers):
            await asyncio.to_thread(sessions.sign_out, served().db, session, way_of(request.scope))
        answer = _go(request, "/login")
        answer.delete_cookie(COOKIE, path="/")
        return answer

    return routes


def language_of(request: Request) -> str:
    """en or vi: as asked for in the address, else as chosen before, else the browser's."""
    for asked in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if asked in LANGUAGES:
            return asked
    return "vi" if request.headers.get("accept-language", "").lower().startswith("vi") else "en"


async def _typed_key(request: Request) -> str:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return "too long to be a key"
    return parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip()


def _come_in(answer: Response, request: Request, served: Served, session: str) -> Response:
    secure = request.url.scheme == "https" or served.settings.public_url.startswith("https://")
    if served.settings.on_space:
        # Inside the frame of huggingface.co a browser sends no Lax cookie. Starlette writes Partitioned from Python 3.14 on only.
        answer.headers.append("set-cookie", f"{COOKIE}={session}; HttpOnly; Max-Age={sessions.SESSION_S}; Path=/; SameSite=None; Secure; Partitioned")
    else:
        answer.set_cookie(COOKIE, session, max_age=sessions.SESSION_S, path="/", httponly=True, samesite="lax", secure=secure)
    return answer


def _page(request: Request, html: str, status: int = 200) -> Response:
    answer = HTMLResponse(html, status, {"Cache-Control": "no-store"})
    if request.query_params.get("lang") in LANGUAGES:
        answer.set_cookie(LANGUAGE_COOKIE, language_of(request), max_age=LANGUAGE_S, path="/", samesite="lax", secure=request.url.scheme == "https")
    return answer


def _go(request: Request, path: str) -> Response:
    return RedirectResponse(request.scope.get("root_path", "").rstrip("/") + path, 303, {"Cache-Control": "no-store"})
