"""The passages of a document exchanged for those of its new version: whoever reads sees the old one or the new one.

A short version is exchanged in one transaction. A long one comes in slices, so that others' writes go in between, under keys that no search
shows; then one short transaction exchanges the keys.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace as with_key

from maisale.contracts import LexicalIndex, Transaction
from maisale.library.interruptions import Cancelled
from maisale.records import Chunk, Job, Reached
from maisale.services import Services
from maisale.store import chunks, documents, jobs, ledger, privacy

SLICE = 200  # chunks in one transaction: other processes wait for its end, about 0.3 s
# In the place of "#" in a key of the index of words: a version that is coming in, and one that is on its way out.
_COMING, _GOING = "+#", "-#"


class Passages:
    """Writes passages with their words. For several threads, each with a job of its own."""

    def __init__(self, services: Services):
        self._services = services

    def replace(self, job: Job, owner_id: str, made: Sequence[Chunk], reached: list[Reached], identifiers: Mapping[str, int] | None) -> None:
        """The document's passages and their words, searchable in one step; adds what comes next. reached: what its ledger does not say yet.

        identifiers: how many of each kind were found; None: the tenant's are not looked for.

        Raises Cancelled; then its passages are those of before.
        """
        old = chunks.chunks_of(self._services.db, job.subject_id)
        if max(len(old), len(made)) > SLICE:
            self.note(job, reached)
            added = self._exchange(job, owner_id, old, made, identifiers)
        else:

            def work(tx: Transaction) -> list[str]:
                ledger.note_all(tx, job.subject_id, reached)
                self.remove(tx, old)
                chunks.insert_chunks(tx, owner_id, made)
                self._services.words.add(tx, made)
                return self._searchable(tx, job, old, made, identifiers)

            added = self._write_for_document(job, work)
        for job_id in added or []:
            self._services.wake(job_id)

    def note(self, job: Job, reached: list[Reached]) -> None:
        """What takes time is in the ledger, and in the document's state, before it is over."""

        def work(tx: Transaction) -> None:
            ledger.note_all(tx, job.subject_id, reached)
            documents.pass_stage(tx, job.subject_id, reached[-1].stage)

        self._write_for_document(job, work)

    def _exchange(
        self, job: Job, owner_id: str, old: Sequence[Chunk], made: Sequence[Chunk], identifiers: Mapping[str, int] | None
    ) -> list[str] | None:
        """Brings a long version in slices under keys of its own, which no search shows, and exchanges the keys in one short transaction."""
        self.clear_aside(job)
        for part in slices(made, SLICE):

            def bring(tx: Transaction, part: Sequence[Chunk] = part) -> None:
                chunks.insert_chunks(tx, owner_id, part, "incoming_chunks")
                self._services.words.add(tx, [with_key(chunk, key=chunk.key.replace("#", _COMING, 1)) for chunk in part])

            self._write_for_document(job, bring)

        def exchange(tx: Transaction) -> list[str]:
            for before, after in (("#", _GOING), (_COMING, "#")):
                self._services.words.rename(tx, job.tenant_id, "documents", job.subject_id + before, job.subject_id + after)
            chunks.delete_chunks(tx, [chunk.key for chunk in old])
            chunks.show_incoming(tx, job.subject_id)
            return self._searchable(tx, job, old, made, identifiers)

        return self._write_for_document(job, exchange)

    def clear_aside(self, job: Job) -> None:
        """Removes what an earlier exchange, whole or broken off, left under the two other kinds of keys."""
        self._services.db.write(lambda tx: chunks.forget_incoming(tx, job.subject_id), bulk=True)
        for aside in (_COMING, _GOING):

            def remove(tx: Transaction, begin: str = job.subject_id + aside) -> int:
                if not jobs.renew(tx, job):
                    raise Cancelled("It was cancelled.")
                return self._services.words.remove_some(tx, job.tenant_id, "documents", begin, SLICE)

            while self._services.db.write(remove, bulk=True) == SLICE:
                pass

    def clear_little_aside(self, tx: Transaction, job: Job) -> bool:
        """The same for a small document in the caller's transaction. Returns whether the job is still to be done.

        Raises OverflowError when an exchange of a long version left more than one step removes.
        """
        if not jobs.renew(tx, job):
            return False
        chunks.forget_incoming(tx, job.subject_id)
        for aside in (_COMING, _GOING):
            if self._services.words.remove_some(tx, job.tenant_id, "documents", job.subject_id + aside, SLICE) == SLICE:
                raise OverflowError("more is left aside than one step removes")
        return True

    def _write_for_document(self, job: Job, work: Callable[[Transaction], list[str] | None]) -> list[str] | None:
        """`work` in a transaction, unless the document was deleted meanwhile. Raises Cancelled."""

        def unless_deleted(tx: Transaction) -> list[str] | None:
            if not jobs.renew(tx, job):
                raise Cancelled("It was cancelled.")
            return work(tx) if documents.document_row(tx, job.subject_id) else None

        return self._services.db.write(unless_deleted, bulk=job.lane == "bulk")

    def _searchable(
        self, tx: Transaction, job: Job, old: Sequence[Chunk], made: Sequence[Chunk], identifiers: Mapping[str, int] | None
    ) -> list[str]:
        documents.note_identifiers(tx, job.subject_id, identifiers)
        tenant_id = made[0].tenant_id if made else job.tenant_id
        if privacy.redacts(tx, tenant_id) != (identifiers is not None):  # chosen otherwise while the file was read
            jobs.add(tx, tenant_id, "redact_tenant", tenant_id, "bulk")
        documents.set_stage(tx, job.subject_id, "searchable", chunks=len(made))
        added = [jobs.add(tx, job.tenant_id, "embed_document", job.subject_id, job.lane)]
        kept = {chunk.key for chunk in made}
        if gone := [chunk.key for chunk in old if chunk.key not in kept]:
            payload = {"tenant_id": old[0].tenant_id, "kind": "documents", "keys": gone}
            added.append(jobs.add(tx, job.tenant_id, "remove_vectors", job.subject_id, "bulk", payload))
        jobs.finish(tx, job)  # here already: a crash behind this line must not add the next jobs again
        return added

    def remove(self, tx: Transaction, old: Sequence[Chunk]) -> None:
        if old:
            keys = [chunk.key for chunk in old]
            self._services.words.remove(tx, old[0].tenant_id, chunks.kind_of(old[0]), keys)
            chunks.delete_chunks(tx, keys)


def forget_aside(words: LexicalIndex, tx: Transaction, tenant_id: str, document_id: str) -> None:
    """What an exchange that goes on, or was broken off, keeps under the two other kinds of keys."""
    chunks.forget_incoming(tx, document_id)
    for aside in (_COMING, _GOING):
        words.remove_some(tx, tenant_id, "documents", document_id + aside, sys.maxsize)


def slices(items: Sequence, size: int) -> Iterator[Sequence]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
