"""One turn of a conversation: a question and its answer, as they are deleted. Every function takes the scope and sees nothing outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maisale.contracts import Database, Transaction
from maisale.errors import NotFound
from maisale.records import Scope

_OWN = "tenant_id = :tenant AND user_id = :user"


def turn_of(source: Database | Transaction, scope: Scope, message_id: str) -> dict[str, Any]:
    """question_id, reply_id, conversation_id, question and created_at of the turn that a message belongs to. Raises NotFound."""
    sql = """SELECT r.question_id, r.id AS reply_id, r.conversation_id, q.text AS question, q.created_at FROM replies AS r
             JOIN messages AS q ON q.id = r.question_id WHERE (r.id = :id OR r.question_id = :id) AND r.tenant_id = :tenant AND r.user_id = :user"""
    rows = source.rows(sql, id=message_id, **_who(scope))
    if not rows:
        raise NotFound("There is no such message. It may have been deleted.")
    return rows[0]


def delete_messages(tx: Transaction, scope: Scope, message_ids: Sequence[str]) -> None:
    """Removes the rows, with a reply's and its verdict's. Their words and vectors are the caller's to remove in the same transaction."""
    tx.execute(f"DELETE FROM messages WHERE id IN :ids AND {_OWN}", ids=list(message_ids), **_who(scope))


def first_question(source: Database | Transaction, scope: Scope, conversation_id: str) -> str:
    """Its text; empty when there is none."""
    sql = f"SELECT text FROM messages WHERE conversation_id = :id AND sender = 'user' AND {_OWN} ORDER BY turn LIMIT 1"
    rows = source.rows(sql, id=conversation_id, **_who(scope))
    return rows[0]["text"] if rows else ""


def retitle(tx: Transaction, scope: Scope, conversation_id: str, title: str) -> bool:
    """Gives a conversation another title, unless a person named it. Returns whether it did."""
    sql = f"UPDATE conversations SET title = :title WHERE id = :id AND named = 0 AND {_OWN}"
    return bool(tx.execute(sql, title=title, id=conversation_id, **_who(scope)))


def _who(scope: Scope) -> dict[str, str]:
    return {"tenant": scope.tenant_id, "user": scope.user_id}
