"""A folder mirrored into a collection: what is new comes, what changed keeps its document, what is gone leaves, the rest costs a look."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maisale.contracts import Transaction
from maisale.errors import BadInput, MaiSaleError, Unreadable
from maisale.library.deletion import answers_naming, end, erase_noted
from maisale.library.documents import KNOWLEDGE, check_file, receive, sweep_files, writable_collection
from maisale.library.files import content_hash, keep_file
from maisale.library.reading import ENDINGS
from maisale.records import Scope
from maisale.redaction import plain
from maisale.services import Services
from maisale.store import accounts, audit, documents, jobs

log = logging.getLogger(__name__)

HELP_FOLDER = "docs"  # of the knowledge folder: Mai-Sale's own pages, never among the team's documents
ADMIN = ("default", "admin")  # tenant and name of the person that access.keys makes first
Progress = Callable[[int, int, str], None]  # done, of how many, which file


@dataclass
class SyncReport:
    """What a sync did. failed: could not be taken now or failed before and did not change since."""

    collection_id: str = ""
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    skipped: int = 0  # hidden files, links that lead out of the folder, and kinds that no reader takes
    problems: list[str] = field(default_factory=list)  # one sentence for each that failed
    taken: list[str] = field(default_factory=list)  # ids of the new and changed documents, which the worker reads now


@dataclass
class _Found:
    files: dict[str, Path] = field(default_factory=dict)  # by source: the folder's name and the path below it
    closed: list[str] = field(default_factory=list)  # sources of folders that cannot be listed; what came from them stays
    skipped: int = 0


def sync_folder(
    services: Services, scope: Scope, folder: Path, collection: str, visibility: str = "tenant", progress: Progress | None = None, again: bool = False
) -> SyncReport:
    """Makes `collection` hold what `folder` holds; documents that came another way stay. The worker reads what is new.

    again: what did not change is read anew too, for an upgrade may read better.
    Raises BadInput, NotAllowed or StorageFailed; what was done until then stays done, and the next sync does the rest.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder. Give one that holds the documents.")
    found = _walk(folder, apart=HELP_FOLDER if folder == services.settings.knowledge_dir.resolve() else "")
    report = SyncReport(skipped=found.skipped)
    report.collection_id = services.db.write(lambda tx: writable_collection(tx, scope, collection, visibility))
    known = {row["source"]: row for row in documents.documents_of_collection(services.db, report.collection_id)}
    for number, (source, path) in enumerate(found.files.items(), 1):
        try:
            _sync_file(services, scope, report, source, path, known.get(source), again)
        except (Unreadable, OSError) as problem:
            report.failed += 1
            report.problems.append(str(problem))
        if progress:
            progress(number, len(found.files), source)
    report.problems += [f"{source} cannot be listed; the documents that came from it stay." for source in found.closed]
    _remove_gone(services, scope, report, f"{_name_of(folder)}/", found, known)
    return report


def index_knowledge(services: Services, again: bool = False) -> None:
    """What a start does to the library: sweeps files that a crash left, then mirrors the knowledge folder and its help pages.

    again: it was done before, so that only what is new is told. Never raises: what fails is in the log, and the next time does it again.
    """
    folder = services.settings.knowledge_dir
    try:
        sweep_files(services)
        admin = accounts.find_user(services.db, *ADMIN).scope
        if (folder / HELP_FOLDER).is_dir():
            _log(documents.HELP, sync_folder(services, admin, folder / HELP_FOLDER, documents.HELP, "public"), again)
        made = any(one.name == KNOWLEDGE for one in documents.list_collections(services.db, admin))
        anything = folder.is_dir() and bool(_walk(folder.resolve(), apart=HELP_FOLDER).files)
        # No empty collection before there is anything; and a drive that goes away leaves an empty folder, which only a start believes.
        if anything or (folder.is_dir() and made and not again):
            _log(KNOWLEDGE, sync_folder(services, admin, folder, KNOWLEDGE), again)
    except (MaiSaleError, OSError) as problem:
        log.error("the folder %s could not be indexed: %s", folder, problem)


def _sync_file(services: Services, scope: Scope, report: SyncReport, source: str, path: Path, known: dict[str, Any] | None, again: bool) -> None:
    check_file(services, path, source)
    state = path.stat()
    if known and not again and (known["size"], known["modified_at"]) == (state.st_size, state.st_mtime):
        return _count_same(report, source, known)
    if known and not again and known["content_hash"] == content_hash(path):
        services.db.write(lambda tx: documents.note_modified(tx, known["id"], state.st_mtime), bulk=True)
        return _count_same(report, source, known)
    document_id = known["id"] if known else str(uuid.uuid4())
    size, digest = keep_file(services.settings, path, document_id)

    def work(tx: Transaction) -> str | None:
        if known and documents.renew_document(tx, document_id, size=size, content_hash=digest, modified_at=state.st_mtime):
            jobs.cancel(tx, document_id)  # what is read of the version before is not wanted any more
            jobs.forget_ended(tx, document_id)
            tenant_id = documents.document_row(tx, document_id)["tenant_id"]
            audit.note(tx, scope, "document_change", "document", document_id, tenant_id=tenant_id)
            return jobs.add(tx, tenant_id, "read_document", document_id, "bulk")
        if documents.documents_named(tx, report.collection_id, source):
            return None  # another sync of this folder was faster
        return receive(tx, scope, report.collection_id, document_id, source, size, digest, modified_at=state.st_mtime, lane="bulk")

    job_id = services.db.write(work, bulk=True)
    if job_id is None:
        (services.settings.files_dir / document_id).unlink(missing_ok=True)
        report.unchanged += 1
        return
    services.wake(job_id)
    report.taken.append(document_id)
    report.changed += known is not None
    report.new += known is None


def _count_same(report: SyncReport, source: str, known: dict[str, Any]) -> None:
    if known["stage"] == "failed":
        report.failed += 1
        report.problems.append(known["cause"] or f"{source} failed before. Try it again on the documents page.")
    else:
        report.unchanged += 1


def _remove_gone(services: Services, scope: Scope, report: SyncReport, prefix: str, found: _Found, known: dict[str, dict[str, Any]]) -> None:
    closed = tuple(f"{source}/" for source in found.closed)
    for source, row in known.items():
        if not source.startswith(prefix) or source in found.files or source.startswith(closed):
            continue
        naming = answers_naming(services, row["id"])
        erasure_id, job_ids = services.db.write(lambda tx, one=row["id"], naming=naming: erase_noted(services, tx, scope, one, naming), bulk=True)
        end(services, job_ids, [row["id"]], erasure_id)
        report.removed += 1


def _walk(folder: Path, apart: str = "") -> _Found:
    """The readable files below `folder` by source, in order. apart: a folder directly below that is left out."""
    found, name = _Found(), _name_of(folder)

    def closed(problem: OSError) -> None:
        found.closed.append(f"{name}/{Path(problem.filename).relative_to(folder).as_posix()}")

    for place, folders, files in os.walk(folder, onerror=closed):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and not (one == apart and Path(place) == folder))
        for file in sorted(files):
            path = Path(place) / file
            hidden = file.startswith((".", "~$"))  # ~$: what Office leaves beside an open document
            if hidden or path.suffix.lower() not in ENDINGS or not path.resolve().is_relative_to(folder) or not path.is_file():
                found.skipped += 1
            else:
                found.files[f"{name}/{path.relative_to(folder).as_posix()}"] = path
    return found


def _name_of(folder: Path) -> str:
    return folder.name or "files"


def _log(collection: str, report: SyncReport, again: bool) -> None:
    if again and not (report.taken or report.removed):
        return
    counts = (report.new, report.changed, report.unchanged, report.removed, report.failed)
    log.info("%s: %d new, %d changed, %d unchanged, %d removed, %d failed", collection, *counts)
    for problem in report.problems:
        log.warning("%s: %s", collection, plain(problem))
