"""The bell of background work: Huey's queue with job ids on it. What a ring starts is tasks.py's; what is to be done is in the table `jobs`.

A ring may be lost, doubled or late: a sweep finds every job that waits.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from huey.api import Huey, TaskWrapper
from huey.registry import Message
from huey.serializer import Serializer
from huey.storage import PriorityRedisStorage, SqliteStorage
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from maisale.config import Settings
from maisale.errors import StorageFailed

log = logging.getLogger(__name__)

COMPACT_S = 10.0  # how long others may have the queue meanwhile
RUNG_S = 0.3  # that Redis may take to take a ring
LISTENED_S = 1.0  # that it may take to say that nobody rings; then it is asked again
AGAIN_S = 2.0  # between two tries while Redis is away


class Hands(Protocol):
    """Who does jobs: tasks.Work."""

    def take(self, job_id: str) -> None: ...


class _Json(Serializer):
    """Rings as JSON. Huey's own pickle would let whoever writes to the queue, in Redis perhaps, run code in the worker."""

    def _serialize(self, data: Message) -> bytes:
        return json.dumps(data).encode()

    def _deserialize(self, data: bytes) -> Message:
        return Message(*json.loads(data))


class _LazyStorage(SqliteStorage):
    """Opens its file, and makes the folder, when it is first used. A damaged file is replaced: it holds nothing that is not in `jobs`."""

    def __init__(self, name: str, path_of: Callable[[], Path], **options: Any):
        self._path_of = path_of
        super().__init__(name, filename="", create_tables=False, **options)

    def _create_connection(self) -> sqlite3.Connection:
        path = self._path_of()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.filename = str(path)
        try:
            return self._with_tables()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as problem:
            log.warning("%s is damaged (%s) and is made anew", path, problem)
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
            return self._with_tables()

    def _with_tables(self) -> sqlite3.Connection:
        connection = super()._create_connection()
        for statement in self.ddl:
            connection.execute(statement)
        return connection


class _RedisQueue(PriorityRedisStorage):
    """The queue in Redis. While that is away nobody waits for it, and who listens hears what is rung in its own process: the worker's sweep.

    Redis keeps no rings that matter: the sweep finds every job.
    """

    def __init__(self, name: str, url: str, listens: bool):
        wait_s = RUNG_S + LISTENED_S if listens else RUNG_S
        pool = ConnectionPool.from_url(url, socket_timeout=wait_s, socket_connect_timeout=RUNG_S, retry=Retry(NoBackoff(), 0))
        super().__init__(name, connection_pool=pool, read_timeout=LISTENED_S)
        self._listens = listens
        self._here: SimpleQueue[bytes] = SimpleQueue()
        self._again_at = float("-inf")  # while it is away: when it is tried again
        self._guard = threading.Lock()  # several hands find out at once, and one says so

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        if time.monotonic() >= self._again_at:
            try:
                super().enqueue(data, priority)
                return self._answered()
            except RedisError as problem:
                self._lost(problem)
        if self._listens:
            self._here.put(data)

    def dequeue(self) -> bytes | None:
        away_s = self._again_at - time.monotonic()
        with suppress(Empty):
            return self._here.get(timeout=min(LISTENED_S, away_s)) if away_s > 0 else self._here.get_nowait()
        if time.monotonic() < self._again_at:
            return None
        try:
            found = self.conn.bzpopmin(self.queue_key, timeout=self.read_timeout)
        except RedisError as problem:
            return self._lost(problem)
        self._answered()
        return found[1][8:] if found else None  # huey 3.5: eight bytes of time stand before each

    def queue_size(self) -> int:
        if time.monotonic() >= self._again_at:
            with suppress(RedisError):
                return super().queue_size()
        return self._here.qsize()

    def read_schedule(self, ts: datetime) -> list[bytes]:
        return []  # nothing is ever put there, and Redis need not be asked each second

    def peek_many(self, keys: list[str]) -> dict[str, bytes]:
        return {}  # huey 3.5 asks before each task whether it was revoked, and forgets that after it; no ring ever is

    def delete_data(self, key: str) -> bool:
        return False

    def close(self) -> None:
        self.pool.disconnect()

    def _lost(self, problem: RedisError) -> None:
        with self._guard:
            known, self._again_at = self._again_at > float("-inf"), time.monotonic() + AGAIN_S
        if not known:
            log.warning("Redis does not take rings (%s): the sweep finds the jobs, up to some seconds later", problem)

    def _answered(self) -> None:
        if self._again_at == float("-inf"):
            return
        with self._guard:
            known, self._again_at = self._again_at > float("-inf"), float("-inf")
        if known:
            log.warning("Redis takes rings again")


def use_redis(huey: Huey, settings: Settings, listens: bool) -> None:
    """Puts the queue into Redis when there is a REDIS_URL. listens: this process does the jobs. Nothing is opened before the first use."""
    if settings.redis_url:
        huey.storage = _RedisQueue("maisale", settings.redis_url, listens)


def make_huey(read_settings: Callable[[], Settings], kind: type[Huey] = Huey) -> Huey:
    """The queue in huey.db of the data folder. Nothing is opened before the first use."""
    # No fsync: a ring lost with the power is found by the sweep. No results: the end of a job is in `jobs`.
    place = {"storage_class": _LazyStorage, "path_of": lambda: read_settings().data_dir / "huey.db", "fsync": False}
    return kind("maisale", results=False, serializer=_Json(), **place)


def register(huey: Huey, current: Callable[[], Hands]) -> TaskWrapper:
    """The one task, on `huey`. current: the running process's Work; asked when a task runs."""

    def run_job(job_id: str) -> None:
        current().take(job_id)

    run_job.__module__ = __name__  # the same name for who rings and who works
    return huey.task(retries=0)(run_job)  # the table alone counts attempts


class HueyBell:
    """services.Bell: tells whichever worker listens that a job waits."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._huey = make_huey(lambda: settings)
        use_redis(self._huey, settings, listens=False)
        self._run_job = register(self._huey, _nobody)

    def hear_itself(self, huey: Huey) -> None:
        """From now on it rings where `huey`, the worker's of this process, listens: those rings need no Redis."""
        self._huey.storage.close()
        self._huey.storage = huey.storage

    def ring(self, job_id: str) -> None:
        self._huey.enqueue(self._run_job.s(job_id))

    def waiting(self) -> int:
        """How many rings nobody has heard yet."""
        return self._huey.pending_count()

    def compact(self) -> None:
        """Writes the queue's file anew: it keeps rings that were heard. Raises StorageFailed."""
        path = self._settings.data_dir / "huey.db"
        if not path.exists():
            return
        connection = sqlite3.connect(path, timeout=COMPACT_S, isolation_level=None)
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as problem:
            raise StorageFailed(f"{path} could not be written anew ({problem}). It is tried again.") from problem
        finally:
            connection.close()

    def close(self) -> None:
        self._huey.storage.close()


def _nobody() -> Hands:
    raise RuntimeError("this process rings the bell; jobs are done by the worker")
