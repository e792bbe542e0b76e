"""How long until a document is complete, measured: from its own rate, or from the queue before it and the rate of those that are embedded now.

Nothing is said where nothing was measured: in the first seconds, while a file before it has not been read yet (nobody knows its passages), while
a service is away. Rates change, so this is a guess, of the kind that is right about its unit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from maisale.contracts import Database
from maisale.records import Document
from maisale.store import jobs

MEASURED_S = 5.0  # of embedding, and
MEASURED = 16  # passages, before a rate is one
STALLED_S = 30.0  # a job that renewed its lease longer ago is not going on at that rate


@dataclass(frozen=True, slots=True)
class _Queued:
    document_id: str
    read: bool  # it is being embedded, or waits for that; else it is not read yet
    running: bool
    due: bool
    passages: int  # that lack a vector
    per_s: float | None  # passages a second; None: not measured


def with_seconds_left(db: Database, listed: Sequence[Document], now: float | None = None) -> list[Document]:
    """The documents, those whose end can be told with `seconds_left`."""
    if all(one.ended or not one.searchable for one in listed):
        return list(listed)
    found = _seconds_left([_queued(row, time.time() if now is None else now) for row in jobs.queue_of_documents(db)])
    return [one if one.ended or not one.searchable else replace(one, seconds_left=found.get(one.id)) for one in listed]


def _seconds_left(queue: Sequence[_Queued]) -> dict[str, int]:
    """By document. queue: in the order in which it is worked on, those that are at it first."""
    found: dict[str, int] = {}
    ahead, rates = 0, []
    for one in queue:
        if one.running and one.read:
            rates.append(one.per_s)
            ahead += one.passages
            if one.per_s:
                found[one.document_id] = round(one.passages / one.per_s)
            continue
        if not one.read or not one.due or not rates or None in rates:
            break  # whoever comes behind it waits for something unknown
        ahead += one.passages
        found[one.document_id] = round(ahead / sum(rates))
    return found


def _queued(row: dict[str, Any], now: float) -> _Queued:
    running, lacking = row["state"] == "running", max(0, row["chunks"] - row["embedded"])
    per_s = None
    if running and row["began_at"] is not None and now - row["renewed_at"] < STALLED_S:
        lasted, gained = now - row["began_at"], row["embedded"] - (row["counted"] or 0)
        if lasted >= MEASURED_S and gained >= MEASURED:
            per_s = gained / lasted
    return _Queued(row["subject_id"], row["kind"] == "embed_document", running, row["next_at"] <= now, lacking, per_s)
