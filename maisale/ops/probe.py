"""The isolation probe: calls every route and every function of a running server as everybody who may not see a person's things, and judges.

It knows the server from outside only, by its own list of routes (GET /v1/routes), plants what it looks for (probe_world.py), and expects what
probe_table.py says. A probe that sees nothing proves nothing: the owner has to be shown each mark, else that is a finding too.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maisale.errors import BadInput, MaiSaleError
from maisale.ops import probe_functions, probe_world
from maisale.ops.probe_calls import HOST_FILE, OF_HOST, REFUSED, STREAMS, WHATEVER, Call, expected
from maisale.ops.probe_functions import Function, Trial, fill
from maisale.ops.probe_lives import LIVES
from maisale.ops.probe_table import calls_of
from maisale.ops.probe_wire import WRONG_KEYS, Answer, Caller, Line
from maisale.ops.probe_world import World, mark

AT_ONCE = 12  # calls
WRONG_AT_ONCE = 300  # of callers with a wrong key: their answers wait in the gate
THINGS = "the owner's things"
NAMED_BY = {"colleague": probe_functions.WAYS, "outsider": ("call/v2", "queue/join"), **dict.fromkeys(("foreign admin", "manager", "admin"), ("call/v2",))}
PAGE_BY = ("colleague", "outsider", "foreign admin")


@dataclass(frozen=True)
class Finding:
    route: str
    caller: str
    seen: str


@dataclass
class Report:
    """counts: (right, wrong) calls by route and caller."""

    counts: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def calls(self) -> int:
        return sum(map(sum, self.counts.values()))

    def add(self, route: str, caller: str, wrong: list[str]) -> None:
        self.counts.setdefault((route, caller), [0, 0])[bool(wrong)] += 1
        self.findings += [Finding(route, caller, one) for one in wrong]


def probe(url: str, admin_key: str, only: str = "") -> Report:
    """Plants, calls, judges and cleans up. only: a regular expression that the routes and functions to call have to match. Raises BadInput."""

    async def story() -> Report:
        async with Probe(url, admin_key) as opened:
            return await opened.run(only)

    return asyncio.run(story())


class Probe:
    """A world planted on one server, which may be called several times. As an async context manager it is cleared at the end."""

    def __init__(self, url: str, admin_key: str):
        self._line = Line(url)
        self._admin_key = admin_key
        self._world: World | None = None
        self._routes: list[tuple[str, str]] = []
        self._functions: list[Function] = []

    async def __aenter__(self) -> Probe:
        await self._line.__aenter__()
        try:
            await self._look()
            await self._plant()
        except BaseException:
            await self._line.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await probe_world.clear(self.world)
        finally:
            await self._line.__aexit__()

    @property
    def world(self) -> World:
        assert self._world
        return self._world

    async def run(self, only: str = "") -> Report:
        began, report = time.monotonic(), Report()
        await self.mend()
        self._unknown(report, only)
        calls = [call for route in self._routes for call in _as_listed(route) if re.search(only, call.route)]
        for changing in (False, True):
            await self._call_routes(report, [call for call in calls if (call.method not in ("GET", "HEAD")) == changing])
            if not changing:
                await self._call_functions(report, [one for one in self._functions if re.search(only, one.label)])
        lives = [life for life in LIVES if re.search(only, life[0])]
        for (route, caller, _), wrong in zip(lives, await asyncio.gather(*(_lived(life[2](self.world)) for life in lives)), strict=True):
            report.add(route, caller, wrong)
        self._compare(report, await probe_world.things(self.world))
        report.notes, report.seconds = list(dict.fromkeys(self.world.notes)), time.monotonic() - began
        return report

    async def _look(self) -> None:
        """What the server has. Raises BadInput when it does not say."""
        answer = await self._line.send(Caller("admin", "admin", {"X-API-Key": self._admin_key}), "GET", "/v1/routes")
        if answer.status != 200:
            raise BadInput(f"{self._line.url}/v1/routes was answered {answer.status} ({answer.text[:200]}). X_API_KEY_ADMIN has to be the server's own.")
        found = answer.json()
        self._routes = [(one["method"], one["path"]) for one in found["routes"]]
        self._functions = [Function(**{**one, "inputs": tuple(one["inputs"])}) for one in found["functions"]]

    async def _plant(self) -> None:
        numbers = {one.name: one.number for one in self._functions}
        self._world = world = await probe_world.plant(self._line, self._admin_key, numbers)
        world.values |= {"host_file": HOST_FILE, "climb": "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "number": numbers["get_conversation"]}
        world.values |= {"api_name": "get_conversation", "size": "192"}

    async def replant(self) -> None:
        """The whole world anew."""
        await probe_world.clear(self.world)
        await self._plant()

    async def mend(self) -> None:
        """Plants again what an earlier run found changed; what lives for a moment is planted for each run."""
        now = await probe_world.things(self.world)
        if now["person"] != self.world.left["person"]:
            await self.replant()
        elif now != self.world.left:
            await probe_world.plant_things(self.world)
        else:
            await probe_world.plant_passing(self.world)
        self.world.values["model"] = f"mai-sale/{self.world.values['collection']}"
        self.world.values |= {"path_or_url": self.world.values["path"], "short_reply_id": self.world.values["reply_id"][:8]}

    def _unknown(self, report: Report, only: str) -> None:
        unknown = [f"{method} {path}" for method, path in self._routes if not calls_of(method, path)]
        unknown += [one.label for one in self._functions if one.trials() is None]
        for route in (one for one in unknown if re.search(only, one)):
            report.add(route, "anybody", ["the server has it and the probe's table does not: add what is expected of it"])

    # Routes

    async def _call_routes(self, report: Report, calls: list[Call]) -> None:
        several, patient = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(WRONG_AT_ONCE)

        async def one(call: Call, caller: Caller, status: int | None) -> None:
            async with patient if caller.kind in ("dead", "ended") and "X-API-Key" in caller.headers else several:
                report.add(call.route, caller.name, await self._call(call, caller, status))

        pairs = [(call, caller, self._expected(call, caller)) for call in calls for caller in self.world.callers.values()]
        # Those whose answers the gate holds back for seconds first: the others are called meanwhile.
        pairs.sort(key=lambda pair: pair[1].kind not in ("dead", "ended"))
        await asyncio.gather(*(one(*pair) for pair in pairs if pair[2] is not None))

    def _expected(self, call: Call, caller: Caller) -> int | None:
        if caller.kind == "owner" and "owner" in call.shown_to:
            return WHATEVER  # a control: what is shown counts
        if call.method == "POST" and "help_id" in call.values.values() and not self.world.values["help_id"]:
            return None
        return expected(call, caller)

    async def _call(self, call: Call, caller: Caller, status: int) -> list[str]:
        values = {**self.world.values, **{name: self.world.values[value] for name, value in call.values.items()}, "somebody": f"{self.world.run} {mark()}"}
        path = _filled(call.path, values)
        sent = fill(call.sent, World(self._line, self.world.admin, values=values))
        read_s = 0.7 if any(part in call.path for part in STREAMS) else 3.0
        answer = await self._line.send(caller, call.method, path, headers=call.headers, read_s=read_s, **sent)
        wrong = _wrong_status(answer, call, caller, status)
        wrong += self._shown(answer, caller, f"{path} {sent}")
        if wrong and answer.status == 202:
            wrong += await self._accepted(caller, answer)
        return wrong + self._unseen(answer, caller, call.shown_to.get(caller.name, ()))

    async def _accepted(self, caller: Caller, answer: Answer) -> list[str]:
        """What became of a question that should have been refused; a document that should have been is taken out again."""
        made = answer.json()
        if "reply_id" not in made:
            await self._line.send(caller, "DELETE", f"/v1/documents/{made['id']}")
            return []
        followed = await self._line.send(caller, "GET", f"/v1/replies/{made['reply_id']}/events")
        return self._shown(followed, caller, "")

    # Functions

    async def _call_functions(self, report: Report, functions: list[Function]) -> None:
        several = asyncio.Semaphore(AT_ONCE)

        async def one(function: Function, trial: Trial, caller: Caller, way: str) -> None:
            async with several:
                report.add(function.label, caller.name, await self._call_function(function, trial, caller, way))

        first = {one.known_as: one.number for one in reversed(functions) if not one.public}
        todo = [(function, *trying) for function in functions for trying in self._trials(function, first.get(function.known_as) == function.number)]
        await asyncio.gather(*(one(*each) for each in todo))

    def _trials(self, function: Function, first: bool) -> Iterator[tuple[Trial, Caller, str]]:
        """Each with its caller and the way it is called. first: of its name on the page; the others are the same function behind another event."""
        callers = self.world.callers
        for trial in function.trials() or ():
            if not function.public and not first:
                yield from ((trial, callers[name], "queue/join") for name in PAGE_BY)
                continue
            if trial.shows:
                yield trial, self.world.owner, "call/v2" if function.public else "queue/join"
            if not function.public:
                yield from self._page_trials(trial)
                continue
            for name, ways in NAMED_BY.items():
                if name != "admin" or not (trial.makes or trial.at_gate):  # the admin's things stay
                    yield from ((trial, callers[name], way) for way in (ways[-1:] if trial.makes else ways))
            if trial.needs:
                yield from ((trial, one, "call/v2") for one in callers.values() if one.kind == "narrow" and trial.needs not in one.permissions)

    def _page_trials(self, trial: Trial) -> Iterator[tuple[Trial, Caller, str]]:
        callers = self.world.callers
        yield from ((trial, callers[name], "queue/join") for name in PAGE_BY)
        if not trial.at_gate:  # the upload is their own, and nothing else is to be changed by a key that only reads
            yield trial, callers["a key to read"], "queue/join"
        if trial.event is None:
            if not trial.at_gate:
                yield trial, callers["admin"], "queue/join"
            yield trial, callers["colleague"], "run"
        if trial.shows:  # the page shows nothing to a key that may not read
            yield from ((trial, callers[name], "queue/join") for name in ("a key to chat", "a key to write"))

    async def _call_function(self, function: Function, trial: Trial, caller: Caller, way: str) -> list[str]:
        answer = await probe_functions.call(self.world, caller, function, trial, way)
        if caller.kind == "owner":
            return self._unseen(answer, caller, tuple(trial.shows.split()))
        lacks = caller.kind == "narrow" and function.public
        wrong = self._shown(answer, caller, probe_functions.as_sent(trial, self.world))
        if trial.at_gate and answer.status != 404:
            how = "then refused" if probe_functions.was_refused(answer) else "taken"
            file = trial.arguments.get("file") or "the owner's upload"
            wrong.append(f"{way} with a file that is not the caller's, {file}, was let in and {how} ({answer.status}: {_brief(answer)})")
        elif (trial.refused or lacks) and not probe_functions.was_refused(answer):
            wrong.append(f"{way} was not refused: {_brief(answer)}")
        elif answer.status >= 500:
            wrong.append(f"{way} was answered {answer.status}: {_brief(answer)}")
        return wrong

    # Judging

    def _shown(self, answer: Answer, caller: Caller, sent: str) -> list[str]:
        """The marks that the caller must not see and was shown, without having sent them."""
        everything = answer.text + " ".join(answer.headers.values())
        names = [name for name, word in self.world.marks.items() if name not in caller.sees and word in everything and word not in sent]
        wrong = [f"was shown the owner's {name.replace('_', ' ')} ({answer.status})" for name in names]
        return wrong + (["was shown a file of the host"] if OF_HOST in everything else [])

    def _unseen(self, answer: Answer, caller: Caller, names: tuple[str, ...]) -> list[str]:
        missing = [name for name in names if self.world.marks[name] not in answer.text]
        return [f"{caller.name} was not shown {name.replace('_', ' ')}, so this proves nothing ({answer.status}: {_brief(answer)})" for name in missing]

    def _compare(self, report: Report, now: Mapping[str, Any]) -> None:
        for name, before in self.world.left.items():
            changed = now[name] != before
            report.add(THINGS, "everybody", [f"{name} was {_short(before)} and is {_short(now[name])}"] if changed else [])


def _wrong_status(answer: Answer, call: Call, caller: Caller, status: int) -> list[str]:
    if status == WHATEVER:
        right = answer.status < 500
    elif status == REFUSED and caller.kind in ("dead", "ended"):
        to_login = answer.status == 303 and call.method == "GET" and answer.headers.get("location", "").endswith("/login") and "Accept" in caller.headers
        right = answer.status == 401 or to_login or (answer.status == 429 and WRONG_KEYS in answer.text)
    else:
        right = answer.status == status
    return [] if right else [f"was answered {answer.status} instead of {status or 'less than 500'}: {_brief(answer)}"]


async def _lived(life: Awaitable[str]) -> list[str]:
    try:
        wrong = await life
    except MaiSaleError as problem:
        return [str(problem)]
    return [wrong] if wrong else []


def _as_listed(route: tuple[str, str]) -> Iterator[Call]:
    """The table's lines for a route, which the server may list with a slash at its end."""
    method, path = route
    for call in calls_of(method, path):
        yield call if call.path == path else Call(**{**vars(call), "path": path})


def _filled(path: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: str(values.get(found[1], "x")), path)


def _brief(answer: Answer) -> str:
    return " ".join(answer.text.split())[:120]


def _short(value: Any) -> str:
    return str(value)[:120]
