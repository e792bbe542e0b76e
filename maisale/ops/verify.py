"""Whether everything that is stored is whole and can be found: the database, the audit log, the files, the passages, their words and their vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from maisale.contracts import VectorIndex
from maisale.errors import IndexUnavailable
from maisale.library.files import content_hash
from maisale.ops import audit_chain
from maisale.records import SearchFilter, VectorRow
from maisale.services import Services
from maisale.store import chunks
from maisale.store.facts import EMBEDDER, get_fact

NAMED = 5  # findings of one kind that are named; the rest is counted
PAGE = 500
CANARIES = 2_000  # vectors that the index is asked for; up to so many, all
MISSED_AT_MOST = 0.01  # of the vectors that are asked for: an approximate index is in order with that
Progress = Callable[[str, int, int], None]  # what, done, of how many


@dataclass
class Report:
    """counts: what was compared. problems: a sentence each; empty when all is well. notes: what could not be looked at."""

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def find(self, wrong: Sequence[str], sentence: str) -> None:
        if wrong:
            named = ", ".join(wrong[:NAMED]) + (f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else "")
            self.problems.append(f"{sentence}: {named}.")


def verify(services: Services, index: VectorIndex | None, progress: Progress = lambda *_: None) -> Report:
    """Reads everything once. index: the worker's, patient; None when vectors are searched exactly. Blocking, for minutes on a large library."""
    report = Report()
    progress("Database", 0, 1)
    report.problems += services.db.problems()
    _audit(services, report, progress)
    _files(services, report, progress)
    _words(services, report, progress)
    _vectors(services, index, report, progress)
    return report


def _audit(services: Services, report: Report, progress: Progress) -> None:
    progress("Audit log", 0, 1)
    found = audit_chain.check(services.db, services.settings)
    report.counts["audit_rows"] = found.rows
    report.problems += [f"The audit log is not as it was written: {found.problem}"] if found.problem else []


def _files(services: Services, report: Report, progress: Progress) -> None:
    """Each document has its file, unchanged, and as many passages as its row says."""
    sql = """SELECT d.id, d.title, d.size, d.content_hash, d.chunks, d.stage, (SELECT count(*) FROM chunks AS c WHERE c.document_id = d.id) AS found
             FROM documents AS d ORDER BY d.id"""
    rows = services.db.rows(sql)
    gone, changed, miscounted = [], [], []
    for done, row in enumerate(rows):
        progress("Files", done, len(rows))
        path = services.settings.files_dir / row["id"]
        if not path.is_file():
            gone.append(row["title"])
        elif path.stat().st_size != row["size"] or content_hash(path) != row["content_hash"]:
            changed.append(row["title"])
        if row["stage"] in ("searchable", "complete") and row["chunks"] != row["found"]:
            miscounted.append(row["title"])
    report.counts["documents"] = len(rows)
    report.find(gone, "Files that are gone; add them again")
    report.find(changed, "Files that are not what was received; add them again")
    report.find(miscounted, "Documents with another number of passages than they should have; add them again")


def _words(services: Services, report: Report, progress: Progress) -> None:
    groups = services.db.rows("SELECT DISTINCT tenant_id, CASE WHEN message_id IS NULL THEN 'documents' ELSE 'messages' END AS kind FROM chunks")
    report.counts["chunks"] = services.db.rows("SELECT count(*) AS n FROM chunks")[0]["n"]
    for done, group in enumerate(groups):
        progress("Words", done, len(groups))
        null = "IS NULL" if group["kind"] == "documents" else "IS NOT NULL"
        keys = [row["key"] for row in services.db.rows(f"SELECT key FROM chunks WHERE tenant_id = :tenant AND message_id {null}", tenant=group["tenant_id"])]
        report.find(services.words.lost(group["tenant_id"], group["kind"], keys), "Passages that no word search finds; rebuild-index mends it")


def _vectors(services: Services, index: VectorIndex | None, report: Report, progress: Progress) -> None:
    """Each passage of a complete document has a vector that is one, and the index finds it by itself."""
    name = get_fact(services.db, EMBEDDER)
    if name is None:
        return
    sql = """SELECT c.key FROM chunks AS c JOIN documents AS d ON d.id = c.document_id WHERE d.stage = 'complete' AND d.cause = ''
             AND NOT EXISTS (SELECT 1 FROM vectors AS v WHERE v.key = c.key AND v.embedder = :name)"""
    report.find([row["key"] for row in services.db.rows(sql, name=name)], "Passages of complete documents without a vector; rebuild-index mends it")
    strange, missed, asked = [], [], 0
    total = services.db.rows("SELECT count(*) AS n FROM vectors WHERE embedder = :name", name=name)[0]["n"]
    step = max(1, total // CANARIES)
    number = 0
    for tenant_id, kind, row in _all_vectors(services, name):
        progress("Vectors", number, total)
        number += 1
        if not np.isfinite(row.vector).all() or abs(float(np.linalg.norm(row.vector)) - 1) > 1e-3:
            strange.append(row.key)
        elif index is not None and number % step == 0:
            try:
                if not _finds(index, name, tenant_id, kind, row):
                    missed.append((tenant_id, kind, row))
            except IndexUnavailable as problem:
                report.notes.append(f"The vector index was not asked: {problem}")
                index = None
                continue
            asked += 1
    lost = _still_lost(services, index, name, missed)
    waiting = services.db.rows("SELECT count(*) AS n FROM vectors WHERE embedder = :name AND indexed = 0", name=name)[0]["n"]
    report.counts |= {"vectors": total, "vectors_waiting": waiting, "index_asked": asked}
    report.find(strange, "Vectors that are none; rebuild-index mends it")
    if len(lost) > asked * MISSED_AT_MOST:
        report.find(lost, "Vectors that the index does not find; rebuild-index mends it")
    elif lost:
        report.notes.append(f"The index, which is approximate, does not find {len(lost)} of {asked} vectors; their words, and exact search, do.")


def _finds(index: VectorIndex, name: str, tenant_id: str, kind: str, row: VectorRow) -> bool:
    found = index.nearest(name, kind, SearchFilter((tenant_id,), (row.collection_id,)), row.vector, 3)
    # Equal texts have equal vectors, any of which may come first.
    return any(hit.key == row.key for hit in found) or bool(found and found[0].score > 0.9999)


def _still_lost(services: Services, index: VectorIndex | None, name: str, missed: Sequence[tuple[str, str, VectorRow]]) -> list[str]:
    """The keys of those that are in the index, as SQL has it now, and are not found a second time: people add documents while all is read."""
    sql = "SELECT key FROM vectors WHERE embedder = :name AND indexed = 1 AND key IN :keys"
    lost: list[str] = []
    for start in range(0, len(missed), PAGE):
        page = missed[start : start + PAGE]
        settled = {row["key"] for row in services.db.rows(sql, name=name, keys=[row.key for _, _, row in page])}
        with suppress(IndexUnavailable):
            lost += [row.key for tenant_id, kind, row in page if row.key in settled and index is not None and not _finds(index, name, tenant_id, kind, row)]
    return lost


def _all_vectors(services: Services, name: str) -> Iterator[tuple[str, str, VectorRow]]:
    for tenant_id, embedder, kind in chunks.vector_indexes(services.db):
        after = ""
        while embedder == name and (page := chunks.all_vectors(services.db, name, tenant_id, kind, after, PAGE)):
            yield from ((tenant_id, kind, row) for row in page)
            after = page[-1].key
