"""Documents and collections: add, list, read again, cancel, remove, search."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile

from maisale.api import plain
from maisale.api.v1 import shapes
from maisale.api.v1.shapes import Reader, Writer
from maisale.chat.ask import checked_question
from maisale.chat.mentions import file_name
from maisale.chat.naming import find_names
from maisale.chat.replies import Replies
from maisale.errors import BadInput, StorageFailed
from maisale.flow.search import search
from maisale.library import progress
from maisale.library.deletion import remove_document
from maisale.library.documents import add_document
from maisale.library.readings import cancel_document, retry_document
from maisale.store import documents, ledger

PART = 1 << 20  # bytes copied at a time


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter(tags=["documents"])

    @routes.get("/collections")
    def list_collections(caller: Reader) -> list[shapes.CollectionOut]:
        """List the collections that you may read, by name."""
        found = documents.list_collections(running().services.db, caller.scope)
        return [shapes.CollectionOut(id=one.id, name=one.name, visibility=one.visibility, documents=one.documents) for one in found]

    @routes.get("/documents")
    def list_documents(caller: Reader, conversation_id: str | None = None) -> list[shapes.DocumentOut]:
        """List the documents that you may read, the latest first, or the files of one conversation."""
        db = running().services.db
        listed = progress.with_seconds_left(db, documents.list_documents(db, caller.scope, conversation_id))
        return [shapes.DocumentOut(**plain.document(one)) for one in listed]

    @routes.get("/documents/names")
    def find_document_names(
        caller: Reader,
        q: Annotated[str, Query(max_length=shapes.NAME_CHARACTERS, description="A part of the name, with or without diacritics.")] = "",
        conversation_id: Annotated[str | None, Query(description="That conversation's files too.")] = None,
        anywhere: Annotated[bool, Query(description="Also inside a word, and in the names of folders and collections.")] = False,
    ) -> list[shapes.NamedOut]:
        """Find documents that a question can name with @: up to 20, those that begin so first, then the newest."""
        found = find_names(running().services.db, caller.scope, q, conversation_id or None, anywhere=anywhere)
        return [shapes.NamedOut(name=file_name(one), **asdict(one)) for one in found]

    @routes.post("/documents", status_code=202)
    async def add(
        caller: Writer,
        file: Annotated[UploadFile, File()],
        collection: Annotated[shapes.Line | None, Form(description='Made when it is missing; without one, "Knowledge".')] = None,
        visibility: Annotated[Literal["tenant", "private", "public"] | None, Form(description="Of a collection that is made: who reads it.")] = None,
        conversation_id: Annotated[str | None, Form(description="Private to this conversation instead.")] = None,
    ) -> shapes.DocumentOut:
        """Add a file. Its bytes are kept when this answers; GET /v1/documents/{document_id} shows how it goes on."""
        services = running().services
        if not file.filename:
            raise BadInput("file: the file has no name. Send one with an ending, such as report.pdf.")
        where = {"collection": collection, "visibility": visibility, "conversation_id": conversation_id or None}
        try:
            with tempfile.NamedTemporaryFile(dir=services.settings.files_dir, prefix="upload-") as kept:
                await asyncio.to_thread(_copy, file, kept, services.settings.upload_mb * 1_000_000)
                made = await asyncio.to_thread(add_document, services, caller.scope, Path(kept.name), file.filename, **where)
        except OSError as problem:
            words = f"{file.filename} could not be kept ({problem.strerror}); nothing was stored."
            raise StorageFailed(f"{words} Free some space, or see that the data folder can be written to, and add it again.") from problem
        return shapes.DocumentOut(**plain.document(made))

    @routes.get("/documents/{document_id}")
    def get_document(document_id: str, caller: Reader) -> shapes.LedgerOut:
        """Get where a document stands, and when it reached which stage.

        GET /files/{document_id} brings the file itself, GET /files/{document_id}/read what was read of it, as plain text.
        """
        db = running().services.db
        (found,) = progress.with_seconds_left(db, [documents.get_document(db, caller.scope, document_id)])
        return shapes.LedgerOut(**plain.document(found), stages=[asdict(one) for one in ledger.of_document(db, found.id)])

    @routes.delete("/documents/{document_id}")
    def delete_document(document_id: str, caller: Writer) -> shapes.Erased:
        """Remove a document with its passages, words and vectors."""
        receipt = remove_document(running().services, caller.scope, document_id)
        return shapes.Erased(deleted=document_id, erasure_id=receipt)

    @routes.post("/documents/{document_id}/retry")
    def retry(document_id: str, caller: Writer) -> shapes.DocumentOut:
        """Go on with a document that failed, was cancelled, or is found by words only."""
        return shapes.DocumentOut(**plain.document(retry_document(running().services, caller.scope, document_id)))

    @routes.post("/documents/{document_id}/cancel")
    def cancel(document_id: str, caller: Writer) -> shapes.Cancelled:
        """Stop reading or embedding a document. One that was never complete is deleted; another keeps the passages that it has."""
        kept = cancel_document(running().services, caller.scope, document_id)
        return shapes.Cancelled(cancelled=document_id, document=shapes.DocumentOut(**plain.document(kept)) if kept else None)

    @routes.get("/search", tags=["search"])
    def find_passages(
        caller: Reader,
        q: Annotated[str, Query(min_length=1)],
        limit: Annotated[int, Query(ge=1, le=shapes.PASSAGES)] = 10,
        collection: Annotated[list[str] | None, Query(description="Only these, by name; may be given again.")] = None,
        conversation_id: Annotated[str | None, Query(description="That conversation's files too.")] = None,
    ) -> list[shapes.PassageOut]:
        """Find passages without an answer, best first."""
        found = search(running().services, caller.scope, checked_question(q), limit, names=tuple(collection or ()), conversation_id=conversation_id or None)
        return [shapes.PassageOut(**plain.passage(one)) for one in found]

    return routes


def _copy(upload: UploadFile, kept, most: int) -> None:
    """Up to one part more than is allowed: the library says that it is too large."""
    while (part := upload.file.read(PART)) and kept.tell() <= most:
        kept.write(part)
    kept.flush()
