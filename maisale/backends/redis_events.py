"""Messages between processes over Redis' publish and subscribe: one connection listens, one sends. Redis keeps none of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

CHANNELS = "maisale:1"  # whose messages these are, and the version of their form
ANSWER_S = 1.0  # that Redis may take; nobody waits meanwhile
QUIET_S = 2.0  # without a message, after which Redis is asked whether it is there
LOOK_S = 0.5  # between two looks whether it was found again
WAITING = 1000  # messages that wait to be sent; the oldest goes


class Server(Protocol):
    """Who knows whether Redis answers: redis.RedisShared."""

    away: str

    def lost(self, problem: Exception) -> None: ...


class RedisEvents:
    """Events. server: told when Redis does not answer, and asked when it does again."""

    def __init__(self, url: str, server: Server):
        self._server = server
        bounds = {"socket_timeout": ANSWER_S, "socket_connect_timeout": ANSWER_S, "retry": Retry(NoBackoff(), 0)}
        self._client = Redis.from_url(url, protocol=2, **bounds)
        # Channels are those of the whole server, whatever database number is chosen.
        self._prefix = f"{CHANNELS}:{self._client.connection_pool.connection_kwargs.get('db', 0)}:"
        self._waiting: dict[tuple[str, str], dict[str, Any]] = {}
        self._unkeyed = 0
        self._something = asyncio.Event()
        self._tasks: list[asyncio.Task] = []
        self._heard_at = float("-inf")
        self._closing = False

    @property
    def live(self) -> bool:
        return not self._server.away and time.monotonic() - self._heard_at < QUIET_S + 2 * ANSWER_S

    def listen(self, channels: Sequence[str], heard: Callable[[dict[str, Any]], None]) -> None:
        names = [self._prefix + channel for channel in channels]
        self._tasks = [asyncio.create_task(self._listen(names, heard), name="events"), asyncio.create_task(self._send(), name="send events")]

    def publish(self, channel: str, message: dict[str, Any], key: str = "") -> None:
        if not self.live:
            return
        if not key:
            self._unkeyed += 1
            key = f" {self._unkeyed}"
        self._waiting[channel, key] = message
        if len(self._waiting) > WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        self._something.set()

    async def close(self) -> None:
        self._closing = True
        while pending := [task for task in self._tasks if not task.done()]:
            for task in pending:
                task.cancel()  # again: a cancellation that meets the end of a time limit may pass for that
            await asyncio.wait(pending, timeout=ANSWER_S)
        await self._client.aclose()

    async def _listen(self, channels: Sequence[str], heard: Callable[[dict[str, Any]], None]) -> None:
        """Until it is closed: subscribes, hands on what comes, and does so again when Redis is back."""
        while not self._closing:
            if self._server.away:
                await asyncio.sleep(LOOK_S)
                continue
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(*channels)
                    while not self._closing:
                        await self._hear(subscription, heard)
            except (RedisError, OSError, asyncio.TimeoutError) as problem:
                self._heard_at = float("-inf")
                self._server.lost(problem)
                await asyncio.sleep(LOOK_S)

    async def _hear(self, subscription: Any, heard: Callable[[dict[str, Any]], None]) -> None:
        """The next message. Raises TimeoutError when Redis says nothing at all, not even that it is there."""
        message = await subscription.get_message(timeout=QUIET_S)
        if message is None:
            await subscription.ping()
            message = await subscription.get_message(timeout=ANSWER_S)
            if message is None:
                raise asyncio.TimeoutError("no answer to a ping")
        self._heard_at = time.monotonic()
        if message["type"] != "message":
            return
        try:
            heard(orjson.loads(message["data"]))
        except Exception:  # what one message does must not end the hearing of the others
            log.exception("a message of another process was not understood")

    async def _send(self) -> None:
        while not self._closing:
            await self._something.wait()
            if not self._waiting:
                self._something.clear()
                continue
            name = next(iter(self._waiting))
            message = self._waiting.pop(name)
            try:
                await self._client.publish(self._prefix + name[0], orjson.dumps(message))
            except (RedisError, OSError) as problem:
                self._waiting.clear()
                self._server.lost(problem)
