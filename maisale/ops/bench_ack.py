"""How soon a question is acknowledged when a crowd asks, and whether every acknowledged one is answered: measured from outside, over HTTP.

Two loads. Thinking: each person sends, follows the reply to its end and thinks 0-2 s. Burst: all send at the same instant, a second later again.
A person's conversations are made before; counted is the time from sending POST /v1/conversations/{id}/messages to its 202, whole.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from maisale.errors import MaiSaleError
from maisale.ops.load_client import Answer, Connection

THINKING_S = 2.0  # at most, between a reply's end and the next question
ROUNDS = 20
ROUND_S = 1.0
ENDED_WITHIN_S = 60.0  # of a load's end, every reply is whole
AT_A_TIME = 10  # requests while people are made and replies are looked through
LOOK_S = 1.0
IDLE_S = 4.0  # uvicorn closes a connection that was idle for 5 s
PATIENCE_S = 300.0  # with a limit on how often the admin makes people and documents
INDEXED = 500  # documents
PARAGRAPHS = 12  # of each
_FIELD = '--bench\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
FORM = _FIELD.format("collection", "Bench") + _FIELD.format("visibility", "private") + _FIELD.format('file"; filename="{name}', "{text}") + "--bench--\r\n"
BROKEN = (OSError, EOFError, asyncio.TimeoutError)
_ASKED = re.compile(r"^### (.+\?)$", re.MULTILINE)


class BenchFailed(MaiSaleError):
    """The instance does not do what a load needs before it begins."""


@dataclass
class Load:
    """What came of one load."""

    taken_s: list[float] = field(default_factory=list)  # of each acknowledgement
    accepted: list[tuple[Person, str]] = field(default_factory=list)  # with the reply's id
    errors: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    lasted_s: float = 0.0
    answered_s: float = 0.0  # after the load's end, until the last reply was whole
    unindexed: tuple[int, int] | None = None  # documents at the load's begin and at its end

    def figures(self) -> dict[str, Any]:
        shares = {f"p{share}_ms": round(float(np.percentile(self.taken_s, share)) * 1000, 1) if self.taken_s else 0.0 for share in (50, 95, 99)}
        return {
            **shares,
            "max_ms": round(max(self.taken_s, default=0.0) * 1000, 1),
            "errors": sum(self.errors.values()),
            "lost": self.lost,
            "per_second": round(len(self.taken_s) / self.lasted_s, 1) if self.lasted_s else 0.0,
        }

    def details(self) -> dict[str, Any]:
        """What explains the figures."""
        found: dict[str, Any] = {"accepted": len(self.taken_s), "whole_after_s": round(self.answered_s, 1)}
        if self.errors:
            found["errors_by_kind"] = dict(self.errors)
        if self.unindexed:
            found["unindexed"] = self.unindexed
        return found


class Person:
    """One of the crowd: a key, and connections that stay open. A second one is opened when a request is made beside another."""

    def __init__(self, url: str, key: str):
        self._url, self._key = url, key
        self._idle: list[tuple[Connection, float]] = []

    async def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Answer:
        connection = self._connection()
        answer = await connection.request(method, path, body, kind)
        self._idle.append((connection, time.monotonic()))
        return answer

    def _connection(self) -> Connection:
        """The one that was used last, if the server is not about to close it."""
        while self._idle:
            connection, since = self._idle.pop()
            if time.monotonic() - since < IDLE_S:
                return connection
            connection.close()
        return Connection(self._url, self._key)

    async def patiently(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Answer:
        """The answer to what is no part of a load: asked again when it came too often. Raises BenchFailed for another refusal."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = await self.request(method, path, body, kind)
            except BROKEN as problem:
                raise BenchFailed(f"{self._url} does not answer ({problem or type(problem).__name__}). Is Mai-Sale running there?") from problem
            if answer.status < 300:
                return answer
            if answer.status not in (429, 503) or time.monotonic() > until:
                raise BenchFailed(f"{method} {path} was refused with {answer.status}: {answer.body[:300].decode(errors='replace')}")
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))

    async def new_conversation(self) -> str:
        return (await self.patiently("POST", "/v1/conversations", {})).json["id"]

    async def ask(self, load: Load, conversation_id: str, text: str) -> str | None:
        """The reply's id; None when the question was not accepted, which is counted."""
        try:
            answer = await self.request("POST", f"/v1/conversations/{conversation_id}/messages", {"text": text})
        except BROKEN as problem:
            load.errors[type(problem).__name__] += 1
            return None
        if answer.status != 202:
            load.errors[str(answer.status)] += 1
            return None
        reply_id = answer.json["reply_id"]
        load.taken_s.append(answer.taken_s)
        load.accepted.append((self, reply_id))
        return reply_id

    async def follow(self, load: Load, reply_id: str) -> None:
        """Reads the reply's events to their end."""
        try:
            answer = await self.request("GET", f"/v1/replies/{reply_id}/events")
        except BROKEN as problem:
            load.errors[f"events: {type(problem).__name__}"] += 1
            return
        if answer.status != 200 or b"event: done" not in answer.body:
            load.errors[f"events: {answer.status}"] += 1

    async def finds_whole(self, reply_id: str, until: float) -> bool:
        """Whether the reply has ended, with a text, by `until` (monotonic)."""
        while True:
            try:
                reply = (await self.patiently("GET", f"/v1/replies/{reply_id}")).json
            except BenchFailed:  # unknown
                return False
            if reply["done"] or time.monotonic() > until:
                return reply["state"] == "done" and bool(reply["text"].strip())
            await asyncio.sleep(LOOK_S)


@dataclass(frozen=True)
class Crowd:
    """People of one tenant made for this, and who adds its documents."""

    tenant_id: str
    people: list[Person]
    archivist: Person


async def gather_crowd(url: str, admin_key: str, users: int) -> Crowd:
    """Makes a tenant with so many people. Raises BenchFailed when the instance or its admin's key does not allow it."""
    admin = Person(url, admin_key)
    fresh = Person(url, (await admin.patiently("POST", "/v1/keys/fresh", {})).json["key"])
    tenant = (await fresh.patiently("POST", "/v1/tenants", {"name": f"bench {uuid.uuid4().hex[:8]}"})).json

    async def join(number: int) -> Person:
        asked = {"name": f"person {number}", "tenant": tenant["name"]}
        user_id = (await fresh.patiently("POST", "/v1/users", asked)).json["user"]["id"]
        return Person(url, (await fresh.patiently("POST", f"/v1/users/{user_id}/keys", {})).json["key"])

    archivist, *people = await _some_at_a_time([partial(join, number) for number in range(users + 1)])
    return Crowd(tenant["id"], people, archivist)


async def disband_crowd(url: str, admin_key: str, crowd: Crowd) -> None:
    """Deletes the tenant with everything in it."""
    fresh = Person(url, (await Person(url, admin_key).patiently("POST", "/v1/keys/fresh", {})).json["key"])
    await fresh.patiently("DELETE", f"/v1/tenants/{crowd.tenant_id}")


async def add_documents(crowd: Crowd, number: int, paragraphs: Sequence[str]) -> None:
    """So many documents for the worker to index, each of other paragraphs.

    Private, so that the crowd's questions are the same work with them and without them: the help pages answer while nothing else is readable.
    """

    async def add(text: str) -> None:
        raw = FORM.format(name=f"{uuid.uuid4().hex}.md", text=text).encode()
        await crowd.archivist.patiently("POST", "/v1/documents", raw, "multipart/form-data; boundary=bench")

    texts = ["\n\n".join((f"# Notes {uuid.uuid4().hex[:6]}", *random.sample(paragraphs, PARAGRAPHS))) for _ in range(number)]
    await _some_at_a_time([partial(add, text) for text in texts])


async def stages(crowd: Crowd) -> Counter[str]:
    """How many documents stand where on their way through the worker."""
    return Counter(one["stage"] for one in (await crowd.archivist.patiently("GET", "/v1/documents")).json)


async def thinking(crowd: Crowd, questions: Sequence[str], seconds: float) -> Load:
    """People who send, read and think, for so long. Each stays in one conversation."""
    talks = await _some_at_a_time([person.new_conversation for person in crowd.people])
    load, began = Load(), time.monotonic()

    async def go_on(person: Person, talk: str) -> None:
        await asyncio.sleep(random.uniform(0, THINKING_S))
        while time.monotonic() - began < seconds:
            if reply_id := await person.ask(load, talk, random.choice(questions)):
                await person.follow(load, reply_id)
            await asyncio.sleep(random.uniform(0, THINKING_S))

    await asyncio.gather(*map(go_on, crowd.people, talks))
    load.lasted_s = time.monotonic() - began
    return load


async def burst(crowd: Crowd, questions: Sequence[str], rounds: int) -> Load:
    """All at the same instant, and a second later again. Each question begins a conversation: in one, only three may wait."""
    talks = [await _some_at_a_time([person.new_conversation for person in crowd.people]) for _ in range(rounds)]
    load, began, waiting = Load(), time.monotonic(), []
    for number, talks_of_round in enumerate(talks):
        await asyncio.sleep(began + number * ROUND_S - time.monotonic())
        # Nobody waits for the round before: it would hold back the very load that makes it late.
        waiting += [asyncio.ensure_future(person.ask(load, talk, random.choice(questions))) for person, talk in zip(crowd.people, talks_of_round, strict=True)]
    await asyncio.gather(*waiting)
    load.lasted_s = max(time.monotonic() - began, rounds * ROUND_S)
    return load


async def look_through(load: Load) -> None:
    """Counts as lost what was acknowledged and is unknown, or not whole within 60 s of the load's end."""
    ended = time.monotonic()
    found = await _some_at_a_time([partial(person.finds_whole, reply_id, ended + ENDED_WITHIN_S) for person, reply_id in load.accepted])
    load.lost = found.count(False)
    load.answered_s = time.monotonic() - ended


def questions_of(pages: Path) -> list[str]:
    """The questions that the help pages answer, in both languages."""
    return [text for page in sorted(pages.glob("*.md")) for text in _ASKED.findall(page.read_text("utf-8"))]


def paragraphs_of(pages: Path) -> list[str]:
    return [part for page in sorted(pages.glob("*.md")) for part in page.read_text("utf-8").split("\n\n") if not part.startswith("#")]


async def _some_at_a_time(works: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """What each returns, in order."""
    room = asyncio.Semaphore(AT_A_TIME)

    async def one(work: Callable[[], Awaitable[Any]]) -> Any:
        async with room:
            return await work()

    return await asyncio.gather(*map(one, works))
