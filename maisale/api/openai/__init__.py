"""What OpenAI's clients speak, below /v1 as well: any chat front end takes Mai-Sale for its model.

The client keeps the conversation and sends it whole each time; nothing of it is stored here. Refusals are written as those clients read them
(refusals.py), whoever refuses.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from maisale.api.openai import chat, embeddings, models
from maisale.api.openai.shapes import Refusals
from maisale.chat.replies import Replies

STATUSES = {
    400: "What was sent cannot be taken as it is.",
    401: "No valid key came with the request.",
    403: "The key is valid and may not do this.",
    404: "There is no such model for this person.",
    413: "More bytes came than are taken.",
    429: "Too often; try again after Retry-After seconds.",
    502: "The model server failed.",
    503: "It cannot be served in time; nothing was begun.",
}


def router(running: Callable[[], Replies]) -> APIRouter:
    answers = {status: {"model": Refusals, "description": words} for status, words in STATUSES.items()}
    routes = APIRouter(tags=["openai"], responses=answers)
    for module in (chat, models, embeddings):
        routes.include_router(module.router(running))
    return routes
