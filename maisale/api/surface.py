"""What can be called on the page and its API, as the gate asks for it."""

from __future__ import annotations

import inspect

import gradio as gr

from maisale.access.ownership import Arguments


class GradioSurface:
    """The functions of `demo`, public ones by name."""

    def __init__(self, demo: gr.Blocks):
        self._demo = demo

    def arguments(self, name: str) -> Arguments | None:
        for function in self._demo.fns.values():
            if function.api_name == name and function.api_visibility == "public" and function.fn:
                return _arguments(function.fn)
        return None

    def named(self, number: int) -> str | None:
        function = self._demo.fns.get(number)
        return function.api_name if function and function.api_visibility == "public" else None

    def values(self, number: int, session_hash: str | None) -> int | None:
        # A page that renders parts anew has functions of its own, numbered on.
        sessions = self._demo.state_holder
        rendered = session_hash and session_hash in sessions
        functions = sessions.session_data[session_hash].blocks_config.fns if rendered else self._demo.fns
        function = functions.get(number)
        return len(function.inputs) if function and function.fn else None  # without fn it is the browser's own


def _arguments(function: object) -> Arguments:
    parameters = [one for one in inspect.signature(function).parameters.values() if one.annotation is not gr.Request]
    required = tuple(one.name for one in parameters if one.default is one.empty)
    return Arguments(required, tuple(one.name for one in parameters if one.default is not one.empty))
