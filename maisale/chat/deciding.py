"""Whose answer is decided next, and how long the last one in the line will wait.

Retrieval is computing: beside the event loop in one process it takes turns with it, and two at once are no faster than one after the other.
So answers are decided one at a time, and none is begun while a question is on its way to being stored: people are told that it was taken first.
While many wait, other processes decide, one question each; they hold back too, for they take the cores that questions are accepted with.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Protocol

from maisale.chat.ask import Turn, decide_answer
from maisale.errors import Overloaded
from maisale.flow.state import Decision
from maisale.records import Reply, Scope, Writer
from maisale.services import Services

log = logging.getLogger(__name__)

MANY = 6  # waiting answers from which on other processes are worth their memory
ALWAYS_OPEN = 100  # replies, running and waiting, that are taken on however slow they are
LONGEST_WAIT_S = 90.0  # that a question may have before it beyond that
HELD_BACK_S = 0.5  # at most, by questions that are being accepted: they may come without a pause
USUAL_S = 0.05  # a quotation; a model takes longer, which soon tells
WEIGHT = 0.05  # of the newest reply in the pace: about the last twenty count


class Elsewhere(Protocol):
    """Other processes that decide as this one does."""

    at_a_time: int  # decisions that may be asked for beside each other

    @property
    def ready(self) -> bool: ...

    def want(self) -> None:
        """Starts them, in their own time; harmless when they were started."""

    def decide(self, scope: Scope, reply: Reply | Turn, writer: Writer | None) -> Decision:
        """As chat.ask.decide_answer, for several threads. Raises Gone when they cannot do it."""

    def rest(self) -> None:
        """Nobody waits any more."""

    def close(self) -> None: ...


class Gone(Exception):
    """A process ended, or answers no more."""


class Deciding:
    """The line of those whose answer is to be decided. Used inside the event loop."""

    def __init__(self, services: Services, elsewhere: Elsewhere | None = None):
        self._services = services
        self._elsewhere = elsewhere
        self._waiting = 0
        at_a_time = elsewhere.at_a_time if elsewhere else 1
        self._threads = ThreadPoolExecutor(at_a_time, thread_name_prefix="decide")
        self._ahead = asyncio.Semaphore(at_a_time)
        self._turn = asyncio.Lock()
        self._accepting = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    @property
    def _elsewhere_ready(self) -> bool:
        return self._elsewhere is not None and self._elsewhere.ready

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

    async def decide(self, begun: Callable[[], None], scope: Scope, reply: Reply | Turn, writer: Writer | None) -> Decision:
        """What to answer, decided when its turn has come. begun: told then."""
        self._waiting += 1
        try:
            if self._elsewhere and self._waiting >= MANY:
                self._elsewhere.want()
            async with self._ahead if self._elsewhere_ready else self._turn:
                if self._accepting:
                    with suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self._nobody.wait(), HELD_BACK_S)
                begun()
                here = contextvars.copy_context()  # so that what is logged there names the request
                return await asyncio.get_running_loop().run_in_executor(self._threads, here.run, self._decide, scope, reply, writer)
        finally:
            self._waiting -= 1
            if self._elsewhere and not self._waiting:
                self._elsewhere.rest()

    def _decide(self, scope: Scope, reply: Reply | Turn, writer: Writer | None) -> Decision:
        if self._elsewhere_ready:
            try:
                return self._elsewhere.decide(scope, reply, writer)
            except Gone as problem:
                log.warning("another process decides no more (%s); this one does", problem)
        return decide_answer(self._services, scope, reply, writer)

    async def close(self, wait_s: float) -> None:
        """What is being decided reads the database: closed under its hands, SQLite takes the whole process down."""
        if self._elsewhere:
            self._elsewhere.close()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True), wait_s)


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
