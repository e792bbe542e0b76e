"""Keeps the vector index in step with SQL: opens it, compares, and brings what is missing. Needs no model, for SQL has the vectors.

Until it is in step the index answers nobody, and exact search does. Runs in one thread of the worker, beside the jobs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from maisale.contracts import Database, KeptIndex, Transaction
from maisale.errors import MaiSaleError, ModelFailed
from maisale.records import SERVER, Scope
from maisale.store import audit, chunks, facts

log = logging.getLogger(__name__)

PAGE = 500  # vectors read at once
LOOK_S = 2.0  # between two looks at whether the index is broken


def keep(
    db: Database,
    index: KeptIndex,
    stopping: threading.Event,
    opened: Callable[[], None],
    turn: Callable[[], AbstractContextManager] = nullcontext,
) -> None:
    """Opens the index, fills it, and does so again whenever it breaks, until `stopping`. opened: called when it takes vectors.

    turn: waited for and held while it is compared and filled.
    """
    while not stopping.is_set():
        try:
            with turn():
                began = time.monotonic()
                _begin_anew(db, index)
                closed_properly = index.open()
                opened()
                brought = fill(db, index, thorough=not closed_properly, stopping=stopping)
                if not stopping.is_set():
                    index.ready()
                    log.info("the vector index is ready after %.1f s; %d vectors were brought", time.monotonic() - began, brought)
            while not index.broken and not stopping.wait(LOOK_S) and not _rebuild_asked(db):
                pass
        except (MaiSaleError, OSError) as problem:
            log.warning("the vector index cannot be used: %s", problem)
            stopping.wait(LOOK_S)
        if not stopping.is_set():
            index.close()


def ask_for_rebuild(db: Database, by: Scope = SERVER) -> float:
    """The worker that has the index, now or later, empties it and fills it from SQL. by: who asks, for the audit log.

    Returns the wish, which `emptied_since` takes.
    """
    wish = time.time()

    def work(tx: Transaction) -> None:
        facts.set_fact(tx, facts.REBUILD, str(wish))
        audit.note(tx, by, "index_rebuild")

    db.write(work)
    return wish


def emptied_since(db: Database, wish: float) -> bool:
    """Whether the index was emptied after it was asked for."""
    return float(facts.get_fact(db, facts.REBUILT) or 0.0) >= wish


def _rebuild_asked(db: Database) -> bool:
    return facts.get_fact(db, facts.REBUILD) not in (None, facts.get_fact(db, facts.REBUILT))


def _begin_anew(db: Database, index: KeptIndex) -> None:
    """Empties the closed index when somebody asked for that."""
    if _rebuild_asked(db):
        wish = facts.get_fact(db, facts.REBUILD)
        index.empty()
        db.write(lambda tx: (chunks.mark_unindexed(tx), facts.set_fact(tx, facts.REBUILT, wish)))
        log.warning("the vector index is built anew, as was asked")


def fill(db: Database, index: KeptIndex, thorough: bool, stopping: threading.Event) -> int:
    """Brings every vector of SQL that the index lacks, and removes what SQL does not have. Returns how many were brought.

    thorough: compare the keys also where the numbers agree.
    """
    wanted, brought = set(chunks.vector_indexes(db)), 0
    for tenant_id, embedder, kind in wanted | set(index.indexes()):
        ours = chunks.vector_keys(db, tenant_id, embedder, kind)
        if not thorough and len(ours) == index.count(tenant_id, embedder, kind):
            continue
        theirs = index.keys(tenant_id, embedder, kind)
        brought += _bring(db, index, (tenant_id, embedder, kind), sorted(ours - theirs), stopping)
        # Asked again: what was written to both meanwhile must not go.
        if gone := theirs - chunks.vector_keys(db, tenant_id, embedder, kind):
            index.delete(tenant_id, embedder, kind, sorted(gone))
    return brought


def _bring(db: Database, index: KeptIndex, name: tuple[str, str, str], keys: list[str], stopping: threading.Event) -> int:
    brought = 0
    for start in range(0, len(keys), PAGE):
        if stopping.is_set():
            break
        read_at = time.time()
        rows = chunks.vectors_of(db, name[1], keys[start : start + PAGE])
        try:
            index.upsert(*name, rows)
        except ModelFailed as problem:  # of another length: exact search passes over them too
            log.warning("%d vectors stay out of the index: %s", len(rows), problem)
            continue
        there = [row.key for row in rows]
        db.write(lambda tx, there=there, read_at=read_at: chunks.mark_indexed(tx, name[1], there, read_at), bulk=True)
        brought += len(rows)
    return brought
