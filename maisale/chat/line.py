"""Who is answered next by a model, and where: the line of those who wait for a free slot of a model server.

Ollama writes OLLAMA_NUM_PARALLEL answers at a time (one, unless it is told otherwise) and lets all others wait in silence, in the order in which they
came. So no more are sent to a server than it writes at once, and the line is here: everybody in it is told the place, and it is fair between people.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from maisale.contracts import ChatModel
from maisale.records import Scope

LOOK_S = 1.0  # servers come and go in other threads


@dataclass(eq=False)
class _Place:
    who: Scope
    told: Callable[[int], None]
    without: frozenset[str]
    number: int = 0  # as it was told last
    called: asyncio.Future[ChatModel | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Line:
    """Used inside the event loop. models: as ModelServer.chat_models. at_once: answers that one server writes beside each other."""

    def __init__(self, models: Callable[[], Sequence[ChatModel]], at_once: int, look_s: float = LOOK_S):
        self._models, self._at_once, self._look_s = models, at_once, look_s
        self._again: deque[_Place] = deque()  # whose server failed: they were next once
        self._waiting: dict[Scope, deque[_Place]] = {}  # by person
        self._served: dict[Scope, int] = {}  # number of the last one, of those who wait or have an answer being written
        self._writing: Counter[str] = Counter()  # answers by server
        self._held: Counter[Scope] = Counter()  # answers by person
        self._look: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, who: Scope, told: Callable[[int], None], without: Collection[str] = ()) -> AsyncIterator[ChatModel | None]:
        """The model for one answer, on the server with the fewest, once it has a free slot; None as soon as no server is left that could.

        Next is who has the fewest answers being written, of those who was served longest ago. told: the place, 1 is next, when one has to wait and
        whenever it changes. without: urls of servers that failed with this answer; who has any goes before all others.
        """
        place = _Place(who, told, frozenset(without))
        if without:
            self._again.append(place)
        else:
            self._waiting.setdefault(who, deque()).append(place)
        try:
            self._call()
            await asyncio.wait({place.called})
            yield place.called.result()
        finally:
            self._leave(place)
            self._call()

    def _call(self) -> None:
        """Gives the free slots to those who are next, and tells the others their places."""
        models, number = self._models(), 0
        for place in self._in_order():
            usable = [model for model in models if model.url not in place.without]
            free = [model for model in usable if self._writing[model.url] < self._at_once]
            if free or not usable:
                self._serve(place, min(free, key=lambda model: self._writing[model.url], default=None))
                continue
            number += 1
            if place.number != number:
                place.number = number
                place.told(number)
        if self._look:
            self._look.cancel()
        self._look = asyncio.get_running_loop().call_later(self._look_s, self._call) if number else None

    def _in_order(self) -> list[_Place]:
        """All who wait, the next one first."""
        order, people = list(self._again), len(self._waiting)
        longest_ago = sorted(self._waiting, key=lambda who: self._served.get(who, 0))
        rounds = [(self._held[who], rank, 0, self._waiting[who]) for rank, who in enumerate(longest_ago)]
        heapq.heapify(rounds)
        while rounds:
            held, rank, at, places = heapq.heappop(rounds)
            order.append(places[at])
            if at + 1 < len(places):
                heapq.heappush(rounds, (held + 1, rank + people, at + 1, places))
        return order

    def _serve(self, place: _Place, model: ChatModel | None) -> None:
        self._step_out(place)
        place.called.set_result(model)
        if model:
            self._served[place.who] = max(self._served.values(), default=0) + 1
            self._writing[model.url] += 1
            self._held[place.who] += 1

    def _step_out(self, place: _Place) -> None:
        if place in self._again:
            self._again.remove(place)
            return
        self._waiting[place.who].remove(place)
        if not self._waiting[place.who]:
            del self._waiting[place.who]

    def _leave(self, place: _Place) -> None:
        if not place.called.done():
            self._step_out(place)
        elif model := place.called.result():
            self._writing -= Counter({model.url: 1})
            self._held -= Counter({place.who: 1})
        if place.who not in self._held and place.who not in self._waiting:
            self._served.pop(place.who, None)
