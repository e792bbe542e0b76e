"""The names that a client may choose as its model: everything, one collection, and the embedder for vectors."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from maisale.api.openai import shapes
from maisale.api.v1.shapes import Reader
from maisale.chat.replies import Replies
from maisale.errors import NotFound
from maisale.records import Scope
from maisale.services import Services
from maisale.store import documents

NAME = "mai-sale"


class UnknownModel(NotFound):
    """Nothing that this person may use is called so."""


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(prefix="/models")

    @routes.get("")
    def list_models(caller: Reader) -> shapes.Models:
        """List what may be named as `model`: mai-sale, mai-sale/COLLECTION for each readable collection, and the embedder."""
        return shapes.Models(data=[shapes.ModelOut(id=name) for name in _names(running().services, caller.scope)])

    @routes.get("/{model:path}")
    def get_model(model: str, caller: Reader) -> shapes.ModelOut:
        """Get one of them."""
        if model not in _names(running().services, caller.scope):
            raise unknown(model)
        return shapes.ModelOut(id=model)

    return routes


def collections_of(services: Services, scope: Scope, model: str) -> tuple[str, ...]:
    """The collections that this model searches, by name; empty: all. Raises UnknownModel."""
    if model == NAME:
        return ()
    name = model.removeprefix(f"{NAME}/")
    if name == model or name not in {one.name for one in documents.list_collections(services.db, scope)}:
        raise unknown(model)
    return (name,)


def unknown(model: str) -> UnknownModel:
    return UnknownModel(f"There is no model {model[:100]!r} for you. GET /v1/models lists those that there are.")


def _names(services: Services, scope: Scope) -> list[str]:
    own = [f"{NAME}/{one.name}" for one in documents.list_collections(services.db, scope)]
    embedder = services.embedder
    return list(dict.fromkeys([NAME, *own, *([embedder.name] if embedder else [])]))
