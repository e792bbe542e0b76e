"""Jobs that were given up: what they were about and why, tried again or left. Everybody sees those about their own things, admins their tenant's."""

from __future__ import annotations

from dataclasses import dataclass

from maisale.contracts import Transaction
from maisale.errors import NotFound
from maisale.records import SERVER, Job, Scope
from maisale.services import Services
from maisale.store import audit, chunks, conversations, documents, facts, jobs

EVERY_TENANT = "*"
MESSAGE, DELETED, PRIVATE, TEAM = "a message", "something deleted", "a private document", "the tenant's passages"  # what stands for a title
TEXT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """about: the document's title. text: where the passage begins that was not taken, or the message; empty when there is none.

    What is private to a person, and messages, are named and quoted only to that person.
    """

    job: Job
    about: str
    text: str = ""


def listed(services: Services, tenant_id: str | None = None) -> list[DeadLetter]:
    """Everybody's, or one tenant's, the latest first: for who runs the server."""
    return [_letter(services, job) for job in jobs.dead(services.db, tenant_id)]


def visible(services: Services, scope: Scope, managed: str = "") -> list[DeadLetter]:
    """Those that a person may see, the latest first. managed: the tenant whose admin the person is, or EVERY_TENANT."""
    own = {job.id: job for job in jobs.dead_of(services.db, scope)}
    others = jobs.dead(services.db, None if managed == EVERY_TENANT else managed) if managed else []
    both = {job.id: job for job in others} | own
    return [_letter(services, job, own=job.id in own) for job in sorted(both.values(), key=lambda job: -(job.ended_at or 0))]


def check_visible(services: Services, scope: Scope, managed: str, job_id: str) -> str:
    """The id. Raises NotFound for a job that this person may not see, or that was not given up."""
    if all(one.job.id != job_id for one in visible(services, scope, managed)):
        raise NotFound("There is no job of this id that was given up. GET /v1/jobs lists them.")
    return job_id


def retry(services: Services, job_id: str, by: Scope = SERVER) -> None:
    """From the beginning. by: who tries it again, for the audit log. Raises NotFound."""

    def work(tx: Transaction) -> None:
        job = jobs.get(tx, job_id)
        if job is None or not jobs.revive(tx, job_id):
            raise NotFound("There is no job of this id that was given up. `jobs list` shows them.")
        if job.kind == "read_document":
            documents.set_stage(tx, job.subject_id, "received")
        elif job.kind == "embed_document" and not job.payload:
            documents.go_on(tx, job.subject_id)
        audit.note(tx, by, "job_retry", "job", job_id, tenant_id=job.tenant_id)

    services.db.write(work)
    services.wake(job_id)


def skip(services: Services, job_id: str, by: Scope = SERVER) -> None:
    """The document keeps its state and the cause. by: who leaves it, for the audit log. Raises NotFound."""

    def work(tx: Transaction) -> None:
        job = jobs.get(tx, job_id)
        if job is None or not jobs.skip(tx, job_id):
            raise NotFound("There is no job of this id that was given up. `jobs list` shows them.")
        audit.note(tx, by, "job_skip", "job", job_id, tenant_id=job.tenant_id)

    services.db.write(work)


def _letter(services: Services, job: Job, own: bool = False) -> DeadLetter:
    if job.kind == "redact_tenant":
        return DeadLetter(job, TEAM)
    row = documents.document_row(services.db, job.subject_id)
    if row is None:
        message = conversations.message_row(services.db, job.subject_id)
        about = MESSAGE if job.kind == "embed_message" else DELETED
        return DeadLetter(job, about, message["text"][:TEXT_CHARACTERS] if message and own else "")
    if not own and not documents.is_shared(services.db, row):
        return DeadLetter(job, PRIVATE)
    return DeadLetter(job, row["title"], _text(services, job))


def _text(services: Services, job: Job) -> str:
    """The first passage that the job left without a vector."""
    embedder = job.payload["build"] if job.kind == "embed_document" and job.payload else facts.get_fact(services.db, facts.EMBEDDER)
    if job.kind != "embed_document" or embedder is None:
        return ""
    lacking = chunks.missing_vectors(services.db, job.subject_id, embedder)
    return lacking[0].text[:TEXT_CHARACTERS] if lacking else ""
