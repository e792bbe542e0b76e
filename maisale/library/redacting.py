"""Passages as search reads them: personal data replaced when they are made, and in what a tenant has when its choice changes.

Going through a tenant may be repeated and broken off anywhere: each slice of passages is written with its words and with the job for its vectors.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from maisale.contracts import Transaction
from maisale.library.interruptions import Cancelled, GoOn
from maisale.records import PUBLIC_TENANT, Chunk, Job
from maisale.redaction import Known, counts_of, searched
from maisale.services import Services
from maisale.store import chunks, documents, jobs, ledger, privacy

SLICE = 200  # passages in one transaction


def redacted_chunks(made: Sequence[Chunk], key: bytes, known: Known | None = None) -> tuple[list[Chunk], Counter[str]]:
    """The same chunks with what is searched of them, and how many identifiers of each kind they hold; a title or heading of several counts once.

    known: for messages, as in redaction.searched.
    """
    found = [searched(chunk.title, chunk.heading, chunk.text, key, known) for chunk in made]
    lines = {line for chunk in made for line in (chunk.title, *chunk.heading.split(" > "))}
    counts = sum((counts for _, counts in found), counts_of(lines))
    return [replace(chunk, searched=text) for chunk, (text, _) in zip(made, found, strict=True)], counts


class _ChosenOtherwise(Exception):
    """Since this job began; a newer one goes through the tenant."""


class Redacting:
    """Goes through a tenant. For several threads at once, each with a job of its own."""

    def __init__(self, services: Services, stopping: threading.Event):
        self._services, self._stopping = services, stopping

    def redact_tenant(self, job: Job) -> None:
        """Every passage of the tenant `job.subject_id` as the tenant has it now; what changed is embedded anew. Raises Cancelled, Stopping."""
        with contextlib.suppress(_ChosenOtherwise):
            self._go_through(job, privacy.key_to_redact(self._services.db, job.subject_id))

    def _go_through(self, job: Job, key: bytes | None) -> None:
        db, tenant_id, go_on = self._services.db, job.subject_id, GoOn(self._services.db, job, self._stopping)
        for document_id in documents.documents_of_tenant(db, tenant_id):
            go_on()
            self._redact_document(job, document_id, key)
        known, after = privacy.known_to(self._services.words, (tenant_id, PUBLIC_TENANT)), ""
        while page := chunks.page(db, tenant_id, "messages", after, SLICE):
            go_on()
            after = page[-1].key
            self._write(job, key, _changed(page, key, known)[0])

    def _redact_document(self, job: Job, document_id: str, key: bytes | None) -> None:
        changed, counts = _changed(chunks.chunks_of(self._services.db, document_id), key)
        for start in range(0, len(changed), SLICE):
            self._write(job, key, changed[start : start + SLICE])

        def note(tx: Transaction) -> None:
            _go_on(tx, job, key)
            row = documents.document_row(tx, document_id)
            if row and row["chunks"]:
                documents.note_identifiers(tx, document_id, counts)

        self._services.db.write(note, bulk=True)

    def _write(self, job: Job, key: bytes | None, changed: Sequence[Chunk]) -> None:
        """These passages with their words, searchable as they are now by words alone; adds the jobs that embed them."""

        def work(tx: Transaction) -> list[str]:
            _go_on(tx, job, key)
            kept = [chunk for chunk in changed if chunks.set_searched(tx, chunk)]
            self._services.words.add(tx, kept)
            chunks.delete_vectors(tx, [chunk.key for chunk in kept])
            for document_id in {chunk.document_id for chunk in kept if not chunk.message_id}:
                row = documents.document_row(tx, document_id)
                if row and row["stage"] == "complete":
                    documents.pass_stage(tx, document_id, "searchable")
                    ledger.forget(tx, document_id, ("embedding", "embedded", "complete"))
            subjects = dict.fromkeys(
                ("embed_message", chunk.message_id) if chunk.message_id else ("embed_document", chunk.document_id or "") for chunk in kept
            )
            return [jobs.add(tx, job.tenant_id, kind, subject_id, "bulk") for kind, subject_id in subjects]

        for job_id in self._services.db.write(work, bulk=True) if changed else []:
            self._services.wake(job_id)


def _go_on(tx: Transaction, job: Job, key: bytes | None) -> None:
    """The job is wanted still, and so is what it does."""
    if not jobs.renew(tx, job):
        raise Cancelled("It was cancelled.")
    if privacy.redacts(tx, job.subject_id) != (key is not None):
        raise _ChosenOtherwise


def _changed(old: Sequence[Chunk], key: bytes | None, known: Known | None = None) -> tuple[list[Chunk], Counter[str] | None]:
    """Those of `old` of which something else is to be searched, and the counts of all; None where personal data stays."""
    made, counts = ([replace(chunk, searched="") for chunk in old], None) if key is None else redacted_chunks(old, key, known)
    return [new for new, before in zip(made, old, strict=True) if new.searched != before.searched], counts
