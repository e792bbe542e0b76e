"""The vectors of passages: made by an embedder in batches, kept in SQL, brought into the index and searched for there. The same text is embedded once.

Every step may be repeated; between two steps it is asked whether to go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from maisale.contracts import Embedder, KeptIndex, Transaction
from maisale.errors import ModelFailed, ModelUnavailable
from maisale.library.interruptions import GoOn
from maisale.library.passages import SLICE, slices
from maisale.library.read_back import not_held
from maisale.records import Chunk, Job, VectorRow
from maisale.redaction import vector_text
from maisale.services import Services
from maisale.store import chunks, jobs

log = logging.getLogger(__name__)

BATCH = 32  # texts given to the built-in embedder at once, between two looks at whether to go on
MODEL_BATCH = 8  # to a model, which may take a second for each
INDEX_EVERY_S = 2.0  # while a document is embedded: what the index holds counts as done
PLAIN_WORD = "word"  # that every embedder takes
READ_BACK = 8  # vectors that are searched for in each batch that the index took


class Embedding:
    """For several threads at once, each with a job of its own."""

    def __init__(self, services: Services, stopping: threading.Event):
        self._services, self._stopping = services, stopping

    def embed(self, job: Job, name: str) -> list[Chunk]:
        """Vectors of the embedder of this name, in SQL and in the index; returns the chunks that it refused. Raises ModelUnavailable, Cancelled, Stopping."""
        embedder, go_on, refused = self._services.embedder_named(name), GoOn(self._services.db, job, self._stopping), []
        if embedder is None:
            raise ModelUnavailable(f"The embedding model {name} is away.")
        at_once = BATCH if embedder is self._services.builtin else MODEL_BATCH
        indexed_at = time.monotonic()
        for batch in slices(chunks.missing_vectors(self._services.db, job.subject_id, name), at_once):
            go_on()
            vectors, failed = self.vectors_once(embedder, batch)
            refused += failed

            def keep(tx: Transaction, vectors: Sequence[tuple[Chunk, np.ndarray]] = vectors) -> None:
                if jobs.renew(tx, job):
                    chunks.save_vectors(tx, name, vectors)

            self._services.db.write(keep, bulk=True)
            if time.monotonic() - indexed_at > INDEX_EVERY_S:
                self._index(name, job)
                indexed_at = time.monotonic()
        self._index(name, job)
        return refused

    def vectors_once(self, embedder: Embedder, batch: Sequence[Chunk]) -> tuple[list[tuple[Chunk, np.ndarray]], list[Chunk]]:
        """The vectors of `batch` and the chunks that were refused. The same text, in the batch or in the tenant's library, is embedded once."""
        digests = {chunk.key: chunks.digest_of(chunk) for chunk in batch}
        known = chunks.known_vectors(self._services.db, embedder.name, batch[0].tenant_id, list(digests.values()))
        first = {digests[chunk.key]: chunk for chunk in reversed(batch) if digests[chunk.key] not in known}
        made, refused = _vectors(embedder, list(reversed(first.values())))
        known |= {digests[chunk.key]: vector for chunk, vector in made}
        lost = {digests[chunk.key] for chunk in refused}
        return [(chunk, known[digest]) for chunk in batch if (digest := digests[chunk.key]) in known], [one for one in batch if digests[one.key] in lost]

    def _index(self, embedder: str, job: Job) -> None:
        """Brings the subject's vectors into the index and reads some of them back by a search."""
        db, index, read_at = self._services.db, self._services.vectors, time.time()
        waiting = chunks.unindexed_vectors(db, embedder, job.subject_id)
        for (tenant_id, kind), group in groupby(waiting, key=lambda one: one[:2]):
            for batch in slices([row for _, _, row in group], SLICE):
                if index is not None:
                    GoOn(self._services.db, job, self._stopping)()
                    self.write_index(index, tenant_id, embedder, kind, batch)
                keys = [row.key for row in batch]

                def mark(tx: Transaction, keys: Sequence[str] = keys) -> None:
                    chunks.mark_indexed(tx, embedder, keys, read_at)
                    jobs.renew(tx, job)

                db.write(mark, bulk=True)

    def write_index(self, index: KeptIndex, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> None:
        index.upsert(tenant_id, embedder, kind, rows)
        # One of each document too: of small ones that came together this is the last look at their vectors.
        of_documents = {row.document_id: row for row in rows if row.document_id}
        sample = list({row.key: row for row in (*rows[:: max(1, len(rows) // READ_BACK)], *of_documents.values())}.values())
        if gone := not_held(index, (tenant_id, embedder, kind), sample, lambda: rows):
            raise ModelFailed(f"The vector index took {len(rows)} passages and does not hold {len(gone)} of them.")
        there = chunks.existing(self._services.db, "vectors", [row.key for row in rows])
        if gone := [row.key for row in rows if row.key not in there]:  # deleted while they were on their way
            index.delete(tenant_id, embedder, kind, gone)


def _vectors(embedder: Embedder, batch: Sequence[Chunk]) -> tuple[list[tuple[Chunk, np.ndarray]], list[Chunk]]:
    """The vectors of `batch`, and the chunks that the embedder refuses: one of them does not cost the others theirs.

    Raises ModelFailed when it refuses everything: then the job is tried again, and its texts are none that no embedder takes.
    """
    left, refused = list(batch), []
    while left:
        try:
            rows = embedder.vectors([vector_text(chunk) for chunk in left])
            return list(zip(left, rows, strict=True)), refused
        except ModelFailed as problem:
            if not problem.positions:
                raise
            if len(problem.positions) == len(left) and _takes_nothing(embedder):
                words = f"{embedder.name} gives no vector for any text. Look at its server's log; `jobs retry all` tries again what was given up."
                raise ModelFailed(words) from problem
            log.warning("%s gives no vector for %s", embedder.name, ", ".join(left[position].key for position in problem.positions))
            refused += [left[position] for position in problem.positions]
            left = [chunk for position, chunk in enumerate(left) if position not in problem.positions]
    return [], refused


def _takes_nothing(embedder: Embedder) -> bool:
    """Whether the embedder is ill, and not the text: it refuses a plain word too. What is tried again later then is found by vectors later."""
    try:
        embedder.vectors([PLAIN_WORD])
    except ModelFailed:
        return True
    return False
