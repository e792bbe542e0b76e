"""Chunks and their embeddings. SQL is the truth: every index is built from these rows, and every hit is looked up here again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from maisale.contracts import Database, Transaction
from maisale.records import Chunk, Scope, SearchFilter, VectorRow
from maisale.redaction import vector_text

_CHUNK = "key, tenant_id, collection_id, title, text, position, tokens, dated_at, document_id, message_id, conversation_id, heading, place, searched"
_OF_SUBJECT = "key >= :first AND key < :behind"  # a range, which the primary key serves; LIKE would scan


def chunks(db: Database, where: SearchFilter, keys: Sequence[str]) -> dict[str, Chunk]:
    """Those of `keys` that exist inside `where`. An index is not trusted with tenancy: its hits pass through here."""
    if not keys:
        return {}
    sql = f"""SELECT {_CHUNK} FROM chunks WHERE key IN :keys
              AND tenant_id IN :tenants AND collection_id IN :collections"""
    rows = db.rows(sql, keys=list(keys), tenants=where.tenants, collections=where.collections)
    found = (Chunk(**row) for row in rows)
    return {chunk.key: chunk for chunk in found if not where.documents or chunk.document_id in where.documents}


def conversation_chunks(db: Database, scope: Scope, conversation_id: str) -> list[Chunk]:
    """All chunks of one conversation's messages and files."""
    sql = f"SELECT {_CHUNK} FROM chunks WHERE collection_id = :id AND tenant_id = :tenant AND owner_id = :user ORDER BY dated_at, position"
    return [Chunk(**row) for row in db.rows(sql, id=conversation_id, tenant=scope.tenant_id, user=scope.user_id)]


def chunks_of(source: Database | Transaction, subject_id: str) -> list[Chunk]:
    """The chunks of a document or a message, in order."""
    sql = f"SELECT {_CHUNK} FROM chunks WHERE document_id = :id UNION ALL SELECT {_CHUNK} FROM chunks WHERE message_id = :id ORDER BY position"
    return [Chunk(**row) for row in source.rows(sql, id=subject_id)]


def page(db: Database, tenant_id: str, kind: str, after: str, limit: int) -> list[Chunk]:
    """Chunks of a tenant and kind in the order of their keys, from behind `after`: what a rebuild reads."""
    null = "IS NULL" if kind == "documents" else "IS NOT NULL"
    sql = f"SELECT {_CHUNK} FROM chunks WHERE tenant_id = :tenant AND message_id {null} AND key > :after ORDER BY key LIMIT :limit"
    return [Chunk(**row) for row in db.rows(sql, tenant=tenant_id, after=after, limit=limit)]


def with_keys(source: Database | Transaction, keys: Sequence[str]) -> list[Chunk]:
    """Those of `keys` that exist, whoever they belong to: for the indexes."""
    return [Chunk(**row) for row in source.rows(f"SELECT {_CHUNK} FROM chunks WHERE key IN :keys", keys=list(keys))]


def insert_chunks(tx: Transaction, owner_id: str, made: Sequence[Chunk], table: str = "chunks") -> None:
    """table: incoming_chunks for those that nobody is to see yet."""
    for chunk in made:
        tx.insert(
            table,
            owner_id=owner_id,
            key=chunk.key,
            tenant_id=chunk.tenant_id,
            collection_id=chunk.collection_id,
            document_id=chunk.document_id,
            message_id=chunk.message_id,
            conversation_id=chunk.conversation_id,
            position=chunk.position,
            title=chunk.title,
            heading=chunk.heading,
            place=chunk.place,
            searched=chunk.searched,
            text=chunk.text,
            tokens=chunk.tokens,
            dated_at=chunk.dated_at,
        )


def set_searched(tx: Transaction, chunk: Chunk) -> bool:
    """Whether the chunk still is what `chunk` says and has its `searched` now. Its words and vectors are the caller's."""
    sql = "UPDATE chunks SET searched = :searched WHERE key = :key AND title = :title AND heading = :heading AND text = :text"
    return bool(tx.execute(sql, searched=chunk.searched, key=chunk.key, title=chunk.title, heading=chunk.heading, text=chunk.text))


def show_incoming(tx: Transaction, document_id: str) -> None:
    """The passages that came in for this document are its passages from now on; the old ones must be gone."""
    tx.execute(f"INSERT INTO chunks (owner_id, {_CHUNK}) SELECT owner_id, {_CHUNK} FROM incoming_chunks WHERE document_id = :id", id=document_id)
    forget_incoming(tx, document_id)


def forget_incoming(tx: Transaction, document_id: str) -> None:
    tx.execute("DELETE FROM incoming_chunks WHERE document_id = :id", id=document_id)


def delete_chunks(tx: Transaction, keys: Sequence[str]) -> dict[str, int]:
    """Chunks and embeddings, and how many of each went; the words are the lexical index's to remove in the same transaction."""
    return {table: tx.execute(f"DELETE FROM {table} WHERE key IN :keys", keys=list(keys)) for table in ("chunks", "vectors")}


def delete_vectors(tx: Transaction, keys: Sequence[str]) -> None:
    """The chunks stay, and their next embedding replaces what the vector index holds."""
    tx.execute("DELETE FROM vectors WHERE key IN :keys", keys=list(keys))


def missing_vectors(source: Database | Transaction, subject_id: str, embedder: str) -> list[Chunk]:
    """The chunks of a document or a message that this embedder has not embedded yet."""
    sql = f"SELECT key FROM vectors WHERE embedder = :embedder AND {_OF_SUBJECT}"
    done = {row["key"] for row in source.rows(sql, embedder=embedder, **_keys_of(subject_id))}
    return [chunk for chunk in chunks_of(source, subject_id) if chunk.key not in done]


def save_vectors(tx: Transaction, embedder: str, made: Sequence[tuple[Chunk, np.ndarray]]) -> None:
    """vector: float32, shape (dimensions,), unit length. A chunk that was deleted meanwhile is passed over."""
    for chunk, vector in made:
        tx.execute(
            """INSERT INTO vectors (key, embedder, tenant_id, kind, collection_id, document_id, vector, digest, changed_at)
               SELECT key, :embedder, tenant_id, :kind, collection_id, coalesce(document_id, ''), :vector, :digest, :now
               FROM chunks WHERE key = :key AND text = :text AND searched = :searched
               ON CONFLICT (embedder, key) DO UPDATE
               SET vector = excluded.vector, digest = excluded.digest, indexed = 0, changed_at = excluded.changed_at""",
            digest=digest_of(chunk),
            now=time.time(),
            key=chunk.key,
            text=chunk.text,
            searched=chunk.searched,
            embedder=embedder,
            kind=kind_of(chunk),
            vector=np.ascontiguousarray(vector, dtype=np.float32).tobytes(),
        )


def known_vectors(db: Database, embedder: str, tenant_id: str, digests: Sequence[str]) -> dict[str, np.ndarray]:
    """digest -> vector, of the texts that this embedder has embedded for the tenant already."""
    sql = "SELECT digest, vector FROM vectors WHERE embedder = :embedder AND tenant_id = :tenant AND digest IN :digests AND digest <> ''"
    rows = db.rows(sql, embedder=embedder, tenant=tenant_id, digests=list(digests))
    return {row["digest"]: np.frombuffer(row["vector"], np.float32) for row in rows}


def digest_of(chunk: Chunk) -> str:
    """Of the text that is embedded for a chunk."""
    return hashlib.sha256(vector_text(chunk).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def unindexed_vectors(db: Database, embedder: str, subject_id: str) -> list[tuple[str, str, VectorRow]]:
    """(tenant_id, kind, row) of each vector of this subject that the vector index does not hold yet."""
    return _vector_rows(db, f"embedder = :embedder AND indexed = 0 AND {_OF_SUBJECT}", embedder=embedder, **_keys_of(subject_id))


def all_vectors(db: Database, embedder: str, tenant_id: str, kind: str, after: str = "", limit: int = 500) -> list[VectorRow]:
    """A page of vectors in the order of their keys, from behind `after`: what a rebuild reads."""
    condition = "embedder = :embedder AND tenant_id = :tenant AND kind = :kind AND key > :after ORDER BY key LIMIT :limit"
    return [row for _, _, row in _vector_rows(db, condition, embedder=embedder, tenant=tenant_id, kind=kind, after=after, limit=limit)]


def mark_indexed(tx: Transaction, embedder: str, keys: Sequence[str], read_at: float) -> None:
    """read_at: when the vectors were read; one that was made anew since then is not in the index yet."""
    sql = "UPDATE vectors SET indexed = 1 WHERE embedder = :embedder AND key IN :keys AND changed_at <= :read_at"
    tx.execute(sql, embedder=embedder, keys=list(keys), read_at=read_at)


def mark_unindexed(tx: Transaction) -> None:
    """Of all vectors: the index is empty."""
    tx.execute("UPDATE vectors SET indexed = 0 WHERE indexed = 1")


def vectors_of(db: Database, embedder: str, keys: Sequence[str]) -> list[VectorRow]:
    """The vectors of those `keys` that have one."""
    return [row for _, _, row in _vector_rows(db, "embedder = :embedder AND key IN :keys", embedder=embedder, keys=list(keys))]


def vector_indexes(db: Database) -> list[tuple[str, str, str]]:
    """(tenant_id, embedder, kind) of each index that SQL has vectors for."""
    rows = db.rows("SELECT DISTINCT tenant_id, embedder, kind FROM vectors")
    return [(row["tenant_id"], row["embedder"], row["kind"]) for row in rows]


def vector_keys(db: Database, tenant_id: str, embedder: str, kind: str) -> set[str]:
    """The keys of one index."""
    sql = "SELECT key FROM vectors WHERE tenant_id = :tenant AND embedder = :embedder AND kind = :kind"
    return {row["key"] for row in db.rows(sql, tenant=tenant_id, embedder=embedder, kind=kind)}


def existing(db: Database, table: str, keys: Sequence[str]) -> set[str]:
    """Those of `keys` that the table chunks or vectors has."""
    if table not in ("chunks", "vectors"):
        raise ValueError(f"there are no keys in {table}")
    return {row["key"] for row in db.rows(f"SELECT DISTINCT key FROM {table} WHERE key IN :keys", keys=list(keys))}


def subjects_without_vectors(db: Database, embedder: str, tried: str, limit: int) -> list[tuple[str, str, str]]:
    """(tenant_id, kind, document or message id) of subjects with a chunk that `embedder` has not embedded.

    tried: the payload of the jobs that did this already; their subjects are left out, for they hold what no embedder takes.
    """
    sql = """SELECT DISTINCT tenant_id, CASE WHEN message_id IS NULL THEN 'documents' ELSE 'messages' END AS kind,
             coalesce(message_id, document_id) AS subject FROM chunks AS c
             WHERE NOT EXISTS (SELECT 1 FROM vectors AS v WHERE v.embedder = :embedder AND v.key = c.key)
             AND NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.subject_id = coalesce(c.message_id, c.document_id) AND j.payload = :tried)
             LIMIT :limit"""
    return [(row["tenant_id"], row["kind"], row["subject"]) for row in db.rows(sql, embedder=embedder, tried=tried, limit=limit)]


def _keys_of(subject_id: str) -> dict[str, str]:
    return {"first": subject_id + "#", "behind": subject_id + "$"}  # "$" follows "#" in ASCII


def kind_of(chunk: Chunk) -> str:
    return "messages" if chunk.message_id else "documents"


def _vector_rows(db: Database, condition: str, **values: Any) -> list[tuple[str, str, VectorRow]]:
    rows = db.rows(f"SELECT key, tenant_id, kind, collection_id, document_id, vector FROM vectors WHERE {condition}", **values)
    return [
        (row["tenant_id"], row["kind"], VectorRow(row["key"], row["collection_id"], row["document_id"], np.frombuffer(row["vector"], np.float32)))
        for row in rows
    ]
