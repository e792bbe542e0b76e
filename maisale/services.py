"""Settings to back ends: what this process works with. The only importer of backends/, and the only maker of Services.

Imports stand inside functions here, so that a process loads what it uses: the worker no Gradio, the app no Chroma.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Semaphore
from typing import IO, Any, Protocol

import numpy as np

from maisale import spans
from maisale.config import Settings, from_env
from maisale.contracts import ChatModel, CompleteIndex, Database, Embedder, KeptIndex, LexicalIndex, Shared, VectorIndex
from maisale.errors import IndexUnavailable, Misconfigured
from maisale.records import Hit, ModelStatus, SearchFilter
from maisale.references import Vault, VaultAccess
from maisale.store import privacy
from maisale.store.facts import EMBEDDER, MOVING, get_fact
from maisale.store.schema import AUDIT, MIGRATIONS

log = logging.getLogger(__name__)

EXACT_ROWS = 20_000  # up to which exact search answers in 10 ms and misses nothing; a filtered HNSW graph takes 20-130 ms
COUNTED_S = 5.0  # how long a scope of MANY_ROWS is taken for as large as it was: counting 20,000 takes 5 ms, and only says whose search is the faster
MANY_ROWS = 1_000
COUNTS = 200  # that are remembered
RINGS = 4  # that wait to be rung: as many as the worker has hands; a hundred questions need no more
WORKER_HANDOVER_S = 10.0  # an ending worker finishes its jobs before the next one may begin


class ModelServer(Protocol):
    """A model server whose state is known without asking it."""

    @property
    def status(self) -> ModelStatus: ...

    def start(self) -> None: ...

    def chat_models(self) -> Sequence[ChatModel]:
        """On each server where an answer can be written now, an object for one; where it is best written first."""

    def embedder(self) -> Embedder | None: ...

    def close(self) -> None: ...


class Bell(Protocol):
    def ring(self, job_id: str) -> None: ...

    def waiting(self) -> int:
        """How many rings nobody has heard yet."""

    def compact(self) -> None:
        """Writes its files anew, without the rings that were heard. Raises StorageFailed."""

    def close(self) -> None: ...


@dataclass
class Services:
    """What verbs are done with. Opened once a process by `open_services`, closed once."""

    settings: Settings
    db: Database
    words: LexicalIndex
    exact: CompleteIndex
    vectors: VectorIndex | None  # the worker's index, or None when exact search is chosen
    models: ModelServer
    builtin: Embedder
    bell: Bell
    shared: Shared
    lock: IO | None = None
    tracer: spans.Tracer | None = None
    exact_rows: int = EXACT_ROWS  # vectors in the scope up to which exact search is asked first
    _counted: dict[tuple[str, str, SearchFilter], tuple[float, int]] = field(default_factory=dict)
    _ringing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="bell"))
    _rings: Semaphore = field(default_factory=lambda: Semaphore(RINGS))

    @property
    def alone(self) -> bool:
        """Whether no other app, and no other worker, can work on this database: SQLite is locked by the first one."""
        return not self.settings.on_postgres

    def wake(self, job_id: str) -> None:
        """Tells the worker that a job waits. A ring may be lost: the worker's sweep finds the job."""
        # Whom the rings before this one wake takes every job that is due by then.
        if self._rings.acquire(blocking=False):
            self._ringing.submit(self._ring, job_id)

    @property
    def embedder(self) -> Embedder | None:
        """The embedder whose index is searched; None while its model is away, and then words answer."""
        return self.embedder_named(get_fact(self.db, EMBEDDER) or self.builtin.name)

    def embedder_named(self, name: str) -> Embedder | None:
        if name == self.builtin.name:
            return self.builtin
        remote = self.models.embedder()
        return remote if remote and remote.name == name else None

    def nearest(self, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> tuple[list[Hit], str]:
        """The nearest chunks and who found them: exact search in a small scope; in a larger one the vector index when it answers in time, else exact search."""
        embedder = self.embedder
        if embedder is None or embedder.dimensions != len(vector):
            return [], "none: the embedding model is away"
        if self.vectors is not None and self._too_large(embedder.name, kind, where):
            try:
                return self.vectors.nearest(embedder.name, kind, where, vector, limit), self.vectors.label
            except IndexUnavailable as problem:
                log.info("exact search answers: %s", problem)
        return self.exact.nearest(embedder.name, kind, where, vector, limit), self.exact.label

    def _too_large(self, embedder: str, kind: str, where: SearchFilter) -> bool:
        """Whether exact search would compare more vectors than it is fast with."""
        counted_at, rows = self._counted.get((embedder, kind, where), (float("-inf"), 0))
        if time.monotonic() - counted_at > COUNTED_S:
            rows = self.exact.count(embedder, kind, where, self.exact_rows + 1)
            if len(self._counted) >= COUNTS:
                self._counted.clear()
            if rows >= MANY_ROWS:
                self._counted[embedder, kind, where] = time.monotonic(), rows
        return rows > self.exact_rows

    def close(self) -> None:
        self._ringing.shutdown(wait=True, cancel_futures=True)
        self.bell.close()
        self.shared.close()
        self.models.close()
        self.db.close()
        if self.settings.vault:
            self.settings.vault.close()
        if self.tracer:
            spans.use(None)
            self.tracer.close()
        if self.lock:
            self.lock.close()

    def _ring(self, job_id: str) -> None:
        try:
            self.bell.ring(job_id)
        except Exception:  # any queue's own error: the sweep finds the job, and the log says why it came late
            log.exception("the bell for job %s failed", job_id)
        finally:
            self._rings.release()


class ClosedIndex:
    """Stands for the worker's own index until it is open: its module alone takes seconds to load, and files can be read meanwhile."""

    label = "Chroma"

    def __init__(self, state: str = "it is being opened"):
        self.state = state

    def nearest(self, *_: Any) -> list[Hit]:
        raise IndexUnavailable(f"The vector index is not used: {self.state}.")

    upsert = delete = indexes = nearest


def read_settings(environ: Mapping[str, str], folder: Path = Path()) -> Settings:
    """config.from_env, with the secrets that it refers to fetched from Vault. Raises Misconfigured."""
    return from_env(environ, folder, _vault)


def open_services(settings: Settings, role: str, half_moved: bool = False) -> Services:
    """Opens what a process of this role works with. role: app, worker or cli. half_moved: for the move itself.

    Raises Misconfigured when a folder, the database, a second process or a move that broke off stands in the way.
    """
    _make_folders(settings)
    lock = None if role == "cli" else _lock(settings, role, wait_s=WORKER_HANDOVER_S if role == "worker" else 0.0)
    db = open_database(settings, checkpoints=role == "app")
    if get_fact(db, MOVING) is not None and not half_moved:
        db.close()
        if lock:
            lock.close()
        raise Misconfigured("A move into this database broke off, and it holds a part only. Run `move` again, with the old DATABASE_URL set.")
    db.append_only(AUDIT)
    privacy.make_key(db)
    services = Services(
        settings=settings,
        db=db,
        words=_words(settings, db),
        exact=_exact(db),
        vectors=_vectors(settings, role),
        models=_models(settings),
        builtin=_builtin(),
        bell=_bell(settings),
        shared=_shared(settings),
        lock=lock,
        exact_rows=EXACT_ROWS if settings.vectors in ("auto", "exact") else 0,
    )
    services.models.start()
    if settings.vault and role != "cli":
        settings.vault.keep()
    if settings.spans_url and role != "cli":
        services.tracer = _tracer(settings, role)
        spans.use(services.tracer)
    return services


def _make_folders(settings: Settings) -> None:
    try:
        for folder in (settings.data_dir, settings.files_dir):
            folder.mkdir(parents=True, exist_ok=True)
        if not os.access(settings.data_dir, os.W_OK | os.X_OK):
            raise PermissionError("permission denied")
    except OSError as problem:
        raise Misconfigured(f"The folder {settings.data_dir} cannot be written to ({problem}). Check its permissions, or set DATA_DIR.") from problem


def _lock(settings: Settings, role: str, wait_s: float) -> IO:
    """Held while this app, or this worker, lives: two of a kind on one data folder would each believe that they own its replies, or its jobs."""
    lock = open(settings.sqlite_path.with_name(f"{settings.sqlite_path.name}.{role}.lock"), "a")
    ends = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError as problem:
            if time.monotonic() >= ends:
                lock.close()
                who = "Mai-Sale" if role == "app" else "worker"
                words = f"Another {who} already runs on {settings.sqlite_path.parent}."
                raise Misconfigured(f"{words} Stop it first, or set DATA_DIR to another folder.") from problem
        time.sleep(0.05)


def process_lives(settings: Settings, role: str) -> bool:
    """Whether an app, or a worker, runs on this folder: it holds the lock."""
    try:
        with open(settings.sqlite_path.with_name(f"{settings.sqlite_path.name}.{role}.lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def open_index(settings: Settings) -> KeptIndex:
    """The index as its keeper has it, still closed. Raises Misconfigured when another process has Chroma's folder, or the server no pgvector."""
    if settings.index == "pgvector":
        from maisale.backends.pgvector import PgVectorIndex

        return PgVectorIndex(settings.database_url)
    from maisale.backends.chroma import ChromaIndex

    if settings.on_chroma_server:
        from maisale.backends.chroma_server import ChromaServer

        return ChromaIndex(ChromaServer(settings.chroma_path))
    from maisale.backends.chroma_folder import ChromaFolder

    return ChromaIndex(ChromaFolder(settings.chroma_dir))


def serve_index(settings: Settings, index: KeptIndex) -> Any:
    """The socket by which other processes ask `index`, until its close(). pgvector needs none: every process asks the server."""
    if settings.index == "pgvector":
        return ExitStack()
    from maisale.backends.index_socket import IndexServer

    return IndexServer(settings, index)


def patient_index(settings: Settings, wait_s: float) -> Any:
    """The index for a caller that has time: a VectorIndex with health(). wait_s: for an answer, of the worker or of the Postgres server."""
    if settings.index == "pgvector":
        from maisale.backends.pgvector import PgVectorIndex

        return PgVectorIndex(settings.database_url, wait_s)
    from maisale.backends.index_socket import WorkerIndex

    return WorkerIndex(settings, wait_s)


def _tracer(settings: Settings, process: str) -> spans.Tracer:
    from maisale.backends.telemetry import OTLPTracer

    return OTLPTracer(settings.spans_url, process, settings.spans_headers)


def _vault(access: VaultAccess) -> Vault:
    from maisale.backends.vault import VaultKV

    return VaultKV(access)


def open_database(settings: Settings, checkpoints: bool = False) -> Database:
    """The database alone, migrated. checkpoints: whether this process moves SQLite's log into its file. Raises Misconfigured."""
    if settings.on_postgres:
        from maisale.backends.postgres import PostgresDatabase

        return PostgresDatabase(settings.database_url, MIGRATIONS, settings.sql_pool)
    from maisale.backends.sqlite import SQLiteDatabase

    return SQLiteDatabase(settings.sqlite_path, MIGRATIONS, checkpoints)


def _words(settings: Settings, db: Database) -> LexicalIndex:
    if settings.on_postgres:
        from maisale.backends.postgres_words import PostgresWords

        return PostgresWords(db)
    from maisale.backends.fts5 import FTS5Index

    return FTS5Index(db)


def _exact(db: Database) -> CompleteIndex:
    from maisale.backends.exact import ExactIndex

    return ExactIndex(db)


def _vectors(settings: Settings, role: str) -> VectorIndex | None:
    if settings.index == "exact":
        return None
    if role == "worker":
        return ClosedIndex()
    if settings.index == "pgvector":
        return open_index(settings)
    from maisale.backends.index_socket import WorkerIndex

    return WorkerIndex(settings)


def _models(settings: Settings) -> Any:
    from maisale.backends.ollama import OllamaServers

    return OllamaServers(settings)


def _builtin() -> Embedder:
    from maisale.backends.builtin import HashEmbedder

    return HashEmbedder()


def _bell(settings: Settings) -> Bell:
    from maisale.bell import HueyBell

    return HueyBell(settings)


def _shared(settings: Settings) -> Shared:
    from maisale.backends.alone import Alone

    alone = Alone(settings.data_dir)
    if not settings.redis_url:
        return alone
    from maisale.backends.redis import RedisShared

    return RedisShared(settings.redis_url, alone.locks)
