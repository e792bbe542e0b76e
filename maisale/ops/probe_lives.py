"""What a single call does not show: streams that are cut, links and keys that end, websockets, and what an erasure leaves alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from maisale.ops.probe_wire import SAME_ORIGIN, Caller
from maisale.ops.probe_world import World, fresh_key, mark, open_page

CUT_S = 5.0  # within which an open stream ends after its key
LOOKED_S = CUT_S + 3
DAY_S = 86_400
_NOBODY = Caller("nobody", "dead")

Life = Callable[[World], Awaitable[str]]  # what was wrong, in words; empty: nothing


async def stream_is_cut(world: World) -> str:
    key = await world.ask(world.owner, "POST", "/v1/keys", json={"name": "to be revoked"})
    doomed = Caller("a key revoked meanwhile", "dead", {"X-API-Key": key["key"]})
    stream = asyncio.ensure_future(world.line.send(doomed, "GET", f"/gradio_api/heartbeat/{mark()}", read_s=LOOKED_S))
    await asyncio.sleep(0.3)
    revoked_at = time.monotonic()
    await world.ask(world.owner, "DELETE", f"/v1/keys/{key['id']}")
    answer = await stream
    took_s = time.monotonic() - revoked_at
    return "" if answer.ended and took_s <= CUT_S + 1 else f"the stream of a revoked key went on for {took_s:.1f} s"


async def earlier_invitation_ends(world: World) -> str:
    fresh = await fresh_key(world)
    links = [await world.ask(fresh, "POST", f"/v1/users/{world.values['user_id']}/invitation") for _ in range(2)]
    token = links[0]["link"].rpartition("/")[2]
    answer = await world.line.send(_NOBODY, "POST", f"/link/{token}", headers=SAME_ORIGIN)
    return "" if answer.status == 410 else f"an invitation that a later one replaces was answered {answer.status}"


async def key_outlives_none(world: World) -> str:
    short = await world.ask(world.owner, "POST", "/v1/keys", json={"days": 1})
    asking = Caller("a key for a day", "narrow", {"X-API-Key": short["key"]})
    made = await world.ask(asking, "POST", "/v1/keys", json={"days": 30})
    return "" if made["expires_at"] and made["expires_at"] <= time.time() + DAY_S else "a key for a day issued one that lasts longer"


async def websockets_are_refused(world: World) -> str:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    callers = [world.callers[name] for name in ("anonymous", "another site", "colleague")]
    for caller in callers:
        for path in ("/", "/v1/replies", "/gradio_api/queue/join"):
            answer = await world.line.send(caller, "GET", path, headers=upgrade, read_s=1)
            if answer.status == 101 or answer.status >= 500:
                return f"a websocket at {path} was answered {answer.status} to {caller.name}"
    return ""


async def erased_person_takes_nobodys(world: World) -> str:
    """What became of the owner's things is seen afterwards."""
    fresh = await fresh_key(world)
    made = await world.ask(fresh, "POST", "/v1/users", json={"name": f"leaver {mark()}", "tenant": world.values["tenant"]})
    await world.ask(fresh, "DELETE", f"/v1/users/{made['user']['id']}", read_s=30)
    return ""


async def erased_tenant_takes_nobodys(world: World) -> str:
    fresh = await fresh_key(world)
    made = await world.ask(fresh, "POST", "/v1/tenants", json={"name": f"{world.run} {mark()}"})
    await world.ask(fresh, "DELETE", f"/v1/tenants/{made['id']}", read_s=30)
    return ""


async def signing_out_ends_the_session(world: World) -> str:
    page = await open_page(world, world.owner.headers["X-API-Key"])
    await world.line.send(page, "POST", "/logout")
    answer = await world.line.send(page, "GET", "/v1/me")
    return "" if answer.status == 401 else f"a session that was signed out was answered {answer.status}"


async def revoking_ends_the_session(world: World) -> str:
    key = await world.ask(world.owner, "POST", "/v1/keys", json={"name": "to be revoked"})
    page = await open_page(world, key["key"])
    await world.ask(world.owner, "DELETE", f"/v1/keys/{key['id']}")
    answer = await world.line.send(page, "GET", "/v1/me")
    return "" if answer.status == 401 else f"the session of a revoked key was answered {answer.status}"


# (route, who it is about, what is looked at)
LIVES: tuple[tuple[str, str, Life], ...] = (
    ("GET /gradio_api/heartbeat/{session_hash}", "a key revoked meanwhile", stream_is_cut),
    ("POST /link/{token}", "an earlier invitation", earlier_invitation_ends),
    ("POST /logout", "a session signed out", signing_out_ends_the_session),
    ("DELETE /v1/keys/{key_id}", "a revoked key's session", revoking_ends_the_session),
    ("POST /v1/keys", "a key for a day", key_outlives_none),
    ("WEBSOCKET", "anybody", websockets_are_refused),
    ("DELETE /v1/users/{user_id}", "a fresh key", erased_person_takes_nobodys),
    ("DELETE /v1/tenants/{tenant_id}", "a fresh key", erased_tenant_takes_nobodys),
)
