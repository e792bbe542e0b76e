"""A message as passages that its conversation's search finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maisale.contracts import Database, LexicalIndex, Transaction
from maisale.library.chunking import Part, chunk_text
from maisale.library.redacting import redacted_chunks
from maisale.records import PUBLIC_TENANT, Chunk
from maisale.redaction import hash_words
from maisale.services import Services
from maisale.store import chunks, conversations, privacy


@dataclass(frozen=True)
class Prepared:
    """What a message's passages are made of, and they: made before the transaction that writes them, for while that lasts nobody else writes."""

    row: dict[str, Any]  # of store.conversations.message_row
    key: bytes | None  # to redact with, as its tenant has chosen
    known: frozenset[str]  # the hash words of what it names that its tenant's indexes hold
    passages: tuple[Chunk, ...]


def prepare(services: Services, message_ids: Sequence[str]) -> list[Prepared]:
    """Of those that still exist."""
    rows = [conversations.message_row(services.db, message_id) for message_id in message_ids]
    return [_prepared(services.db, row, _known_numbers(services, row)) for row in rows if row]


def write_message(tx: Transaction, words: LexicalIndex, prepared: Prepared) -> None:
    """Its passages and their words, once; none when it was deleted meanwhile."""
    if (row := conversations.message_row(tx, prepared.row["id"])) is None:
        return
    if row != prepared.row or privacy.key_to_redact(tx, row["tenant_id"]) != prepared.key:  # renamed or chosen otherwise meanwhile
        prepared = _prepared(tx, row, prepared.known)
    made, old = prepared.passages, chunks.chunks_of(tx, row["id"])
    if [chunk.text for chunk in old] == [chunk.text for chunk in made]:
        return
    if old:
        keys = [chunk.key for chunk in old]
        words.remove(tx, old[0].tenant_id, "messages", keys)
        chunks.delete_chunks(tx, keys)
    if made:
        chunks.insert_chunks(tx, row["user_id"], made)
        words.add(tx, made)


def _prepared(source: Database | Transaction, row: dict[str, Any], known: frozenset[str]) -> Prepared:
    key = privacy.key_to_redact(source, row["tenant_id"])
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
        for piece in chunk_text([Part(row["text"])])
    ]
    if made and key:
        made, _ = redacted_chunks(made, key, lambda wanted: [word for word in wanted if word in known])
    return Prepared(row, key, known, tuple(made))


def _known_numbers(services: Services, row: dict[str, Any]) -> frozenset[str]:
    wanted = hash_words((row["title"], row["text"]), privacy.key(services.db))
    return frozenset(privacy.known_to(services.words, (row["tenant_id"], PUBLIC_TENANT))(wanted)) if wanted else frozenset()
