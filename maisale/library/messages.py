"""A message as passages that its conversation's search finds."""

from __future__ import annotations

from maisale.contracts import LexicalIndex, Transaction
from maisale.library.chunking import Part, chunk_text
from maisale.library.redacting import redacted_chunks
from maisale.records import Chunk
from maisale.store import chunks, conversations, privacy


def write_message(tx: Transaction, words: LexicalIndex, message_id: str) -> None:
    """Its passages and their words, once; none when it was deleted meanwhile."""
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
        made, _ = redacted_chunks(made, key)
    if made:
        chunks.insert_chunks(tx, row["user_id"], made)
        words.add(tx, made)
