"""What ends a job before its end: the worker stops, or somebody cancelled it. Asked between the steps of long work."""

from __future__ import annotations

import threading

from maisale.contracts import Database
from maisale.errors import MaiSaleError
from maisale.records import Job
from maisale.store import jobs


class Stopping(MaiSaleError):
    """The worker is ending; the job goes on in the next one."""


class Cancelled(MaiSaleError):
    """Nobody wants the job any more: it was cancelled, or its subject deleted."""


class GoOn:
    """Called without arguments it returns, or raises Stopping or Cancelled."""

    def __init__(self, db: Database, job: Job, stopping: threading.Event):
        self._db, self._job, self._stopping = db, job, stopping

    def __call__(self) -> None:
        if self._stopping.is_set():
            raise Stopping("The worker is ending; the next one goes on.")
        if not jobs.wanted(self._db, self._job):
            raise Cancelled("It was cancelled.")
