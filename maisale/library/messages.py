"""A message as passages that its conversation's search finds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from maisale.contracts import LexicalIndex, Transaction
from maisale.library.chunking import Part, chunk_text
from maisale.library.redacting import redacted_chunks
from maisale.records import PUBLIC_TENANT, Chunk
from maisale.redaction import hash_words
from maisale.services import Services
from maisale.store import chunks, conversations, privacy


def known_numbers(services: Services, message_ids: Sequence[str]) -> set[str]:
    """The hash words of what messages name and the tenant's indexes hold: asked before the transaction that writes them."""
    known: set[str] = set()
    for message_id in message_ids:
        if row := conversations.message_row(services.db, message_id):
            wanted = hash_words((row["title"], row["text"]), privacy.key(services.db))
            known |= set(privacy.known_to(services.words, (row["tenant_id"], PUBLIC_TENANT))(wanted)) if wanted else set()
    return known


def write_message(tx: Transaction, words: LexicalIndex, message_id: str, known: Collection[str]) -> None:
    """Its passages and their words, once; none when it was deleted meanwhile. known: of known_numbers."""
    row = conversations.message_row(tx, message_id)
    pieces = chunk_text([Part(row["text"])]) if row else []
    old = chunks.chunks_of(tx, message_id)
    if [chunk.text for chunk in old] == [piece.text for piece in pieces]:
        return
    if old:
        keys = [chunk.key for chunk in old]
        words.remove(tx, old[0].tenant_id, "messages", keys)
        chunks.delete_chunks(tx, keys)
    made = [
        Chunk(
            key=f"{row['id']}#chunk_{piece.position}",
            tenant_id=row["tenant_id"],
            collection_id=row["conversation_id"],
            title=row["title"],
            text=piece.text,
            position=piece.position,
            tokens=piece.tokens,
            dated_at=row["created_at"],
            message_id=row["id"],
            conversation_id=row["conversation_id"],
            heading=piece.heading,
        )
        for piece in pieces
    ]
    if made and (key := privacy.key_to_redact(tx, row["tenant_id"])):
        made, _ = redacted_chunks(made, key, lambda wanted: [word for word in wanted if word in known])
    if made:
        chunks.insert_chunks(tx, row["user_id"], made)
        words.add(tx, made)
