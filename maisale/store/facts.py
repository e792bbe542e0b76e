"""What a restart must know, one row a name: which embedder answers, where the audit log ends."""

from __future__ import annotations

import time

from maisale.contracts import Database, Transaction

EMBEDDER = "embedder"  # whose vectors are complete and searched
PINNED = "embedder_pinned"  # somebody chose the embedder: no other takes over
REBUILD = "rebuild_index"  # when somebody last asked for a new vector index
REDACTION_KEY = "redaction_key"  # hex; from which search knows numbers that it does not hold
REBUILT = "index_rebuilt"  # which of those wishes was fulfilled
MOVING = "moving"  # a move into this database has not ended: nobody may use it
AUDIT_HEAD = "audit_head"  # number and hash of the audit log's last row


def get_fact(source: Database | Transaction, name: str) -> str | None:
    rows = source.rows("SELECT value FROM facts WHERE name = :name", name=name)
    return rows[0]["value"] if rows else None


def all_named(db: Database, prefix: str) -> list[str]:
    """The values of all whose names begin so."""
    return [row["value"] for row in db.rows("SELECT value FROM facts WHERE substr(name, 1, :n) = :prefix", prefix=prefix, n=len(prefix))]


def forget_old(tx: Transaction, prefix: str, before: float) -> None:
    """Those whose names begin so and that were not changed since."""
    tx.execute("DELETE FROM facts WHERE substr(name, 1, :n) = :prefix AND changed_at < :before", prefix=prefix, n=len(prefix), before=before)


def forget_fact(tx: Transaction, name: str) -> None:
    tx.execute("DELETE FROM facts WHERE name = :name", name=name)


def set_fact(tx: Transaction, name: str, value: str) -> None:
    tx.execute(
        """INSERT INTO facts (name, value, changed_at) VALUES (:name, :value, :now)
           ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at""",
        name=name,
        value=value,
        now=time.time(),
    )
