"""How often one person may start work, and how slowly wrong keys are answered. Counted by the package limits, in this process or over all of them.

What this protects: one person's program cannot take the machine from the others, and guessing a key is slow. What it does not: somebody
with many addresses guesses in parallel, which 256 random bits stand, and a short X_API_KEY_ADMIN does not. While Redis is away each process counts
for itself, so that with several of them somebody may come as many times as often.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from maisale.contracts import Counts
from maisale.errors import RedisUnavailable, TooOften

WIDER = 20  # times as often for what only reads: a page looks at many things at once
FREE_TRIES = 3  # wrong keys in a minute that are answered at once: people mistype
TRIES_S = 60
FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 5.0
FORGET_S = 10.0  # between two sweeps of what has expired
NOTED, NOTED_OF_ALL = 10, 100  # wrong keys and links a minute that the audit log takes, of one address and of all: nobody fills the disk with them
HELD = 50  # wrong answers that wait at a time for one address, and for one key id


class Limits:
    """per_second: of work, for each person. shared: counts of all processes; without them, or while they cannot be had, this process counts."""

    def __init__(self, per_second: int, shared: Counts | None = None, forget_s: float = FORGET_S):
        self.counts = BestCounts(MemoryCounts(forget_s), shared)
        self._per_second = per_second

    def start_work(self, user_id: str) -> None:
        """Counts one question, search, upload, creation, deletion or call about keys. Raises TooOften."""
        self._count(self._per_second, "work", user_id)

    def read(self, user_id: str) -> None:
        """Counts anything else. Raises TooOften."""
        self._count(self._per_second * WIDER, "reading", user_id)

    def _count(self, per_second: int, kind: str, user_id: str) -> None:
        wait_s = self.counts.hit(per_second, kind, user_id)
        if wait_s:
            words = f"More than {per_second} a second is too fast; this one was not taken. Try again in {max(1, math.ceil(wait_s))} s."
            raise TooOften(words, wait_s)


class BestCounts:
    """Counts that can always be had: over all processes, or else this one's own."""

    def __init__(self, own: MemoryCounts, shared: Counts | None):
        self.own, self._shared = own, shared

    def hit(self, per_second: int, kind: str, name: str) -> float:
        if self._shared:
            with suppress(RedisUnavailable):
                return self._shared.hit(per_second, kind, name)
        return self.own.hit(per_second, kind, name)

    def increase(self, name: str, lasts_s: int) -> int:
        if self._shared:
            with suppress(RedisUnavailable):
                return self._shared.increase(name, lasts_s)
        return self.own.increase(name, lasts_s)

    def claim(self, name: str, user_id: str, lasts_s: int) -> bool:
        """As far as other processes know; what this one knows is in its `Claims`."""
        if self._shared:
            with suppress(RedisUnavailable):
                return self._shared.claim(name, user_id, lasts_s)
        return True


class MemoryCounts:
    """Counts of this process alone."""

    def __init__(self, forget_s: float = FORGET_S):
        self.storage = _Memory(forget_s)
        self._windows = MovingWindowRateLimiter(self.storage)

    def hit(self, per_second: int, kind: str, name: str) -> float:
        limit = RateLimitItemPerSecond(per_second)
        if self._windows.hit(limit, kind, name):
            return 0.0
        return max(0.05, self._windows.get_window_stats(limit, kind, name).reset_time - time.time())

    def increase(self, name: str, lasts_s: int) -> int:
        return self.storage.incr(name, lasts_s)


class _Memory(MemoryStorage):
    """limits 5.8 forgets in a thread of its own, started anew for each hundredth of a second in which somebody is counted. This one forgets now and then."""

    def __init__(self, forget_s: float = FORGET_S):
        self._forget_s, self._forgot_at = forget_s, time.monotonic()
        super().__init__()

    def _MemoryStorage__schedule_expiry(self) -> None:  # its private name: a test holds it against the pinned version
        if time.monotonic() - self._forgot_at > self._forget_s:
            self._forgot_at = time.monotonic()
            self._MemoryStorage__expire_events()


class WrongKeys:
    """Each wrong key makes the next wrong answer to its address, and for its key id, come later. A right key never waits.

    counts: asked each time, for they are of the app's life; None: of this process, and for good.
    """

    def __init__(self, counts: Callable[[], Counts] | None = None) -> None:
        own = MemoryCounts()
        self._counts = counts or (lambda: own)
        self._held: Counter[str] = Counter()

    async def slow_down(self, address: str, key_id: str) -> None:
        """Waits as the number of wrong keys of the last minute asks for. Raises TooOften when too many wait already."""
        names = (f"address {address}", f"key {key_id[:64]}")
        tries = max(self._counts().increase(name, TRIES_S) for name in names)
        if tries <= FREE_TRIES:
            return
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(10, tries - FREE_TRIES - 1))
        if max(self._held[name] for name in names) >= HELD:
            raise TooOften(f"Too many wrong keys. Try again in {math.ceil(delay_s)} s, with a valid one.", delay_s)
        self._held.update(names)
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._held.subtract(names)
            self._held += Counter()  # forgets those that hold nothing

    def noteworthy(self, address: str) -> bool:
        """Whether another one of this address goes into the audit log."""
        counts = self._counts()
        return counts.increase(f"noted {address}", TRIES_S) <= NOTED and counts.increase("noted of all", TRIES_S) <= NOTED_OF_ALL
