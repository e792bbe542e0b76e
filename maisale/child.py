"""The app's worker as a child process: started, started again when it dies, and ended with the app, however the app ends."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import maisale
from maisale.config import Settings
from maisale.services import process_lives

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5  # before a dead worker is started again; doubled while it does not live for WELL_S
LONGEST_PAUSE_S = 30.0
WELL_S = 60.0
END_S = 9.0  # a worker finishes its jobs within 7 s


class WorkerProcess:
    """One worker, kept alive between `start` and `stop`. Its standard input is a pipe of ours: when we are gone, it ends."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._process: subprocess.Popen | None = None
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="worker-watcher", daemon=True)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._process = self._spawn()
        self._watcher.start()

    def stop(self, wait_s: float = END_S) -> None:
        """Lets the worker finish, for `wait_s` at most."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        if not self.alive:
            return
        self._process.terminate()
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            log.warning("the worker did not end within %.0f s and is killed; its jobs stay", wait_s)
            self._process.kill()
            self._process.wait()
        self._process.stdin.close()

    def _watch(self) -> None:
        pause_s, born = FIRST_PAUSE_S, time.monotonic()
        while not self._stopping.wait(0.1):
            if self.alive:
                continue
            pause_s = FIRST_PAUSE_S if time.monotonic() - born > WELL_S else pause_s
            log.warning("the worker ended with %s; it starts again in %.1f s", self._process.returncode, pause_s)
            self._process.stdin.close()
            if self._stopping.wait(pause_s):
                return
            pause_s, born = min(2 * pause_s, LONGEST_PAUSE_S), time.monotonic()
            self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-m", "maisale.worker"], stdin=subprocess.PIPE, env=environment(self._settings))


def worker_lives(settings: Settings) -> bool:
    """Whether any worker runs on this folder: it holds the lock."""
    return process_lives(settings, "worker")


def environment(settings: Settings) -> dict[str, str]:
    """The settings as the worker reads them, whatever they were made from; without the keys of the admin and of /metrics, which it does not need.

    What is kept apart in a file or in Vault stays there: the worker gets the reference and fetches it itself.
    """
    package = str(Path(maisale.__file__).resolve().parent.parent)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("X_API_KEY_ADMIN", "METRICS_KEY"))}
    given = {
        "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
        "DATA_DIR": str(settings.data_dir.resolve()),
        "DATABASE_URL": settings.database_url,
        "SQL_POOL": str(settings.sql_pool),
        "FILES_DIR": settings.files_folder and str(settings.files_dir.resolve()),
        "REDIS_URL": settings.redis_url,
        "CHROMA_PATH": settings.chroma_path,
        "OLLAMA_HOST": ",".join(settings.ollama_urls),
        "OLLAMA_CA": settings.ollama_ca and str(Path(settings.ollama_ca).resolve()),
        "OLLAMA_CERT": settings.ollama_cert and str(Path(settings.ollama_cert).resolve()),
        "OLLAMA_KEY": settings.ollama_key and str(Path(settings.ollama_key).resolve()),
        "GENERATION_MODEL": settings.generation_model,
        "EMBEDDING_MODEL": settings.embedding_model,
        "VECTORS": settings.vectors,
        "NUM_CTX": str(settings.num_ctx),
        "RETRIEVAL_CANDIDATES": str(settings.retrieval_candidates),
        "RETRIEVAL_K": str(settings.retrieval_k),
        "RETRIEVAL_K_MAX": str(settings.retrieval_k_max),
        "WORKERS": str(settings.workers),
        "EMBED_CONCURRENCY": str(settings.embed_concurrency),
        "BACKUP_DIR": settings.backup_dir and str(Path(settings.backup_dir).resolve()),
        "BACKUP_HOURS": str(settings.backup_hours),
        "BACKUP_KEEP": str(settings.backup_keep),
        "ERASE_HOURS": str(settings.erase_hours),
    }
    given = {name: value for name, value in given.items() if (name, value) not in settings.kept_apart}
    return {**{name: value for name, value in inherited.items() if name.removesuffix("_FILE") not in given}, **given}
