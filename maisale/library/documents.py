"""What people do with documents: add and open. Reading and indexing them is the worker's, trying again and cancelling readings.py's, removing deletion.py's.

A document's bytes are on the disk before its row exists, and its row goes before its bytes: a crash leaves at most a file without a row,
which the next start sweeps away.
"""

from __future__ import annotations

import logging
import mimetypes
import time
import uuid
from collections.abc import Sequence
from pathlib import Path, PurePath

from maisale.contracts import Database, Transaction
from maisale.errors import BadInput, NotAllowed, NotFound, Unreadable
from maisale.library.decoding import clean
from maisale.library.files import keep_file, remove_files
from maisale.library.reading import check_kind
from maisale.records import PUBLIC_TENANT, Document, Scope
from maisale.services import Services
from maisale.store import accounts, audit, chunks, conversations, documents, jobs

log = logging.getLogger(__name__)

KNOWLEDGE = "Knowledge"  # where a document goes when nobody names a collection; the whole tenant reads it
NAME_CHARACTERS = 200
FILES_AT_ONCE = 20  # dropped on the page; REST takes one at a time


def add_document(
    services: Services,
    scope: Scope,
    path: Path,
    name: str,
    *,
    collection: str | None = None,
    visibility: str | None = None,
    conversation_id: str | None = None,
) -> Document:
    """Takes a copy of the file at `path`; durable when this returns, the worker reads it from there.

    visibility: of the collection, when it is made. conversation_id: private to this conversation. The same file twice in one place is one document.
    Raises Unreadable, BadInput, NotAllowed, NotFound or StorageFailed; then nothing was stored.
    """
    name = checked_name(name)
    check_file(services, path, name)
    if collection and conversation_id:
        raise BadInput("A document goes into a collection or into a conversation, not into both.")
    document_id = str(uuid.uuid4())
    size, content_hash = keep_file(services.settings, path, document_id)

    def work(tx: Transaction) -> tuple[str, str | None]:
        if conversation_id:
            place = conversations.get_conversation(tx, scope, conversation_id).id
        else:
            place = writable_collection(tx, scope, collection or KNOWLEDGE, visibility)
        for known in documents.documents_named(tx, place, name):
            if known["content_hash"] == content_hash and known["stage"] != "failed" and known["owner_id"] == scope.user_id:
                return known["id"], None
        return document_id, receive(tx, scope, place, document_id, name, size, content_hash, conversation_id=conversation_id)

    try:
        kept_id, job_id = services.db.write(work)
    except BaseException:
        remove_files(services.settings, [document_id])
        raise
    if job_id:
        services.wake(job_id)
    else:
        remove_files(services.settings, [document_id])
    return documents.get_document(services.db, scope, kept_id)


def open_file(services: Services, scope: Scope, document_id: str) -> tuple[Path, Document]:
    """The file as it was received, for whoever may read the document. Raises NotFound."""
    document = documents.get_document(services.db, scope, document_id)
    path = services.settings.files_dir / document_id
    if not path.is_file():
        raise NotFound(f"The file of {document.title} is gone from the server. Add it again.")
    return path, document


def read_text(services: Services, scope: Scope, document_id: str) -> str:
    """What was read of a document, for whoever may read it: its passages in order, below their headings. Raises NotFound."""
    document = documents.get_document(services.db, scope, document_id)
    passages = chunks.chunks_of(services.db, document_id)
    if not passages:
        raise NotFound(f"Nothing of {document.title} has been read yet. Its row on the Documents page says how far it is.")
    lines, heading = [document.title], ""
    for chunk in passages:
        if chunk.heading != heading:
            heading = chunk.heading
            lines += [f"# {heading}"] if heading else []
        lines.append(chunk.text)
    return "\n\n".join(lines) + "\n"


def sweep_files(services: Services, older_than_s: float = 3600) -> int:
    """Removes files without a row, which a crash left behind. Young ones may be on their way in through another process."""
    known = {row["id"] for row in services.db.rows("SELECT id FROM documents")}
    before = time.time() - older_than_s
    lost = [path for path in services.settings.files_dir.iterdir() if path.name not in known and path.stat().st_mtime < before]
    for path in lost:
        path.unlink(missing_ok=True)
    if lost:
        log.info("%d files without a document were removed", len(lost))
    return len(lost)


def check_count(files: Sequence[object]) -> None:
    """Raises BadInput for more files than are taken at once."""
    if len(files) > FILES_AT_ONCE:
        raise BadInput(f"{len(files)} files came at once; {FILES_AT_ONCE} is the most, and none was taken. Add them in parts, or index their folder.")


def checked_name(name: str) -> str:
    """A file's name as it is kept: without folders and control characters. Raises BadInput."""
    kept = " ".join(clean(PurePath(name.replace("\\", "/")).name).split())
    if not kept or len(kept) > NAME_CHARACTERS:
        raise BadInput(f"The file's name has {len(kept)} characters; it takes 1 to {NAME_CHARACTERS}. Rename it and add it again.")
    return kept


def check_file(services: Services, path: Path, name: str) -> None:
    """Raises Unreadable for what no reader will take: of an unknown kind, empty, or too large."""
    check_kind(name)
    try:
        size = path.stat().st_size
    except OSError as problem:
        raise Unreadable(f"{name} cannot be opened ({problem.strerror}). Check its permissions.") from problem
    if not size:
        raise Unreadable(f"{name} is empty. Save it with its contents and add it again.")
    if size > services.settings.upload_mb * 1_000_000:
        raise Unreadable(f"{name} has {size / 1e6:,.1f} MB; {services.settings.upload_mb} MB is the most. Split it, or raise UPLOAD_MB.")


def receive(
    tx: Transaction,
    scope: Scope,
    collection_id: str,
    document_id: str,
    source: str,
    size: int,
    content_hash: str,
    *,
    modified_at: float | None = None,
    conversation_id: str | None = None,
    lane: str = "people",
) -> str:
    """The document's row, its job and its row in the audit log, all or nothing; returns the job's id."""
    name = PurePath(source).name
    documents.receive_document(
        tx,
        scope,
        collection_id,
        document_id=document_id,
        title=name,
        source=source,
        media_type=mimetypes.guess_type(name)[0] or "text/plain",
        size=size,
        content_hash=content_hash,
        modified_at=modified_at,
        conversation_id=conversation_id,
    )
    tenant_id = documents.document_row(tx, document_id)["tenant_id"]
    audit.note(tx, scope, "document_add", "document", document_id, tenant_id=tenant_id)
    return jobs.add(tx, tenant_id, "read_document", document_id, lane)


def writable_collection(tx: Transaction, scope: Scope, name: str, visibility: str | None = None) -> str:
    """The id of the collection; made when it is missing. visibility None: as it is, a new one for the tenant. Raises NotAllowed or BadInput."""
    name = name.strip()
    if not name or len(name) > NAME_CHARACTERS:
        raise BadInput(f"The collection's name has {len(name)} characters; it takes 1 to {NAME_CHARACTERS}.")
    if visibility not in (None, "tenant", "private", "public"):
        raise BadInput(f"The visibility is {visibility!r}; it is one of tenant, private, public.")
    if visibility == "public" and accounts.get_user(tx, scope.user_id).role != "instance_admin":
        raise NotAllowed("A public collection is read by every tenant; only the instance's admin may fill one.")
    if name == documents.HELP and visibility != "public":
        raise BadInput(f"{name!r} is the name of Mai-Sale's own pages. Choose another name for the collection.")
    found = documents.collection_named(tx, scope, name, visibility or "tenant")
    kept = tx.rows("SELECT visibility FROM collections WHERE id = :id", id=found)[0]["visibility"]
    if visibility and kept != visibility:  # a private file must not come where the whole tenant reads
        raise BadInput(f"The collection {name!r} exists and its visibility is {kept}, not {visibility}. Choose another name, or that visibility.")
    return found


def changeable(db: Database, scope: Scope, ids: Sequence[str]) -> set[str]:
    """Those of the documents `ids` that check_may_change lets this person change."""
    rows = db.rows("SELECT id, owner_id, tenant_id FROM documents WHERE id IN :ids", ids=list(ids)) if ids else []
    role = accounts.get_user(db, scope.user_id).role if any(row["owner_id"] != scope.user_id for row in rows) else ""
    return {row["id"] for row in rows if row["owner_id"] == scope.user_id or role in _changers(row["tenant_id"])}


def _changers(tenant_id: str) -> tuple[str, ...]:
    """The roles that may change what others added there."""
    return ("instance_admin",) if tenant_id == PUBLIC_TENANT else ("instance_admin", "tenant_admin")


def check_may_change(tx: Transaction, scope: Scope, document_id: str) -> None:
    """Raises NotFound for what this person cannot read, NotAllowed for what belongs to somebody else."""
    document = documents.get_document(tx, scope, document_id)
    row = documents.document_row(tx, document_id)
    if row["owner_id"] == scope.user_id:
        return
    if accounts.get_user(tx, scope.user_id).role not in _changers(row["tenant_id"]):
        raise NotAllowed(f"{document.title} was added by somebody else. Ask that person or an admin.")
