"""Answers that rest on something: found by what they cite, and rewritten when that is deleted. Whose they are does not matter here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from maisale.contracts import Database, Transaction
from maisale.records import PUBLIC_TENANT, Citation, Trace
from maisale.store.conversations import citations_from, trace_from
from maisale.text import estimate_tokens

Held = dict[str, Any]  # id, conversation_id, text, thinking, citations and trace of an answer


def naming(source: Database | Transaction, names: Sequence[str], tenant_id: str = PUBLIC_TENANT, conversation_id: str = "") -> list[str]:
    """The ids of the answers whose sources or trace name one of these ids or titles; in JSON, so perhaps a few more.

    tenant_id: only there, unless it is everybody's. conversation_id: only there. Reads every answer in that place.
    """
    places = {"tenant": "" if tenant_id == PUBLIC_TENANT else tenant_id, "conversation": conversation_id}
    found: dict[str, None] = {}
    for name in filter(None, names):
        sql = """SELECT id FROM replies WHERE (:tenant = '' OR tenant_id = :tenant) AND (:conversation = '' OR conversation_id = :conversation)
                 AND (citations LIKE :name OR trace LIKE :name)"""
        found |= dict.fromkeys(row["id"] for row in source.rows(sql, name=f"%{orjson.dumps(name).decode()[1:-1]}%", **places))
    return list(found)


def held(tx: Transaction, reply_id: str) -> Held | None:
    """An answer with what it rests on; None when it was deleted meanwhile."""
    sql = """SELECT r.id, r.tenant_id, r.conversation_id, m.text, r.thinking, r.citations, r.trace FROM replies AS r
             JOIN messages AS m ON m.id = r.id WHERE r.id = :id"""
    rows = tx.rows(sql, id=reply_id)
    if not rows:
        return None
    return {**rows[0], "citations": citations_from(rows[0]["citations"]), "trace": trace_from(rows[0]["trace"])}


def rewrite(
    tx: Transaction, reply_id: str, *, text: str, thinking: str, citations: Sequence[Citation], judged: Sequence[Citation], trace: Trace | None
) -> None:
    """The answer as it is from now on. judged: the sources that its verdict keeps."""
    kept = {"citations": orjson.dumps(judged).decode(), "trace": orjson.dumps(trace, option=orjson.OPT_SERIALIZE_NUMPY).decode() if trace else ""}
    tx.execute("UPDATE messages SET text = :text, tokens_estimate = :tokens WHERE id = :id", text=text, tokens=estimate_tokens(text), id=reply_id)
    tx.execute("UPDATE feedback SET citations = :citations, trace = :trace WHERE reply_id = :id", id=reply_id, **kept)
    kept["citations"] = orjson.dumps(citations).decode()
    tx.execute("UPDATE replies SET thinking = :thinking, citations = :citations, trace = :trace WHERE id = :id", thinking=thinking, id=reply_id, **kept)
