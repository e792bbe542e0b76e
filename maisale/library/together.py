"""Many short messages, or many small documents, embedded at once: alone each costs several commits and a write to the vector index.

All or nothing: whoever calls does them one by one when this raises. Only what was never tried before is done so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby

from maisale.contracts import Transaction
from maisale.errors import ModelFailed, ModelUnavailable
from maisale.library.embedding import BATCH, Embedding
from maisale.library.interruptions import GoOn
from maisale.library.passages import slices
from maisale.records import Chunk, Job
from maisale.services import Services
from maisale.store import chunks, jobs


class Together:
    """For several threads at once, each with jobs of its own kind."""

    def __init__(self, services: Services, embedding: Embedding, stopping: threading.Event):
        self._services, self._embedding, self._stopping = services, embedding, stopping

    def embed(self, taken: Sequence[Job], names: Sequence[str], look: Callable[[Job], None], end: Callable[[Transaction, Job], None]) -> None:
        """Vectors of these embedders for every subject, in SQL and in the index. look: at each subject before its end. end: of each, in one transaction.

        Raises ModelUnavailable, ModelFailed, Cancelled, Stopping, IndexUnavailable, and whatever `look` raises.
        """
        db = self._services.db
        indexed = [mark for name in names for mark in self._embed(taken, name)]
        for job in taken:
            look(job)

        def finish(tx: Transaction) -> None:
            for name, keys, read_at in indexed:
                chunks.mark_indexed(tx, name, keys, read_at)
            for job in taken:
                end(tx, job)
                jobs.finish(tx, job)

        db.write(finish, bulk=taken[0].lane == "bulk")

    def _embed(self, taken: Sequence[Job], name: str) -> list[tuple[str, list[str], float]]:
        """Returns what the index holds now: (embedder, keys, when their vectors were read)."""
        db = self._services.db
        if (embedder := self._services.embedder_named(name)) is None:
            raise ModelUnavailable(f"The embedding model {name} is away.")
        lacking = [chunk for job in taken for chunk in chunks.missing_vectors(db, job.subject_id, name)]
        for _, group in groupby(sorted(lacking, key=_tenant), key=_tenant):
            for batch in slices(list(group), BATCH):
                GoOn(db, taken[0], self._stopping)()
                vectors, refused = self._embedding.vectors_once(embedder, batch)
                if refused:
                    raise ModelFailed(f"{name} takes {len(refused)} of {len(batch)} passages not.")
                db.write(lambda tx, vectors=vectors: chunks.save_vectors(tx, name, vectors), bulk=True)
        read_at, indexed = time.time(), []
        waiting = sorted((one for job in taken for one in chunks.unindexed_vectors(db, name, job.subject_id)), key=lambda one: one[:2])
        for (tenant_id, kind), group in groupby(waiting, key=lambda one: one[:2]):
            rows = [row for _, _, row in group]
            if self._services.vectors is not None:
                self._embedding.write_index(self._services.vectors, tenant_id, name, kind, rows)
            indexed.append((name, [row.key for row in rows], read_at))
        return indexed


def _tenant(chunk: Chunk) -> str:
    return chunk.tenant_id
