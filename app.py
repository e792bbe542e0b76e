# /// script
# requires-python = ">=3.10"
# dependencies = [
#   "gradio[mcp]==6.31.0",
#   "gradio-client==2.7.2",
#   "chromadb==1.5.9",
#   "ollama==0.6.3",
#   "langchain-core==1.7.2",
#   "langgraph==1.2.22",
#   "sqlite-utils==4.2.1",
#   "huey==3.5.4",
#   "redis==8.1.0",
#   "pytest==9.2.0",
#   "pypdfium2==5.15.2",
#   "mammoth==1.13.0",
#   "python-pptx==1.0.2",
#   "openpyxl==3.1.5",
#   "beautifulsoup4==4.15.0",
#   "markdownify==1.2.3",
#   "charset-normalizer==3.5.2",
#   "orjson==3.13.0",
#   "tqdm==4.70.1",
#   "wordfreq==3.1.1",
#   "phonenumbers==9.0.43",
#   "python-stdnum==2.2",
#   "limits==5.8.0",
#   "fastapi-swagger==0.4.64",
#   "mcp==1.30.0",
#   "psycopg[binary,pool]==3.3.9",
#   "pgvector==0.5.1",
#   "hvac==2.4.0",
#   "prometheus-client==0.26.0",
#   "opentelemetry-sdk==1.45.2",
#   "opentelemetry-exporter-otlp-proto-http==1.45.2",
# ]
# ///
"""Mai-Sale. `python app.py` serves the page and its API; `python app.py COMMAND ...` is the command line.

`app` is the ASGI application (`uvicorn app:app`), `demo` the Gradio page in it. Importing this opens nothing.
"""

import gc
import os
import sys

collecting = gc.isenabled()
gc.disable()  # what is imported stays: to look through it again and again takes an eighth of a start

from maisale.access.gradio_patches import quick_import, quiet_gradio  # noqa: E402

quiet_gradio()  # before gradio is imported: it reads the environment then
# Before numpy is imported: the second thread of a product of small matrices spins on the core that the event loop needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import contextlib  # noqa: E402

import wordfreq  # noqa: E402, F401 - early: its import reads the source of all that stands above it, the longer the more is loaded

with quick_import():
    import gradio as gr
from fastapi import FastAPI, Request  # noqa: E402
from starlette.middleware.cors import CORSMiddleware  # noqa: E402
from starlette.responses import PlainTextResponse  # noqa: E402

from maisale.access import pages  # noqa: E402
from maisale.access.arrivals import Arrivals  # noqa: E402
from maisale.access.bodies import Bounded  # noqa: E402
from maisale.access.gate import Gate  # noqa: E402
from maisale.access.gradio_patches import keep_copies_in, one_app, patch_gradio, put_first, tune_gradio  # noqa: E402
from maisale.access.headers import SecurityHeaders  # noqa: E402
from maisale.access.mishaps import Mishaps  # noqa: E402
from maisale.api import files, listing, mcp, metrics, v1  # noqa: E402
from maisale.api.openai.refusals import AsOpenAI  # noqa: E402
from maisale.api.surface import GradioSurface  # noqa: E402
from maisale.api.v1.asking import ShortWay  # noqa: E402
from maisale.cli import main  # noqa: E402
from maisale.config import copies_dir  # noqa: E402
from maisale.errors import MaiSaleError  # noqa: E402
from maisale.life import Life, PlainRefusal  # noqa: E402
from maisale.services import read_settings  # noqa: E402
from maisale.ui import page, sign_in, theme  # noqa: E402

keep_copies_in(copies_dir(os.environ))
life = Life(lambda: read_settings(os.environ))
with one_app():
    demo = page.build(life.running)


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI):
    async with life:
        demo.max_file_size = life.upload_bytes  # Gradio 6.31 reads it at each upload
        yield


def in_words(_request: Request, problem: MaiSaleError) -> PlainTextResponse:
    """A refusal on a plain route: a full disk at sign-in, say."""
    return PlainTextResponse(str(problem), problem.status)


def build() -> FastAPI:
    """The gate around everything; behind it sign-in, health, files, and the page with its API."""
    tune_gradio(demo)
    # FastAPI's own telemetry, which nobody has set up, reads the environment three times a request.
    parent = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan, telemetry=v1.NO_TELEMETRY)
    parent.add_exception_handler(MaiSaleError, in_words)
    parent.include_router(pages.router(life.running, sign_in))
    parent.include_router(files.router(life.running))
    parent.include_router(metrics.router(life.running))
    parent.router.routes.append(mcp.route(life.running))
    parent.mount("/v1", v1.build(life.running, lambda: listing.everything(parent, demo)))
    # Gradio 6.31 reflects any Origin with credentials unless its parent answers CORS itself. Innermost: what the gate answers is for no other page.
    parent.add_middleware(CORSMiddleware, allow_origins=[])
    parent.add_middleware(Bounded, most=files.upload_bytes(life.running))
    parent.add_middleware(ShortWay, running=life.running)
    parent.add_middleware(Gate, accounts=life.accounts, limits=life.limits, surface=GradioSurface(demo))
    parent.add_middleware(Mishaps)
    parent.add_middleware(AsOpenAI)
    parent.add_middleware(SecurityHeaders, settings=life.settings, script=theme.script())
    parent.add_middleware(PlainRefusal, life=life)
    parent.add_middleware(Arrivals)
    gr.mount_gradio_app(
        parent,
        demo,
        path="/",
        auth_dependency=lambda request: request.scope.get("user_id"),
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        footer_links=["api"],
        ssr_mode=False,
        app_kwargs={"openapi_url": None},
        **page.appearance(),
    )
    patch_gradio(demo)
    put_first(theme.first_script())
    return parent


app = build()
if collecting:
    gc.enable()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], serve=lambda: life.serve(app)))
