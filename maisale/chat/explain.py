"""Why an answer rests on a document, or does not: read from the trace that was stored with it.

A trace keeps the candidates of its time. For a document that was none of them the question is asked again of the library as it is now, and the
explanation says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maisale.chat.ask import decide_answer
from maisale.errors import NotFound
from maisale.records import Candidate, Document, Reply, Scope
from maisale.services import Services
from maisale.store import conversations, documents

VERDICTS = ("used", "not_indexed", "filtered", "later", "below_gate", "below_cut", "near_duplicate", "budget", "over_k", "behind", "not_found")


@dataclass(frozen=True)
class Explanation:
    """What became of one document in one answer."""

    verdict: str  # one of VERDICTS
    document: Document
    today: bool = False  # found out now, and not read from the answer's trace
    rank: int | None = None  # of its best passage among all candidates, 1 for the best; None: it was none of them
    candidates: int = 0  # how many there were
    best: Candidate | None = None  # its best passage, without text
    last_used: float | None = None  # the score of the last passage that the answer rests on
    gate: float | None = None  # below_gate: what the judge gave the best passage of all,
    gate_needed: float | None = None  # and what it needs
    cause: str = ""  # not_indexed: why, in words


def explain(services: Services, scope: Scope, message_id: str, document_id: str) -> Explanation:
    """What became of the document in the answer `message_id` (or in the answer to this question). Blocking.

    Raises NotFound for an answer or a document that this person cannot read, and for an answer that has no trace (yet).
    """
    reply = _reply(services, scope, message_id)
    if reply.trace is None:
        raise NotFound("This answer keeps no record of how it was found: it is still being searched, or it broke off before.")
    document = documents.get_document(services.db, scope, document_id)
    if found := _read_from(reply, document):
        return found
    if not document.searchable:
        return Explanation("not_indexed", document, cause=document.cause or document.stage)
    question = conversations.get_message(services.db, scope, reply.question_id)
    choice = question.metadata
    names, only = choice.get("collections", ()), choice.get("documents", ())
    where, _ = documents.searchable(services.db, scope, reply.conversation_id, names=names, documents=only)
    if document.collection_id not in where.collections or (only and document.id not in only):
        return Explanation("filtered", document, candidates=len(reply.trace.candidates))
    if document.received_at > question.created_at:
        return _ranked_today(services, scope, reply, document, "later")
    return _ranked_today(services, scope, reply, document, "behind")


def _reply(services: Services, scope: Scope, message_id: str) -> Reply:
    try:
        return conversations.get_reply(services.db, scope, message_id)
    except NotFound:
        question = conversations.get_message(services.db, scope, message_id)
        said = conversations.messages(services.db, scope, question.conversation_id)
        replies = [message.reply for message in said if message.reply and message.reply.question_id == message_id]
        if not replies:
            raise
        return replies[-1]


def _read_from(reply: Reply, document: Document) -> Explanation | None:
    """The explanation that the stored candidates give; None when none of them is of this document."""
    trace = reply.trace
    mine = _best_of(trace.candidates, document)
    if mine is None:
        return None
    rank, one = mine
    verdict = "used" if one.number else one.reason or "behind"
    gate = (trace.gate, trace.gate_needed) if verdict == "below_gate" else (None, None)
    return Explanation(verdict, document, False, rank, len(trace.candidates), one, _last_used(trace.candidates), *gate)


def _ranked_today(services: Services, scope: Scope, reply: Reply, document: Document, verdict: str) -> Explanation:
    """Where the document stands now: among today's candidates, or behind all of them with the score of its best passage."""
    now = decide_answer(services, scope, reply).trace
    mine = _best_of(now.candidates, document)
    if mine is None:
        alone = decide_answer(services, scope, reply, only=(document.id,)).trace
        found = _best_of(alone.candidates, document)
        if found is None:
            return Explanation("not_found", document, True, None, len(now.candidates), None, _last_used(now.candidates))
        return Explanation(verdict, document, True, None, len(now.candidates), found[1], _last_used(now.candidates))
    rank, one = mine
    seen = "used" if one.number else one.reason
    gate = (now.gate, now.gate_needed) if seen == "below_gate" else (None, None)
    return Explanation(verdict if verdict == "later" else seen or verdict, document, True, rank, len(now.candidates), one, _last_used(now.candidates), *gate)


def _best_of(candidates: Sequence[Candidate], document: Document) -> tuple[int, Candidate] | None:
    """(rank, candidate) of the document's passage that was used, else of its best one."""
    mine = [(rank, one) for rank, one in enumerate(candidates, 1) if one.chunk.document_id == document.id]
    return next((found for found in mine if found[1].number), mine[0] if mine else None)


def _last_used(candidates: Sequence[Candidate]) -> float | None:
    return min((one.score for one in candidates if one.number), default=None)
