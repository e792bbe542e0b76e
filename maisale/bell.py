"""The bell of background work: Huey's queue with job ids on it. What a ring starts is tasks.py's; what is to be done is in the table `jobs`.

A ring may be lost, doubled or late: a sweep finds every job that waits.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from huey.api import Huey, TaskWrapper
from huey.storage import SqliteStorage

from maisale.config import Settings
from maisale.errors import StorageFailed

log = logging.getLogger(__name__)

COMPACT_S = 10.0  # how long others may have the queue meanwhile


class Hands(Protocol):
    """Who does jobs: tasks.Work."""

    def take(self, job_id: str) -> None: ...


class _LazyStorage(SqliteStorage):
    """Opens its file, and makes the folder, when it is first used. A damaged file is replaced: it holds nothing that is not in `jobs`."""

    def __init__(self, name: str, path_of: Callable[[], Path], **options: Any):
        self._path_of = path_of
        super().__init__(name, filename="", create_tables=False, **options)

    def _create_connection(self) -> sqlite3.Connection:
        path = self._path_of()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.filename = str(path)
        try:
            return self._with_tables()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as problem:
            log.warning("%s is damaged (%s) and is made anew", path, problem)
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
            return self._with_tables()

    def _with_tables(self) -> sqlite3.Connection:
        connection = super()._create_connection()
        for statement in self.ddl:
            connection.execute(statement)
        return connection


def make_huey(read_settings: Callable[[], Settings], kind: type[Huey] = Huey) -> Huey:
    """The queue in huey.db of the data folder. Nothing is opened before the first use."""
    # No fsync: a ring lost with the power is found by the sweep. No results: the end of a job is in `jobs`.
    return kind("maisale", results=False, storage_class=_LazyStorage, path_of=lambda: read_settings().data_dir / "huey.db", fsync=False)


def register(huey: Huey, current: Callable[[], Hands]) -> TaskWrapper:
    """The one task, on `huey`. current: the running process's Work; asked when a task runs."""

    def run_job(job_id: str) -> None:
        current().take(job_id)

    run_job.__module__ = __name__  # the same name for who rings and who works
    return huey.task(retries=0)(run_job)  # the table alone counts attempts


class HueyBell:
    """services.Bell: tells whichever worker listens that a job waits."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._huey = make_huey(lambda: settings)
        self._run_job = register(self._huey, _nobody)

    def ring(self, job_id: str) -> None:
        self._huey.enqueue(self._run_job.s(job_id))

    def waiting(self) -> int:
        """How many rings nobody has heard yet."""
        return self._huey.pending_count()

    def compact(self) -> None:
        """Writes the queue's file anew: it keeps rings that were heard. Raises StorageFailed."""
        path = self._settings.data_dir / "huey.db"
        if not path.exists():
            return
        connection = sqlite3.connect(path, timeout=COMPACT_S, isolation_level=None)
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as problem:
            raise StorageFailed(f"{path} could not be written anew ({problem}). It is tried again.") from problem
        finally:
            connection.close()

    def close(self) -> None:
        self._huey.storage.close()


def _nobody() -> Hands:
    raise RuntimeError("this process rings the bell; jobs are done by the worker")
