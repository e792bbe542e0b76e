"""What this process counts and measures while it serves, for /metrics. What is read from the database at a scrape is ops/metrics.py's.

Nothing here names a person, a tenant or what they wrote: labels are doors, states and stages.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

ACK_GOAL_S = 0.2  # within which 95 of 100 questions are to be acknowledged
ACK_BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
HOUR = 60  # minutes
DOORS = ("page", "api", "mcp")
END_STATES = ("done", "stopped", "interrupted", "failed")

disable_created_metrics()  # a series more for each, which nobody asks for
REGISTRY = CollectorRegistry()
_ACK = Histogram(
    "maisale_ack_seconds", "From the arrival of a question until it is durable and acknowledged.", ["door"], buckets=ACK_BOUNDS_S, registry=REGISTRY
)
_RETRIEVAL = Histogram(
    "maisale_retrieval_seconds",
    "How long it took to decide what to answer: search, ranking and judging, without the waiting before.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
    registry=REGISTRY,
)
_FIRST_TOKEN = Histogram(
    "maisale_first_token_seconds",
    "From the request to the model until the first thing that it said or thought.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0),
    registry=REGISTRY,
)
_REPLIES = Counter("maisale_replies", "Answers that have ended, by how.", ["state"], registry=REGISTRY)
_ACK_OF = {door: _ACK.labels(door) for door in DOORS}
_REPLIES_OF = {state: _REPLIES.labels(state) for state in END_STATES}


class LastHour:
    """How often something took how long, minute by minute. clock: seconds since 1970."""

    def __init__(self, bounds_s: Sequence[float], clock: Callable[[], float] = time.time):
        self._bounds_s, self._clock = bounds_s, clock
        self._minutes: dict[int, list[int]] = {}

    def observe(self, seconds: float) -> None:
        minute = int(self._clock() // 60)
        counts = self._minutes.get(minute)
        if counts is None:
            self._minutes = {one: found for one, found in self._minutes.items() if minute - one < HOUR}
            counts = self._minutes[minute] = [0] * (len(self._bounds_s) + 1)
        counts[bisect_left(self._bounds_s, seconds)] += 1

    def minutes(self) -> dict[int, list[int]]:
        """The minute since 1970 to how many took up to each bound, and longer than the last."""
        return {minute: list(counts) for minute, counts in self._minutes.items()}


acks = LastHour(ACK_BOUNDS_S)


def acknowledged(door: str, seconds: float) -> None:
    """Of what came through a door of the server; a command is a process of its own."""
    if door in _ACK_OF:
        _ACK_OF[door].observe(seconds)
        acks.observe(seconds)


def decided(milliseconds: Mapping[str, float]) -> None:
    """milliseconds: of each step of the flow."""
    _RETRIEVAL.observe(sum(milliseconds.values()) / 1000)


def first_token(seconds: float) -> None:
    _FIRST_TOKEN.observe(seconds)


def ended(state: str) -> None:
    _REPLIES_OF[state].inc()


def quantile_s(counts: Sequence[int], bounds_s: Sequence[float] = ACK_BOUNDS_S, share: float = 0.95) -> float | None:
    """Within how many seconds so large a share was done, as Prometheus's histogram_quantile estimates it; None when there was none."""
    rank, below = share * sum(counts), 0
    if not rank:
        return None
    for at, count in enumerate(counts):
        if count and below + count >= rank:
            if at == len(bounds_s):
                return bounds_s[-1]
            begins = bounds_s[at - 1] if at else 0.0
            return begins + (bounds_s[at] - begins) * (rank - below) / count
        below += count
    return None
