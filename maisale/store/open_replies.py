"""Replies without an end: which process runs them, and what becomes of them when it dies. Several processes may work on one database.

A reply is its runner's for as long as that renews the lease. Whoever finds a lapsed one takes it over in one statement, so that two never do; from
then on the one that had it stores nothing of it any more (conversations.save_reply).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from maisale.contracts import Database, Transaction
from maisale.errors import ReplyLost
from maisale.records import Reply, Scope
from maisale.store.conversations import LEASE_S, replies_with

FURTHEST_S = 10 * LEASE_S  # ahead of now no lease ends: one that does was written before the clock was set back

_OPEN = "state IN ('waiting', 'running')"
_LAPSED = f"{_OPEN} AND (lease_until < :now OR lease_until > :now + {FURTHEST_S})"


def begin(tx: Transaction, reply: Reply, runner: str) -> str | None:
    """A reply is answered from now on, unless an earlier one of its conversation has no end: then that one's id. Raises ReplyLost."""
    earlier = f"""SELECT e.id FROM replies AS e JOIN messages AS em ON em.id = e.id JOIN messages AS m ON m.id = :id
                  WHERE e.conversation_id = :conversation AND e.{_OPEN} AND em.turn < m.turn"""
    found = tx.execute(
        f"""UPDATE replies SET state = 'running', step = :step, lease_until = :lease
            WHERE id = :id AND runner = :runner AND {_OPEN} AND NOT EXISTS ({earlier})""",
        id=reply.id,
        conversation=reply.conversation_id,
        runner=runner,
        step=reply.step,
        lease=time.time() + LEASE_S,
    )
    if found:
        return None
    before = tx.rows(f"{earlier} ORDER BY em.turn DESC LIMIT 1", id=reply.id, conversation=reply.conversation_id)
    if not before:
        raise ReplyLost("Another process goes on with this answer, or it was deleted.")
    return before[0]["id"]


def keep(tx: Transaction, runner: str, ids: Sequence[str]) -> set[str]:
    """Renews the leases of these; returns those that are the runner's still."""
    sql = f"UPDATE replies SET lease_until = :lease WHERE id IN :ids AND runner = :runner AND {_OPEN} RETURNING id"
    return {row["id"] for row in tx.rows(sql, lease=time.time() + LEASE_S, ids=list(ids), runner=runner)}


def let_go(tx: Transaction, runner: str) -> None:
    """The runner ends: what waits may be taken over at once."""
    tx.execute("UPDATE replies SET lease_until = 0 WHERE runner = :runner AND state = 'waiting'", runner=runner)


def lapsed(db: Database) -> bool:
    """Whether some runner died over its replies."""
    return bool(db.rows(f"SELECT 1 FROM replies WHERE {_LAPSED} LIMIT 1", now=time.time()))


def take_over(tx: Transaction, runner: str, all_of_others: bool = False) -> list[tuple[Scope, Reply, bool]]:
    """The replies of runners that died, now this one's, oldest first, and whether somebody asked to stop them.

    all_of_others: for a runner that knows to be the only one, whose predecessors' leases may not have lapsed yet.
    """
    which = f"{_OPEN} AND runner <> :runner" if all_of_others else _LAPSED
    now = time.time()
    sql = f"UPDATE replies SET runner = :runner, lease_until = :lease WHERE {which} RETURNING id, tenant_id, user_id, stop_asked"
    values = {"runner": runner, "lease": now + LEASE_S}
    rows = tx.rows(sql, **values) if all_of_others else tx.rows(sql, **values, now=now)
    taken = {row["id"]: row for row in rows}
    found = replies_with(tx, "r.id IN :ids", ids=list(taken)) if taken else []
    return [(Scope(taken[reply.id]["tenant_id"], taken[reply.id]["user_id"]), reply, bool(taken[reply.id]["stop_asked"])) for reply in found]


def ask_to_stop(tx: Transaction, scope: Scope, reply_id: str) -> None:
    """Whoever runs it ends it at its next look."""
    sql = f"UPDATE replies SET stop_asked = 1 WHERE id = :id AND tenant_id = :tenant AND user_id = :user AND {_OPEN}"
    tx.execute(sql, id=reply_id, tenant=scope.tenant_id, user=scope.user_id)


def asked_to_stop(db: Database, runner: str) -> list[str]:
    """The runner's replies that somebody asked another process to stop."""
    return [row["id"] for row in db.rows(f"SELECT id FROM replies WHERE {_OPEN} AND stop_asked = 1 AND runner = :runner", runner=runner)]


def of_conversation(db: Database, scope: Scope, conversation_id: str) -> list[str]:
    """The replies of a conversation that have no end, the latest first."""
    sql = f"""SELECT r.id FROM replies AS r JOIN messages AS m ON m.id = r.id
              WHERE r.conversation_id = :id AND r.tenant_id = :tenant AND r.user_id = :user AND r.{_OPEN} ORDER BY m.turn DESC"""
    return [row["id"] for row in db.rows(sql, id=conversation_id, tenant=scope.tenant_id, user=scope.user_id)]
