"""What the worker's hands do when bell.py's bell rings. What is to be done, and how often it was tried, is in the table `jobs`.

Whoever is free takes the most urgent job, people's before bulk, and bulk
never takes the last free hand.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from maisale.contracts import Transaction
from maisale.errors import MaiSaleError
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.records import Job
from maisale.services import Services
from maisale.spans import span
from maisale.store import conversations, jobs

log = logging.getLogger(__name__)

SWEEP_S = 5.0
TOGETHER = {"embed_message": 32, "embed_document": 32, "read_document": 8}  # messages, or small documents, that are done at once
PRUNE_S = 3600.0  # between two looks for jobs that ended long ago
PRUNED = 500  # removed in one transaction
CROWD = 20  # people who wait for an answer, from which on documents and messages make way
QUIET_S = 2.0  # without a crowd, until it is over: who asked at once often asks at once again
WAY_S = 5.0  # that one makes way at most; a crowd without an end must not keep it for ever
MAKE_WAY = (*jobs.OF_DOCUMENTS, "embed_message")  # what was said lately an answer reads without any index
LOOK_AT = 8  # due jobs of which the first free one is claimed


class Work:
    """The worker's hands: takes jobs when it is rung, for as long as there are any. hands: how many threads call `take`.

    leads: whether this is the one worker of all that tends the embedders.
    """

    def __init__(self, services: Services, embedders: Embedders, hands: int, stopping: threading.Event, leads: Callable[[], bool] = lambda: True):
        self._services = services
        self._embedders = embedders
        self._indexing = Indexing(services, embedders, stopping)
        self._stopping = stopping
        self._hands = hands
        self._leads = leads
        self._bulk_room = threading.BoundedSemaphore(max(1, hands - 1))
        self._doing: dict[str, Job] = {}
        self._pruned_at = self._crowd_at = float("-inf")
        self._unstored: dict[str, Job] = {}  # done or not, their end could not be written

    def take(self, job_id: str) -> None:
        """Does this job if it is free, and then whatever else is due."""
        ids: Sequence[str] = [job_id]
        while not self._stopping.is_set() and self._one_of(ids):
            ids = jobs.due(self._services.db, LOOK_AT)

    def sweep(self) -> None:
        """Rings for jobs that are due, ends those over which workers died, removes old ones, and tends the embedders. Called every SWEEP_S and at the start."""
        db = self._services.db
        self._free_unstored()
        if doing := list(self._doing):
            db.write(lambda tx: jobs.keep(tx, doing))
        if jobs.to_bury(db):
            db.write(self._bury)
        if not self._services.bell.waiting():
            for job_id in jobs.due(db, self._hands):
                self._services.wake(job_id)
        if self._leads():
            self._embedders.tend()
        if time.monotonic() - self._pruned_at > PRUNE_S:
            self._pruned_at = time.monotonic()
            while db.write(lambda tx: jobs.prune(tx, PRUNED), bulk=True) == PRUNED and not self._stopping.is_set():
                pass

    def go_on(self) -> None:
        """The vector index takes vectors: jobs that waited for it need not wait any longer."""
        jobs.hurry(self._services.db, ("embed_document", "embed_message", "remove_vectors"))
        self.sweep()

    def put_back(self) -> None:
        """What is still being done when the worker ends is free at once for the next one, and no crash of its own."""
        for job in list(self._doing.values()):
            self._services.db.write(lambda tx, job=job: jobs.put_back(tx, job, "The worker ended; the next one goes on.", wait_s=0.0))
        self._indexing.close()

    def _one_of(self, ids: Sequence[str]) -> bool:
        """Claims the first free one of these jobs and does it. Returns whether there was one."""
        bulk_too = self._bulk_room.acquire(blocking=False)
        job = None
        try:
            lanes = jobs.LANES if bulk_too else jobs.LANES[:1]
            job = next((claimed for job_id in ids if (claimed := jobs.claim(self._services.db, job_id, lanes))), None)
        finally:
            if bulk_too and (job is None or job.lane != "bulk"):
                self._bulk_room.release()
        if job is None:
            return False
        taken = [job]
        self._doing[job.id] = job
        try:
            if job.kind in MAKE_WAY:
                self._make_way()
            taken += self._alike(job)  # those that came meanwhile too
            self._doing |= {one.id: one for one in taken}
            with span("job", **{"maisale.kind": job.kind, "maisale.lane": job.lane, "maisale.jobs": len(taken), "maisale.attempt": job.attempts}):
                if len(taken) > 1:
                    self._indexing.do_together(taken)
                else:
                    self._indexing.do(job)
        except MaiSaleError as problem:  # the database refused to write how it ended, or to say what waits
            log.error("job %s has no end yet: %s", job.id, problem)
            self._unstored |= {one.id: one for one in taken}
        finally:
            for one in taken:
                self._doing.pop(one.id, None)
            if job.lane == "bulk":
                self._bulk_room.release()
        return True

    def _make_way(self) -> None:
        """While a crowd waits for answers: reading and embedding takes the processors that decide them."""
        ends = time.monotonic() + WAY_S
        while (now := time.monotonic()) < ends:
            if conversations.waiting(self._services.db) >= CROWD:
                self._crowd_at = now
            if now - self._crowd_at > QUIET_S or self._stopping.wait(0.2):
                return

    def _free_unstored(self) -> None:
        """A disk that was full has room again: what could not be ended need not wait for its lease to pass."""
        for job in list(self._unstored.values()):
            self._services.db.write(lambda tx, job=job: jobs.put_back(tx, job, "The database refused to write; it is done again.", wait_s=0.0))
            self._unstored.pop(job.id, None)

    def _alike(self, job: Job) -> list[Job]:
        """Messages, or small documents, that wait with this one: alone each costs several commits, and a vector a write to the index, which a crowd feels."""
        if job.kind not in TOGETHER or job.payload or job.attempts > 1 or jobs.crashed(self._services.db, job):
            return []
        if job.kind in jobs.OF_DOCUMENTS and not jobs.small(self._services.db, job):
            return []
        # A model takes a second for each passage: the first document need not wait for the last.
        if job.kind == "embed_document" and not self._indexing.wait_for_no_model():
            return []
        return jobs.claim_alike(self._services.db, job, TOGETHER[job.kind] - 1)

    def _bury(self, tx: Transaction) -> None:
        for job in jobs.bury(tx):
            log.error("%s %s is given up: %s", job.kind, job.subject_id, job.cause)
            self._indexing.give_up(tx, job, job.cause)
