"""GET /metrics for Prometheus, behind a key of its own: METRICS_KEY as a bearer token. A person's key does not open it, and it opens nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hmac import compare_digest

from fastapi import APIRouter, Request
from starlette.responses import Response

from maisale.access.gate import in_json
from maisale.access.limits import WrongKeys
from maisale.chat.replies import Replies
from maisale.errors import MaiSaleError, NotFound, NotSignedIn
from maisale.ops.metrics import CONTENT_TYPE, exposition


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter()

    @routes.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        try:
            services = running().services
            if not services.settings.metrics_key:
                raise NotFound("There are no metrics here: METRICS_KEY is not set.")
            await _check(request, services.settings.metrics_key)
            return Response(await asyncio.to_thread(exposition, services), media_type=CONTENT_TYPE)
        except MaiSaleError as problem:
            return in_json(problem)

    return routes


async def _check(request: Request, key: str) -> None:
    """Raises NotSignedIn, or TooOften for an address that guesses."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and compare_digest(given.strip().encode(), key.encode()):
        return
    if given:
        wrong: WrongKeys = request.scope["wrong_keys"]
        await wrong.slow_down((request.scope.get("client") or ("unknown", 0))[0], "metrics")
    raise NotSignedIn("This needs METRICS_KEY: send it as Authorization: Bearer.")
