"""Background work that was given up, for admins: why, again, or left as it is."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from pydantic import BaseModel

from maisale.access import people
from maisale.api.v1.shapes import Anyone
from maisale.chat.replies import Replies
from maisale.errors import NotFound
from maisale.library import dead_letters


class JobOut(BaseModel):
    id: str
    kind: str
    about: str
    cause: str
    attempts: int


class Changed(BaseModel):
    id: str
    state: str


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(prefix="/jobs", tags=["jobs"])

    @routes.get("")
    def list_given_up(caller: Anyone) -> list[JobOut]:
        """List what was given up, the latest first, in the tenants that you manage."""
        found = dead_letters.listed(running().services, people.managed_tenant(caller))
        return [JobOut(id=one.job.id, kind=one.job.kind, about=one.about, cause=one.job.cause, attempts=one.job.attempts) for one in found]

    @routes.post("/{job_id}/retry")
    def retry(job_id: str, caller: Anyone) -> Changed:
        """Try it again from the beginning."""
        dead_letters.retry(running().services, _managed(caller, job_id))
        return Changed(id=job_id, state="pending")

    @routes.post("/{job_id}/skip")
    def skip(job_id: str, caller: Anyone) -> Changed:
        """Leave it as it is, and list it no more."""
        dead_letters.skip(running().services, _managed(caller, job_id))
        return Changed(id=job_id, state="skipped")

    def _managed(caller: Anyone, job_id: str) -> str:
        """The id, when it is of a job that was given up in a tenant of the caller's."""
        if all(one.job.id != job_id for one in dead_letters.listed(running().services, people.managed_tenant(caller))):
            raise NotFound("There is no job of this id that was given up. GET /v1/jobs lists them.")
        return job_id

    return routes
