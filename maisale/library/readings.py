"""Reading a document again, and no further: retry and cancel. Neither waits for the worker, which finds its job gone at its next step."""

from __future__ import annotations

from typing import Any

from maisale.contracts import Transaction
from maisale.errors import BadInput
from maisale.library.deletion import answers_naming, end, erase
from maisale.library.documents import check_may_change
from maisale.records import Document, Scope
from maisale.services import Services
from maisale.store import audit, chunks, documents, jobs

OLD_STAYS = "Its new version was not read, because that was cancelled; the version before answers. Retry reads the new one."
NOT_READ = "It was not read, because that was cancelled. Retry reads it."
WORDS_STAY = "It was not embedded further, because that was cancelled; it is found by words. Retry goes on."


def retry_document(services: Services, scope: Scope, document_id: str) -> Document:
    """Goes on with a document that failed, was cancelled, or is found by words only. Its dead letters leave the list.

    Raises NotFound, NotAllowed, or BadInput when there is nothing to try again.
    """

    def work(tx: Transaction) -> str:
        check_may_change(tx, scope, document_id)
        row = documents.document_row(tx, document_id)
        if row["stage"] != "failed" and not row["cause"]:
            raise BadInput(f"{row['title']} has not failed, so there is nothing to try again.")
        jobs.cancel(tx, document_id)
        jobs.forget_ended(tx, document_id)
        audit.note(tx, scope, "document_retry", "document", document_id, tenant_id=row["tenant_id"])
        if row["stage"] == "searchable" and row["cancelled"] != "reading":  # its passages are there
            documents.go_on(tx, document_id)
            return jobs.add(tx, row["tenant_id"], "embed_document", document_id)
        documents.set_stage(tx, document_id, "received")
        return jobs.add(tx, row["tenant_id"], "read_document", document_id)

    services.wake(services.db.write(work))
    return documents.get_document(services.db, scope, document_id)


def cancel_document(services: Services, scope: Scope, document_id: str) -> Document | None:
    """Stops reading or embedding a document. One that was never complete leaves with its bytes: None. Another keeps the passages that it has.

    Raises NotFound, NotAllowed, or BadInput when nothing is being done with it.
    """

    naming = answers_naming(services, document_id)

    def work(tx: Transaction) -> tuple[str, list[str]]:
        check_may_change(tx, scope, document_id)
        row = documents.document_row(tx, document_id)
        if not jobs.open_of(tx, document_id):
            raise BadInput(f"{row['title']} is not being read or embedded, so there is nothing to cancel. Delete it if it is to go.")
        audit.note(tx, scope, "document_cancel", "document", document_id, tenant_id=row["tenant_id"], detail="" if row["was_complete"] else "deleted")
        if not row["was_complete"]:
            return erase(services, tx, scope, document_id, naming)
        jobs.cancel(tx, document_id)
        return "", _keep(tx, row)

    erasure_id, job_ids = services.db.write(work)
    end(services, job_ids, [document_id] if erasure_id else [], erasure_id)
    return None if erasure_id else documents.get_document(services.db, scope, document_id)


def _keep(tx: Transaction, row: dict[str, Any]) -> list[str]:
    """The state of a document that was complete once and is not gone on with; returns the job that looks whether it can be called complete again."""
    if row["stage"] == "searchable":
        documents.set_stage(tx, row["id"], "searchable", cause=WORDS_STAY, cancelled="embedding")
        return []
    old = len(chunks.chunks_of(tx, row["id"]))
    if not old:
        documents.set_stage(tx, row["id"], "failed", cause=NOT_READ, chunks=0, cancelled="reading")
        return []
    documents.set_stage(tx, row["id"], "searchable", cause=OLD_STAYS, chunks=old, cancelled="reading")
    return [jobs.add(tx, row["tenant_id"], "embed_document", row["id"])]
