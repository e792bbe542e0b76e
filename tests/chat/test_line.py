"""The line of those who wait for a model: whose turn is next, on which server, and what everybody in it is told."""

import asyncio
from dataclasses import dataclass

from conftest import HOA, LINH, MINH
from maisale.chat.line import Line


@dataclass
class Model:
    url: str


A, B = Model("http://a"), Model("http://b")


class Waiting:
    """Answers that stand in a line, each with what it was told, in the order in which they were called."""

    def __init__(self, *models, at_once=1):
        self.models, self.called, self.told = list(models), [], {}
        self.line = Line(lambda: self.models, at_once, look_s=0.01)
        self._tasks, self._ends = {}, {}

    async def add(self, name, who, without=()):
        self.told[name], self._ends[name] = [], asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._stand(name, who, without))
        await self.settle()

    async def _stand(self, name, who, without):
        async with self.line.turn(who, self.told[name].append, without) as model:
            self.called.append((name, model and model.url[-1]))
            await self._ends[name].wait()

    async def end(self, name):
        self._ends[name].set()
        await self._tasks[name]
        await self.settle()

    async def stop(self, name):
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await self.settle()

    async def settle(self):
        for _ in range(4):
            await asyncio.sleep(0)

    @property
    def names(self):
        return [name for name, _ in self.called]


def test_with_a_free_slot_nobody_is_told_of_a_line():
    async def body():
        waiting = Waiting(A)
        await waiting.add("one", LINH)
        assert waiting.called == [("one", "a")] and waiting.told["one"] == []

    asyncio.run(body())


def test_a_place_is_told_whenever_it_changes():
    async def body():
        waiting = Waiting(A)
        for name in ("one", "two", "three"):
            await waiting.add(name, LINH)
        await waiting.end("one")
        assert waiting.told == {"one": [], "two": [1], "three": [2, 1]} and waiting.names == ["one", "two"]

    asyncio.run(body())


def test_answers_go_where_the_fewest_are_and_no_server_gets_more_than_it_writes():
    async def body():
        waiting = Waiting(A, B, at_once=2)
        for number in range(5):
            await waiting.add(number, LINH)
        assert [where for _, where in waiting.called] == ["a", "b", "a", "b"] and waiting.told[4] == [1]
        await waiting.end(1)
        assert waiting.called[-1] == (4, "b")

    asyncio.run(body())


def test_a_person_with_many_questions_does_not_keep_the_others_waiting():
    async def body():
        waiting = Waiting(A, B)
        for number in range(6):
            await waiting.add(f"linh {number}", LINH)
        await waiting.add("minh", MINH)
        await waiting.add("hoa", HOA)
        assert (waiting.told["minh"], waiting.told["hoa"], waiting.told["linh 2"]) == ([1], [2], [1, 2, 3])
        for name in ("linh 0", "linh 1", "minh", "hoa"):
            await waiting.end(name)
        assert waiting.names == ["linh 0", "linh 1", "minh", "hoa", "linh 2", "linh 3"]

    asyncio.run(body())


def test_two_people_take_turns():
    async def body():
        waiting = Waiting(A)
        for number in range(3):
            await waiting.add(f"linh {number}", LINH)
        for number in range(2):
            await waiting.add(f"minh {number}", MINH)
        for name in ("linh 0", "minh 0", "linh 1", "minh 1"):
            await waiting.end(name)
        assert waiting.names == ["linh 0", "minh 0", "linh 1", "minh 1", "linh 2"]

    asyncio.run(body())


def test_who_stops_leaves_the_line_and_a_slot_that_was_held_is_free_again():
    async def body():
        waiting = Waiting(A)
        for name in ("one", "two", "three"):
            await waiting.add(name, LINH)
        await waiting.stop("two")
        assert waiting.told["three"] == [2, 1]
        await waiting.stop("one")
        assert waiting.names == ["one", "three"]

    asyncio.run(body())


def test_who_tried_a_server_that_failed_goes_first_on_another():
    async def body():
        waiting = Waiting(A, B)
        for name in ("one", "two", "three"):
            await waiting.add(name, LINH)
        await waiting.add("failed on a", MINH, without=("http://a",))
        assert waiting.told["failed on a"] == [1]
        await waiting.end("one")  # on a, which is no use to who failed there
        assert waiting.called[-1] == ("three", "a")
        await waiting.end("two")
        assert waiting.called[-1] == ("failed on a", "b")

    asyncio.run(body())


def test_without_a_server_that_could_nobody_waits():
    async def body():
        waiting = Waiting(A)
        await waiting.add("failed on a", LINH, without=("http://a",))
        waiting.models = []
        await waiting.add("one", LINH)
        assert waiting.called == [("failed on a", None), ("one", None)]

    asyncio.run(body())


def test_a_server_that_comes_or_goes_is_noticed_by_those_who_wait():
    async def body():
        waiting = Waiting(A)
        for name in ("one", "two", "three"):
            await waiting.add(name, LINH)
        waiting.models = [A, B]
        while len(waiting.called) < 2:
            await asyncio.sleep(0.01)
        assert waiting.called[-1] == ("two", "b")
        waiting.models = []
        while len(waiting.called) < 3:
            await asyncio.sleep(0.01)
        assert waiting.called[-1] == ("three", None)

    asyncio.run(body())
