"""Verdicts on answers, one a reply. They belong to the person who asked, and go when the conversation goes.

Each keeps the question, the sources and the trace as they were, so that the same question can be asked again and compared.
"""

from __future__ import annotations

import time
from typing import Any

from maisale.contracts import Database, Transaction
from maisale.errors import BadInput
from maisale.records import Feedback, Scope
from maisale.store.conversations import citations_from, get_reply, trace_from

_OWN = "tenant_id = :tenant AND user_id = :user"
_FEEDBACK = "reply_id, conversation_id, user_id, verdict, comment, question, citations, trace, created_at"


def set_feedback(tx: Transaction, scope: Scope, reply_id: str, verdict: str, comment: str = "") -> None:
    """Stores what this person thinks of an ended reply, in place of what was said of it before. verdict: up or down.

    Raises NotFound for a reply that is not this person's, BadInput while it is written.
    """
    if not get_reply(tx, scope, reply_id).ended:
        raise BadInput("This answer is still being written. Judge it when it has ended.")
    clear_feedback(tx, scope, reply_id)
    tx.execute(
        """INSERT INTO feedback (reply_id, tenant_id, user_id, conversation_id, verdict, comment, question, citations, trace, created_at)
           SELECT r.id, r.tenant_id, r.user_id, r.conversation_id, :verdict, :comment, q.text, r.citations, r.trace, :now
           FROM replies AS r JOIN messages AS q ON q.id = r.question_id WHERE r.id = :id""",
        id=reply_id,
        verdict=verdict,
        comment=comment,
        now=time.time(),
    )


def clear_feedback(tx: Transaction, scope: Scope, reply_id: str) -> None:
    """Takes a verdict back; harmless without one. Raises NotFound for a reply that is not this person's."""
    get_reply(tx, scope, reply_id)
    tx.execute(f"DELETE FROM feedback WHERE reply_id = :id AND {_OWN}", id=reply_id, tenant=scope.tenant_id, user=scope.user_id)


def get_feedback(source: Database | Transaction, scope: Scope, reply_id: str) -> Feedback | None:
    found = source.rows(
        f"SELECT {_FEEDBACK} FROM feedback WHERE reply_id = :id AND {_OWN}", id=reply_id, tenant=scope.tenant_id, user=scope.user_id
    )
    return _feedback(found[0]) if found else None


def verdicts(db: Database, scope: Scope, conversation_id: str) -> dict[str, tuple[str, str]]:
    """(verdict, comment) by reply, of this person's conversation; empty for anybody else's."""
    sql = f"SELECT reply_id, verdict, comment FROM feedback WHERE conversation_id = :id AND {_OWN}"
    rows = db.rows(sql, id=conversation_id, tenant=scope.tenant_id, user=scope.user_id)
    return {row["reply_id"]: (row["verdict"], row["comment"]) for row in rows}


def list_feedback(db: Database, tenant_id: str) -> list[Feedback]:
    """The verdicts of a whole tenant, the latest first: for who runs the server, never for the page."""
    return [_feedback(row) for row in db.rows(f"SELECT {_FEEDBACK} FROM feedback WHERE tenant_id = :tenant ORDER BY created_at DESC", tenant=tenant_id)]


def _feedback(row: dict[str, Any]) -> Feedback:
    return Feedback(**{**row, "citations": citations_from(row["citations"]), "trace": trace_from(row["trace"])})
