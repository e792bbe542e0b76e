"""What each job does: a file to passages, passages to words and vectors, vectors to the index. Every step may be repeated and doubles nothing.

A text that no embedder takes stays searchable by words, and its document says so. A model or an index that is away puts the job back and costs no
attempt; a wrong answer costs one. How jobs are remembered is store/jobs.py's, when they run tasks.py's.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from maisale.contracts import Embedder, KeptIndex, Transaction
from maisale.errors import IndexUnavailable, MaiSaleError, ModelFailed, ModelUnavailable, StorageFailed, Unreadable
from maisale.library.chunking import Piece, chunk_text
from maisale.library.embedders import Embedders
from maisale.library.messages import write_message
from maisale.library.passages import SLICE, Passages, slices
from maisale.library.reader_process import Reader
from maisale.records import Chunk, Job, VectorRow
from maisale.services import Services
from maisale.store import chunks, documents, jobs
from maisale.text import indexed_text

log = logging.getLogger(__name__)

BATCH = 32  # texts given to an embedder at once, between two looks at whether to stop
PLAIN = "word"
READ_BACK = 8  # vectors of a document that are searched for after it was indexed


class Stopping(MaiSaleError):
    """The worker is ending; the job goes on in the next one."""


class Indexing:
    """Does jobs. For several threads at once."""

    def __init__(self, services: Services, embedders: Embedders, stopping: threading.Event | None = None):
        self._services = services
        self._embedders = embedders
        self._stopping = stopping or threading.Event()
        self._reader = Reader()
        self._passages = Passages(services)
        self._kinds: dict[str, Callable[[Job], None]] = {
            "read_document": self._read_document,
            "embed_document": self._embed_document,
            "embed_message": self._embed_message,
            "remove_vectors": self._remove_vectors,
        }

    def close(self) -> None:
        self._reader.close()

    def do(self, job: Job) -> None:
        """Does a claimed job and writes down how it ended. Raises only StorageFailed, when that cannot be written."""
        db, bulk = self._services.db, job.lane == "bulk"
        try:
            self._kinds[job.kind](job)
        except Stopping as problem:
            cause = str(problem)
            db.write(lambda tx: jobs.put_back(tx, job, cause, wait_s=0.0), bulk=bulk)
        except (ModelUnavailable, IndexUnavailable, StorageFailed) as problem:
            log.info("%s %s waits: %s", job.kind, job.subject_id, problem)
            cause = str(problem)
            wait_s = jobs.PAUSE_S if isinstance(problem, ModelUnavailable) and not self._embedders.well() else jobs.AWAY_S
            db.write(lambda tx: jobs.put_back(tx, job, cause, wait_s), bulk=bulk)
        except Exception as problem:  # recorded as the job's cause; another of its kind may go well
            cause = str(problem) if isinstance(problem, MaiSaleError) else f"The worker met an error of its own ({type(problem).__name__})."
            # Without the exception's text, which may quote the document.
            log.error("%s %s failed (%s):\n%s", job.kind, job.subject_id, type(problem).__name__, "".join(traceback.format_tb(problem.__traceback__)))
            db.write(lambda tx: jobs.fail(tx, job, cause) and self.give_up(tx, job, cause), bulk=bulk)
        else:
            db.write(lambda tx: jobs.finish(tx, job), bulk=bulk)

    def do_together(self, taken: Sequence[Job]) -> None:
        """Does claimed jobs about messages, none of which was tried before: one by one when they cannot be done together."""
        if len(taken) > 1:
            try:
                return self._embed_messages(taken)
            except Exception as problem:  # one by one each gets its own end, and its own cause
                log.info("%d messages are done one by one: %s", len(taken), type(problem).__name__)
        for job in taken:
            self.do(job)

    def give_up(self, tx: Transaction, job: Job, cause: str) -> None:
        """Tells the subject of a dead job what became of it: what cannot be read has failed, what has no vectors is still found by words."""
        row = documents.document_row(tx, job.subject_id)
        if row and job.kind == "read_document":
            documents.set_stage(tx, job.subject_id, "failed", cause=cause)
        elif row and job.kind == "embed_document" and row["stage"] == "searchable":
            documents.set_stage(tx, job.subject_id, "searchable", cause=f"It is found by words only. {cause}")

    # Passages

    def _read_document(self, job: Job) -> None:
        row = documents.document_row(self._services.db, job.subject_id)
        if row is None:
            return
        path = self._services.settings.files_dir / row["id"]
        try:
            if not path.is_file():
                raise Unreadable(f"The file of {row['title']} is gone from the server. Add it again.")
            pieces = chunk_text(self._reader.read(path, row["title"]))
        except Unreadable as problem:
            self._fail(job, str(problem))
            return
        self._passages.replace(job, row["owner_id"], document_chunks(row, pieces))

    def _fail(self, job: Job, cause: str) -> None:
        """The document has failed for good; passages of an earlier version must not answer for it."""
        old = chunks.chunks_of(self._services.db, job.subject_id)

        def work(tx: Transaction) -> None:
            documents.set_stage(tx, job.subject_id, "failed", cause=cause, chunks=0)
            self._passages.remove(tx, old)
            if old:
                payload = {"tenant_id": old[0].tenant_id, "kind": "documents", "keys": [chunk.key for chunk in old]}
                jobs.add(tx, job.tenant_id, "remove_vectors", job.subject_id, "bulk", payload)

        self._services.db.write(work, bulk=job.lane == "bulk")

    # Vectors

    def _embed_message(self, job: Job) -> None:
        self._services.db.write(lambda tx: write_message(tx, self._services.words, job.subject_id), bulk=job.lane == "bulk")
        self._embed(job)

    def _embed_messages(self, taken: Sequence[Job]) -> None:
        """All of them, and their end, in a few transactions. Raises when anything is in the way of one."""
        db, bulk = self._services.db, taken[0].lane == "bulk"
        db.write(lambda tx: [write_message(tx, self._services.words, job.subject_id) for job in taken], bulk=bulk)
        indexed: list[tuple[str, list[str], float]] = []
        for name in self._embedders.wanted():
            if (embedder := self._services.embedder_named(name)) is None:
                raise ModelUnavailable(f"The embedding model {name} is away.")
            lacking = [chunk for job in taken for chunk in chunks.missing_vectors(db, job.subject_id, name)]
            for _, group in groupby(sorted(lacking, key=lambda chunk: chunk.tenant_id), key=lambda chunk: chunk.tenant_id):
                for batch in slices(list(group), BATCH):
                    self._go_on()
                    vectors, refused = self._vectors_once(embedder, batch)
                    if refused:
                        raise ModelFailed(f"{name} takes {len(refused)} of {len(batch)} messages not.")
                    db.write(lambda tx, name=name, vectors=vectors: chunks.save_vectors(tx, name, vectors), bulk=True)
            read_at = time.time()
            waiting = sorted((one for job in taken for one in chunks.unindexed_vectors(db, name, job.subject_id)), key=lambda one: one[:2])
            for (tenant_id, kind), group in groupby(waiting, key=lambda one: one[:2]):
                rows = [row for _, _, row in group]
                if self._services.vectors is not None:
                    self._write_index(self._services.vectors, tenant_id, name, kind, rows)
                indexed.append((name, [row.key for row in rows], read_at))

        def end(tx: Transaction) -> None:
            for name, keys, read_at in indexed:
                chunks.mark_indexed(tx, name, keys, read_at)
            for job in taken:
                jobs.finish(tx, job)

        db.write(end, bulk=bulk)

    def _embed_document(self, job: Job) -> None:
        self._passages.clear_aside(job)
        refused = self._embed(job)
        if not job.payload:  # a build beside changes nothing that people see
            self._services.db.write(lambda tx: _complete(tx, job.subject_id, refused), bulk=job.lane == "bulk")

    def _embed(self, job: Job) -> list[Chunk]:
        """Vectors of every embedder that wants them, in SQL and in the index; returns the chunks that an embedder refused."""
        names = [job.payload["build"]] if job.payload else self._embedders.wanted()
        found = {name: self._services.embedder_named(name) for name in names}
        refused = [chunk for embedder in found.values() if embedder for chunk in self._embed_with(embedder, job)]
        if away := [name for name, embedder in found.items() if embedder is None]:
            raise ModelUnavailable(f"The embedding model {away[0]} is away.")
        return refused

    def _embed_with(self, embedder: Embedder, job: Job) -> list[Chunk]:
        refused: list[Chunk] = []
        for batch in slices(chunks.missing_vectors(self._services.db, job.subject_id, embedder.name), BATCH):
            self._go_on()
            vectors, failed = self._vectors_once(embedder, batch)
            refused += failed

            def keep(tx: Transaction, vectors: Sequence[tuple[Chunk, np.ndarray]] = vectors) -> None:
                chunks.save_vectors(tx, embedder.name, vectors)
                jobs.renew(tx, job)

            self._services.db.write(keep, bulk=True)
        self._index(embedder.name, job)
        return refused

    def _vectors_once(self, embedder: Embedder, batch: Sequence[Chunk]) -> tuple[list[tuple[Chunk, np.ndarray]], list[Chunk]]:
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
                    self._go_on()
                    self._write_index(index, tenant_id, embedder, kind, batch)
                keys = [row.key for row in batch]

                def mark(tx: Transaction, keys: Sequence[str] = keys) -> None:
                    chunks.mark_indexed(tx, embedder, keys, read_at)
                    jobs.renew(tx, job)

                db.write(mark, bulk=True)

    def _write_index(self, index: KeptIndex, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> None:
        index.upsert(tenant_id, embedder, kind, rows)
        sample = rows[:: max(1, len(rows) // READ_BACK)]
        if index.lost(tenant_id, embedder, kind, sample):
            index.upsert(tenant_id, embedder, kind, rows)
            if lost := index.lost(tenant_id, embedder, kind, sample):
                raise ModelFailed(f"The vector index took {len(rows)} passages and does not find {len(lost)} of them again.")
        there = chunks.existing(self._services.db, "vectors", [row.key for row in rows])
        if gone := [row.key for row in rows if row.key not in there]:  # deleted while they were on their way
            index.delete(tenant_id, embedder, kind, gone)

    def _remove_vectors(self, job: Job) -> None:
        """Takes deleted chunks out of the index of every embedder; one that was made again meanwhile stays."""
        index, gone = self._services.vectors, job.payload
        if index is None:
            return
        there = chunks.existing(self._services.db, "chunks", gone["keys"])
        keys = [key for key in gone["keys"] if key not in there]
        for tenant_id, embedder, kind in index.indexes():
            if (tenant_id, kind) == (gone["tenant_id"], gone["kind"]):
                index.delete(tenant_id, embedder, kind, keys)

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise Stopping("The worker is ending; the next one goes on.")


def document_chunks(row: Mapping[str, Any], pieces: Sequence[Piece]) -> list[Chunk]:
    """The chunks of a document. row: of the table documents."""
    title = _title_of(pieces) or row["title"]
    return [
        Chunk(
            key=f"{row['id']}#chunk_{piece.position}",
            tenant_id=row["tenant_id"],
            collection_id=row["collection_id"],
            title=title,
            text=piece.text,
            position=piece.position,
            tokens=piece.tokens,
            dated_at=row["modified_at"] or row["received_at"],
            document_id=row["id"],
            conversation_id=row["conversation_id"],
            heading=piece.heading,
            place=" · ".join(filter(None, [row["title"] if title != row["title"] else "", piece.place])),
        )
        for piece in pieces
    ]


def _vectors(embedder: Embedder, batch: Sequence[Chunk]) -> tuple[list[tuple[Chunk, np.ndarray]], list[Chunk]]:
    """The vectors of `batch`, and the chunks that the embedder refuses: one of them does not cost the others theirs.

    Raises ModelFailed when it refuses everything: then the job is tried again, and its texts are none that no embedder takes.
    """
    left, refused = list(batch), []
    while left:
        try:
            rows = embedder.vectors([indexed_text(chunk.title, chunk.heading, chunk.text) for chunk in left])
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
        embedder.vectors([PLAIN])
    except ModelFailed:
        return True
    return False


def _title_of(pieces: Sequence[Piece]) -> str:
    """The document's own title: the one heading that everything in it stands below."""
    roots = {piece.heading.split(" > ")[0] for piece in pieces}
    return roots.pop() if len(roots) == 1 else ""


def _complete(tx: Transaction, document_id: str, refused: Sequence[Chunk]) -> None:
    """Vectors find the document too, or it says which of its passages only words find."""
    row = documents.document_row(tx, document_id)
    if row is None or row["stage"] not in ("searchable", "complete"):
        return  # deleted, or being read anew
    if not refused:
        documents.set_stage(tx, document_id, "complete")
        return
    first = refused[0].position + 1
    which = f"Passage {first} is" if len(refused) == 1 else f"{len(refused)} passages, the first of them passage {first}, are"
    documents.set_stage(tx, document_id, "searchable", cause=f"{which} found by words only: the embedding model gives no vector for the text.")
