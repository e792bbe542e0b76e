"""Whose answer is decided next, and how long the last one in the line will wait.

Retrieval is computing: beside the event loop in one process it takes turns with it, and two at once are no faster than one after the other.
So answers are decided one at a time, and none is begun while a question is on its way to being stored: people are told that it was taken first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from maisale.errors import Overloaded

ALWAYS_OPEN = 100  # replies, running and waiting, that are taken on however slow they are
LONGEST_WAIT_S = 90.0  # that a question may have before it beyond that
HELD_BACK_S = 0.5  # at most, by questions that are being accepted: they may come without a pause
USUAL_S = 0.05  # a quotation; a model takes longer, which soon tells
WEIGHT = 0.05  # of the newest reply in the pace: about the last twenty count


class Deciding:
    """The line of those whose answer is to be decided. Used inside the event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decide")
        self._turn = asyncio.Lock()
        self._accepting = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    @contextmanager
    def accepting(self) -> Iterator[None]:
        """While a question is being accepted."""
        self._accepting += 1
        self._nobody.clear()
        try:
            yield
        finally:
            self._accepting -= 1
            if not self._accepting:
                self._nobody.set()

    async def decide(self, begun: Callable[[], None], work: Callable[..., Any], *args: Any) -> Any:
        """What `work` returns, done in a thread when its turn has come. begun: told then."""
        async with self._turn:
            if self._accepting:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._nobody.wait(), HELD_BACK_S)
            begun()
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def close(self, wait_s: float) -> None:
        """What is being decided reads the database: closed under its hands, SQLite takes the whole process down."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True), wait_s)


class Pace:
    """How fast replies end while others wait, and so whether a new one would come in time. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, always: int = ALWAYS_OPEN, longest_s: float = LONGEST_WAIT_S):
        self._clock, self._always, self._longest_s = clock, always, longest_s
        self._seconds = USUAL_S  # from one end to the next
        self._since = clock()

    def begin(self) -> None:
        """The first reply after a rest."""
        self._since = self._clock()

    def end(self) -> None:
        """One reply has ended."""
        now = self._clock()
        self._seconds += WEIGHT * (now - self._since - self._seconds)
        self._since = now

    def check(self, replies: int) -> None:
        """Raises Overloaded when one behind so many would have to wait too long."""
        wait_s = replies * self._seconds
        if replies < self._always or wait_s <= self._longest_s:
            return
        words = f"Too many questions are being answered right now: yours would wait about {wait_s:.0f} s, and was not stored. Try again a little later."
        refused = Overloaded(words)
        refused.retry_after_s = wait_s - self._longest_s
        raise refused
