"""What the probe plants: two tenants with people, keys that have ended, and things of one person, the owner, each with a mark that nobody else may see.

Marks are words that exist nowhere else. Topics stand beside them in the same text: who searches for a topic is shown the mark, without having sent it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from maisale.errors import BadInput
from maisale.ops.probe_wire import SAME_ORIGIN, Caller, Line

PRIVATE = ("title", "question", "document", "document_name", "collection", "file", "file_name", "upload", "key", "comment")
SHARED = ("shared", "shared_name", "shared_collection")  # of the owner's tenant
PEOPLE = ("person", "tenant", "person_id")  # the last is the owner's id, which stands in the audit log
MARKS = (*PRIVATE, *SHARED, *PEOPLE)
TOPICS = ("document", "file", "shared", "question")
EXPIRES_S = 1.5  # the life of the key that expires
WAIT_S = 60.0  # for the worker
BEGINS_S = 20.0  # for a long answer to name its sources

_KEY = re.compile(r"msk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")


@dataclass
class World:
    """marks and topics by name; values: what a route's {parameters} are filled with, all of the owner; callers by name."""

    line: Line
    admin: Caller
    marks: dict[str, str] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    callers: dict[str, Caller] = field(default_factory=dict)
    run: str = ""  # in the name of whatever is made in this world
    tenants: list[str] = field(default_factory=list)  # ids
    fresh: Caller | None = None  # a key that may delete, once it was needed
    functions: dict[str, int] = field(default_factory=dict)  # numbers of the page's functions, by name
    notes: list[str] = field(default_factory=list)
    left: dict[str, Any] = field(default_factory=dict)  # the owner's things, as they were planted

    @property
    def owner(self) -> Caller:
        return self.callers["owner"]

    async def ask(self, caller: Caller, method: str, path: str, **what: Any) -> Any:
        """The answer of a call that has to succeed, as an object."""
        answer = await self.line.send(caller, method, path, **what)
        if answer.status >= 400:
            raise BadInput(f"The probe cannot set up what it needs: {method} {path} was answered {answer.status} ({answer.text[:200]}).")
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else answer


def mark() -> str:
    """A word that is in no text."""
    return "".join(secrets.choice("bdfghjklmnprstvwxz") for _ in range(16))


async def plant(line: Line, admin_key: str, functions: dict[str, int]) -> World:
    """The whole world, found by search already. Raises BadInput."""
    admin = Caller("admin", "admin", {"X-API-Key": admin_key}, frozenset({*PEOPLE, "key"}))
    world = World(line, admin, functions=functions, run=f"probe {mark()}")
    world.callers["admin"] = admin
    try:
        await _plant_people(world)
        await _plant_keys(world)
        await plant_things(world)
    except BaseException:
        await clear(world)
        raise
    return world


async def clear(world: World) -> None:
    """Deletes the tenants with everybody and everything in them, those too that should not have been made, and ends what the admin opened."""
    fresh = await fresh_key(world)
    for tenant in await world.ask(world.admin, "GET", "/v1/tenants"):
        if tenant["name"].startswith(world.run):
            await world.ask(fresh, "DELETE", f"/v1/tenants/{tenant['id']}", read_s=60)
    if page := world.callers.get("the admin's page"):
        await world.line.send(page, "POST", "/logout")
    for caller in (world.callers.get("the admin's narrow key"), fresh):
        if caller:
            await world.ask(world.admin, "DELETE", f"/v1/keys/{_id_of(caller)}")
    world.fresh = None


async def fresh_key(world: World) -> Caller:
    """The one fresh key of this world: it deletes, and makes others' keys."""
    if world.fresh is None:
        made = await world.ask(world.admin, "POST", "/v1/keys/fresh", json={})
        world.fresh = Caller("a fresh key", "admin", {"X-API-Key": made["key"]})
    return world.fresh


def _id_of(caller: Caller) -> str:
    return caller.headers["X-API-Key"][4:20]


# People and keys


async def _plant_people(world: World) -> None:
    world.marks |= {name: mark() for name in PEOPLE}
    tenant, other = f"{world.run} {world.marks['tenant']}", f"{world.run} {mark()}"
    for name in (tenant, other):
        world.tenants.append((await world.ask(world.admin, "POST", "/v1/tenants", json={"name": name}))["id"])
    shared, managed = frozenset({*SHARED, "tenant"}), frozenset({*SHARED, *PEOPLE, "key"})
    people = (
        ("owner", "owner", tenant, "member", frozenset(MARKS)),
        ("colleague", "member", tenant, "member", shared),
        ("outsider", "member", other, "member", frozenset()),
        ("manager", "admin", tenant, "tenant_admin", managed),
        ("foreign admin", "admin", other, "tenant_admin", frozenset()),
        ("demoted", "member", tenant, "tenant_admin", shared),
        ("chief", "admin", tenant, "instance_admin", managed),
    )
    ids = dict(zip((one[0] for one in people), await asyncio.gather(*(_person(world, *one) for one in people)), strict=True))
    await world.ask(world.admin, "PATCH", f"/v1/users/{ids['demoted']}", json={"role": "member"})
    del world.callers["chief"]  # only managed, or not
    world.marks["person_id"] = ids["owner"]
    world.values |= {"user_id": ids["owner"], "chief": ids["chief"], "manager": ids["manager"], "tenant_id": world.tenants[0], "tenant": tenant}


async def _person(world: World, name: str, kind: str, tenant: str, role: str, sees: frozenset[str]) -> str:
    """The id of a new person, who calls with the key of the invitation."""
    called = world.marks["person"] if name == "owner" else f"probe {name}"
    made = await world.ask(world.admin, "POST", "/v1/users", json={"name": called, "role": role, "tenant": tenant})
    token = made["link"].rpartition("/")[2]
    page = await world.ask(Caller("nobody", "dead"), "POST", f"/link/{token}", headers=SAME_ORIGIN)
    key = _KEY.search(page.text)
    if not key:
        raise BadInput("The probe was shown no key by the invitation that it opened.")
    world.callers[name] = Caller(name, kind, {"X-API-Key": key[0]}, sees)
    if name == "owner":
        world.values["token"] = token  # used by now
    return made["user"]["id"]


async def _plant_keys(world: World) -> None:
    """Keys with fewer permissions, sessions, and what has ended: by time, by revocation, by signing out."""
    owner = world.owner
    expiring = await _key(world, owner, days=EXPIRES_S / 86_400)
    expires_at = time.monotonic() + EXPIRES_S
    revoked = await _key(world, owner)
    dead = {"anonymous": {}, "an expired key": {"X-API-Key": expiring}, "a revoked key": {"X-API-Key": revoked}}
    ended = {
        "a browser without a session": {"Accept": "text/html"},
        "a forged key": {"X-API-Key": f"{owner.headers['X-API-Key'][:21]}{secrets.token_urlsafe(32)}"},
        "an expired key's session": await _session(world, expiring),
        "a revoked key's session": await _session(world, revoked),
        "a session signed out": await _session(world, owner.headers["X-API-Key"]),
    }
    await world.ask(owner, "DELETE", f"/v1/keys/{revoked[4:20]}")
    await world.ask(Caller("page", "page", ended["a session signed out"]), "POST", "/logout", headers=SAME_ORIGIN)
    for kind, callers in (("dead", dead), ("ended", ended)):
        world.callers |= {name: Caller(name, kind, {**headers, **(SAME_ORIGIN if "Cookie" in headers else {})}) for name, headers in callers.items()}
    for permission in ("read", "chat", "write"):
        text = await _key(world, owner, permissions=[permission])
        sees = frozenset(MARKS if permission == "read" else ("key", *PEOPLE))
        world.callers[f"a key to {permission}"] = Caller(f"a key to {permission}", "narrow", {"X-API-Key": text}, sees, (permission,))
    session = await _session(world, owner.headers["X-API-Key"])
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
    world.callers["another site"] = Caller("another site", "site", {**session, **foreign}, owner.sees)
    foreign.pop("Sec-Fetch-Site")
    world.callers["another site in an old browser"] = Caller("another site in an old browser", "site", {**session, **foreign}, owner.sees)
    await _plant_admins(world)
    await asyncio.sleep(max(0.0, expires_at + 0.1 - time.monotonic()))


async def _plant_admins(world: World) -> None:
    """Keys of admins that lack the permission admin, and their browsers, with and without the key typed again."""
    manager, stranger = world.callers["manager"], world.callers["foreign admin"]
    for whose, person in (("the manager's", manager), ("the admin's", world.admin)):
        narrow = await _key(world, person, permissions=["read"])
        world.callers[f"{whose} narrow key"] = Caller(f"{whose} narrow key", "narrow", {"X-API-Key": narrow}, person.sees, ("read",))
    pages = {"the owner's page": world.owner, "the manager's page": manager, "the admin's page": world.admin}
    typed = {"the manager's fresh page": manager, "the foreign admin's fresh page": stranger}
    for name, person in {**pages, **typed}.items():
        key = person.headers["X-API-Key"]
        world.callers[name] = page = replace(await open_page(world, key), name=name, sees=person.sees)
        if name in typed:
            await world.ask(page, "POST", "/v1/session/fresh", json={"key": key})
    narrow = world.callers["the manager's narrow key"].headers["X-API-Key"]
    world.values |= {"manager_key": manager.headers["X-API-Key"], "manager_narrow_key": narrow}


async def _key(world: World, caller: Caller, **asked: Any) -> str:
    return (await world.ask(caller, "POST", "/v1/keys", json=asked))["key"]


async def open_page(world: World, key: str) -> Caller:
    """A browser of Mai-Sale's own page that signed in with this key."""
    return Caller("a browser", "page", {**await _session(world, key), **SAME_ORIGIN})


async def _session(world: World, key: str) -> dict[str, str]:
    """The header that carries a session which this key opened."""
    answer = await world.ask(Caller("nobody", "dead"), "POST", "/login", data={"key": key}, headers=SAME_ORIGIN)
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


# The owner's things


async def plant_things(world: World) -> None:
    """A conversation with a question, its answer, a verdict and a file; a private and a shared document; a named key. Waits until search finds them."""
    owner, values = world.owner, world.values
    if await _runs(world):  # of things that were planted before
        await world.line.send(owner, "POST", f"/v1/replies/{values['running_id']}/stop")
    world.marks |= {name: mark() for name in (*PRIVATE, *SHARED)}
    world.topics = {name: mark() for name in TOPICS}
    values |= {"topics": " ".join(world.topics.values()), "decoy": f"decoy {mark()}"}
    values |= {name: f"{name} {world.marks[name]}" for name in ("collection", "shared_collection")}
    made = await world.ask(owner, "POST", "/v1/keys", json={"name": world.marks["key"]})
    values["key_id"] = made["id"]
    values["conversation_id"] = (await world.ask(owner, "POST", "/v1/conversations", json={"title": world.marks["title"]}))["id"]
    places = {
        "document": {"collection": values["collection"], "visibility": "private"},
        "shared": {"collection": values["shared_collection"], "visibility": "tenant"},
        "file": {"conversation_id": values["conversation_id"]},
    }
    decoy = {"collection": values["decoy"], "visibility": "private"}  # whose name others use
    await world.ask(owner, "POST", "/v1/documents", files={"file": ("decoy.md", b"Nothing is here.")}, data=decoy)
    for name, place in places.items():
        text = f"The code of {world.topics[name]} is {world.marks[name]}. It opens the warehouse."
        made = await world.ask(owner, "POST", "/v1/documents", files={"file": (f"{world.marks[f'{name}_name']}.md", text.encode())}, data=place)
        values["document_id" if name == "document" else f"{name}_id"] = made["id"]
    gone = await world.ask(owner, "POST", "/v1/documents", files={"file": ("gone.md", b"Nothing is left.")}, data=decoy)
    values["erasure_id"] = (await world.ask(owner, "DELETE", f"/v1/documents/{gone['id']}"))["erasure_id"]
    listed = await world.ask(owner, "GET", "/v1/documents")
    values["help_id"] = next((one["id"] for one in listed if one["collection"] == "Mai-Sale help"), "")
    await _until(world, "documents are read", lambda: _searchable(world))
    question = f"What is the code of {world.topics['document']}? {world.topics['question']} {world.marks['question']}"
    asked = await world.ask(
        owner, "POST", f"/v1/conversations/{values['conversation_id']}/messages", json={"text": question, "documents": [values["document_id"]]}
    )
    values |= {"reply_id": asked["reply_id"], "message_id": asked["message_id"]}
    await _until(world, "the question is answered", lambda: _answered(world))
    await _judge(world)
    await _until(world, "messages are found", lambda: _found(world))
    await plant_passing(world)
    world.left = await things(world)


async def plant_passing(world: World) -> None:
    """What is there for a moment: an upload, an event and a session that nobody has read yet, and an answer that is being written."""
    owner, values = world.owner, world.values
    values |= {"session_hash": mark(), "upload_id": mark()}
    upload = {"files": ("note.txt", f"{world.marks['upload']} {secrets.token_hex(4)}".encode())}
    answer = await world.ask(owner, "POST", "/gradio_api/upload", params={"upload_id": values["upload_id"]}, files=upload)
    values["path"] = answer[0]
    called = await world.ask(owner, "POST", "/gradio_api/call/v2/get_conversation", json={"conversation_id": values["conversation_id"]})
    values["event_id"] = called["event_id"]
    joined = {"fn_index": world.functions["get_conversation"], "data": [values["conversation_id"]], "session_hash": values["session_hash"]}
    values["joined_id"] = (await world.ask(owner, "POST", "/gradio_api/queue/join", json=joined))["event_id"]
    if not await _runs(world):
        await _start_long_answer(world)


async def _start_long_answer(world: World) -> None:
    """An answer that is still being written while others call; without a slow model server there is none."""
    owner, values = world.owner, world.values
    made = await world.ask(owner, "POST", "/v1/conversations", json={"title": world.marks["title"]})
    text = f"Tell me at length, in many chapters, what the code of {world.topics['document']} opens."
    asked = await world.ask(owner, "POST", f"/v1/conversations/{made['id']}/messages", json={"text": text, "documents": [values["document_id"]]})
    values |= {"running_id": asked["reply_id"], "running_conversation_id": made["id"]}
    ends = time.monotonic() + BEGINS_S
    while time.monotonic() < ends:
        reply = await world.ask(owner, "GET", f"/v1/replies/{values['running_id']}")
        if reply["done"] or reply["citations"]:
            break
        await asyncio.sleep(0.05)
    if reply["done"]:
        world.notes.append("No answer ran long enough to be called while it was written: that needs a model server. An ended one stood for it.")


async def _runs(world: World) -> bool:
    if "running_id" not in world.values:
        return False
    answer = await world.line.send(world.owner, "GET", f"/v1/replies/{world.values['running_id']}")
    return answer.status == 200 and not answer.json()["done"]


async def _judge(world: World) -> None:
    """A comment on the answer, which only the page takes."""
    if "judge" not in world.functions:
        world.notes.append("The page has no function `judge`, so no comment was planted.")
        return
    sent = {"reply": world.values["reply_id"], "verdict": "up", "comment": world.marks["comment"]}
    joined = {"fn_index": world.functions["judge"], "data": [world.values["conversation_id"]], "event_data": sent, "session_hash": (session := mark())}
    await world.ask(world.owner, "POST", "/gradio_api/queue/join", json=joined)
    await world.line.send(world.owner, "GET", "/gradio_api/queue/data", params={"session_hash": session})


async def _until(world: World, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    ends = time.monotonic() + WAIT_S
    while not await holds():
        if time.monotonic() > ends:
            raise BadInput(f"Within {WAIT_S:.0f} s it was not so that {what}. Does the worker run?")
        await asyncio.sleep(0.1)


async def _searchable(world: World) -> bool:
    ids = [world.values[name] for name in ("document_id", "shared_id", "file_id")]
    found = await asyncio.gather(*(world.ask(world.owner, "GET", f"/v1/documents/{one}") for one in ids))
    return all(one["searchable"] for one in found)


async def _answered(world: World) -> bool:
    return (await world.ask(world.owner, "GET", f"/v1/replies/{world.values['reply_id']}"))["done"]


async def _found(world: World) -> bool:
    found = await world.ask(world.owner, "GET", "/v1/conversations/search", params={"q": world.topics["question"]})
    return bool(found)


async def things(world: World) -> dict[str, Any]:
    """The owner's things as they are now, as far as nobody but the owner may change them; what cannot be read is its refusal."""
    values, owner = world.values, world.owner
    found: dict[str, Any] = {}
    names, running = (values["collection"], values["decoy"]), values["running_conversation_id"]

    async def note(name: str, path: str, pick: Callable[[Any], Any], **what: Any) -> None:
        answer = await world.line.send(owner, "GET", path, **what)
        found[name] = pick(answer.json()) if answer.status == 200 else f"{answer.status} {answer.text[:80]}"

    await asyncio.gather(
        note("conversation", f"/v1/conversations/{values['conversation_id']}", _conversation),
        note("the running answer's conversation", f"/v1/conversations/{running}", lambda one: (one["title"], len(one["messages"]))),
        note("the running answer", f"/v1/replies/{values['running_id']}", lambda one: one["state"] if one["state"] in ("stopped", "failed") else "not stopped"),
        note("key", "/v1/keys", lambda keys: [one["revoked_at"] or one["expires_at"] for one in keys if one["id"] == values["key_id"]]),
        note("person", "/v1/me", lambda me: (me["user"]["role"], me["user"]["name"])),
        note("private collections", "/v1/collections", lambda found: sorted((one["name"], one["documents"]) for one in found if one["name"] in names)),
        note("private documents", "/v1/documents", lambda found: sorted(one["title"] for one in found if one["collection"] in names)),
        note("shared document", f"/v1/documents/{values['shared_id']}", lambda one: (one["title"], one["collection"])),
        note("file", "/v1/documents", lambda found: [one["title"] for one in found], params={"conversation_id": values["conversation_id"]}),
    )
    found["verdict"] = await shown_comment(world)
    return found


def _conversation(one: dict[str, Any]) -> Any:
    return one["title"], [(said["text"], (said.get("reply") or {}).get("state")) for said in one["messages"]]


async def shown_comment(world: World) -> bool:
    """Whether the page shows the owner the comment on the answer."""
    if "load" not in world.functions:
        return False
    joined = {"fn_index": world.functions["load"], "data": [world.values["conversation_id"], ""], "session_hash": (session := mark())}
    answer = await world.line.send(world.owner, "POST", "/gradio_api/queue/join", json=joined)
    if answer.status == 200:
        answer = await world.line.send(world.owner, "GET", "/gradio_api/queue/data", params={"session_hash": session})
    return world.marks["comment"] in answer.text
