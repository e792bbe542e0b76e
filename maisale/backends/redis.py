"""Redis, as what several processes share: the counts of limits, locks with a lease. Its messages are redis_events.py's, the queue on it bell.py's.

Nothing is kept there that could not be lost. Nobody waits for it: it answers within a fraction of a second, or is away, and is done without
until a thread beside has found it again. An installation has a database number of Redis to itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import LockError, RedisError
from redis.lock import Lock
from redis.retry import Retry

from maisale.backends.alone import FileLocks, HeldFile
from maisale.backends.redis_events import RedisEvents
from maisale.errors import RedisUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S = 0.25  # that an answer may take; a count takes 0.2 ms. The event loop waits for it, once, when Redis begins to hang
AGAIN_S = 2.0  # between two tries while it is away
LEASE_S = 15.0  # of a lock: so long after its process died another one may have it
RENEWALS = 4  # within a lease: some may fail
# Named after strategy and version: what another strategy finds under its own name it cannot read (WRONGTYPE).
WINDOWS = "maisale:limits:moving-window:1"
COUNTED = "maisale:counts:fixed-window:1"
CLAIMED = "maisale:claims:1"
LOCKS = "maisale:lock:1"


class RedisShared:
    """Shared, over one Redis. Opened without it as well. otherwise: who decides on this machine, with Redis or without. lease_s: of locks."""

    def __init__(self, url: str, otherwise: FileLocks, lease_s: float = LEASE_S):
        self._url = url
        pool = ConnectionPool.from_url(url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0))
        self._client = Redis(connection_pool=pool)
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self.away = ""
        self.counts = RedisCounts(self, pool)
        self.locks = RedisLocks(self, otherwise, lease_s)
        try:
            self._look()
        except RedisError as problem:
            self.lost(problem)

    def ask(self, what: Callable[[Redis], T]) -> T:
        """What Redis answers. Raises RedisUnavailable, at once while it is known to be away."""
        if self.away:
            raise RedisUnavailable(self.away)
        try:
            return what(self._client)
        except LockError:
            raise
        except RedisError as problem:
            self.lost(problem)
            raise RedisUnavailable(self.away) from problem

    def lost(self, problem: Exception) -> None:
        """Redis did not answer: from now on a thread tries, and nobody else."""
        with self._guard:
            if self.away or self._closing.is_set():
                return
            self.away = f"Redis does not answer ({problem})."
        log.warning("%s Each process counts for itself until it does, and nothing is lost.", self.away)
        threading.Thread(target=self._find_again, name="redis-again", daemon=True).start()

    def events(self) -> RedisEvents:
        return RedisEvents(self._url, self)

    def close(self) -> None:
        self._closing.set()
        self._client.connection_pool.disconnect()

    def _find_again(self) -> None:
        while not self._closing.wait(AGAIN_S):
            try:
                self._look()
            except RedisError:
                continue
            self.away = ""
            log.warning("Redis answers again.")
            return

    def _look(self) -> None:
        """A small write: a Redis that is full, or a read-only copy, answers a ping."""
        self._client.set("maisale:look:1", "", ex=60)


class RedisCounts:
    def __init__(self, shared: RedisShared, pool: ConnectionPool):
        self._shared = shared
        self._windows = MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix=WINDOWS))
        self._counted = RedisStorage("redis://", connection_pool=pool, key_prefix=COUNTED)

    def hit(self, per_second: int, kind: str, name: str) -> float:
        limit = RateLimitItemPerSecond(per_second)
        if self._shared.ask(lambda _: self._windows.hit(limit, kind, name)):
            return 0.0
        reset_at = self._shared.ask(lambda _: self._windows.get_window_stats(limit, kind, name).reset_time)
        return max(0.05, reset_at - time.time())

    def increase(self, name: str, lasts_s: int) -> int:
        return self._shared.ask(lambda _: self._counted.incr(name, lasts_s))

    def claim(self, name: str, user_id: str, lasts_s: int) -> bool:
        def first(client: Redis) -> bytes | None:
            return client.pipeline().set(f"{CLAIMED}:{name}", user_id, ex=lasts_s, nx=True).get(f"{CLAIMED}:{name}").execute()[-1]

        return self._shared.ask(first) == user_id.encode()


class RedisLocks:
    """A file's lock on this machine and, when Redis answers, a lease there over all machines."""

    def __init__(self, shared: RedisShared, otherwise: FileLocks, lease_s: float):
        self._shared = shared
        self._otherwise = otherwise
        self._lease_s = lease_s

    def hold(self, name: str) -> Leased | None:
        file = self._otherwise.hold(name)
        if file is None:
            return None
        held = Leased(self._shared, name, file, self._lease_s)
        if held.renew():
            return held
        held.__exit__(None, None, None)
        return None


class Leased:
    """A lock that is renewed in a thread of its own until it is left, or lost."""

    def __init__(self, shared: RedisShared, name: str, file: HeldFile, lease_s: float):
        self._shared, self._name, self._file, self._lease_s = shared, name, file, lease_s
        self._lock: Lock | None = None
        self._left = threading.Event()
        self.lost = False
        self._renewing = threading.Thread(target=self._renew, name=f"lease of {name}", daemon=True)

    def __enter__(self) -> Leased:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._left.set()
        if self._renewing.is_alive():
            self._renewing.join()
        if self._lock is not None:
            try:
                self._shared.ask(lambda _: self._lock.release())
            except (LockError, RedisUnavailable) as unreleased:
                log.info("the lease of %s ends by itself: %s", self._name, unreleased)
        self._file.__exit__(kind, problem, trace)

    def renew(self) -> bool:
        """Whether no other process has it. While Redis is away nobody can take it there, and the file decides for this machine."""
        try:
            if self._lock is None or not self._extend():
                self._lock = self._shared.ask(self._take)
                if self._lock is None:
                    return False
        except RedisUnavailable:
            pass
        if not self._renewing.is_alive() and not self._left.is_set():
            self._renewing.start()
        return True

    def _extend(self) -> bool:
        """Whether it was still ours: a Redis that was started anew has forgotten it, one that hung has let it lapse."""
        try:
            return self._shared.ask(lambda _: self._lock.extend(self._lease_s, replace_ttl=True))
        except LockError:
            return False

    def _take(self, client: Redis) -> Lock | None:
        lock = Lock(client, f"{LOCKS}:{self._name}", timeout=self._lease_s, blocking=False, thread_local=False)
        return lock if lock.acquire() else None

    def _renew(self) -> None:
        while not self._left.wait(self._lease_s / RENEWALS):
            if not self.renew():
                self.lost = True
                log.warning("another process has %s now", self._name)
                return
