"""The product's door around any Gradio page, mounted as app.py mounts its own and really served; and people who call with a key."""

import contextlib
import json
import threading
import time
from types import SimpleNamespace

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from maisale.access.gradio_patches import patch_gradio, quick_import, quiet_gradio, tune_gradio

quiet_gradio()

with quick_import():
    import gradio as gr
from running import free_port  # noqa: E402

from maisale.access import gate, pages  # noqa: E402
from maisale.access.headers import SecurityHeaders  # noqa: E402
from maisale.access.limits import Limits  # noqa: E402
from maisale.access.mishaps import Mishaps  # noqa: E402
from maisale.api.surface import GradioSurface  # noqa: E402
from maisale.config import Settings  # noqa: E402
from maisale.contracts import Database  # noqa: E402


class Looks:
    def sign_in_page(self, language, error=None):
        return f"<html lang={language}><form method=post action=/login><input name=key>{error or ''}</form>"

    def link_page(self, language, invited=False):
        return f"<html lang={language}><form method=post><button>{'Make my key' if invited else 'Sign in'}</button></form>"

    def key_page(self, language, key):
        return f"<html lang={language}><input id=key value={key}>"


def build_app(page: gr.Blocks, db: Database, settings: Settings, lifespan=None, add_routes=lambda app: None) -> FastAPI:
    """add_routes: what is served beside the page, in front of it."""
    tune_gradio(page)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.include_router(pages.router(lambda: SimpleNamespace(services=SimpleNamespace(db=db, settings=settings)), Looks()))
    add_routes(app)
    counted = Limits(settings.rate_limit)
    app.add_middleware(gate.Gate, accounts=lambda: db, limits=lambda: counted, surface=GradioSurface(page))
    app.add_middleware(CORSMiddleware, allow_origins=[])
    app.add_middleware(Mishaps)
    app.add_middleware(SecurityHeaders, settings=lambda: settings)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth_dependency=lambda request: request.scope.get("user_id"),
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        footer_links=["api"],
        ssr_mode=False,
        app_kwargs={"openapi_url": None},
    )
    patch_gradio(page)
    return app


@contextlib.contextmanager
def serving(app: FastAPI):
    """The address of `app` while it is served."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


class Person:
    """Someone with a key: the plain HTTP calls that a program makes."""

    def __init__(self, url: str, user, key: str):
        self.url, self.user, self.key = url, user, key
        self.http = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=20)

    def call(self, name: str, *values) -> httpx.Response:
        return self.http.post(f"/gradio_api/call/{name}", json={"data": list(values)})

    def join(self, number: int, *values, session: str = "") -> httpx.Response:
        return self.http.post("/gradio_api/queue/join", json={"fn_index": number, "data": list(values), "session_hash": session or "s" + self.user.id})

    def read(self, name: str, event: str) -> list:
        """The data of each event of a stream, to its end."""
        with self.http.stream("GET", f"/gradio_api/call/{name}/{event}") as answer:
            assert answer.status_code == 200, answer.read()
            return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]

    def upload(self, text: bytes = b"a file", name: str = "note.txt") -> str:
        return self.http.post("/gradio_api/upload", files={"files": (name, text)}).json()[0]
