"""Conversations, messages and replies. Every function takes the scope and sees nothing outside of it.

A reply is the assistant's message plus how it came about (`replies`); both rows exist from the moment a question is accepted.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import orjson

from maisale.contracts import Database, Transaction
from maisale.errors import Busy, NotFound, ReplyLost
from maisale.records import Ack, Candidate, Chunk, Citation, Conversation, Message, Reply, Scope, Trace
from maisale.store import jobs
from maisale.text import estimate_tokens

WAITING_QUESTIONS = 3  # that may wait behind the running reply of a conversation
LEASE_S = 20.0  # a reply whose lease has passed has no process behind it any more; it is renewed every few seconds
UNTITLED = ""

_OWN = "tenant_id = :tenant AND user_id = :user"
_CONVERSATION = "id, title, created_at, updated_at"
_REPLY = "r.id, r.question_id, r.conversation_id, r.state, m.text, r.step, r.thinking, r.model, r.cause, r.citations, r.trace"


def new_conversation(tx: Transaction, scope: Scope, title: str = UNTITLED) -> Conversation:
    now = time.time()
    made = Conversation(str(uuid.uuid4()), title, now, now)
    tx.insert(
        "conversations",
        id=made.id,
        tenant_id=scope.tenant_id,
        user_id=scope.user_id,
        title=title,
        named=int(bool(title)),
        created_at=now,
        updated_at=now,
    )
    return made


def list_conversations(db: Database, scope: Scope, limit: int = 200) -> list[Conversation]:
    """The newest first."""
    sql = f"SELECT {_CONVERSATION} FROM conversations WHERE {_OWN} ORDER BY updated_at DESC, id LIMIT :limit"
    return [Conversation(**row) for row in db.rows(sql, limit=limit, **_who(scope))]


def get_conversation(source: Database | Transaction, scope: Scope, conversation_id: str) -> Conversation:
    rows = source.rows(f"SELECT {_CONVERSATION} FROM conversations WHERE id = :id AND {_OWN}", id=conversation_id, **_who(scope))
    if not rows:
        raise NotFound("There is no such conversation. It may have been deleted.")
    return Conversation(**rows[0])


def rename_conversation(tx: Transaction, scope: Scope, conversation_id: str, title: str) -> None:
    sql = f"UPDATE conversations SET title = :title, named = 1 WHERE id = :id AND {_OWN}"
    if not tx.execute(sql, title=title, id=conversation_id, **_who(scope)):
        raise NotFound("There is no such conversation. It may have been deleted.")


def delete_conversation(tx: Transaction, scope: Scope, conversation_id: str) -> None:
    """Removes the rows. The words and vectors of its messages and files are the caller's to remove in the same transaction."""
    if not tx.execute(f"DELETE FROM conversations WHERE id = :id AND {_OWN}", id=conversation_id, **_who(scope)):
        raise NotFound("There is no such conversation. It may have been deleted.")


def messages(db: Database, scope: Scope, conversation_id: str, limit: int = 1000) -> list[Message]:
    """The last `limit` messages, oldest first; an assistant's message carries its reply."""
    get_conversation(db, scope, conversation_id)
    sql = """SELECT * FROM (SELECT id, conversation_id, sender, text, tokens_estimate, metadata, created_at, turn FROM messages
             WHERE conversation_id = :id ORDER BY turn DESC LIMIT :limit) AS last ORDER BY turn"""
    replies = {reply.id: reply for reply in replies_with(db, "r.conversation_id = :id", id=conversation_id)}
    return [_message(row, replies.get(row["id"])) for row in db.rows(sql, id=conversation_id, limit=limit)]


def turns_before(db: Database, scope: Scope, question_id: str, limit: int) -> tuple[list[Message], Message]:
    """The last `limit` messages in front of a question, oldest first, and the question. Their replies carry citations and no trace.

    Raises NotFound.
    """
    columns = "id, conversation_id, sender, text, tokens_estimate, metadata, created_at, turn"
    found = db.rows(f"SELECT {columns} FROM messages WHERE id = :id AND {_OWN}", id=question_id, **_who(scope))
    if not found:
        raise NotFound("The question of this answer was deleted.")
    question = found[0]
    sql = f"SELECT {columns} FROM messages WHERE conversation_id = :id AND turn < :turn ORDER BY turn DESC LIMIT :limit"
    rows = db.rows(sql, id=question["conversation_id"], turn=question["turn"], limit=limit)[::-1]
    without_trace = _REPLY.replace("r.trace", "'' AS trace")
    sql = f"SELECT {without_trace} FROM replies AS r JOIN messages AS m ON m.id = r.id WHERE r.id IN :ids"
    replies = {row["id"]: _reply(row) for row in db.rows(sql, ids=[row["id"] for row in rows])}
    return [_message(row, replies.get(row["id"])) for row in rows], _message(question, None)


def get_message(db: Database, scope: Scope, message_id: str) -> Message:
    sql = f"SELECT id, conversation_id, sender, text, tokens_estimate, metadata, created_at, turn FROM messages WHERE id = :id AND {_OWN}"
    rows = db.rows(sql, id=message_id, **_who(scope))
    if not rows:
        raise NotFound("There is no such message. It may have been deleted.")
    return _message(rows[0], None)


def message_ids(tx: Transaction, scope: Scope, conversation_id: str) -> list[str]:
    return [row["id"] for row in tx.rows(f"SELECT id FROM messages WHERE conversation_id = :id AND {_OWN}", id=conversation_id, **_who(scope))]


def message_row(source: Database | Transaction, message_id: str) -> dict[str, Any] | None:
    """text, owner, conversation and its title, for the worker, which acts for everybody; None when it was deleted meanwhile."""
    sql = """SELECT m.id, m.text, m.tenant_id, m.user_id, m.conversation_id, m.created_at, c.title FROM messages AS m
             JOIN conversations AS c ON c.id = m.conversation_id WHERE m.id = :id"""
    rows = source.rows(sql, id=message_id)
    return rows[0] if rows else None


def accept_question(
    tx: Transaction, scope: Scope, conversation_id: str | None, text: str, title: str, choice: dict[str, Any], runner: str = ""
) -> tuple[Ack, str]:
    """The question, its embedding job and an empty reply, all or nothing. Returns them and the job's id.

    conversation_id None makes a conversation. title: for one that has none. choice: where to search, kept with the question. runner: who answers.
    Raises NotFound; Busy when too many questions wait already.
    """
    conversation = get_conversation(tx, scope, conversation_id) if conversation_id else new_conversation(tx, scope)
    now = time.time()
    tx.execute(
        "UPDATE conversations SET updated_at = :now, title = CASE WHEN title = '' THEN :title ELSE title END WHERE id = :id",
        now=now,
        title=title,
        id=conversation.id,
    )
    # Counted after that write: it holds the conversation's row, so that of two questions at once the second one sees the first.
    if conversation_id and _open_replies(tx, conversation_id) > WAITING_QUESTIONS:
        raise Busy(f"{WAITING_QUESTIONS} questions wait in this conversation already. Wait for an answer, or stop it, then ask again.")
    question_id, reply_id = str(uuid.uuid4()), str(uuid.uuid4())
    _insert_message(tx, scope, question_id, conversation.id, "user", text, now, choice)
    _insert_message(tx, scope, reply_id, conversation.id, "assistant", "", now, {})
    tx.insert(
        "replies",
        id=reply_id,
        question_id=question_id,
        conversation_id=conversation.id,
        tenant_id=scope.tenant_id,
        user_id=scope.user_id,
        state="waiting",
        lease_until=now + LEASE_S,
        runner=runner,
    )
    job_id = jobs.add(tx, scope.tenant_id, "embed_message", question_id, "people")
    return Ack(conversation.id, question_id, reply_id), job_id


def _open_replies(tx: Transaction, conversation_id: str) -> int:
    return tx.rows("SELECT count(*) AS n FROM replies WHERE conversation_id = :id AND state IN ('waiting', 'running')", id=conversation_id)[0]["n"]


def get_reply(source: Database | Transaction, scope: Scope, reply_id: str) -> Reply:
    found = replies_with(source, "r.id = :id AND r.tenant_id = :tenant AND r.user_id = :user", id=reply_id, **_who(scope))
    if not found:
        raise NotFound("There is no such reply. Its conversation may have been deleted.")
    return found[0]


def save_reply(tx: Transaction, scope: Scope, reply: Reply, runner: str | None = None) -> str | None:
    """Stores what the reply is now. When it has ended with a text, its embedding job is added; returns that job's id.

    runner: who answers. Raises ReplyLost when it is not that one's any more, or has ended; None: whoever's it is.
    """
    saved = tx.execute(
        f"""UPDATE replies SET state = :state, step = :step, thinking = :thinking, model = :model, cause = :cause,
            citations = :citations, trace = :trace, lease_until = :lease
            WHERE id = :id{" AND runner = :runner AND state IN ('waiting', 'running')" if runner is not None else ""}""",
        id=reply.id,
        **({} if runner is None else {"runner": runner}),
        state=reply.state,
        step=reply.step,
        thinking=reply.thinking,
        model=reply.model,
        cause=reply.cause,
        citations=as_json(reply.citations),
        trace=as_json(reply.trace) if reply.trace else "",
        lease=time.time() + LEASE_S,
    )
    if runner is not None and not saved:
        raise ReplyLost("Another process goes on with this answer, or it was deleted.")
    tx.execute(
        "UPDATE messages SET text = :text, tokens_estimate = :tokens WHERE id = :id",
        text=reply.text,
        tokens=estimate_tokens(reply.text),
        id=reply.id,
    )
    if reply.ended and reply.text:
        return jobs.add(tx, scope.tenant_id, "embed_message", reply.id, "bulk")
    return None


def waiting(db: Database) -> int:
    """How many replies have no end yet, of everybody."""
    return db.rows("SELECT count(*) AS n FROM replies WHERE state IN ('waiting', 'running')")[0]["n"]


def _insert_message(tx: Transaction, scope: Scope, message_id: str, conversation_id: str, sender: str, text: str, now: float, metadata: dict) -> None:
    tx.execute(
        """INSERT INTO messages (id, conversation_id, sender, text, tokens_estimate, metadata, tenant_id, user_id, turn, created_at)
           SELECT :id, :conversation, :sender, :text, :tokens, :metadata, :tenant, :user, coalesce(max(turn), 0) + 1, :now
           FROM messages WHERE conversation_id = :conversation""",
        id=message_id,
        conversation=conversation_id,
        sender=sender,
        text=text,
        tokens=estimate_tokens(text),
        metadata=json.dumps(metadata),
        now=now,
        **_who(scope),
    )


def replies_with(source: Database | Transaction, condition: str, **values: Any) -> list[Reply]:
    """The replies (r) and their messages (m) of which that holds, of everybody, oldest first: for this package, which asks for the owner."""
    sql = f"SELECT {_REPLY} FROM replies AS r JOIN messages AS m ON m.id = r.id WHERE {condition} ORDER BY m.created_at, m.turn"
    return [_reply(row) for row in source.rows(sql, **values)]


def _reply(row: dict[str, Any]) -> Reply:
    return Reply(**{**row, "citations": citations_from(row["citations"]), "trace": trace_from(row["trace"])})


def citations_from(stored: str) -> tuple[Citation, ...]:
    """The sources of an answer, as save_reply wrote them."""
    return tuple(_citation(one) for one in orjson.loads(stored))


def trace_from(stored: str) -> Trace | None:
    """How an answer was found, as save_reply wrote it."""
    return _trace(orjson.loads(stored)) if stored else None


def as_json(records: Any) -> str:
    """Records as JSON. orjson reads dataclasses by itself: a trace takes it 0.1 ms, and asdict with json 4 ms."""
    return orjson.dumps(records, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _citation(data: dict[str, Any]) -> Citation:
    return Citation(**{**data, "highlights": tuple(data["highlights"]), "unsupported": tuple(data["unsupported"])})


def _trace(data: dict[str, Any]) -> Trace:
    candidates = tuple(Candidate(**{**one, "chunk": Chunk(**one["chunk"])}) for one in data["candidates"])
    # Traces written before only_in existed lack it.
    lists = {name: tuple(data.get(name, ())) for name in ("closest", "notes", "searched", "only_in")}
    return Trace(**{**data, **lists, "candidates": candidates})


def _message(row: dict[str, Any], reply: Reply | None) -> Message:
    row.pop("turn")
    return Message(**{**row, "metadata": json.loads(row["metadata"])}, reply=reply)


def _who(scope: Scope) -> dict[str, str]:
    return {"tenant": scope.tenant_id, "user": scope.user_id}
