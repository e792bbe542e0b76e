"""The load of a drill: people who ask and upload over HTTP, and a file in which every acknowledged id stands as soon as it came.

What an instance must have kept is read from that file and from nowhere else. A refusal needs words; what broke off was not accepted.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maisale.ops.bench_ack import BROKEN, Person
from maisale.ops.drill_instance import KEY

BREATH_S = 0.15  # between two requests of one person
AGAIN_S = 0.2  # after one that broke off
TALK = 20  # questions of a conversation
NAMES = re.compile(r"ZX\d+(\.\w+)?")  # of our own documents: a refusal counts once, whatever it was about
BORDER = "drill-border"
FORM_KIND = f"multipart/form-data; boundary={BORDER}"
TEXT = "The {code} purifier number {i} has filter code {code}-{i} and is under warranty for {months} months."


@dataclass(frozen=True)
class Noted:
    """kind: message or document. name: its id. detail: the reply's id, or the word that only this document holds."""

    kind: str
    name: str
    detail: str


class Book:
    """The file of acknowledged ids, one JSON list a line."""

    def __init__(self, path: Path):
        self._path = path
        self._writing = threading.Lock()
        path.touch()

    def note(self, kind: str, name: str, detail: str) -> None:
        with self._writing, self._path.open("a") as file:
            file.write(json.dumps([kind, name, detail]) + "\n")

    def read(self) -> list[Noted]:
        return [Noted(*json.loads(line)) for line in self._path.read_text().splitlines()]


class Load:
    """Asks and uploads in a thread of its own until it is stopped. paragraphs: of each document."""

    def __init__(self, url: str, book: Book, paragraphs: int = 4):
        self._url, self._book, self._paragraphs = url, book, paragraphs
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._go_on()), name="drill-load", daemon=True)
        self.refused: Counter[str] = Counter()  # words
        self.wordless: Counter[str] = Counter()  # refusals that say nothing
        self.broken = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    async def _go_on(self) -> None:
        await asyncio.gather(self._ask(Person(self._url, KEY)), self._upload(Person(self._url, KEY)))

    async def _ask(self, person: Person) -> None:
        talk, asked = "", 0
        while not self._stopping.is_set():
            if not talk or asked % TALK == 0:
                made = await self._send(person, "POST", "/v1/conversations", {})
                talk = made["id"] if made else ""
            if talk:
                asked += 1
                if taken := await self._send(person, "POST", f"/v1/conversations/{talk}/messages", {"text": f"What is filter code {random.randrange(1000)}?"}):
                    self._book.note("message", taken["message_id"], taken["reply_id"])

    async def _upload(self, person: Person) -> None:
        while not self._stopping.is_set():
            code, text = document(self._paragraphs)
            if taken := await self._send(person, "POST", "/v1/documents", form(f"{code}.md", text.encode()), FORM_KIND):
                self._book.note("document", taken["id"], code)

    async def _send(self, person: Person, method: str, path: str, body: Any, kind: str = "application/json") -> dict[str, Any] | None:
        try:
            answer = await person.request(method, path, body, kind)
        except BROKEN:  # the app is down: that is the drill
            self.broken += 1
            await asyncio.sleep(AGAIN_S)
            return None
        await asyncio.sleep(BREATH_S)
        if answer.status in (201, 202):
            return answer.json
        words = words_of(answer.body)
        if not words or answer.status == 500:
            self.wordless[f"{method} {path.partition('?')[0][:20]}: {answer.status} {words[:100]}"] += 1
        elif answer.status != 409:  # three wait in this conversation already: begin another
            self.refused[NAMES.sub("…", words)] += 1
            await asyncio.sleep(AGAIN_S)
        return None


def upload_all(url: str, book: Book, files: Sequence[tuple[str, str, Callable[[], bytes]]], at_once: int) -> Counter[str]:
    """Sends each file once, so many at the same time, and notes those that were accepted; returns the words of the refusals.

    files: (name, the word that only this one holds, what gives its bytes).
    """
    refused: Counter[str] = Counter()

    async def all_of_them() -> None:
        waiting = list(reversed(files))

        async def hand() -> None:
            person = Person(url, KEY)
            while waiting:
                name, code, read = waiting.pop()
                try:
                    answer = await person.request("POST", "/v1/documents", form(name, read()), FORM_KIND)
                except BROKEN as problem:
                    refused[f"broke off: {type(problem).__name__}"] += 1
                    continue
                if answer.status == 202:
                    book.note("document", answer.json["id"], code)
                else:
                    refused[words_of(answer.body) or f"{answer.status} without words"] += 1

        await asyncio.gather(*(hand() for _ in range(min(at_once, len(files)))))

    asyncio.run(all_of_them())
    return refused


def document(paragraphs: int) -> tuple[str, str]:
    """A word that stands in no other document, and a text that holds it."""
    code = f"ZX{uuid.uuid4().int % 10**12:012d}"
    return code, f"# Purifier {code}\n\n" + "\n\n".join(TEXT.format(i=i, code=code, months=i % 36) for i in range(paragraphs))


def form(name: str, data: bytes) -> bytes:
    head = f'--{BORDER}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BORDER}--\r\n".encode()


def words_of(body: bytes) -> str:
    """The words of a refusal."""
    try:
        found = json.loads(body)
        return str(found.get("error") or found.get("detail") or "")
    except (ValueError, AttributeError):
        return body[:200].decode(errors="replace").strip()
