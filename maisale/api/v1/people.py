"""People and tenants, for admins. What cannot be undone, and what makes somebody else's key, needs a fresh key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from fastapi import APIRouter, Request

from maisale.access import audit, keys, people, sessions
from maisale.api import plain
from maisale.api.v1 import shapes
from maisale.api.v1.keys import DAY_S, made
from maisale.api.v1.shapes import Anyone
from maisale.chat import erasure
from maisale.chat.replies import Replies
from maisale.records import Caller, User


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(tags=["people"])

    @routes.get("/users")
    def list_users(caller: Anyone) -> list[shapes.UserOut]:
        """List the people that you manage."""
        db = running().services.db
        found = people.list_users(db, caller)
        audit.read(db, caller, "users_read")
        return [shapes.UserOut(**plain.user(one)) for one in found]

    @routes.post("/users", status_code=201)
    def invite_colleague(asked: shapes.NewUser, caller: Anyone, request: Request) -> shapes.Invitation:
        """Add a person. The link makes their first key, once, within 72 hours."""
        return _invitation(request, caller, people.add_colleague(running().services.db, caller, asked.name, asked.role, asked.tenant))

    @routes.get("/users/{user_id}")
    def get_user(user_id: str, caller: Anyone) -> shapes.UserOut:
        """Get a person that you manage."""
        db = running().services.db
        found = people.managed(db, caller, user_id)
        audit.read(db, caller, "users_read", "user", user_id)
        return shapes.UserOut(**plain.user(found))

    @routes.patch("/users/{user_id}")
    def change_role(user_id: str, asked: shapes.NewRole, caller: Anyone) -> shapes.UserOut:
        """Give a person another role."""
        return shapes.UserOut(**plain.user(people.set_role(running().services.db, caller, user_id, asked.role)))

    @routes.delete("/users/{user_id}")
    async def delete_user(user_id: str, caller: Anyone) -> shapes.Erased:
        """Delete a person with their conversations and private documents, for good. What the team reads stays. Needs a fresh key."""
        receipt = await erasure.delete_user(running(), people.removable(running().services.db, caller, user_id), caller)
        return shapes.Erased(deleted=user_id, erasure_id=receipt)

    @routes.post("/users/{user_id}/invitation", status_code=201)
    def invite_again(user_id: str, caller: Anyone, request: Request) -> shapes.Invitation:
        """Make a link for somebody whose key is lost; an earlier one ends. Needs a fresh key."""
        user = people.managed(running().services.db, caller, user_id)
        keys.require_fresh(caller)
        return _invitation(request, caller, user)

    @routes.get("/users/{user_id}/keys")
    def list_keys_of(user_id: str, caller: Anyone) -> list[shapes.KeyOut]:
        """List the keys of a person that you manage."""
        db = running().services.db
        found = keys.list_keys(db, people.managed(db, caller, user_id))
        audit.read(db, caller, "keys_read", "user", user_id)
        return [shapes.KeyOut(**plain.key(one)) for one in found]

    @routes.post("/users/{user_id}/keys", status_code=201)
    def issue_key_for(user_id: str, asked: shapes.NewKey, caller: Anyone) -> shapes.MadeKey:
        """Issue a key for somebody else. Needs a fresh key."""
        lasts_s = asked.days * DAY_S if asked.days is not None else None
        return made(*people.issue_for(running().services.db, caller, user_id, asked.name, tuple(asked.permissions), lasts_s))

    @routes.get("/tenants")
    def list_tenants(caller: Anyone) -> list[shapes.TenantOut]:
        """List the tenants that you manage."""
        db = running().services.db
        found = people.list_tenants(db, caller)
        audit.read(db, caller, "tenants_read")
        return [shapes.TenantOut(**asdict(one)) for one in found]

    @routes.post("/tenants", status_code=201)
    def add_tenant(asked: shapes.NewTenant, caller: Anyone) -> shapes.TenantOut:
        """Add a tenant. For the instance's admin."""
        return shapes.TenantOut(**asdict(people.add_tenant(running().services.db, caller, asked.name)))

    @routes.patch("/tenants/{tenant_id}")
    def choose_privacy(tenant_id: str, asked: shapes.NewPrivacy, caller: Anyone) -> shapes.TenantOut:
        """Choose what becomes of personal data in a tenant that you manage. Its indexes are made anew in the background."""
        services = running().services
        tenant, job_id = people.choose_privacy(services.db, caller, tenant_id, asked.redact, asked.model_sees_originals)
        if job_id:
            services.wake(job_id)
        return shapes.TenantOut(**asdict(tenant))

    @routes.delete("/tenants/{tenant_id}")
    async def delete_tenant(tenant_id: str, caller: Anyone) -> shapes.Erased:
        """Delete a tenant with everybody and everything in it, for good. For the instance's admin; needs a fresh key."""
        receipt = await erasure.delete_tenant(running(), people.removable_tenant(running().services.db, caller, tenant_id), caller)
        return shapes.Erased(deleted=tenant_id, erasure_id=receipt)

    def _invitation(request: Request, caller: Caller, user: User) -> shapes.Invitation:
        services = running().services
        address = services.settings.public_url.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"
        return shapes.Invitation(user=plain.user(user), link=f"{address}/link/{sessions.make_invitation(services.db, user, caller.scope)}")

    return routes
