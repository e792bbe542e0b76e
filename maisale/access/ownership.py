"""Whose is what on Gradio's routes. Gradio keeps nothing apart between people who are signed in; this does.

A route that is not in the tables below does not exist. Events, sessions and uploads belong to the person who made them, and another's look like
missing ones. What a function does with its arguments is for the function to authorise: a hidden one can be called too.
Paths and fields are those of Gradio 6.31.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs

from maisale.access import wire
from maisale.access.wire import Message, Receive, Send
from maisale.errors import BadInput, NotFound

# The named functions that start work; the others only read.
WORK = ("ask", "new_conversation", "rename_conversation", "delete_conversation", "search", "add_document")
KEPT_PER_PERSON = 2_000  # of each kind, the latest
CLAIMED_S = 3600  # that other processes know whose a session or an upload is; what is in it only the process that began it has

_PLAIN = re.compile(r"/gradio_api/(info|openapi\.json|user|login_check|app_id|queue/status)")
_READS_EVENT = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/(?P<event>[^/]+)")
_HEARTBEAT = re.compile(r"/gradio_api/heartbeat/(?P<session>[^/]+)")
_FILE = re.compile(r"/gradio_api/file[=/](?P<path>.+)", re.DOTALL)
_CALL = re.compile(r"/gradio_api/call/(?P<v2>v2/)?(?P<name>[^/]+)")
_RUN = re.compile(r"/gradio_api/(?:run|api)/[^/]+")
# Gradio 6.31 serves these outside of /gradio_api; nobody here needs them, and the first shows everybody's calls.
_SHUT = re.compile(r"/(monitoring|svelte|dev|docs|redoc|openapi\.json)(/.*)?")


@dataclass(frozen=True)
class Arguments:
    """What a named function takes, in order."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


class Surface(Protocol):
    """The functions that can be called."""

    def arguments(self, name: str) -> Arguments | None:
        """Of the public function of this name; None: there is none."""

    def named(self, number: int) -> str | None:
        """The name of the public function of this number; None: it is the page's own."""

    def values(self, number: int, session_hash: str | None) -> int | None:
        """How many values the function of this number takes on the page of this session; None: there is none."""


class Claims:
    """Which things belong to whom. The first to name a thing owns it; a person's oldest things are forgotten first."""

    def __init__(self, per_person: int = KEPT_PER_PERSON):
        self._per_person = per_person
        self._owners: dict[Hashable, str] = {}
        self._things: dict[str, OrderedDict[Hashable, None]] = {}

    def claim(self, user_id: str, thing: Hashable) -> bool:
        """Whether the thing is this person's from now on."""
        if self._owners.setdefault(thing, user_id) != user_id:
            return False
        things = self._things.setdefault(user_id, OrderedDict())
        things[thing] = None
        things.move_to_end(thing)
        if len(things) > self._per_person:
            self._owners.pop(things.popitem(last=False)[0])
        return True

    def owns(self, user_id: str, thing: Hashable) -> bool:
        return self._owners.get(thing) == user_id

    def release(self, user_id: str, thing: Hashable) -> None:
        if self.owns(user_id, thing):
            del self._owners[thing]
            del self._things[user_id][thing]


class Ownership:
    """Admits a person's request to a Gradio route, or raises NotFound, BadInput or TooLarge before Gradio sees it.

    claim_over_all: (name, user_id, seconds), whether a thing is this person's as far as other processes know.
    """

    def __init__(self, surface: Surface, claim_over_all: Callable[[str, str, int], bool]):
        self._surface = surface
        self._claim_over_all = claim_over_all
        self._sessions = Claims()
        self._events = Claims()
        self._uploads = Claims()  # of their progress
        self._files = Claims()  # (user, path): equal files of two people share their path

    async def admit(
        self, user_id: str, method: str, path: str, query: bytes, receive: Receive, send: Send, start_work: Callable[[], None]
    ) -> tuple[Receive, Send]:
        """The two ends to serve the request with. path: below the mount, without the query. start_work: counts a call of a named function that does."""
        if _SHUT.fullmatch(path) or "/gradio_api/deep_link" in path:
            raise NotFound("There is nothing here.")
        if "/gradio_api" not in path:
            return receive, send  # our own routes and the page
        if method in ("GET", "HEAD"):
            self._admit_reading(user_id, path, query)
            return receive, self._forgetting(user_id, path, send)
        if method == "POST":
            return await self._admit_work(user_id, path.rstrip("/"), query, receive, send, start_work)
        raise NotFound("There is nothing here.")

    def _admit_reading(self, user_id: str, path: str, query: bytes) -> None:
        if found := _FILE.fullmatch(path):
            if not self._files.owns(user_id, (user_id, found["path"])):
                raise NotFound("There is no such file among your uploads.")
        elif _PLAIN.fullmatch(path.rstrip("/")):
            return
        elif found := _HEARTBEAT.fullmatch(path):
            self._claim_session(user_id, found["session"])
        elif found := _READS_EVENT.fullmatch(path):
            self._check_event(user_id, found["event"])
        elif path == "/gradio_api/queue/data":
            self._claim_session(user_id, _one(query, "session_hash"))
        elif path == "/gradio_api/upload_progress":
            self._claim_upload(user_id, _one(query, "upload_id"))
        else:
            raise NotFound("There is nothing here.")

    def _forgetting(self, user_id: str, path: str, send: Send) -> Send:
        """`send` that forgets an event with the end of its stream: Gradio 6.31 lets a second reader wait for ever."""
        found = _READS_EVENT.fullmatch(path)
        if not found:
            return send

        async def forget(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._events.release(user_id, found["event"])
            await send(message)

        return forget

    async def _admit_work(
        self, user_id: str, path: str, query: bytes, receive: Receive, send: Send, start_work: Callable[[], None]
    ) -> tuple[Receive, Send]:
        if path == "/gradio_api/upload":
            if b"upload_id=" in query:
                self._claim_upload(user_id, _one(query, "upload_id"))
            return receive, wire.reading(send, lambda paths: self._learn_files(user_id, paths))
        call, run = _CALL.fullmatch(path), _RUN.fullmatch(path)
        if not call and not run and path.removeprefix("/gradio_api/") not in ("queue/join", "cancel", "reset", "component_server"):
            raise NotFound("There is nothing here.")
        raw, body = await wire.json_body(receive)
        self._check_body(user_id, body)
        name = None
        if call:
            name = call["name"]
            self._check_call(name, bool(call["v2"]), body)
        elif run or path == "/gradio_api/queue/join":
            self._check_function(body, bool(run))
            name = self._surface.named(body["fn_index"])
        if name in WORK:
            start_work()
        again = wire.again(raw, receive)
        if run:
            return again, wire.with_words(send)
        return again, wire.reading(send, lambda answer: self._learn_event(user_id, answer))

    def _check_body(self, user_id: str, body: dict[str, Any]) -> None:
        """Every session, event and file that a call names has to be the caller's."""
        if (session := body.get("session_hash")) is not None:
            self._claim_session(user_id, session)
        if (event := body.get("event_id")) is not None:
            self._check_event(user_id, event)
        for path in wire.paths(body):
            if not isinstance(path, str) or not self._files.owns(user_id, (user_id, path)):
                raise NotFound("A file named here is not among your uploads. Send it to /gradio_api/upload first, and pass on the path that comes back.")

    def _check_call(self, name: str, by_name: bool, body: dict[str, Any]) -> None:
        known = self._surface.arguments(name)
        if known is None:
            raise NotFound(f"There is no function {name[:80]!r}. GET /gradio_api/info lists them.")
        names = (*known.required, *known.optional)
        if by_name:
            if unknown := [one for one in body if one not in names]:
                raise BadInput(f"{name} takes {_listed(names)}, not {str(unknown[0])[:80]!r}.")
            if missing := [one for one in known.required if one not in body]:
                raise BadInput(f"{name} needs {_listed(missing)}.")
            return
        data = body.get("data")
        if not isinstance(data, list) or len(data) != len(names):
            sent = f"{len(data)} values came" if isinstance(data, list) else "no list came"
            raise BadInput(f'{name} takes {{"data": [...]}} with {len(names)} values: {_listed(names)}; {sent}. /gradio_api/call/v2/{name} takes them by name.')

    def _check_function(self, body: dict[str, Any], named: bool) -> None:
        number, session = body.get("fn_index"), body.get("session_hash")
        if number is None and named:
            raise NotFound("Functions are called by name through /gradio_api/call/v2/{name}. GET /gradio_api/info lists them.")
        known = isinstance(number, int) and not isinstance(number, bool)
        takes = self._surface.values(number, session if isinstance(session, str) else None) if known else None
        if takes is None:
            raise NotFound("There is no function of this number on this page. Reload the page if it was open during an update.")
        if not isinstance(body.get("data"), list):
            raise BadInput('The values of a call come as a list: {"data": [...]}.')
        if len(body["data"]) != takes:
            raise BadInput(f"This function takes as many values as it has inputs, {takes}; {len(body['data'])} came.")

    def _claim_session(self, user_id: str, session: Any) -> None:
        if not isinstance(session, str) or not 1 <= len(session) <= 100 or not self._claim(self._sessions, "session", user_id, session):
            raise NotFound("There is no such session. Reload the page.")

    def _claim_upload(self, user_id: str, upload_id: str) -> None:
        if len(upload_id) > 100 or not self._claim(self._uploads, "upload", user_id, upload_id):
            raise NotFound("There is no such upload.")

    def _claim(self, claims: Claims, kind: str, user_id: str, name: str) -> bool:
        """Of what its caller names; the names of events and files are given here, and other processes know none of them."""
        known = claims.owns(user_id, name)
        if not claims.claim(user_id, name):
            return False
        if known or self._claim_over_all(f"{kind} {name}", user_id, CLAIMED_S):
            return True
        claims.release(user_id, name)
        return False

    def _check_event(self, user_id: str, event: Any) -> None:
        if not isinstance(event, str) or not self._events.owns(user_id, event):
            raise NotFound("There is no such event: it was read to its end, or its id is wrong.")

    def _learn_files(self, user_id: str, paths: Any) -> None:
        for path in paths if isinstance(paths, list) else []:
            self._files.claim(user_id, (user_id, path))

    def _learn_event(self, user_id: str, answer: Any) -> None:
        if isinstance(answer, dict) and isinstance(answer.get("event_id"), str):
            self._events.claim(user_id, answer["event_id"])


def _one(query: bytes, name: str) -> str:
    values = parse_qs(query.decode("latin-1")).get(name, [])
    if len(values) != 1:
        raise BadInput(f"The address needs {name} once.")
    return values[0]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names) if names else "nothing"
