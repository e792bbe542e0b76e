"""Records as plain objects: what the endpoints, the REST routes and the exports answer with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from maisale.records import Candidate, Document, Key, Message, Reply, Trace, User


class Sources:
    """Citations and trace of one reply as plain objects. Made anew only when they changed: a trace costs milliseconds, 15 times a second."""

    def __init__(self) -> None:
        self._of: tuple[object, object] = (None, None)
        self._plain: dict[str, Any] = {}

    def plain(self, reply: Reply) -> dict[str, Any]:
        if not self._plain or self._of[0] is not reply.citations or self._of[1] is not reply.trace:
            self._of = (reply.citations, reply.trace)
            self._plain = {"citations": _plain(reply.citations), "retrieval": retrieval(reply.trace) if reply.trace else None}
        return self._plain


class _AsRecords(Sources):
    """They stay records, which orjson reads by itself."""

    def plain(self, reply: Reply) -> dict[str, Any]:
        trace = reply.trace
        known = {name: getattr(trace, name) for name in Trace.__slots__} if trace else None
        return {"citations": reply.citations, "retrieval": _named(known) if known else None}


def answer_json(reply: Reply) -> bytes:
    """`answer` as JSON: a crowd fetches its answers while others ask, and plain objects between records and JSON cost most of it."""
    return orjson.dumps(answer(reply, _AsRecords()), option=orjson.OPT_SERIALIZE_NUMPY)


def answer(reply: Reply, sources: Sources | None = None) -> dict[str, Any]:
    return {
        "conversation_id": reply.conversation_id,
        "message_id": reply.question_id,
        "reply_id": reply.id,
        "state": reply.state,
        "step": reply.step,
        "place_in_line": reply.place_in_line,
        "text": reply.text,
        **(sources or Sources()).plain(reply),
        "model": reply.model,
        "error": reply.cause,
        "done": reply.ended,
    }


def retrieval(trace: Trace) -> dict[str, Any]:
    return _named(_plain(trace))


def _named(trace: dict[str, Any]) -> dict[str, Any]:
    # gradio_client 2.7 takes any object with a `path` for a file, and tries to download it.
    return {"found_in": trace.pop("path"), **trace}


def message(one: Message) -> dict[str, Any]:
    plain = {"id": one.id, "sender": one.sender, "text": one.text, "created_at": one.created_at}
    return {**plain, "reply": answer(one.reply)} if one.reply else plain


def document(one: Document) -> dict[str, Any]:
    return {**asdict(one), "searchable": one.searchable, "ended": one.ended}


def passage(one: Candidate) -> dict[str, Any]:
    chunk = one.chunk
    return {
        "key": chunk.key,
        "document_id": chunk.document_id,
        "title": chunk.title,
        "place": chunk.place,
        "heading": chunk.heading,
        "text": chunk.text,
        "score": one.score,
        "vector_score": one.vector_score,
        "word_score": one.word_score,
        "meaning_score": one.meaning_score,
        "freshness": one.freshness,
    }


def key(one: Key) -> dict[str, Any]:
    return asdict(one)


def user(one: User) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "role": one.role, "tenant_id": one.tenant_id, "tenant": one.tenant}


def _plain(records: Any) -> Any:
    """As asdict, in a tenth of its time."""
    return orjson.loads(orjson.dumps(records, option=orjson.OPT_SERIALIZE_NUMPY))
