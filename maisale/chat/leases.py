"""Keeps the replies that run here this process's own, and takes over those of a process that died.

Several apps may work on one database. What is written where is store/open_replies.py's; who tells whom is siblings.py's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from maisale.chat.running import Running
from maisale.contracts import Database
from maisale.errors import MaiSaleError
from maisale.records import Reply, Scope
from maisale.store import open_replies

log = logging.getLogger(__name__)

LOOKS_S = 1.0  # between two looks whether another process was asked to stop one of ours
RENEWED_S = 5.0  # a lease lasts four times as long
SWEPT_S = 3.0  # between two looks for replies of a process that died


class Leases:
    """Of one process's replies, by its `runner`. running: those that run here. Used inside the event loop."""

    def __init__(self, db: Database, runner: str, running: Mapping[str, Running]):
        self._db, self._runner, self._running = db, runner, running
        self._task: asyncio.Task | None = None
        self._look_now = asyncio.Event()
        self._taken: Callable[[Scope, Reply, bool], Awaitable[None]] | None = None
        self._renewed_at = self._swept_at = float("-inf")

    def begin(self) -> None:
        """Harmless when it has begun."""
        if self._task is None:
            self._renewed_at = time.monotonic()
            self._task = asyncio.create_task(self._go_on(), name="leases of replies")

    async def take_over(self, taken: Callable[[Scope, Reply, bool], Awaitable[None]], alone: bool) -> None:
        """Now and every few seconds: `taken` is told each reply that lost its process, and whether it was to be stopped.

        alone: no other process can live that has replies, so that what there is now need not wait for its lease to pass.
        """
        self._taken = taken
        await self._sweep(alone)
        self.begin()

    def look(self) -> None:
        """Somebody was asked to stop something: perhaps one of ours."""
        self._look_now.set()

    async def close(self) -> None:
        """What waits here may be taken over at once."""
        if self._task is None:
            return
        while not self._task.done():
            self._task.cancel()  # again: up to Python 3.11 a cancellation that meets the end of a time limit passes for that
            await asyncio.wait({self._task}, timeout=LOOKS_S)
        try:
            await self._db.awrite(lambda tx: open_replies.let_go(tx, self._runner))
        except MaiSaleError as problem:
            log.warning("what waits is taken over later: %s", problem)

    async def _go_on(self) -> None:
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), LOOKS_S)
            self._look_now.clear()
            try:
                await self._look()
            except Exception:  # a database that is away, say: while it is, nobody takes anything over
                log.exception("the leases of running replies could not be looked at")

    async def _look(self) -> None:
        now = time.monotonic()
        if self._running:
            for reply_id in await asyncio.to_thread(open_replies.asked_to_stop, self._db, self._runner):
                if running := self._running.get(reply_id):
                    running.stop()
            if now - self._renewed_at >= RENEWED_S:
                self._renewed_at = now
                await self._renew()
        if self._taken and now - self._swept_at >= SWEPT_S:
            await self._sweep()

    async def _renew(self) -> None:
        ours = [one.reply.id for one in self._running.values() if one.stored]
        kept = await self._db.awrite(lambda tx: open_replies.keep(tx, self._runner, ours)) if ours else set()
        for reply_id in set(ours) - kept:
            running = self._running.get(reply_id)
            if running and not running.ending:
                log.warning("reply %s is another process's now, or was deleted; it ends here", reply_id)
                running.leave()

    async def _sweep(self, all_of_others: bool = False) -> None:
        self._swept_at = time.monotonic()
        if not all_of_others and not await asyncio.to_thread(open_replies.lapsed, self._db):
            return
        for scope, reply, stop_asked in await self._db.awrite(lambda tx: open_replies.take_over(tx, self._runner, all_of_others)):
            if reply.id not in self._running:  # ours, whose lease lapsed because this process stood still
                await self._taken(scope, reply, stop_asked)
