"""REST below /v1, with its OpenAPI document at /v1/openapi.json and its page at /v1/docs, all behind the gate.

A question is acknowledged with 202 once it is durable; its answer is read at /v1/replies/{id}, whole or as it is written.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from maisale.access import wire
from maisale.access.bodies import Bounded
from maisale.access.gate import in_json, route_path
from maisale.api import openai
from maisale.api.listing import Everything
from maisale.api.v1 import audit, conversations, documents, erasures, jobs, keys, people, replies, server
from maisale.api.v1.shapes import Refusal
from maisale.chat.replies import Replies
from maisale.errors import BadInput, MaiSaleError, NotFound

DESCRIPTION = """A team's chat over its own documents. Send your key as `X-API-Key`, or as `Authorization: Bearer`.

Refusals are objects with `error` (a sentence) and `kind`. 429 and 503 carry `Retry-After`, and nothing of such a request was stored.
Times are seconds since 1970 (UTC)."""
NO_PAGES = {"docs_url": None, "redoc_url": None, "swagger_ui_oauth2_redirect_url": None}
NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False}
REFUSALS = {
    401: "No valid key came with the request.",
    403: "The key is valid and may not do this.",
    404: "Nothing with this id exists for this person.",
    413: "More bytes came than are taken.",
    422: "What was sent cannot be taken as it is.",
    429: "Too often; try again after Retry-After seconds.",
    503: "It cannot be served in time; nothing was stored.",
    507: "The disk is full or not writable; nothing was stored.",
}


def build(running: Callable[[], Replies], everything: Callable[[], Everything]) -> FastAPI:
    """The application to mount at /v1. running: the replies of the app's life, asked for at each request. everything: what the whole server answers."""
    answers = {status: {"model": Refusal, "description": words} for status, words in REFUSALS.items()}
    v1 = FastAPI(title="Mai-Sale", version="1", description=DESCRIPTION, responses=answers, telemetry=NO_TELEMETRY, **NO_PAGES)
    v1.add_middleware(Bounded, most=_most(running))
    v1.add_exception_handler(MaiSaleError, _refused(running))
    v1.add_exception_handler(RequestValidationError, _not_understood)
    v1.add_exception_handler(HTTPException, _no_route)
    for module in (conversations, replies, documents, keys, people, jobs, erasures, audit):
        v1.include_router(module.router(running))
    v1.include_router(server.router(everything))
    v1.include_router(openai.router(running))
    v1.add_api_route("/docs", _docs, include_in_schema=False)
    # FastAPI's own page loads its script from a CDN. This package carries it: 1.9 MB, where fastapi-offline brings Redoc too.
    patch_fastapi(v1, redirect_from_root_to_docs=False)
    v1.openapi = _with_keys(v1.openapi)
    return v1


def _docs() -> Response:
    # Beside the page: fastapi-swagger 0.4 writes whole addresses, which are http:// behind a proxy that speaks https, and a browser then loads none.
    beside = {"swagger_js_url": "swagger/swagger-ui-bundle.js", "swagger_css_url": "swagger/swagger-ui.css", "swagger_favicon_url": "swagger/favicon-32x32.png"}
    return get_swagger_ui_html(openapi_url="openapi.json", title="Mai-Sale", swagger_ui_parameters={"persistAuthorization": False}, **beside)


def _with_keys(made: Callable[[], dict]) -> Callable[[], dict]:
    """The document with the two ways to send a key, which the gate reads and FastAPI knows nothing of."""

    def openapi() -> dict:
        schema = made()
        ways = {"header": {"type": "apiKey", "in": "header", "name": "X-API-Key"}, "bearer": {"type": "http", "scheme": "bearer"}}
        schema.setdefault("components", {})["securitySchemes"] = ways
        schema["security"] = [{name: []} for name in ways]
        schema["servers"] = [{"url": "/v1"}]
        return schema

    return openapi


def _refused(running: Callable[[], Replies]) -> Callable[[Request, MaiSaleError], Response]:
    def answer(request: Request, problem: MaiSaleError) -> Response:
        audit.note_refusal(running, request, problem)
        return in_json(problem)

    return answer


def _not_understood(_request: Request, problem: RequestValidationError) -> Response:
    """The first thing that is wrong, where it stands."""
    first = problem.errors()[0]
    if first["type"] == "json_invalid":
        return in_json(BadInput("The body is not JSON. Send one object, with Content-Type: application/json."))
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path")) or "The body"
    if where == "file" and first["type"] == "value_error":
        return in_json(BadInput("file: this is no file with a name. Send multipart/form-data with one, such as report.pdf."))
    return in_json(BadInput(f"{where[:100]}: {first['msg'].removeprefix('Value error, ')}."))


def _no_route(_request: Request, problem: HTTPException) -> Response:
    if problem.status_code == 404:
        return in_json(NotFound("There is nothing here. GET /v1/docs lists what there is."))
    if problem.status_code == 400:
        return in_json(BadInput(f"The body cannot be read: {problem.detail.rstrip('.')}."))
    refused = BadInput(f"{problem.detail}.")
    refused.status = problem.status_code
    answer = in_json(refused)
    answer.headers.update(problem.headers or {})
    return answer


def _most(running: Callable[[], Replies]) -> Callable[[Scope], int]:
    """How many bytes a body may have: a file with its form, or JSON."""

    def most(scope: Scope) -> int:
        if scope["method"] == "POST" and route_path(scope) == "/documents":
            return (running().services.settings.upload_mb + 1) * 1_000_000
        return wire.BODY_BYTES

    return most
