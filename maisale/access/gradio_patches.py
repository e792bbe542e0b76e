"""What Gradio 6.31 needs before and after its import to be safe and quick as a mounted app. This module itself does not import it.

requirements.txt pins that version, and tests hold each point: look at them again when the version moves.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from maisale.tracebacks import print_exc

QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",  # else it reports every start to its makers
    "HF_HUB_OFFLINE": "1",
    # Gradio 6.31 builds a table of up to 10,000 rows for its monitoring page after every finished call, also where that page is off.
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
}
STREAMS = 200  # calls that may run at once; each open stream takes one
WAITING_CALLS = 500
SESSIONS = 1000  # pages whose state is kept
UNCHANGED = {"__type__": "update"}  # what gr.skip() returns
LOOK_S = 0.01  # between looks for a call that waits; Gradio 6.31's thousand looks a second take 5 % of a core, day and night


def quiet_gradio() -> None:
    """Sets what Gradio reads from the environment when it is imported; what is set already stays."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def quick_import() -> Iterator[None]:
    """While Gradio is imported: 6.31 parses its source to write a .pyi file beside each component, 40 % of a start, and two starts write the same files.

    During the import it leaves out a component whose file Python does not know; afterwards the function itself can be replaced. It also compiles
    the same few docstrings of events as templates for each of the components.
    """
    known, template = inspect.getfile, jinja2.Template

    def getfile(asked: Any) -> str:
        if isinstance(asked, type) and asked.__module__.startswith("gradio."):
            raise OSError(f"{asked} needs no stub")
        return known(asked)

    inspect.getfile, jinja2.Template = getfile, cache(template)
    try:
        yield
    finally:
        inspect.getfile, jinja2.Template = known, template
    sys.modules["gradio.component_meta"].create_or_modify_pyi = lambda *_: None  # type: ignore[attr-defined]


@contextmanager
def one_app() -> Iterator[None]:
    """While a page is built: Gradio 6.31 makes its whole app of 50 routes when a page begins and when it ends, and both are thrown away."""
    apps = sys.modules["gradio.routes"].App  # type: ignore[attr-defined]
    made = apps.create_app
    apps.create_app = staticmethod(lambda *_, **__: None)
    try:
        yield
    finally:
        apps.create_app = staticmethod(made)


def keep_copies_in(folder: Path) -> None:
    """Where Gradio's copies of uploads go, whatever was set: there they are removed when what was uploaded is deleted.

    After the import of Gradio, whose version 6.31 makes a folder for its own editor where this said so then; before a page is built.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)


def tune_gradio(demo: Any) -> None:
    """For `demo` before it is mounted: how much may run and wait."""
    demo.max_threads = STREAMS
    demo.state_session_capacity = SESSIONS
    demo.queue(default_concurrency_limit=None, max_size=WAITING_CALLS)
    demo._queue.sleep_when_free = LOOK_S


def put_first(script: str) -> None:
    """Has every page run `script` before Gradio's own: 6.31 adds a page's head when it draws, too late for what is to change how it draws."""
    environment, name, its_own = sys.modules["gradio.routes"].templates.env, "frontend/index.html", '<script type="module"'  # type: ignore[attr-defined]
    page, _, _ = environment.loader.get_source(environment, name)
    if page.count(its_own) != 1:
        raise RuntimeError(f"{name} of Gradio has no place for a script before its own. Look at maisale/access/gradio_patches.py for this version.")
    changed = page.replace(its_own, f"<script>{{% raw %}}{script}{{% endraw %}}</script>{its_own}")
    environment.loader = jinja2.ChoiceLoader([jinja2.DictLoader({name: changed}), environment.loader])


def patch_gradio(demo: Any) -> None:
    """For `demo` once it is mounted."""
    # Gradio 6.31: only launch() sets this, and until it is set any file of the host is copied and served to whoever names it in a call.
    demo.has_launched = True
    sys.modules["gradio.state_holder"].SessionState.__init__ = _lean_session  # type: ignore[attr-defined]
    demo.postprocess_data = _of_what_changes(demo.postprocess_data)
    # Gradio 6.31 prints every unforeseen error of a handler with its text, which may quote a question.
    for name in ("queueing", "routes", "route_utils", "utils"):
        sys.modules[f"gradio.{name}"].traceback = QuotesNobody()  # type: ignore[attr-defined]


def _of_what_changes(postprocess: Callable[..., Awaitable[list]]) -> Callable[..., Awaitable[list]]:
    """Gradio 6.31 makes a component and its JSON schemas anew for every output that stays as it is: three quarters of what a piece of an answer costs."""

    async def quick(block_fn: Any, predictions: Any, state: Any) -> list:
        if not isinstance(predictions, (list, tuple)) or len(predictions) != len(block_fn.outputs) or len(predictions) < 2:
            return await postprocess(block_fn, predictions, state)
        changed = [place for place, one in enumerate(predictions) if not (type(one) is dict and one == UNCHANGED)]
        found: list[Any] = [dict(UNCHANGED) for _ in predictions]
        if changed:
            fewer, given = copy(block_fn), [predictions[place] for place in changed]
            fewer.outputs = [block_fn.outputs[place] for place in changed]
            made = await postprocess(fewer, given[0] if len(given) == 1 else given, state)
            for place, one in zip(changed, made, strict=True):
                found[place] = one
        return found

    return quick


class QuotesNobody:
    """Stands for the module traceback."""

    print_exc = staticmethod(print_exc)

    def __getattr__(self, name: str) -> Any:
        return getattr(traceback, name)


def _lean_session(self: Any, blocks: Any) -> None:
    """Gradio 6.31's own computes the configuration of every component, 18 ms for a page of 150; only deep links read it, which are shut here."""
    self.blocks_config = copy(blocks.default_config)
    self.config_values = {}
    self.state_data = {}
    self._state_ttl = {}
    self.is_closed = False
    self.STATE_TTL_WHEN_CLOSED = 3600
