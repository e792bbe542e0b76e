"""What each job does: a file to passages, passages to words and vectors, vectors to the index. Every step may be repeated and doubles nothing.

A text that no embedder takes stays searchable by words, its document says so, and its job is a dead letter at once. A model or an index that is
away puts the job back and costs no attempt; a wrong answer costs one. How jobs are remembered is store/jobs.py's, when they run tasks.py's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from maisale.contracts import Transaction
from maisale.errors import IndexUnavailable, MaiSaleError, ModelUnavailable, StorageFailed, Unreadable, incident
from maisale.library.chunking import Piece, chunk_text
from maisale.library.embedders import Embedders
from maisale.library.embedding import Embedding
from maisale.library.interruptions import Cancelled, GoOn, Stopping
from maisale.library.messages import Prepared, prepare, write_message
from maisale.library.passages import Passages, Version, slices
from maisale.library.read_back import WORDS_LOST, read_back, read_back_words
from maisale.library.reader_process import Reader
from maisale.library.redacting import Redacting, redacted_chunks
from maisale.library.together import Together
from maisale.records import Chunk, Job, Reached
from maisale.services import Services
from maisale.store import chunks, documents, jobs, ledger, privacy
from maisale.tracebacks import where

log = logging.getLogger(__name__)

MESSAGES = 8  # written in one transaction: while it lasts, questions of people wait to be stored
LONG = 1_000_000  # characters of a text whose reading is in its ledger before it was cut into passages
REFUSED = "the embedding model gives no vector for the text"


class Indexing:
    """Does jobs. For several threads at once."""

    def __init__(self, services: Services, embedders: Embedders, stopping: threading.Event | None = None):
        self._services = services
        self._embedders = embedders
        self._stopping = stopping or threading.Event()
        self._reader = Reader()
        self._passages = Passages(services)
        self._embedding = Embedding(services, self._stopping)
        self._together = Together(services, self._embedding, self._stopping)
        self._kinds: dict[str, Callable[[Job], None]] = {
            "read_document": self._read_document,
            "embed_document": self._embed_document,
            "embed_message": self._embed_message,
            "remove_vectors": self._remove_vectors,
            "redact_tenant": Redacting(services, self._stopping).redact_tenant,
        }
        self._at_once: dict[str, Callable[[Sequence[Job]], None]] = {
            "read_document": self._read_documents,
            "embed_document": self._embed_documents,
            "embed_message": self._embed_messages,
        }

    def close(self) -> None:
        self._reader.close()

    def do(self, job: Job) -> None:
        """Does a claimed job and writes down how it ended. Raises only StorageFailed, when that cannot be written."""
        db, bulk = self._services.db, job.lane == "bulk"
        try:
            self._kinds[job.kind](job)
        except Cancelled:
            log.info("%s %s was cancelled", job.kind, job.subject_id)
        except Stopping as problem:
            cause = str(problem)
            db.write(lambda tx: jobs.put_back(tx, job, cause, wait_s=0.0), bulk=bulk)
        except (ModelUnavailable, IndexUnavailable, StorageFailed) as problem:
            log.info("%s %s waits: %s", job.kind, job.subject_id, problem)
            cause = str(problem)
            wait_s = jobs.PAUSE_S if isinstance(problem, ModelUnavailable) and not self._embedders.well() else jobs.AWAY_S
            db.write(lambda tx: jobs.put_back(tx, job, cause, wait_s), bulk=bulk)
        except Exception as problem:  # recorded as the job's cause; another of its kind may go well
            name = incident()
            cause = str(problem) if isinstance(problem, MaiSaleError) else f"The worker met an error of its own (incident {name}, which the log explains)."
            log.error("incident %s: %s %s failed:\n%s", name, job.kind, job.subject_id, where(problem))
            db.write(lambda tx: jobs.fail(tx, job, cause) and self.give_up(tx, job, cause), bulk=bulk)
        else:
            if jobs.wanted(db, job):  # most have ended with their last step
                db.write(lambda tx: jobs.finish(tx, job), bulk=bulk)

    def do_together(self, taken: Sequence[Job]) -> None:
        """Does claimed jobs of one kind, none of which was tried before: one by one when they cannot be done together."""
        if len(taken) > 1:
            try:
                return self._at_once[taken[0].kind](taken)
            except Exception as problem:  # one by one each gets its own end, and its own cause
                log.info("%d jobs (%s) are done one by one: %s", len(taken), taken[0].kind, type(problem).__name__)
        for job in taken:
            self.do(job)

    def wait_for_no_model(self) -> bool:
        """Whether every vector that is wanted now is made here, in less time than it takes to store it."""
        return self._embedders.wanted() == [self._services.builtin.name]

    def give_up(self, tx: Transaction, job: Job, cause: str) -> None:
        """Tells the subject of a dead job what became of it: what cannot be read has failed, what has no vectors is still found by words."""
        row = documents.document_row(tx, job.subject_id)
        if row and job.kind == "read_document":
            documents.set_stage(tx, job.subject_id, "failed", cause=cause, attempts=job.attempts)
        elif row and job.kind == "embed_document" and row["stage"] == "searchable":
            told = cause if cause.startswith(WORDS_LOST) else f"It is found by words only. {cause}"
            documents.set_stage(tx, job.subject_id, "searchable", cause=told, attempts=job.attempts)

    # Passages

    def _read_document(self, job: Job) -> None:
        row = documents.document_row(self._services.db, job.subject_id)
        if row is None:
            return
        try:
            version = self._version(job, row)
        except Unreadable as problem:
            self._fail(job, str(problem))
            return
        self._passages.replace(version)

    def _read_documents(self, taken: Sequence[Job]) -> None:
        """Small files, exchanged in one transaction. Raises when anything is in the way of one."""
        rows = [documents.document_row(self._services.db, job.subject_id) for job in taken]
        if None in rows:
            raise Cancelled("One of them was deleted.")
        self._passages.replace_together([self._version(job, row) for job, row in zip(taken, rows, strict=True)])

    def _version(self, job: Job, row: Mapping[str, Any]) -> Version:
        """What the file of a document says now. row: of the table documents. Raises Unreadable, Cancelled or Stopping."""
        path = self._services.settings.files_dir / row["id"]
        if not path.is_file():
            raise Unreadable(f"The file of {row['title']} is gone from the server. Add it again.")
        parts = self._reader.read(path, row["title"], GoOn(self._services.db, job, self._stopping))
        read = Reached("read", time.time(), sum(len(part.text) for part in parts))
        if read.counted > LONG:
            self._passages.note(job, [read])
        pieces = chunk_text(parts)
        chunked = Reached("chunked", time.time(), len(pieces))
        made, counts = document_chunks(row, pieces, privacy.key_to_redact(self._services.db, row["tenant_id"]))
        return Version(job, row["owner_id"], made, [read, chunked], counts)

    def _fail(self, job: Job, cause: str) -> None:
        """The document has failed for good; passages of an earlier version must not answer for it."""
        old = chunks.chunks_of(self._services.db, job.subject_id)

        def work(tx: Transaction) -> None:
            if not jobs.renew(tx, job):
                raise Cancelled("It was cancelled.")
            documents.set_stage(tx, job.subject_id, "failed", cause=cause, chunks=0, attempts=job.attempts)
            self._passages.remove(tx, old)
            if old:
                payload = {"tenant_id": old[0].tenant_id, "kind": "documents", "keys": [chunk.key for chunk in old]}
                jobs.add(tx, job.tenant_id, "remove_vectors", job.subject_id, "bulk", payload)

        self._services.db.write(work, bulk=job.lane == "bulk")

    # Vectors

    def _embed_message(self, job: Job) -> None:
        self._write_messages([job])
        if refused := [chunk for name in self._names(job) for chunk in self._embedding.embed(job, name)]:
            which = "It" if len(refused) == 1 else "A part of it"
            self._services.db.write(lambda tx: jobs.give_up(tx, job, f"{which} is found by words only: {REFUSED}."))

    def _embed_messages(self, taken: Sequence[Job]) -> None:
        """All of them, and their end, in a few transactions. Raises when anything is in the way of one."""
        self._write_messages(taken)
        self._together.embed(taken, self._embedders.wanted(), look=lambda job: None, end=lambda tx, job: None)

    def _write_messages(self, taken: Sequence[Job]) -> None:
        for few in slices(prepare(self._services, [job.subject_id for job in taken]), MESSAGES):

            def write(tx: Transaction, few: Sequence[Prepared] = few) -> None:
                for one in few:
                    write_message(tx, self._services.words, one)

            self._services.db.write(write, bulk=taken[0].lane == "bulk")

    def _embed_documents(self, taken: Sequence[Job]) -> None:
        """The same for small documents."""
        names = self._embedders.wanted()

        def begin(tx: Transaction) -> None:
            for job in taken:
                if self._passages.clear_little_aside(tx, job):
                    self._note_embedding(tx, job, names[0])

        self._services.db.write(begin, bulk=taken[0].lane == "bulk")
        self._together.embed(
            taken,
            names,
            look=lambda job: self._read_back(job, names[0]),
            end=lambda tx, job: _complete(tx, job, []),
        )

    def _read_back(self, job: Job, name: str) -> None:
        """Of a small document: its vectors were searched for when the index took them."""
        if self._services.vectors is None:
            read_back(self._services, job.subject_id, name, None)
        else:
            read_back_words(self._services, job.subject_id)

    def _embed_document(self, job: Job) -> None:
        self._passages.clear_aside(job)
        searched, *beside = self._names(job)
        if job.payload:  # a build beside changes nothing that people see
            self._embedding.embed(job, searched)
            return
        self._services.db.write(lambda tx: self._note_embedding(tx, job, searched), bulk=True)
        refused = self._embedding.embed(job, searched)
        read_back(self._services, job.subject_id, searched, self._services.vectors)
        self._services.db.write(lambda tx: _complete(tx, job, refused), bulk=job.lane == "bulk")
        for name in beside if not refused else []:  # with refused ones the job has ended; the build beside finds the document by itself
            self._embedding.embed(job, name)

    def _names(self, job: Job) -> list[str]:
        """The embedders that want vectors, the one that is searched first."""
        return [job.payload["build"]] if job.payload else self._embedders.wanted()

    def _note_embedding(self, tx: Transaction, job: Job, embedder: str) -> None:
        """What the rate of embedding is measured from."""
        row = documents.document_row(tx, job.subject_id)
        if row and row["stage"] == "searchable":
            ledger.note(tx, job.subject_id, "embedding", counted=row["chunks"] - len(chunks.missing_vectors(tx, job.subject_id, embedder)))

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


def document_chunks(row: Mapping[str, Any], pieces: Sequence[Piece], key: bytes | None) -> tuple[list[Chunk], Counter[str] | None]:
    """The chunks of a document, and how many identifiers of each kind they hold. row: of the table documents. key: None leaves them as they are."""
    title = _title_of(pieces) or row["title"]
    made = [
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
    return (made, None) if key is None else redacted_chunks(made, key)


def _title_of(pieces: Sequence[Piece]) -> str:
    """The document's own title: the one heading that everything in it stands below."""
    roots = {piece.heading.split(" > ")[0] for piece in pieces}
    return roots.pop() if len(roots) == 1 else ""


def _complete(tx: Transaction, job: Job, refused: Sequence[Chunk]) -> None:
    """Vectors find the document too, or it says which of its passages only words find, and the job is a dead letter."""
    document_id, row = job.subject_id, documents.document_row(tx, job.subject_id)
    if row is None or row["stage"] not in ("searchable", "complete") or not jobs.renew(tx, job):
        return  # deleted, being read anew, or cancelled
    ledger.note(tx, document_id, "embedded", counted=row["chunks"] - len(refused))
    if not refused:
        unread = row["cancelled"] == "reading"  # these are the passages of the version before
        documents.set_stage(tx, document_id, "complete", cause=row["cause"] if unread else "", cancelled=row["cancelled"] if unread else "")
        return
    first = refused[0].position + 1
    which = f"Passage {first} is" if len(refused) == 1 else f"{len(refused)} passages, the first of them passage {first}, are"
    cause = f"{which} found by words only: {REFUSED}."
    documents.set_stage(tx, document_id, "searchable", cause=cause, attempts=job.attempts)
    jobs.give_up(tx, job, cause)
