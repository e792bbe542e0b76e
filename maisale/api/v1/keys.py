"""Keys: one's own, and as an admin those of others. A key's text is answered once, where it is made."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from maisale.access import keys, people, sessions
from maisale.api import plain
from maisale.api.v1 import shapes
from maisale.api.v1.shapes import Anyone
from maisale.chat.replies import Replies
from maisale.records import Key

DAY_S = 86_400


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(tags=["keys"])

    @routes.get("/me")
    def who_am_i(caller: Anyone) -> shapes.Me:
        """Who this key belongs to, and what it may do."""
        about = {"key_id": caller.key_id, "permissions": list(caller.permissions), "expires_at": caller.expires_at, "fresh": caller.fresh}
        return shapes.Me(user=plain.user(caller.user), **about)

    @routes.get("/keys")
    def list_keys(caller: Anyone) -> list[shapes.KeyOut]:
        """List your keys, the newest first, revoked and expired ones too."""
        return [shapes.KeyOut(**plain.key(one)) for one in keys.list_keys(running().services.db, caller.user)]

    @routes.post("/keys", status_code=201)
    def issue_key(asked: shapes.NewKey, caller: Anyone) -> shapes.MadeKey:
        """Issue another key of your own. It may do no more, and lasts no longer, than the key that asks."""
        lasts_s = asked.days * DAY_S if asked.days is not None else None
        return made(*keys.issue_own(running().services.db, caller, asked.name, asked.permissions, lasts_s))

    @routes.post("/keys/fresh", status_code=201)
    def mint_fresh_key(asked: shapes.FreshKey, caller: Anyone) -> shapes.MadeKey:
        """Mint a key for minutes that may do what cannot be undone. Only X_API_KEY_ADMIN mints one."""
        return made(*keys.mint_fresh(running().services.db, caller, asked.lasts_s))

    @routes.post("/session/fresh")
    def type_key_again(asked: shapes.TypedKey, caller: Anyone) -> shapes.Me:
        """For the browser: with your key typed again, this session may do for 15 minutes what cannot be undone."""
        sessions.type_key_again(running().services.db, caller, asked.key)
        return shapes.Me(
            user=plain.user(caller.user), key_id=caller.key_id, permissions=list(caller.permissions), expires_at=caller.expires_at, fresh=True
        )

    @routes.post("/keys/{key_id}/rotate", status_code=201)
    def rotate_key(key_id: str, asked: shapes.Rotation, caller: Anyone) -> shapes.MadeKey:
        """Replace a key by a new one like it; the old one goes on for overlap_s seconds."""
        db = running().services.db
        key = people.key_of(db, caller, key_id)
        if key.user_id != caller.user.id:
            keys.require_fresh(caller)  # whoever gets the new text is that person
        return made(*keys.rotate_key(db, caller, key, asked.overlap_s))

    @routes.delete("/keys/{key_id}")
    def revoke_key(key_id: str, caller: Anyone) -> shapes.Deleted:
        """Revoke a key of yours, or of somebody you manage: it is refused from the next request on, open streams end within 5 seconds."""
        db = running().services.db
        keys.revoke_for(db, caller, people.key_of(db, caller, key_id))
        return shapes.Deleted(deleted=key_id)

    return routes


def made(key: Key, text: str) -> shapes.MadeKey:
    return shapes.MadeKey(**plain.key(key), key=text)
