"""Receipts of deletions, and the backups that were made: what is gone, what the files still hold, and until when.

A receipt is written in the transaction that deletes. It names ids and counts, never what was deleted.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from maisale.contracts import Database, Transaction
from maisale.errors import NotFound
from maisale.records import Erasure, Scope

# The table that held what a receipt of this kind is about.
TABLES = {"message": "messages", "conversation": "conversations", "document": "documents", "user": "users", "tenant": "tenants"}

_ERASURE = "id, tenant_id, user_id, kind, subject_id, since, asked_at, counts, state, erased_at"


def begin(tx: Transaction, scope: Scope, kind: str, subject_id: str, since: float = 0.0) -> str:
    """A pending receipt of what `scope` deletes; returns its id. One that broke off is gone on with under its first receipt."""
    found = tx.rows("SELECT id FROM erasures WHERE subject_id = :id AND kind = :kind AND state = 'pending'", id=subject_id, kind=kind)
    if found:
        return found[0]["id"]
    made = Erasure(str(uuid.uuid4()), scope.tenant_id, scope.user_id, kind, subject_id, since, time.time(), {})
    insert(tx, made)
    return made.id


def insert(tx: Transaction, erasure: Erasure) -> None:
    """A receipt as it is; harmless when it is there."""
    tx.execute(
        f"""INSERT INTO erasures ({_ERASURE}) VALUES (:id, :tenant, :user, :kind, :subject, :since, :asked, :counts, :state, :erased)
            ON CONFLICT (id) DO NOTHING""",
        id=erasure.id,
        tenant=erasure.tenant_id,
        user=erasure.user_id,
        kind=erasure.kind,
        subject=erasure.subject_id,
        since=erasure.since,
        asked=erasure.asked_at,
        counts=json.dumps(erasure.counts),
        state=erasure.state,
        erased=erasure.erased_at,
    )


def count(tx: Transaction, erasure_id: str, **more: int) -> None:
    """Adds to what went under this receipt."""
    counts = json.loads(tx.rows("SELECT counts FROM erasures WHERE id = :id", id=erasure_id)[0]["counts"])
    for name, n in more.items():
        if n:
            counts[name] = counts.get(name, 0) + n
    tx.execute("UPDATE erasures SET counts = :counts WHERE id = :id", counts=json.dumps(counts), id=erasure_id)


def get(source: Database | Transaction, erasure_id: str) -> Erasure:
    """Raises NotFound."""
    found = source.rows(f"SELECT {_ERASURE} FROM erasures WHERE id = :id", id=erasure_id)
    if not found:
        raise NotFound("There is no such receipt.")
    return _erasure(found[0])


def listed(db: Database, tenant_id: str | None = None, user_id: str | None = None, limit: int = 200) -> list[Erasure]:
    """The latest first: of a tenant, of a person in it, or of everybody."""
    sql = f"""SELECT {_ERASURE} FROM erasures WHERE tenant_id = coalesce(:tenant, tenant_id) AND user_id = coalesce(:user, user_id)
              ORDER BY asked_at DESC, id LIMIT :limit"""
    return [_erasure(row) for row in db.rows(sql, tenant=tenant_id, user=user_id, limit=limit)]


def everything(db: Database) -> list[Erasure]:
    """All receipts, the oldest first."""
    return [_erasure(row) for row in db.rows(f"SELECT {_ERASURE} FROM erasures ORDER BY asked_at, id")]


def pending(db: Database, before: float) -> list[Erasure]:
    """Those asked for until then, the oldest first, whose deletion went through: one that broke off waits for whoever asks for it again."""
    rows = db.rows(f"SELECT {_ERASURE} FROM erasures WHERE state = 'pending' AND asked_at <= :before ORDER BY asked_at", before=before)
    return [one for one in map(_erasure, rows) if not db.rows(f"SELECT 1 FROM {TABLES[one.kind]} WHERE id = :id", id=one.subject_id)]


def finish(tx: Transaction, erasure_ids: Sequence[str], at: float) -> None:
    """No file holds what these are about any more."""
    tx.execute("UPDATE erasures SET state = 'erased', erased_at = :at WHERE id IN :ids AND state = 'pending'", at=at, ids=list(erasure_ids))


def note_backup(tx: Transaction, path: str, began_at: float, ended_at: float, by_itself: bool) -> None:
    tx.execute("DELETE FROM backups WHERE path = :path", path=path)
    tx.insert("backups", path=path, began_at=began_at, ended_at=ended_at, by_itself=int(by_itself))


def forget_backup(tx: Transaction, path: str) -> None:
    tx.execute("DELETE FROM backups WHERE path = :path", path=path)


def backups(db: Database) -> list[dict[str, Any]]:
    """path, began_at, ended_at and by_itself of each that was noted, the latest first."""
    return db.rows("SELECT path, began_at, ended_at, by_itself FROM backups ORDER BY began_at DESC")


def last_accepted(db: Database) -> float:
    """When somebody last asked, added or deleted something."""
    sql = """SELECT (SELECT coalesce(max(updated_at), 0) FROM conversations) AS asked, (SELECT coalesce(max(received_at), 0) FROM documents) AS added,
             (SELECT coalesce(max(asked_at), 0) FROM erasures) AS deleted"""
    return max(db.rows(sql)[0].values())


def _erasure(row: dict[str, Any]) -> Erasure:
    return Erasure(**{**row, "counts": json.loads(row["counts"])})
