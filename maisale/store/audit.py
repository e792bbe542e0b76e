"""The audit log: who did what to which thing, when, from where, and how it ended. Rows are added, and never changed or removed.

A row holds ids and words of the program, nothing that a person wrote. It bears the hash of the row before it, so a row that was changed, removed or
swapped is found. The next row goes on from the head, number and hash of the last one, which stands in `facts` and not in the table: whoever cuts the
table's end leaves a gap that later rows do not close.

One process writes at a time: SQLite's write lock is held when the head is read. Elsewhere two that read the same head collide on the number, and the
second is refused, so the chain never forks.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maisale.contracts import Database, Transaction
from maisale.records import Scope
from maisale.store import facts

DONE = "done"
ACTIONS = (
    *("sign_in", "sign_out", "link_make", "invitation_make", "invitation_use"),
    *("key_issue", "key_fresh", "key_retype", "key_rotate", "key_revoke"),
    *("user_add", "user_role", "user_delete", "tenant_add", "tenant_delete", "privacy_choose"),
    *("collection_add", "document_add", "document_change", "document_delete", "document_cancel", "document_retry", "job_retry", "job_skip"),
    *("message_delete", "conversation_delete", "conversation_export"),
    *("users_read", "keys_read", "tenants_read", "documents_read", "jobs_read", "erasures_read", "audit_read"),
    *("embedder_use", "backup", "restore", "move", "index_rebuild", "compact"),
)
PAGE = 1_000  # rows read at once
_COLUMNS = "number, at, tenant_id, user_id, key_id, address, door, action, subject_kind, subject_id, detail, result, before_hash, hash"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. tenant_id: whose admin sees it, the tenant that the act concerned."""

    number: int
    at: float
    tenant_id: str
    user_id: str  # who did it; empty: the server itself, or somebody at its command line
    key_id: str
    address: str
    door: str
    action: str
    subject_kind: str
    subject_id: str
    detail: str
    result: str  # done, or refused and the kind of the error
    before_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log ends: number 0 when it is empty."""

    number: int = 0
    hash: str = ""

    @classmethod
    def read(cls, text: str | None) -> Head:
        number, _, digest = (text or "0 ").strip().partition(" ")
        return cls(int(number) if number.isdecimal() else 0, digest)

    def __str__(self) -> str:
        return f"{self.number} {self.hash}"


def note(
    tx: Transaction, by: Scope, action: str, kind: str = "", subject_id: str = "", *, tenant_id: str | None = None, detail: str = "", result: str = DONE
) -> None:
    """Adds a row in the transaction of the act itself. tenant_id: that the act concerns, when it is not the one of who does it."""
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is no action of the audit log")
    before, way = head(tx), by.way
    row: dict[str, Any] = {
        "number": before.number + 1,
        "at": time.time(),
        "tenant_id": by.tenant_id if tenant_id is None else tenant_id,
        "user_id": by.user_id,
        "key_id": way.key_id,
        "address": way.address,
        "door": way.door,
        "action": action,
        "subject_kind": kind,
        "subject_id": subject_id,
        "detail": detail,
        "result": result,
        "before_hash": before.hash,
    }
    digest = digest_of(row)
    tx.insert("audit", **row, hash=digest)
    facts.set_fact(tx, facts.AUDIT_HEAD, str(Head(row["number"], digest)))


def head(source: Database | Transaction) -> Head:
    return Head.read(facts.get_fact(source, facts.AUDIT_HEAD))


def digest_of(row: dict[str, Any]) -> str:
    """SHA-256 over the row, and with it over the hash of the one before; as hex. row: without its own hash."""
    return hashlib.sha256(json.dumps(row, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def entries(
    source: Database | Transaction,
    tenant_id: str | None = None,
    *,
    limit: int = 100,
    before: int | None = None,
    action: str | None = None,
    user_id: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[Entry]:
    """The latest first, those below the number `before`. tenant_id None: of all. since, until: seconds since 1970, the latter not included."""
    wanted = {"tenant_id = :tenant": tenant_id, "number < :before": before, "action = :action": action, "user_id = :user": user_id}
    wanted |= {"at >= :since": since, "at < :until": until}
    given = {clause: value for clause, value in wanted.items() if value is not None}
    where = f"WHERE {' AND '.join(given)}" if given else ""
    values = {clause.rpartition(":")[2]: value for clause, value in given.items()}
    return [Entry(**row) for row in source.rows(f"SELECT {_COLUMNS} FROM audit {where} ORDER BY number DESC LIMIT :limit", **values, limit=limit)]


def entry(source: Database | Transaction, number: int) -> Entry | None:
    rows = source.rows(f"SELECT {_COLUMNS} FROM audit WHERE number = :number", number=number)
    return Entry(**rows[0]) if rows else None


def first_break(db: Database) -> tuple[int, str]:
    """How many rows there are, and what is wrong with the first that is not as it was written, in words; empty when all are. Reads all."""
    sql = "SELECT (SELECT value FROM facts WHERE name = :name) AS head, (SELECT max(number) FROM audit) AS last"
    found = db.rows(sql, name=facts.AUDIT_HEAD)[0]  # both at the same moment: others go on writing
    ends, last = Head.read(found["head"]), found["last"] or 0
    before = Head()
    for one in _all(db, last):
        number, digest = one["number"], one.pop("hash")
        if number != before.number + 1:
            return before.number, f"Row {before.number + 1} is missing: {_rows(before.number + 1, number - 1)} removed."
        if one["before_hash"] != before.hash:
            return before.number, f"Row {number} does not follow the row before it: one of the two was changed or put there."
        if digest_of(one) != digest:
            return before.number, f"Row {number} was changed."
        before = Head(number, digest)
    if before.number < ends.number:
        return before.number, f"Row {before.number + 1} is missing: {_rows(before.number + 1, ends.number)} cut off the end."
    if before != ends:
        return before.number, f"Row {min(before.number, ends.number + 1)} is not where the log ended: it was changed or added from outside."
    return before.number, ""


def _all(db: Database, last: int) -> Iterator[dict[str, Any]]:
    sql = f"SELECT {_COLUMNS} FROM audit WHERE number > :after AND number <= :last ORDER BY number LIMIT :n"
    after = -(2**63)
    while page := db.rows(sql, after=after, last=last, n=PAGE):
        after = page[-1]["number"]
        yield from page


def _rows(first: int, last: int) -> str:
    return f"rows {first} to {last} were" if last > first else "it was"
