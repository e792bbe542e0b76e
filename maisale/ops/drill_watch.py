"""Looks at an instance all through a drill: whether the page answers, and how long a job stays behind whose lease has passed."""

from __future__ import annotations

import http.client
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from maisale.ops.drill_instance import KEY, Instance
from maisale.ops.drill_load import words_of

LOOK_S = 0.5
ANSWER_S = 10.0
LATE_S = 60.0  # a job whose lease has passed is the first to be taken, once a hand is free


class Watch:
    """A thread that looks twice a second. now: the instance's own clock."""

    def __init__(self, instance: Instance, now: Callable[[], float] = time.time):
        self._instance, self._now = instance, now
        self._stopping, self._down = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._look, name="drill-watch", daemon=True)
        self.looks = 0
        self.unanswered: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._running: set[tuple[str, float]] = set()
        self._lapsed_at: dict[tuple[str, float], float] = {}
        self.past_lease_s = 0.0  # how long the lease of a job had passed before somebody took it

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    @contextmanager
    def down(self) -> Iterator[None]:
        """While the drill itself has ended the app, it cannot answer."""
        self._down.set()
        try:
            yield
        finally:
            self._down.clear()

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if self._down.is_set():
                continue
            began = time.monotonic()
            wrong = self._page()
            if self._down.is_set():  # it was ended meanwhile
                continue
            self.looks += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            if wrong:
                self.unanswered[wrong] += 1
            self._leases()

    def _page(self) -> str:
        """What is wrong with the answer: the page, or a 503 with words, is right."""
        host = self._instance.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=ANSWER_S)
        try:
            connection.request("GET", "/", headers={"X-API-Key": KEY, "Accept": "text/html"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            return f"no answer ({type(problem).__name__})"
        finally:
            connection.close()
        return "" if answer.status == 200 or (answer.status == 503 and words_of(body)) else f"{answer.status}: {words_of(body)[:100]}"

    def _leases(self) -> None:
        """A lease that was seen running and has passed. One that a new worker ended is another: its job is in flight no more, and waits."""
        try:
            rows = self._instance.rows("SELECT id, lease_until FROM jobs WHERE state = 'running'")
        except (OSError, sqlite3.Error):  # locked or damaged, as drills have it
            return
        now, seen_at = self._now(), time.monotonic()
        leases = {(job_id, until): until for job_id, until in rows}
        self._running |= {lease for lease, until in leases.items() if until >= now}
        # Counted by time that only passes: the clock may jump.
        lapsed = [lease for lease, until in leases.items() if until < now and lease in self._running]
        self._lapsed_at = {lease: self._lapsed_at.get(lease, seen_at) for lease in lapsed}
        self.past_lease_s = max([self.past_lease_s, *(seen_at - at for at in self._lapsed_at.values())])
