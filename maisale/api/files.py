"""Documents as they came and as they were read, for whoever may read them. A file is never run by the browser: what could be is plain text or a download."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import Scope

from maisale.access import keys
from maisale.access.gate import caller, route_path
from maisale.chat.replies import Replies
from maisale.errors import MaiSaleError
from maisale.library.documents import FILES_AT_ONCE, open_file, read_text

# Shown inside the browser; all else is downloaded. HTML and SVG would run scripts with the reader's session.
SHOWN = {".pdf": "application/pdf", **dict.fromkeys((".txt", ".md", ".csv", ".json", ".html", ".htm"), "text/plain")}


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter()

    @routes.get("/files/{document_id}")
    def file(document_id: str, request: Request) -> Response:
        try:
            who = caller(request)
            keys.require(who, "read")
            path, document = open_file(running().services, who.scope, document_id)
        except MaiSaleError as problem:
            return PlainTextResponse(str(problem), problem.status)
        shown = SHOWN.get(path_suffix(document.title))
        kind = f"{shown}; charset=utf-8" if shown == "text/plain" else shown or "application/octet-stream"
        return FileResponse(path, media_type=kind, filename=document.title, content_disposition_type="inline" if shown else "attachment")

    @routes.get("/files/{document_id}/read")
    def read(document_id: str, request: Request) -> Response:
        try:
            who = caller(request)
            keys.require(who, "read")
            return PlainTextResponse(read_text(running().services, who.scope, document_id))
        except MaiSaleError as problem:
            return PlainTextResponse(str(problem), problem.status)

    return routes


def upload_bytes(running: Callable[[], Replies]) -> Callable[[Scope], int | None]:
    """How many bytes the page may send at once: Gradio 6.31 bounds each file, and takes a thousand of them."""

    def most(scope: Scope) -> int | None:
        return FILES_AT_ONCE * (running().services.settings.upload_mb + 1) * 1_000_000 if route_path(scope) == "/gradio_api/upload" else None

    return most


def path_suffix(title: str) -> str:
    return "." + title.rpartition(".")[2].lower() if "." in title else ""
