"""How soon questions were acknowledged within the last hour, for whoever does not scrape /metrics: the page of people, and `doctor`.

Each life of an app keeps its minutes in a row of its own in `facts`, so that other processes can read them and a restart does not lose them.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass

from maisale import metrics
from maisale.contracts import Database
from maisale.store import facts

NOTED_EVERY_S = 30.0
_NAME = "acks "


@dataclass(frozen=True, slots=True)
class Acks:
    """Of the last hour. p95_s: within how many seconds 95 of 100 were acknowledged, estimated from counts; None: there was no question."""

    questions: int
    p95_s: float | None
    goal_s: float = metrics.ACK_GOAL_S

    @property
    def kept(self) -> bool:
        return self.p95_s is None or self.p95_s <= self.goal_s


class Notes:
    """What this life of the app writes down."""

    def __init__(self):
        self._name = f"{_NAME}{uuid.uuid4()}"
        self._written: dict[int, list[int]] = {}

    def write(self, db: Database) -> None:
        """Only what has changed. Rows of lives that ended more than an hour ago go."""
        now = metrics.acks.minutes()
        if now == self._written:
            return

        def store(tx):
            facts.set_fact(tx, self._name, json.dumps(now))
            facts.forget_old(tx, _NAME, time.time() - metrics.HOUR * 60)

        db.write(store, bulk=True)
        self._written = now


def last_hour(db: Database, now: float | None = None) -> Acks:
    """Over all apps on this database; it lags behind by NOTED_EVERY_S at most."""
    minute = int((time.time() if now is None else now) // 60)
    total = [0] * (len(metrics.ACK_BOUNDS_S) + 1)
    for value in facts.all_named(db, _NAME):
        for at, counts in json.loads(value).items():
            if minute - metrics.HOUR < int(at) <= minute and len(counts) == len(total):
                total = [one + more for one, more in zip(total, counts, strict=True)]
    return Acks(sum(total), metrics.quantile_s(total))
