"""Background work that was given up: why, again, or left as it is. Everybody's own, and to admins their tenants'."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from pydantic import BaseModel, Field

from maisale.access import audit, people
from maisale.api.v1.shapes import Reader, Writer
from maisale.chat.replies import Replies
from maisale.errors import NotAllowed
from maisale.library import dead_letters
from maisale.records import Caller


class JobOut(BaseModel):
    id: str
    kind: str
    subject_id: str = Field(description="Of the document or the message that it is about.")
    about: str
    text: str = Field(description="Where the passage or message begins that was not taken; empty when there is none, or it is private to somebody else.")
    cause: str
    attempts: int
    given_up_at: float | None


class Changed(BaseModel):
    id: str
    state: str


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(prefix="/jobs", tags=["jobs"])

    @routes.get("")
    def list_given_up(caller: Reader) -> list[JobOut]:
        """List what was given up, the latest first: about your documents and messages, and in the tenants that you manage."""
        services, of = running().services, managed(caller)
        found = dead_letters.visible(services, caller.scope, of)
        if of:
            audit.read(services.db, caller, "jobs_read")
        return [_out(one) for one in found]

    @routes.post("/{job_id}/retry")
    def retry(job_id: str, caller: Writer) -> Changed:
        """Try it again from the beginning."""
        services = running().services
        dead_letters.retry(services, dead_letters.check_visible(services, caller.scope, managed(caller), job_id), caller.scope)
        return Changed(id=job_id, state="pending")

    @routes.post("/{job_id}/skip")
    def skip(job_id: str, caller: Writer) -> Changed:
        """Leave it as it is, and list it no more."""
        services = running().services
        dead_letters.skip(services, dead_letters.check_visible(services, caller.scope, managed(caller), job_id), caller.scope)
        return Changed(id=job_id, state="skipped")

    return routes


def managed(caller: Caller) -> str:
    """What dead_letters calls so: the tenant that this person manages with this key."""
    try:
        return people.managed_tenant(caller) or dead_letters.EVERY_TENANT
    except NotAllowed:
        return ""


def _out(one: dead_letters.DeadLetter) -> JobOut:
    job = one.job
    return JobOut(
        id=job.id,
        kind=job.kind,
        subject_id=job.subject_id,
        about=one.about,
        text=one.text,
        cause=job.cause,
        attempts=job.attempts,
        given_up_at=job.ended_at,
    )
