"""The ledger of a document: when its present reading reached which stage, with counts, attempts and causes.

One row a stage: one that is reached again, after a crash or a retry, is noted anew.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from maisale.contracts import Database, Transaction
from maisale.records import Reached


def begin(tx: Transaction, document_id: str) -> None:
    """A new reading: what the one before reached is forgotten."""
    tx.execute("DELETE FROM stages WHERE document_id = :id", id=document_id)
    note(tx, document_id, "received")


def note(
    tx: Transaction, document_id: str, stage: str, *, reached_at: float | None = None, counted: int | None = None, attempts: int = 0, cause: str = ""
) -> None:
    """reached_at: now, unless it was a moment ago. The document has to exist."""
    tx.execute(
        """INSERT INTO stages (document_id, stage, reached_at, counted, attempts, cause) VALUES (:id, :stage, :at, :counted, :attempts, :cause)
           ON CONFLICT (document_id, stage) DO UPDATE
           SET reached_at = excluded.reached_at, counted = excluded.counted, attempts = excluded.attempts, cause = excluded.cause""",
        id=document_id,
        stage=stage,
        at=time.time() if reached_at is None else reached_at,
        counted=counted,
        attempts=attempts,
        cause=cause,
    )


def note_all(tx: Transaction, document_id: str, reached: list[Reached]) -> None:
    for one in reached:
        note(tx, document_id, one.stage, reached_at=one.reached_at, counted=one.counted)


def forget(tx: Transaction, document_id: str, stages: Sequence[str]) -> None:
    tx.execute("DELETE FROM stages WHERE document_id = :id AND stage IN :stages", id=document_id, stages=list(stages))


@dataclass(frozen=True, slots=True)
class Took:
    number: int
    mean_s: float
    longest_s: float


def durations(db: Database, since: float) -> dict[str, Took]:
    """How many documents reached each stage since then, over everybody, and how long each was on its way from the stage before."""
    sql = """SELECT stage, count(*) AS number, avg(took) AS mean_s, max(took) AS longest_s FROM (
                 SELECT s.stage, s.reached_at - (SELECT max(b.reached_at) FROM stages AS b
                     WHERE b.document_id = s.document_id AND b.stage <> s.stage AND b.reached_at <= s.reached_at) AS took
                 FROM stages AS s WHERE s.reached_at >= :since) AS reached
             WHERE took IS NOT NULL GROUP BY stage"""
    return {row.pop("stage"): Took(**row) for row in db.rows(sql, since=since)}


def of_document(db: Database, document_id: str) -> list[Reached]:
    """In the order of time. Who may see it is the caller's to know: store.documents.get_document."""
    sql = "SELECT stage, reached_at, counted, attempts, cause FROM stages WHERE document_id = :id ORDER BY reached_at"
    return [Reached(**row) for row in db.rows(sql, id=document_id)]
