"""A reply in the making and those who watch it. Who answers, stores and ends it is replies.py's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from maisale.chat.ask import Turn
from maisale.records import Reply, Scope


class Running:
    """Made and used inside the event loop, as Replies is."""

    def __init__(self, scope: Scope, reply: Reply, turn: Turn | None):
        self.scope = scope
        self.reply = reply
        self.turn = turn  # of a conversation that its client keeps
        self.written: dict[str, str] = {}  # newer than what was shown
        self.prompt_tokens = 0  # that the model was given, where they are counted
        self.stop_asked = False
        self.ending = False
        self.left = False  # it is another process's now, or nobody's
        self.task: asyncio.Task
        self._final: Reply | None = None
        self._changed = asyncio.Event()

    def show(self, **changes: Any) -> None:
        self.reply = replace(self.reply, **changes)
        self._ring()

    def queued(self, place: int) -> None:
        """It waits for a model's free slot, at this place of the line."""
        self.show(step="queued", place_in_line=place)

    @property
    def may_wait_again(self) -> bool:
        """Nothing of it was written yet, and its question is stored: the next start can answer it."""
        return self.reply.step == "queued" and bool(self.reply.question_id)

    def end(self, final: Reply) -> None:
        self._final = final
        self._ring()

    @property
    def stored(self) -> bool:
        """Whether it has a row, or its client keeps the conversation."""
        return bool(self.reply.question_id)

    def stop(self) -> None:
        self.stop_asked = True
        self.cancel()

    def leave(self) -> None:
        """It goes on without us: nothing more of it is stored or shown here."""
        self.left = True
        self.cancel()

    def cancel(self) -> None:
        """Breaks the answering off; an end that is being stored is left alone."""
        if not self.ending:
            self.task.cancel()

    async def ended(self) -> None:
        async for _ in self.snapshots():
            pass

    def written_if_open(self) -> dict[str, str]:
        return {} if self.reply.ended else self.written

    async def snapshots(self) -> AsyncIterator[Reply]:
        """Until it has ended, which is the last one; one that was left breaks off."""
        while self._final is None and not self.left:
            changed = self._changed
            yield self.shown()
            await changed.wait()
        if self._final is not None:
            yield self._final

    def gone(self) -> None:
        """After `leave`: its readers go where it is now."""
        self.left = True
        self._ring()

    def shown(self) -> Reply:
        """An end is shown only once it is stored."""
        if self._final:
            return self._final
        return replace(self.reply, state="running") if self.reply.ended else self.reply

    def _ring(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
