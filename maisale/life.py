"""The app's life: opens what it serves with, starts its worker, gives earlier replies their end, and closes in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import shutil
import socket
import sys
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.logging import AccessFormatter

from maisale import certificates
from maisale.access import people, sessions
from maisale.access.heads import BoundedHeads
from maisale.access.limits import Limits
from maisale.chat.replies import Replies
from maisale.child import WorkerProcess
from maisale.config import Settings
from maisale.contracts import Database
from maisale.decider import DeciderProcesses
from maisale.errors import MaiSaleError, Misconfigured, Overloaded
from maisale.library.folders import index_knowledge
from maisale.logs import formatter, log_to_stderr
from maisale.ops import acks
from maisale.services import Services, open_services

log = logging.getLogger(__name__)

_TOLD = re.compile(r"(/link/)[^/\s?]+|(\?).+")  # what an address opens, and what it asks for
SWITCH_S = 0.0005  # the event loop waits so long when retrieval computes, and not Python's 5 ms, whenever it comes back from the network or SQL
CLOSING_S = 4  # for open requests; with replies and worker the whole stays under 10 s


class Life:
    """One life at a time of the app: `async with life:` around the server's own."""

    def __init__(self, read_settings: Callable[[], Settings]):
        self._read_settings = read_settings
        self._replies: Replies | None = None
        self._worker: WorkerProcess | None = None
        self._limits: Limits | None = None
        self.refusal = ""  # why this life could not begin, in words

    def running(self) -> Replies:
        """The replies of this life. Raises Overloaded before the start and after the end."""
        if self._replies is None:
            raise Overloaded("Mai-Sale is starting. Try again in a moment.")
        return self._replies

    def accounts(self) -> Database:
        return self.running().services.db

    def limits(self) -> Limits:
        self.running()
        return self._limits

    def settings(self) -> Settings:
        return self.running().services.settings

    @property
    def upload_bytes(self) -> int:
        return self.settings().upload_mb * 2**20

    async def __aenter__(self) -> Life:
        # `uvicorn app:app` logs every address that is asked for: that of a link opens the door, that of a search holds the question.
        logging.getLogger("uvicorn.access").addFilter(_addresses_alone)
        try:
            return await self._begin()
        except MaiSaleError as problem:
            self.refusal = str(problem)
            raise

    async def _begin(self) -> Life:
        settings = self._read_settings()
        for one in (*logging.getLogger("uvicorn").handlers, *logging.getLogger("uvicorn.access").handlers):
            if settings.log_format == "json" or not isinstance(one.formatter, AccessFormatter):
                one.setFormatter(formatter(settings.log_format, "app", "%(levelname)s: %(message)s"))
        services = await asyncio.to_thread(open_services, settings, "app")
        # Gradio's copies of an earlier life's uploads: nobody can name them any more.
        await asyncio.to_thread(shutil.rmtree, settings.copies_dir, ignore_errors=True)
        await asyncio.to_thread(people.make_first_admin, services.db, settings)
        self._limits = Limits(settings.rate_limit, services.shared.counts)
        self._replies = Replies(services, elsewhere=DeciderProcesses(settings))
        await self._replies.recover()
        if settings.workers:
            self._worker = WorkerProcess(settings)
            self._worker.start()
        self._indexing = asyncio.create_task(_mirror_knowledge(services), name="index knowledge")
        self._acks = asyncio.create_task(_note_acks(services), name="note acknowledgements")
        print(self._greeting(settings, services.db), file=sys.stderr, flush=True)
        # What was imported stays: looking through it for garbage again and again would stop everything for 0.1-0.3 s each time.
        gc.collect()
        gc.freeze()
        return self

    async def __aexit__(self, *_: object) -> None:
        replies, self._replies = self._replies, None
        self._indexing.cancel()
        self._acks.cancel()
        await replies.close()
        if self._worker:
            await asyncio.to_thread(self._worker.stop)
        await asyncio.to_thread(replies.services.close)

    def serve(self, app: FastAPI) -> int:
        """Serves until SIGINT or SIGTERM. Raises Misconfigured when the address is taken or a certificate cannot be used."""
        settings = self._read_settings()
        self._read_settings = lambda: settings  # once: what is kept in Vault is fetched at each reading
        sys.setswitchinterval(SWITCH_S)
        tls = certificates.for_app(settings)
        listening = _listen(settings)
        proxies = {"proxy_headers": bool(settings.trusted_proxies), "forwarded_allow_ips": settings.trusted_proxies or None}
        log_to_stderr(formatter(settings.log_format, "app", "%(levelname)s %(name)s: %(message)s"))
        bounds = {"http": BoundedHeads, "timeout_graceful_shutdown": CLOSING_S, "server_header": False}
        config = uvicorn.Config(app, log_config=None, log_level="warning", **bounds, **proxies, ssl_context_factory=tls and (lambda *_: tls))
        uvicorn.Server(config).run(sockets=[listening])
        return 0

    def _greeting(self, settings: Settings, db: Database) -> str:
        if sessions.somebody_signed_in(db):
            return f"Mai-Sale runs at {settings.address}"
        return f"Mai-Sale runs at {settings.address}  Sign in: {settings.address}/link/{sessions.make_sign_in_link(db)} (one use, ten minutes)"


async def _mirror_knowledge(services: Services) -> None:
    """At the start, and then every WATCH_S seconds: what did not change costs a look."""
    again = False
    while True:
        await asyncio.to_thread(_mirror_once, services, again)
        again = True
        if not services.settings.watch_s:
            return
        await asyncio.sleep(services.settings.watch_s)


def _mirror_once(services: Services, again: bool) -> None:
    if held := services.shared.locks.hold("knowledge"):  # else another app is at it
        with held:
            index_knowledge(services, again)


async def _note_acks(services: Services) -> None:
    """How soon questions are acknowledged, for other processes to read."""
    notes = acks.Notes()
    while True:
        await asyncio.sleep(acks.NOTED_EVERY_S)
        try:
            await asyncio.to_thread(notes.write, services.db)
        except MaiSaleError as problem:  # a full disk: it is written when there is room
            log.warning("how soon questions are acknowledged was not noted: %s", problem)


def _addresses_alone(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_TOLD.sub(r"\1\2…", one) if isinstance(one, str) else one for one in record.args)
    return True


class PlainRefusal:
    """ASGI middleware: a life that could not begin is refused in its own sentence, where Starlette would send a traceback."""

    def __init__(self, app: ASGIApp, life: Life):
        self._app, self._life = app, life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self._life.refusal:
                message = {**message, "message": self._life.refusal}
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "lifespan" else send)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as problem:
        listening.close()
        raise Misconfigured(f"{settings.host}:{settings.port} cannot be used ({problem.strerror}). Is it taken? Set PORT to another one.") from problem
    return listening
