"""Finding one's own conversations by what was said in them, and by their titles."""

from __future__ import annotations

from dataclasses import dataclass

from maisale.records import Conversation, Scope
from maisale.services import Services
from maisale.store import chunks, conversations, documents, privacy
from maisale.text import fold

EXCERPT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation with the message that matches best; without one only its title matches."""

    conversation: Conversation
    score: float  # 0..1, of the words; 1 for a title
    message_id: str | None = None
    excerpt: str = ""


def find_conversations(services: Services, scope: Scope, query: str, limit: int) -> list[Found]:
    """Best first, each conversation once. Messages are found once their background job is done, a moment after they were sent."""
    own = {one.id: one for one in conversations.list_conversations(services.db, scope, limit=100_000)}
    wanted = fold(query)
    found = {one.id: Found(one, 1.0) for one in own.values() if wanted and wanted in fold(one.title)}
    where = documents.own_conversations(scope, tuple(own))
    searched = privacy.as_searched(services.db, services.words, where.tenants, [query])[0]
    hits = services.words.search("messages", where, [(searched, 1.0)], limit * 4) if own else []
    texts = chunks.chunks(services.db, where, [hit.key for hit in hits])
    for hit in hits:
        chunk = texts.get(hit.key)
        if not chunk or chunk.conversation_id not in own:
            continue
        known = found.get(chunk.conversation_id)
        if known and known.message_id:
            continue  # by a better message
        # A title is often its first question: the message is shown all the same.
        score = known.score if known else max(hit.words, hit.stems)
        found[chunk.conversation_id] = Found(own[chunk.conversation_id], score, chunk.message_id, chunk.text[:EXCERPT_CHARACTERS])
    return sorted(found.values(), key=lambda one: (-one.score, -one.conversation.updated_at))[:limit]
