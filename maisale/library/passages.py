"""The passages of a document exchanged for those of its new version: whoever reads sees the old one or the new one.

A short version is exchanged in one transaction. A long one comes in slices, so that others' writes go in between, under keys that no search
shows; then one short transaction exchanges the keys.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_key

from maisale.contracts import LexicalIndex, Transaction
from maisale.library.interruptions import Cancelled
from maisale.records import Chunk, Job, Reached
from maisale.services import Services
from maisale.store import chunks, documents, jobs, ledger, privacy

SLICE = 200  # chunks in one transaction: other processes wait for its end, about 0.3 s
# In the place of "#" in a key of the index of words: a version that is coming in, and one that is on its way out.
_COMING, _GOING = "+#", "-#"


@dataclass(frozen=True, slots=True)
class Version:
    """What a document is to say from now on."""

    job: Job
    owner_id: str
    made: Sequence[Chunk]
    reached: list[Reached]  # what its ledger does not say yet
    identifiers: Mapping[str, int] | None  # how many of each kind were found; None: the tenant's are not looked for


class Passages:
    """Writes passages with their words. For several threads, each with jobs of its own."""

    def __init__(self, services: Services):
        self._services = services

    def replace(self, version: Version) -> None:
        """The document's passages and their words, searchable in one step; adds what comes next. Raises Cancelled; then its passages are those of before."""
        job, old = version.job, chunks.chunks_of(self._services.db, version.job.subject_id)
        if max(len(old), len(version.made)) > SLICE:
            self.note(job, version.reached)
            added = self._exchange(version, old)
        else:
            added = self._write_for_document(job, lambda tx: self._exchange_at_once(tx, version, old))
        self._wake(added or [])

    def replace_together(self, versions: Sequence[Version]) -> None:
        """Short versions of several documents in one transaction. Raises Cancelled when one of them is not wanted any more; then none was exchanged."""
        old = [chunks.chunks_of(self._services.db, version.job.subject_id) for version in versions]
        if sum(map(len, old)) + sum(len(version.made) for version in versions) > SLICE:
            raise OverflowError("they are too long for one transaction")

        def work(tx: Transaction) -> list[str]:
            added = []
            for version, before in zip(versions, old, strict=True):
                if not jobs.renew(tx, version.job) or not documents.document_row(tx, version.job.subject_id):
                    raise Cancelled("It was cancelled.")
                added += self._exchange_at_once(tx, version, before)
            return added

        self._wake(self._services.db.write(work, bulk=versions[0].job.lane == "bulk"))

    def _wake(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self._services.wake(job_id)

    def _exchange_at_once(self, tx: Transaction, version: Version, old: Sequence[Chunk]) -> list[str]:
        ledger.note_all(tx, version.job.subject_id, version.reached)
        self.remove(tx, old)
        chunks.insert_chunks(tx, version.owner_id, version.made)
        self._services.words.add(tx, version.made)
        return self._searchable(tx, version, old)

    def note(self, job: Job, reached: list[Reached]) -> None:
        """What takes time is in the ledger, and in the document's state, before it is over."""

        def work(tx: Transaction) -> None:
            ledger.note_all(tx, job.subject_id, reached)
            documents.pass_stage(tx, job.subject_id, reached[-1].stage)

        self._write_for_document(job, work)

    def _exchange(self, version: Version, old: Sequence[Chunk]) -> list[str] | None:
        """Brings a long version in slices under keys of its own, which no search shows, and exchanges the keys in one short transaction."""
        job = version.job
        self.clear_aside(job)
        for part in slices(version.made, SLICE):

            def bring(tx: Transaction, part: Sequence[Chunk] = part) -> None:
                chunks.insert_chunks(tx, version.owner_id, part, "incoming_chunks")
                self._services.words.add(tx, [with_key(chunk, key=chunk.key.replace("#", _COMING, 1)) for chunk in part])

            self._write_for_document(job, bring)

        def exchange(tx: Transaction) -> list[str]:
            for before, after in (("#", _GOING), (_COMING, "#")):
                self._services.words.rename(tx, job.tenant_id, "documents", job.subject_id + before, job.subject_id + after)
            chunks.delete_chunks(tx, [chunk.key for chunk in old])
            chunks.show_incoming(tx, job.subject_id)
            return self._searchable(tx, version, old)

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

    def _searchable(self, tx: Transaction, version: Version, old: Sequence[Chunk]) -> list[str]:
        job, made, identifiers = version.job, version.made, version.identifiers
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
