"""Taking what was deleted out of every file of the data folder, and saying so on its receipts.

A deletion removes rows; the files keep their bytes: free pages and the log of SQLite, words in FTS5's segments, vectors in Chroma's files, rings in
the queue, Gradio's copies of uploads, the copy of before an upgrade. Each step may be repeated: after a crash the receipts are pending, and the
next time does all of it again. Backups are not touched; ops/held.py says which still hold it.
"""

from __future__ import annotations

import fcntl
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from maisale.config import Settings
from maisale.contracts import Database, Transaction
from maisale.errors import BadInput, IndexUnavailable, MaiSaleError, Misconfigured, StorageFailed
from maisale.library import deletion_list, upkeep
from maisale.library.deletion import take_out_again
from maisale.library.documents import sweep_files
from maisale.records import SERVER, Erasure, Scope
from maisale.services import Services, open_index, process_lives
from maisale.store import audit, chunks, erasures, jobs

log = logging.getLogger(__name__)

QUIET_S = 300.0  # nobody asked, added or deleted anything for so long: nobody waits then
TOGETHER_S = 3600.0  # after a deletion, for others that belong to the same tidying up
LATEST = 0.9  # of ERASE_HOURS: then it is done in any case, and there is time to try again
AFTER_FAILURE_S = 900.0
INDEX_WAIT_S = 900.0  # for the index to be emptied; it is filled to its end before
LOOK_S = 0.5
PIECE = 1 << 20  # bytes
OLD_S = 3600.0  # what a killed process left half made
_failed_at = float("-inf")


def due(db: Database, settings: Settings, now: float | None = None) -> bool:
    """Whether something that was deleted is to leave the files now: in a quiet time, and at the latest before ERASE_HOURS are over."""
    if time.monotonic() - _failed_at < AFTER_FAILURE_S:
        return False
    now = now or time.time()
    waiting = erasures.pending(db, now)
    if not waiting:
        return False
    age = now - waiting[0].asked_at
    return age >= LATEST * settings.erase_hours * 3600 or (age >= TOGETHER_S and now - erasures.last_accepted(db) >= QUIET_S)


def run(services: Services, stopping: threading.Event) -> None:
    """For the worker. A failure is logged, and tried again later."""
    global _failed_at
    try:
        erase(services, stopping)
    except (MaiSaleError, OSError) as problem:
        _failed_at = time.monotonic()
        log.error("what was deleted could not be taken out of the files: %s", problem)


def erase(services: Services, stopping: threading.Event | None = None, index_wait_s: float = INDEX_WAIT_S, by: Scope = SERVER) -> list[Erasure]:
    """Takes everything that was deleted until now out of the files. Returns the receipts that are erased by that.

    by: who asks for it, for the audit log. Raises MaiSaleError, or ends early when `stopping` is set; the receipts are pending then.
    """
    with _alone(services.settings):
        return _erase(services, stopping or threading.Event(), index_wait_s, by)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Raises BadInput while another process does it."""
    with open(settings.sqlite_path.with_name(f"{settings.sqlite_path.name}.compact.lock"), "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            raise BadInput("A compaction runs already. Wait for its end: `erasures` shows what it has done.") from problem
        yield


def _erase(services: Services, stopping: threading.Event, index_wait_s: float, by: Scope) -> list[Erasure]:
    db = services.db
    waiting = erasures.pending(db, time.time())
    ids = [one.id for one in waiting]
    steps: list[Callable[[], object]] = [
        lambda: deletion_list.bring_up_to_date(db, services.settings),
        lambda: take_out_again(services, ids),
        lambda: _sweep(services, waiting),
        lambda: db.write(jobs.forget_removals, bulk=True),
        services.words.purge,
        services.bell.compact,
        db.compact,  # the steps before leave free pages
        lambda: _empty_index(services, waiting, stopping, index_wait_s, by),  # last: its filling writes to the database for minutes
    ]
    for step in steps:
        step()
        if stopping.is_set():
            return []
    if left := _still_named(services.settings, waiting):
        raise StorageFailed(f"{left[0]} still names what was deleted ({len(left)} such files). It is tried again; a restart may free it.")

    def finish(tx: Transaction) -> None:
        erasures.finish(tx, ids, time.time())
        audit.note(tx, by, "compact")

    db.write(finish)
    if waiting:
        log.info("%d deletions are out of every file", len(waiting))
    return [erasures.get(db, one) for one in ids]


def _sweep(services: Services, waiting: Sequence[Erasure]) -> None:
    """Files beside the database: of documents without a row, Gradio's copies of uploads, copies from before an upgrade, and what a kill left."""
    settings, place = services.settings, services.settings.sqlite_path
    sweep_files(services)
    if waiting:
        _sweep_copies(settings.copies_dir, waiting[-1].asked_at)
        for copy in place.parent.glob(f"{place.name}.before-*"):
            copy.unlink(missing_ok=True)
    for left in (place.with_name(f"{place.name}.copying"), *settings.data_dir.glob(".restoring-*")):
        if left.exists() and left.stat().st_mtime < time.time() - OLD_S:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _sweep_copies(folder: Path, before: float) -> None:
    """Copies that Gradio made before that; equal files of two people share one, so that none is removed when the library has taken it."""
    for copy in list(folder.rglob("*")):
        with suppress(FileNotFoundError):  # Gradio removes old ones itself
            if copy.is_file() and copy.stat().st_mtime <= before:
                copy.unlink()
                if copy.parent != folder and not any(copy.parent.iterdir()):
                    copy.parent.rmdir()


def _empty_index(services: Services, waiting: Sequence[Erasure], stopping: threading.Event, wait_s: float, by: Scope) -> None:
    """Chroma keeps deleted vectors in its files: it is emptied, and filled from SQL again while exact search answers."""
    settings, db = services.settings, services.db
    had_passages = any(one.counts.get("passages") or one.kind == "message" for one in waiting)
    if not had_passages and not _naming(settings.chroma_dir.rglob("*"), waiting):
        return
    if settings.shares_index:
        db.write(lambda tx: jobs.forget_removals(tx, waiting_too=True))
        _empty_closed(settings)
        upkeep.ask_for_rebuild(db, by)  # of whichever worker sees it first
        return
    if settings.on_postgres:
        with suppress(Misconfigured):  # no pgvector: nothing was ever kept there
            _empty_closed(replace(settings, vectors="pgvector"))
    # Chroma logs the keys that it is told to delete: done on the new index, these jobs would bring them back.
    db.write(lambda tx: jobs.forget_removals(tx, waiting_too=True))
    if settings.index == "exact" or not process_lives(settings, "worker"):
        if settings.chroma_dir.is_dir() and any(settings.chroma_dir.iterdir()):
            _empty_closed(settings)
            if settings.index != "exact":
                db.write(chunks.mark_unindexed, bulk=True)
        return
    wish, ends = upkeep.ask_for_rebuild(db, by), time.monotonic() + wait_s
    while not upkeep.emptied_since(db, wish) and not stopping.wait(LOOK_S):
        if time.monotonic() > ends:
            raise IndexUnavailable("The worker did not empty the vector index in time. It is tried again.")


def _empty_closed(settings: Settings) -> None:
    """An index that nobody has open: no worker runs, or the setting is another one now."""
    index = open_index(settings)
    try:
        index.empty()
    finally:
        index.release()


def _still_named(settings: Settings, waiting: Sequence[Erasure]) -> list[Path]:
    """Files that bear the id of something deleted, in their name or within: uploads, the index, the queue. SQLite's own was written anew."""
    apart = {deletion_list.place(settings), *settings.sqlite_path.parent.glob(f"{settings.sqlite_path.name}*")}
    kept = Path(settings.backup_dir).resolve() if settings.backup_dir else None
    paths = {*settings.data_dir.rglob("*"), *settings.chroma_dir.rglob("*")} - apart
    return _naming((path for path in paths if path.suffix != ".tar" and not (kept and path.resolve().is_relative_to(kept))), waiting)


def _naming(paths: Iterable[Path], waiting: Sequence[Erasure]) -> list[Path]:
    wanted = [one.subject_id for one in waiting]
    return [path for path in paths if path.is_file() and (any(one in path.name for one in wanted) or _holds(path, [one.encode() for one in wanted]))]


def _holds(path: Path, wanted: Sequence[bytes]) -> bool:
    """Whether a file holds one of these; False when it went meanwhile."""
    before, longest = b"", max(map(len, wanted), default=0)
    with suppress(FileNotFoundError), path.open("rb") as file:
        while piece := file.read(PIECE):
            if any(one in before + piece for one in wanted):
                return True
            before = piece[-longest:]
    return False
