"""What the apps of one installation tell each other of their running replies, so that a reader at one follows what another one writes.

Nothing is told that nobody watches, and nothing is decided by a message: whoever may read or stop a reply is asked of the database. Without
messages, or when some are lost, the database alone is asked, a little later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from maisale.chat.running import Running
from maisale.contracts import Events
from maisale.records import Reply
from maisale.store.conversations import as_json, citations_from, trace_from

log = logging.getLogger(__name__)

EVERYBODY = "replies"  # the channel that every app hears; each hears one of its own name besides
WATCHED_S = 12.0  # how long one wish to watch holds
QUIET_S = 2.0  # without a word of a reply, after which the database is asked; and the wish to watch is said again
POLLED_EVERY_S = 0.5  # the database, while nobody can be told anything
WORDS = ("state", "step", "place_in_line", "text", "thinking", "model")  # what changes all the time
TOLD_EVERY_S = 0.06  # as often as a reader here is shown something


class Siblings:
    """The other apps, as seen from the one named `runner`. running: what runs here. look: told when somebody was asked to stop a reply."""

    def __init__(self, events: Events, runner: str, running: Mapping[str, Running], look: Callable[[], None]):
        self._events, self._runner, self._running, self._look = events, runner, running, look
        self._watched: dict[tuple[str, str], float] = {}  # (reply, by whom) -> until when
        self._telling: set[asyncio.Task] = set()
        self._followed: defaultdict[str, set[_Followed]] = defaultdict(set)
        self._begun = False

    def begin(self) -> None:
        """Harmless when it has begun."""
        if not self._begun:
            self._begun = True
            self._events.listen([EVERYBODY, self._runner], self._heard)

    async def follow(self, reply: Reply) -> AsyncIterator[Reply]:
        """`reply` as its own app shows it. Ends when the database is to be asked: it has ended, there is no word of it, or nobody can be told."""
        self.begin()
        if not self._events.live:
            await asyncio.sleep(POLLED_EVERY_S)
            return
        followed = _Followed(reply)
        self._followed[reply.id].add(followed)
        try:
            said_at = float("-inf")
            while True:
                if time.monotonic() - said_at > WATCHED_S / 2:
                    said_at = time.monotonic()
                    self._events.publish(EVERYBODY, {"kind": "watch", "id": reply.id, "by": self._runner})
                if not await followed.changed(QUIET_S) or followed.ended:
                    return
                yield followed.reply
        finally:
            self._followed[reply.id].discard(followed)
            if not self._followed[reply.id]:
                self._followed.pop(reply.id)

    def ask_to_stop(self) -> None:
        """Some reply was asked to stop, and whoever runs it need not wait for its next look."""
        self._events.publish(EVERYBODY, {"kind": "stop"}, key="stop")

    def tell_end(self, reply_id: str) -> None:
        """For those who follow it, or are about to."""
        self._events.publish(EVERYBODY, {"kind": "ended", "id": reply_id})

    async def close(self) -> None:
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await self._events.close()

    def _heard(self, message: dict[str, Any]) -> None:
        kind, reply_id = message.get("kind"), message.get("id", "")
        if kind == "stop":
            self._look()
        elif kind == "watch" and reply_id in self._running and message["by"] != self._runner:
            self._watch(self._running[reply_id], message["by"])
        elif kind in ("shown", "found", "ended"):
            for followed in self._followed.get(reply_id, ()):
                followed.hear(message)

    def _watch(self, running: Running, by: str) -> None:
        known = (running.reply.id, by) in self._watched
        self._watched[running.reply.id, by] = time.monotonic() + WATCHED_S
        if known:
            self._tell_all(running.shown(), by)  # what was lost on the way
            return
        task = asyncio.create_task(self._tell(running, by), name=f"tell {by} of reply {running.reply.id}")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, running: Running, by: str) -> None:
        """Until it ends, or is watched no more."""
        reply_id, found = running.reply.id, None
        try:
            async with aclosing(running.snapshots()) as snapshots:
                async for reply in snapshots:
                    if time.monotonic() > self._watched[reply_id, by]:
                        return
                    if found != (id(reply.citations), id(reply.trace)):
                        found = id(reply.citations), id(reply.trace)
                        self._tell_all(reply, by)
                    elif not reply.ended:
                        self._events.publish(by, _words(reply), key=f"{reply_id} words")
                    await asyncio.sleep(TOLD_EVERY_S)
        finally:
            self._watched.pop((reply_id, by), None)

    def _tell_all(self, reply: Reply, by: str) -> None:
        found = {"kind": "found", "id": reply.id, "citations": as_json(reply.citations), "trace": as_json(reply.trace) if reply.trace else ""}
        self._events.publish(by, found, key=f"{reply.id} found")
        self._events.publish(by, _words(reply), key=f"{reply.id} words")


def _words(reply: Reply) -> dict[str, Any]:
    """All of it each time: a message that is lost costs nothing."""
    return {"kind": "shown", "id": reply.id, **{name: getattr(reply, name) for name in WORDS}}


class _Followed:
    """A reply of another app, as far as it was told of."""

    def __init__(self, reply: Reply):
        self.reply = reply
        self.ended = False
        self._changed = asyncio.Event()

    async def changed(self, wait_s: float) -> bool:
        """Whether there was something new within that time."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), wait_s)
        changed = self._changed.is_set()
        self._changed.clear()
        return changed

    def hear(self, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "found":
            self.reply = replace(self.reply, citations=citations_from(message["citations"]), trace=trace_from(message["trace"]))
        elif kind == "shown":
            self.reply = replace(self.reply, **{name: message[name] for name in WORDS})
        # An end is read from the database, which has it before it is told.
        self.ended = self.ended or kind == "ended" or self.reply.ended
        self._changed.set()
