"""Collections and documents: who may read which, and where each document stands. The passages are in chunks.py.

A conversation's files and messages stand in the collection that bears the conversation's id.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from maisale.contracts import Database, Transaction
from maisale.errors import NotFound
from maisale.records import PUBLIC_TENANT, Collection, Document, Named, Outline, Scope, SearchFilter
from maisale.store import audit, ledger
from maisale.store.conversations import get_conversation

HELP = "Mai-Sale help"  # searched while nothing else is indexed, afterwards only when chosen

_READABLE = "((c.tenant_id = :tenant AND (c.owner_id = :user OR c.visibility = 'tenant')) OR c.visibility = 'public')"
_DOCUMENT = """d.id, d.collection_id, coalesce(c.name, '') AS collection, d.title, d.source, d.media_type, d.size, d.received_at, d.modified_at,
               d.stage, d.chunks, d.cause, d.identifiers, d.conversation_id, d.failed_after, d.cancelled,
               (SELECT count(DISTINCT v.key) FROM vectors AS v WHERE v.document_id = d.id AND v.indexed = 1) AS embedded,
               (SELECT coalesce(max(j.attempts), 0) FROM jobs AS j WHERE j.subject_id = d.id AND j.payload = '') AS attempts,
               EXISTS (SELECT 1 FROM jobs AS j WHERE j.subject_id = d.id AND j.state = 'running' AND j.payload = '') AS running,
               coalesce((SELECT max(j.cause) FROM jobs AS j WHERE j.subject_id = d.id AND j.state = 'pending' AND j.payload = ''), '') AS waits"""
_NEWEST_FIRST = "ORDER BY d.received_at DESC, d.source, d.id"
_DOCUMENTS = "documents AS d LEFT JOIN collections AS c ON c.id = d.collection_id"
# A conversation's file belongs to the person whose conversation it is; every other document to whoever may read its collection.
_MAY_READ = f"((d.conversation_id IS NOT NULL AND d.tenant_id = :tenant AND d.owner_id = :user) OR (d.conversation_id IS NULL AND {_READABLE}))"


def collection_named(tx: Transaction, scope: Scope, name: str, visibility: str = "tenant") -> str:
    """The id of the collection that `scope` may write to under this name; made when it is missing."""
    tenant_id = PUBLIC_TENANT if visibility == "public" else scope.tenant_id
    sql = "SELECT id FROM collections WHERE tenant_id = :tenant AND name = :name AND (visibility <> 'private' OR owner_id = :user) ORDER BY created_at"
    found = tx.rows(sql, tenant=tenant_id, name=name, user=scope.user_id)
    if found:
        return found[0]["id"]
    made = str(uuid.uuid4())
    tx.insert("collections", id=made, tenant_id=tenant_id, owner_id=scope.user_id, name=name, visibility=visibility, created_at=time.time())
    audit.note(tx, scope, "collection_add", "collection", made, tenant_id=tenant_id, detail=visibility)
    return made


def list_collections(db: Database, scope: Scope) -> list[Collection]:
    """The collections that `scope` may read, by name."""
    sql = f"""SELECT c.id, c.tenant_id, c.owner_id, c.name, c.visibility,
              (SELECT count(*) FROM documents AS d WHERE d.collection_id = c.id) AS documents
              FROM collections AS c WHERE {_READABLE} ORDER BY c.name"""
    return [Collection(**row) for row in db.rows(sql, tenant=scope.tenant_id, user=scope.user_id)]


def searchable(
    db: Database, scope: Scope, conversation_id: str | None = None, names: Sequence[str] = (), documents: Sequence[str] = ()
) -> tuple[SearchFilter, tuple[str, ...]]:
    """Where a search of this person may look, and the names of the collections: the only maker of a SearchFilter.

    names: only these collections; without any, those of the chosen documents, else all readable ones but the help, which answers only while
    nothing else is indexed. documents: only these, by id.
    Raises NotFound for a conversation, a collection or a document that this person cannot read.
    """
    readable = list_collections(db, scope)
    if unknown := sorted(set(names) - {one.name for one in readable}):
        raise NotFound(f"There is no collection named {unknown[0]!r} that you may read.")
    homes = {get_document(db, scope, document_id).collection_id for document_id in documents}
    if names:
        chosen = [one for one in readable if one.name in names]
    elif homes:
        chosen = [one for one in readable if one.id in homes]
    else:
        chosen = [one for one in readable if one.name != HELP and one.documents] or [one for one in readable if one.name == HELP]
    own = [get_conversation(db, scope, conversation_id).id] if conversation_id else []
    tenants = (scope.tenant_id, PUBLIC_TENANT) if any(one.tenant_id == PUBLIC_TENANT for one in chosen) else (scope.tenant_id,)
    where = SearchFilter(tenants, (*own, *(one.id for one in chosen)), tuple(documents))
    return where, tuple(one.name for one in chosen)


def help_is_aside(db: Database, searched: Sequence[str]) -> bool:
    """Whether there is a help and it is not among the collections searched, by name."""
    return HELP not in searched and bool(db.rows("SELECT 1 FROM collections WHERE name = :help AND visibility = 'public'", help=HELP))


def own_conversations(scope: Scope, conversation_ids: tuple[str, ...]) -> SearchFilter:
    """Where a search of one's own conversations looks: in those, of the person's tenant. conversation_ids: as list_conversations gave them."""
    return SearchFilter((scope.tenant_id,), conversation_ids)


def private_documents(db: Database, scope: Scope) -> list[str]:
    """The ids of a person's documents that nobody else can read."""
    sql = """SELECT d.id FROM documents AS d JOIN collections AS c ON c.id = d.collection_id
             WHERE c.tenant_id = :tenant AND c.owner_id = :user AND c.visibility = 'private'"""
    return [row["id"] for row in db.rows(sql, tenant=scope.tenant_id, user=scope.user_id)]


def documents_of_tenant(db: Database, tenant_id: str) -> list[str]:
    return [row["id"] for row in db.rows("SELECT id FROM documents WHERE tenant_id = :tenant", tenant=tenant_id)]


def hand_over(tx: Transaction, scope: Scope, heir_id: str) -> None:
    """What a person added for others belongs to `heir_id` from now on; the private collections, empty by now, go."""
    tx.execute("DELETE FROM collections WHERE tenant_id = :tenant AND owner_id = :user AND visibility = 'private'", tenant=scope.tenant_id, user=scope.user_id)
    for table in ("documents", "chunks"):
        tx.execute(f"UPDATE {table} SET owner_id = :heir WHERE owner_id = :user", heir=heir_id, user=scope.user_id)
    # The heir may own a collection of the same name already; a shared one is read whoever owns it.
    taken = "SELECT 1 FROM collections AS o WHERE o.tenant_id = collections.tenant_id AND o.owner_id = :heir AND o.name = collections.name"
    tx.execute(f"UPDATE collections SET owner_id = :heir WHERE owner_id = :user AND NOT EXISTS ({taken})", heir=heir_id, user=scope.user_id)


def delete_collections(tx: Transaction, tenant_id: str) -> int:
    """Of a tenant whose documents are gone; returns how many went."""
    return tx.execute("DELETE FROM collections WHERE tenant_id = :tenant", tenant=tenant_id)


def receive_document(
    tx: Transaction,
    scope: Scope,
    collection_id: str,
    *,
    document_id: str,
    title: str,
    source: str,
    media_type: str,
    size: int,
    content_hash: str,
    modified_at: float | None = None,
    conversation_id: str | None = None,
) -> None:
    """One row at the stage `received`. collection_id: from collection_named, or the conversation's own id."""
    collection = tx.rows("SELECT tenant_id FROM collections WHERE id = :id", id=collection_id)
    tx.insert(
        "documents",
        id=document_id,
        tenant_id=collection[0]["tenant_id"] if collection else scope.tenant_id,
        owner_id=scope.user_id,
        collection_id=collection_id,
        conversation_id=conversation_id,
        title=title,
        source=source,
        media_type=media_type,
        size=size,
        content_hash=content_hash,
        received_at=time.time(),
        modified_at=modified_at,
        stage="received",
    )
    ledger.begin(tx, document_id)


def list_documents(db: Database, scope: Scope, conversation_id: str | None = None, ids: Sequence[str] | None = None) -> list[Document]:
    """The newest first: of the readable collections or, given one, of that conversation. ids: only these of the collections."""
    who = {"tenant": scope.tenant_id, "user": scope.user_id}
    if ids is not None:
        condition, values = "d.conversation_id IS NULL AND d.id IN :ids", {"ids": list(ids)}
    elif conversation_id:
        get_conversation(db, scope, conversation_id)
        condition, values = "d.conversation_id = :conversation", {"conversation": conversation_id}
    else:
        condition, values = "d.conversation_id IS NULL", {}
    sql = f"SELECT {_DOCUMENT} FROM {_DOCUMENTS} WHERE {condition} AND {_MAY_READ} {_NEWEST_FIRST}"
    return [_document(row) for row in db.rows(sql, **values, **who)]


def outlines(db: Database, scope: Scope) -> list[Outline]:
    """What list_documents lists, in the same order, with little of each: a page of it is chosen by what these say."""
    sql = f"""SELECT d.id, d.collection_id, coalesce(c.name, '') AS collection, d.title, d.source, d.stage, d.cause
              FROM {_DOCUMENTS} WHERE d.conversation_id IS NULL AND {_MAY_READ} {_NEWEST_FIRST}"""
    return [Outline(**row) for row in db.rows(sql, tenant=scope.tenant_id, user=scope.user_id)]


def document_names(
    db: Database, scope: Scope, conversation_id: str | None = None, limit: int | None = None, names: Sequence[str] = (), documents: Sequence[str] = ()
) -> list[Named]:
    """What this person may ask by name, the newest first and the help's last: the conversation's own files, and the readable collections'.

    names: of collections; only theirs, and the conversation's. documents: only these, by id.
    """
    # A document's passages bear the title that people see; its own row the file's name.
    title = "coalesce((SELECT p.title FROM chunks AS p WHERE p.document_id = d.id LIMIT 1), d.title)"
    sql = f"""SELECT d.id, {title} AS title, d.source, coalesce(c.name, '') AS collection FROM {_DOCUMENTS}
              WHERE {_MAY_READ} AND (d.conversation_id IS NULL OR d.conversation_id = :conversation)"""
    values: dict[str, Any] = {"tenant": scope.tenant_id, "user": scope.user_id, "conversation": conversation_id or "", "help": HELP}
    if names:
        sql, values = f"{sql} AND (d.conversation_id IS NOT NULL OR c.name IN :names)", {**values, "names": list(names)}
    if documents:
        sql, values = f"{sql} AND d.id IN :ids", {**values, "ids": list(documents)}
    sql = f"{sql} ORDER BY CASE WHEN c.name = :help THEN 1 ELSE 0 END, d.received_at DESC, d.source" + (f" LIMIT {limit:d}" if limit else "")
    return [Named(**row) for row in db.rows(sql, **values)]


def get_document(source: Database | Transaction, scope: Scope, document_id: str) -> Document:
    sql = f"SELECT {_DOCUMENT} FROM {_DOCUMENTS} WHERE d.id = :id AND {_MAY_READ}"
    rows = source.rows(sql, id=document_id, tenant=scope.tenant_id, user=scope.user_id)
    if not rows:
        raise NotFound("There is no such document. It may have been deleted.")
    return _document(rows[0])


def _document(row: dict[str, Any]) -> Document:
    identifiers = json.loads(row["identifiers"]) if row["identifiers"] else None
    return Document(**{**row, "running": bool(row["running"]), "identifiers": identifiers})


def documents_of_collection(db: Database, collection_id: str) -> list[dict[str, Any]]:
    """id, source, content_hash, size, modified_at, stage and cause of each: what a sync compares."""
    sql = "SELECT id, source, content_hash, size, modified_at, stage, cause FROM documents WHERE collection_id = :id ORDER BY source"
    return db.rows(sql, id=collection_id)


def standing(db: Database, collection_id: str) -> dict[tuple[str, bool], int]:
    """How many documents of a collection stand at each (stage, whether a cause is told with it)."""
    sql = "SELECT stage, cause <> '' AS told, count(*) AS n FROM documents WHERE collection_id = :id GROUP BY stage, cause <> ''"
    return {(row["stage"], bool(row["told"])): row["n"] for row in db.rows(sql, id=collection_id)}


def document_row(source: Database | Transaction, document_id: str) -> dict[str, Any] | None:
    """The whole row for the worker, which acts for everybody; None when it was deleted meanwhile."""
    rows = source.rows("SELECT * FROM documents WHERE id = :id", id=document_id)
    return rows[0] if rows else None


def is_shared(db: Database, row: dict[str, Any]) -> bool:
    """Whether others than its owner may read a document. row: of document_row."""
    if row["conversation_id"]:
        return False
    found = db.rows("SELECT visibility FROM collections WHERE id = :id", id=row["collection_id"])
    return bool(found) and found[0]["visibility"] != "private"


def documents_named(tx: Transaction, collection_id: str, source: str) -> list[dict[str, Any]]:
    """id, content_hash, stage and owner_id of the documents that came from `source`, the newest first."""
    sql = "SELECT id, content_hash, stage, owner_id FROM documents WHERE collection_id = :id AND source = :source ORDER BY received_at DESC"
    return tx.rows(sql, id=collection_id, source=source)


def renew_document(tx: Transaction, document_id: str, *, size: int, content_hash: str, modified_at: float | None) -> int:
    """The same document with new contents, back at the stage `received`; 0 when it was deleted meanwhile."""
    sql = "UPDATE documents SET size = :size, content_hash = :hash, modified_at = :modified, received_at = :now WHERE id = :id"
    renewed = tx.execute(sql, size=size, hash=content_hash, modified=modified_at, now=time.time(), id=document_id)
    if renewed:
        set_stage(tx, document_id, "received")
    return renewed


def note_modified(tx: Transaction, document_id: str, modified_at: float) -> None:
    """The same contents with another date."""
    tx.execute("UPDATE documents SET modified_at = :modified WHERE id = :id", modified=modified_at, id=document_id)


def delete_document(tx: Transaction, document_id: str) -> None:
    """Removes the row. Its chunks, words and vectors are the caller's to remove in the same transaction."""
    tx.execute("DELETE FROM documents WHERE id = :id", id=document_id)


def documents_of_conversation(tx: Transaction, conversation_id: str) -> list[str]:
    """The ids of the files that were dropped into a conversation."""
    return [row["id"] for row in tx.rows("SELECT id FROM documents WHERE conversation_id = :id", id=conversation_id)]


def set_stage(tx: Transaction, document_id: str, stage: str, *, cause: str = "", chunks: int | None = None, attempts: int = 0, cancelled: str = "") -> None:
    """Where the document stands, also in its ledger; `received` begins a new one. chunks: how many passages it has now, when that changed.

    attempts: of the job, when it failed. cancelled: reading or embedding, as in the record.
    """
    sql = """UPDATE documents SET failed_after = CASE WHEN :stage <> 'failed' THEN '' WHEN stage = 'failed' THEN failed_after ELSE stage END,
             was_complete = CASE WHEN :stage = 'complete' THEN 1 ELSE was_complete END,
             stage = :stage, cause = :cause, cancelled = :cancelled, chunks = coalesce(:chunks, chunks) WHERE id = :id"""
    if not tx.execute(sql, stage=stage, cause=cause, cancelled=cancelled, chunks=chunks, id=document_id):
        return
    if stage == "received":
        ledger.begin(tx, document_id)
        return
    # What it was before stays in the ledger: here nothing was reached.
    entry = ("cancelled" if cancelled else "halted") if stage == "searchable" and cause else stage
    ledger.note(tx, document_id, entry, counted=chunks, attempts=attempts, cause=cause)


def go_on(tx: Transaction, document_id: str) -> None:
    """Embedding is tried again: what held it up is forgotten."""
    tx.execute("UPDATE documents SET cause = '', cancelled = '' WHERE id = :id", id=document_id)
    ledger.forget(tx, document_id, ("halted", "cancelled"))


def pass_stage(tx: Transaction, document_id: str, stage: str) -> None:
    """Reached on the way to the next; its ledger is the caller's to write."""
    tx.execute("UPDATE documents SET stage = :stage WHERE id = :id", stage=stage, id=document_id)


def note_identifiers(tx: Transaction, document_id: str, counts: Mapping[str, int] | None) -> None:
    """How many of each kind its passages hold; its ledger says when they were replaced. None: they are indexed as they are."""
    told = "" if counts is None else json.dumps(counts)
    tx.execute("UPDATE documents SET identifiers = :counts WHERE id = :id", counts=told, id=document_id)
    if counts is None:
        ledger.forget(tx, document_id, ["redacted"])
    else:
        ledger.note(tx, document_id, "redacted", counted=sum(counts.values()))


def stage_counts(db: Database) -> dict[str, int]:
    """How many documents stand at each stage, over everybody: for progress and the doctor."""
    return {row["stage"]: row["n"] for row in db.rows("SELECT stage, count(*) AS n FROM documents GROUP BY stage")}


def unread(db: Database, scope: Scope) -> tuple[int, int]:
    """How many documents of the readable collections no search can find yet, and how many there are."""
    sql = f"""SELECT coalesce(sum(CASE WHEN d.stage IN ('received', 'read', 'chunked') THEN 1 ELSE 0 END), 0) AS unread, count(*) AS listed
              FROM {_DOCUMENTS} WHERE d.conversation_id IS NULL AND {_READABLE}"""
    row = db.rows(sql, tenant=scope.tenant_id, user=scope.user_id)[0]
    return row["unread"], row["listed"]


def progress(db: Database, scope: Scope) -> tuple[int, int]:
    """How many documents of the readable collections have ended (complete, failed, or found by words only for a cause), and how many there are."""
    sql = f"""SELECT coalesce(sum(CASE WHEN d.stage IN ('complete', 'failed') OR d.cause <> '' THEN 1 ELSE 0 END), 0) AS ended, count(*) AS listed
              FROM {_DOCUMENTS} WHERE d.conversation_id IS NULL AND {_READABLE}"""
    row = db.rows(sql, tenant=scope.tenant_id, user=scope.user_id)[0]
    return row["ended"], row["listed"]
