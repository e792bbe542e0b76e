"""REST below /v1, with its OpenAPI document at /v1/openapi.json and its page at /v1/docs, all behind the gate.

A question is acknowledged with 202 once it is durable; its answer is read at /v1/replies/{id}, whole or as it is written.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException
from starlette.responses import Response

from maisale.access.gate import in_json
from maisale.api.v1 import conversations, documents, jobs, keys, people, replies
from maisale.api.v1.shapes import Refusal
from maisale.chat.replies import Replies
from maisale.errors import BadInput, MaiSaleError, NotFound

DESCRIPTION = """A team's chat over its own documents. Send your key as `X-API-Key`, or as `Authorization: Bearer`.

Refusals are objects with `error` (a sentence) and `kind`. 429 and 503 carry `Retry-After`, and nothing of such a request was stored.
Times are seconds since 1970 (UTC)."""
REFUSALS = {
    401: "No valid key came with the request.",
    403: "The key is valid and may not do this.",
    404: "Nothing with this id exists for this person.",
    422: "What was sent cannot be taken as it is.",
    429: "Too often; try again after Retry-After seconds.",
    503: "It cannot be served in time; nothing was stored.",
}


def build(running: Callable[[], Replies]) -> FastAPI:
    """The application to mount at /v1. running: the replies of the app's life, asked for at each request."""
    answers = {status: {"model": Refusal, "description": words} for status, words in REFUSALS.items()}
    v1 = FastAPI(title="Mai-Sale", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None, swagger_ui_oauth2_redirect_url=None, responses=answers)
    v1.add_exception_handler(MaiSaleError, _refused)
    v1.add_exception_handler(RequestValidationError, _not_understood)
    v1.add_exception_handler(HTTPException, _no_route)
    for module in (conversations, replies, documents, keys, people, jobs):
        v1.include_router(module.router(running))
    # FastAPI's own page loads its script from a CDN. This package carries it: 1.9 MB, where fastapi-offline brings Redoc too.
    patch_fastapi(v1, redirect_from_root_to_docs=False, swagger_ui_parameters={"persistAuthorization": False})
    v1.openapi = _with_keys(v1.openapi)
    return v1


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


def _refused(_request: Request, problem: MaiSaleError) -> Response:
    return in_json(problem)


def _not_understood(_request: Request, problem: RequestValidationError) -> Response:
    """The first thing that is wrong, where it stands."""
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path")) or "The body"
    return in_json(BadInput(f"{where[:100]}: {first['msg']}."))


def _no_route(_request: Request, problem: HTTPException) -> Response:
    if problem.status_code == 404:
        return in_json(NotFound("There is nothing here. GET /v1/docs lists what there is."))
    refused = BadInput(f"{problem.detail}.")
    refused.status = problem.status_code
    answer = in_json(refused)
    answer.headers.update(problem.headers or {})
    return answer
