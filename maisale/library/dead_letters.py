"""Jobs that were given up: what they were about and why, tried again or left."""

from __future__ import annotations

from dataclasses import dataclass

from maisale.contracts import Transaction
from maisale.errors import NotFound
from maisale.records import Job
from maisale.services import Services
from maisale.store import documents, jobs


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """about: the document's title. What is private to a person, and messages, are not named: whoever looks may not read them."""

    job: Job
    about: str


def listed(services: Services, tenant_id: str | None = None) -> list[DeadLetter]:
    """The latest first. tenant_id: only this tenant's."""
    return [DeadLetter(job, _about(services, job)) for job in jobs.dead(services.db, tenant_id)]


def retry(services: Services, job_id: str) -> None:
    """From the beginning. Raises NotFound."""

    def work(tx: Transaction) -> None:
        job = jobs.get(tx, job_id)
        if job is None or not jobs.revive(tx, job_id):
            raise NotFound("There is no job of this id that was given up. `jobs list` shows them.")
        if job.kind == "read_document":
            documents.set_stage(tx, job.subject_id, "received")
        elif job.kind == "embed_document" and not job.payload:
            documents.set_stage(tx, job.subject_id, "searchable")

    services.db.write(work)
    services.wake(job_id)


def skip(services: Services, job_id: str) -> None:
    """The document keeps its state and the cause. Raises NotFound."""
    if not services.db.write(lambda tx: jobs.skip(tx, job_id)):
        raise NotFound("There is no job of this id that was given up. `jobs list` shows them.")


def _about(services: Services, job: Job) -> str:
    row = documents.document_row(services.db, job.subject_id)
    if row is None:
        return "a message" if job.kind == "embed_message" else "something deleted"
    return row["title"] if documents.is_shared(services.db, row) else "a private document"
