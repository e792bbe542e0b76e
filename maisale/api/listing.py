"""What the whole server answers, read from the application itself: every route, and every function of the page. For who looks for holes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import gradio as gr
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount, WebSocketRoute

ANY = "ANY"  # the method of what answers all of them


@dataclass(frozen=True)
class Function:
    """A function of the page. It is called by number, and by name when it is public."""

    number: int
    name: str
    public: bool
    inputs: tuple[str, ...]  # kinds of its components, in order


@dataclass(frozen=True)
class Everything:
    routes: tuple[tuple[str, str], ...]  # (method, path), each once
    functions: tuple[Function, ...]


def everything(app: FastAPI, demo: gr.Blocks) -> Everything:
    routes = dict.fromkeys(_routes(app.routes))
    return Everything(tuple(sorted(routes, key=lambda route: (route[1], route[0]))), tuple(_functions(demo)))


def _routes(routes: Sequence[BaseRoute], below: str = "") -> Iterator[tuple[str, str]]:
    """Also of what is mounted. What only forwards is named by its own path: nobody here knows what is behind it."""
    for one in iter_route_contexts(routes):
        route, path = one.original_route, below + (getattr(one, "path", None) or "")
        inner = getattr(getattr(route, "app", None), "routes", None) if isinstance(route, Mount) else None
        if inner is not None:
            yield from _routes(inner, path)
        elif isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", path
        else:
            yield from ((method, path) for method in getattr(one, "methods", None) or (ANY,))


def _functions(demo: gr.Blocks) -> Iterator[Function]:
    for number, function in demo.fns.items():
        if function.fn is None:
            continue  # it runs in the browser only
        kinds = tuple(type(block).__name__ for block in function.inputs)
        yield Function(number, str(function.api_name), function.api_visibility == "public", kinds)
