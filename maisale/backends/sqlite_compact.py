"""A SQLite file written anew from what is stored, so that it holds nothing that was deleted; and its log emptied.

Deleting leaves bytes in free pages, and `secure_delete` leaves copies of rows in pages that were rebuilt (SQLite 3.40): only a file that is
written from its rows is sure. VACUUM holds everybody's writes for its whole length, 2.0 s of 206 MB. Written aside first and copied page by page,
they wait for the copying: 0.4 s.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

TRIES = 3  # to write it aside while nobody else writes; then it is done in place
PAGES = 2000  # copied between two looks
LOOK_S = 0.05
PASSING = (5, 6)  # SQLITE_BUSY and SQLITE_LOCKED, which Python names from 3.11 on


class _Changed(Exception):
    """Somebody stored something since the file was written aside."""


def compact(path: Path, busy_s: float) -> None:
    """Raises sqlite3.Error; what is stored is as it was then. One process at a time."""
    aside = path.with_name(f"{path.name}.anew")
    connection = _connect(path, busy_s)
    try:
        if not any(_by_way_of(aside, path, busy_s) for _ in range(TRIES)):
            connection.execute("VACUUM")
        _empty_log(connection, time.monotonic() + busy_s)
    finally:
        connection.close()


def _by_way_of(aside: Path, path: Path, busy_s: float) -> bool:
    """Whether nobody stored anything between the writing aside and the copying; else nothing has happened."""
    aside.unlink(missing_ok=True)  # of one that was killed
    watching, target = _connect(path, busy_s), _connect(path, busy_s)
    source, ends, version = None, time.monotonic() + busy_s, watching.execute("PRAGMA data_version").fetchone()[0]

    def unchanged(status: int, _remaining: int, _total: int) -> None:
        """Called between steps: from the first that succeeds on, the target has the write lock."""
        if status in PASSING and time.monotonic() > ends:
            raise sqlite3.OperationalError("the database is locked by somebody who writes")
        if status not in PASSING and watching.execute("PRAGMA data_version").fetchone()[0] != version:
            raise _Changed

    try:
        target.execute("VACUUM INTO ?", (str(aside),))
        source = sqlite3.connect(aside)
        # Never all in one step: `unchanged` is asked after it, and the last one commits. What was stored meanwhile would be lost.
        whole = source.execute("PRAGMA page_count").fetchone()[0]
        source.backup(target, pages=max(1, min(PAGES, whole - 1)), progress=unchanged)
        return True
    except _Changed:
        return False
    finally:
        for connection in filter(None, (source, target, watching)):
            connection.close()
        aside.unlink(missing_ok=True)


def _empty_log(connection: sqlite3.Connection, ends: float) -> None:
    """Brings the log into the file and cuts it to nothing: it holds pages as they were. Raises sqlite3.OperationalError when readers keep it."""
    connection.execute("PRAGMA busy_timeout = 200")  # what TRUNCATE waits for readers, and others' writes for it
    while True:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, while others write
        if not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            return
        if time.monotonic() > ends:
            raise sqlite3.OperationalError("the log is locked by somebody who reads")
        time.sleep(LOOK_S)  # another's checkpoint is not waited for


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection
