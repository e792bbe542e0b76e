"""What a drill is: something is broken on purpose while people work, and what was acknowledged is counted afterwards, from outside.

Held means: everything accepted has ended (searchable or answered, or failed with a cause), nothing is lost or there twice, the page answered all
the time, and no job in flight was older than one lease. Where a drill cannot be made on a machine it is not run, and counts nothing.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maisale.errors import IndexUnavailable
from maisale.ops.bench_ack import BROKEN, BenchFailed, Person
from maisale.ops.drill_clock import Clock
from maisale.ops.drill_instance import KEY, DrillFailed, Instance
from maisale.ops.drill_load import Book, Load, Noted
from maisale.ops.drill_model import ModelServer
from maisale.ops.drill_room import Room
from maisale.ops.drill_watch import LATE_S, Watch
from maisale.services import patient_index

SETTLED_S = 3600.0  # ten thousand small files take the better part of it; all else is a matter of seconds, and of a lease at most
HEALTHY_S = 300.0
LOOK_S = 0.3
SEARCHED = 100  # documents of a drill that are searched for by the word that only they hold
AT_ONCE = 4


@dataclass
class Outcome:
    """What came of a drill."""

    name: str
    accepted: int = 0
    ended: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # of those that ended: by cause
    lost: int = 0
    doubled: int = 0
    healthy_s: list[float] = field(default_factory=list)  # from the end of each trouble until a question was answered
    settled_s: float = 0.0  # from the end of the drill's load until everything had ended
    past_lease_s: float = 0.0  # the longest that a job in flight was older than its lease
    wrong: list[str] = field(default_factory=list)  # what else is not as it has to be
    details: dict[str, Any] = field(default_factory=dict)
    not_run: str = ""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Never of a drill that was not run."""
        return not self.not_run and self.accepted > 0 and self.ended == self.accepted and not (self.lost or self.doubled or self.wrong)


@dataclass
class Place:
    """Where drills are made: an instance, and what stands around it for those that need it."""

    instance: Instance
    model: ModelServer | None = None
    room: Room | None = None
    clock: Clock | None = None


@dataclass(frozen=True)
class Drill:
    """place: by name, as drill_places opens it. work: breaks something and mends it, while it says what has to hold."""

    name: str
    about: str
    place: str
    work: Callable[[Ground], None]


class Ground:
    """One drill on its place, with its book and watch. folder: of this drill's own files."""

    def __init__(self, name: str, place: Place, folder: Path, short: bool):
        self.place, self.instance, self.short, self.folder = place, place.instance, short, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.outcome = Outcome(name)
        self.book = Book(folder / "acknowledged.jsonl")
        self.watch = Watch(place.instance, place.clock.now if place.clock else time.time)
        self._loads: list[Load] = []

    def begin_load(self, paragraphs: int = 4) -> Load:
        load = Load(self.instance.url, self.book, paragraphs)
        self._loads.append(load)
        load.start()
        return load

    def end_load(self) -> None:
        for load in self._loads:
            load.stop()
            self.outcome.details.setdefault("refused", Counter()).update(load.refused)
            self.must(not load.wordless, f"refused without words: {dict(load.wordless)}")
        self._loads.clear()

    def must(self, holds: Any, otherwise: str) -> None:
        """Notes what has to hold and does not; the drill goes on."""
        if not holds:
            self.outcome.wrong.append(otherwise)

    def healthy(self, index: bool = False) -> None:
        """Waits until a question that is asked now is answered, and notes how long that took. index: and the vector index answers."""
        began = time.monotonic()
        while not (asyncio.run(self._answered()) and (not index or self._index_answers())):
            if time.monotonic() - began > HEALTHY_S:
                return self.must(False, f"no question was answered within {HEALTHY_S:.0f} s")
            time.sleep(LOOK_S)
        self.outcome.healthy_s.append(round(time.monotonic() - began, 1))

    def settle(self) -> None:
        """Stops the load and waits until what was accepted has ended and no job is open."""
        self.end_load()
        began = time.monotonic()
        while (waiting := self._unended()) and time.monotonic() - began < SETTLED_S:
            time.sleep(LOOK_S)
        self.outcome.settled_s = max(self.outcome.settled_s, round(time.monotonic() - began, 1))
        self.must(not waiting, f"still open after {SETTLED_S:.0f} s: {', '.join(waiting[:3])}")

    def count(self) -> None:
        """Counts with eyes of its own what became of everything in the book."""
        asyncio.run(Count(self.instance, self.outcome).of(self.book.read()))
        self.outcome.past_lease_s = round(self.watch.past_lease_s, 1)
        self.outcome.details |= {"looks_at_the_page": self.watch.looks, "slowest_page_s": round(self.watch.slowest_s, 2)}
        self.must(not self.watch.unanswered, f"the page did not answer: {dict(self.watch.unanswered)}")
        self.must(self.watch.past_lease_s < LATE_S, f"a job stayed behind for {self.watch.past_lease_s:.0f} s after its lease")

    async def _answered(self) -> bool:
        person = Person(self.instance.url, KEY)
        try:
            made = await person.request("POST", "/v1/conversations", {})
            asked = await person.request("POST", f"/v1/conversations/{made.json['id']}/messages", {"text": "How do I sign in for the first time?"})
            if asked.status != 202:
                return False
            self.book.note("message", asked.json["message_id"], asked.json["reply_id"])
            return await person.finds_whole(asked.json["reply_id"], time.monotonic() + 30)
        except (*BROKEN, KeyError, ValueError, TypeError):
            return False

    def _index_answers(self) -> bool:
        asking = patient_index(self.instance.settings(), 3.0)
        try:
            return not asking.health()["state"]
        except IndexUnavailable:
            return False
        finally:
            asking.close()

    def _unended(self) -> list[str]:
        try:
            done = {row[0] for row in self.instance.rows("SELECT id FROM replies WHERE state NOT IN ('waiting', 'running')")}
            done |= {row[0] for row in self.instance.rows("SELECT id FROM documents WHERE stage IN ('searchable', 'complete', 'failed')")}
            work = self.instance.rows("SELECT kind || ' ' || state || ' ' || cause FROM jobs WHERE state IN ('pending', 'running')")
        except (OSError, sqlite3.Error) as problem:
            return [f"the database ({problem})"]
        open_ones = [f"{one.kind} {one.name}" for one in self.book.read() if (one.detail if one.kind == "message" else one.name) not in done]
        return open_ones + [row[0] for row in work]


class Count:
    """Counts over HTTP, and asks the database only for what people do not see: rows that are there twice."""

    def __init__(self, instance: Instance, outcome: Outcome):
        self._instance, self._outcome = instance, outcome
        self._people = [Person(instance.url, KEY) for _ in range(AT_ONCE)]

    async def of(self, noted: list[Noted]) -> None:
        """Everything noted, into the outcome. Raises DrillFailed when the instance does not answer."""
        questions, uploads = [[one for one in noted if one.kind == kind] for kind in ("message", "document")]
        self._outcome.accepted += len(noted)
        try:
            await self._each(questions, self._reply)
            listed = (await self._people[0].patiently("GET", "/v1/documents")).json
            there = {one["id"]: one for one in listed}
            for one in uploads:
                self._document(one, there.get(one.name))
            findable = [one for one in uploads if there.get(one.name, {}).get("searchable")]
            await self._each(random.sample(findable, min(len(findable), SEARCHED)), self._find)
        except BenchFailed as problem:
            raise DrillFailed(f"It could not be counted: {problem}") from problem
        titles = Counter(one["title"] for one in listed)
        self._outcome.doubled += sum(titles[there[one.name]["title"]] - 1 for one in uploads if one.name in there)
        doubled = "SELECT count(*) FROM (SELECT 1 FROM chunks GROUP BY document_id, message_id, position HAVING count(*) > 1)"
        self._outcome.doubled += self._instance.rows(doubled)[0][0]

    async def _each(self, noted: list[Noted], look: Callable[[Person, Noted], Any]) -> None:
        waiting = list(noted)

        async def hand(person: Person) -> None:
            while waiting:
                await look(person, waiting.pop())

        await asyncio.gather(*map(hand, self._people))

    async def _reply(self, person: Person, one: Noted) -> None:
        answer = await person.request("GET", f"/v1/replies/{one.detail}")
        if answer.status != 200 or answer.json["message_id"] != one.name:
            self._outcome.lost += 1
            return
        reply = answer.json
        if reply["state"] == "done" and reply["text"].strip():
            self._outcome.ended += 1
        elif reply["state"] in ("interrupted", "failed"):  # the page says of an interrupted one that it can be asked again
            self._end_failed(reply["error"] or ("interrupted" if reply["state"] == "interrupted" else ""), f"reply {one.detail}")

    def _document(self, one: Noted, found: dict[str, Any] | None) -> None:
        if found is None:
            self._outcome.lost += 1
        elif found["stage"] == "failed":
            self._end_failed(found["cause"], f"document {one.name}")
        elif found["searchable"]:
            self._outcome.ended += 1

    def _end_failed(self, cause: str, what: str) -> None:
        if cause:
            self._outcome.ended += 1
            self._outcome.failed[cause] += 1
        else:
            self._outcome.wrong.append(f"{what} failed without a cause")

    async def _find(self, person: Person, one: Noted) -> None:
        """By the word that only this document holds; each passage once."""
        hits = (await person.patiently("GET", f"/v1/search?q={one.detail}&limit=10")).json
        keys = [hit["key"] for hit in hits]
        self._outcome.doubled += len(keys) - len(set(keys))
        if one.name not in {hit["document_id"] for hit in hits}:
            self._outcome.lost += 1
            self._outcome.wrong.append(f"document {one.name} is not found by {one.detail}")
