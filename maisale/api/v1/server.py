"""The server itself, for the instance's admin."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from maisale.access import people
from maisale.api.listing import Everything
from maisale.api.v1 import shapes
from maisale.api.v1.shapes import Anyone


def router(everything: Callable[[], Everything]) -> APIRouter:
    routes = APIRouter(tags=["server"])

    @routes.get("/routes")
    def list_routes(caller: Anyone) -> shapes.EverythingOut:
        """List every route of the server and every function of its page. For the instance's admin; `python -m maisale probe` calls them all."""
        people.require_instance_admin(caller)
        found = everything()
        made = [shapes.RouteOut(method=method, path=path) for method, path in found.routes]
        functions = [shapes.FunctionOut(number=one.number, name=one.name, public=one.public, inputs=list(one.inputs)) for one in found.functions]
        return shapes.EverythingOut(routes=made, functions=functions)

    return routes
