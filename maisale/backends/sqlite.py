"""SQLite as the Database: one writer thread with group commit, one reader connection a thread.

sqlite-utils opens and migrates; statements are portable SQL with named parameters.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlite_utils

from maisale.backends.group_commit import GroupCommit, TransactionLost, Write
from maisale.backends.sqlite_compact import compact
from maisale.contracts import T, Transaction
from maisale.errors import Misconfigured, StorageFailed

log = logging.getLogger(__name__)

BUSY_S = 30  # how long another process may hold the write lock
LOOK_MS = 2  # between two looks whether it is free
LOG_BYTES = 16 << 20  # of the write-ahead log, which the app shortens when it has nothing else to write: the worker alone may write a gigabyte
LOG_LOOK_S = 2.0


class SQLiteDatabase:
    """A SQLite file in WAL mode. checkpoints: only one process of a folder moves the log into the file."""

    def __init__(self, path: Path, migrations: list[tuple[str, list[str]]], checkpoints: bool = True):
        self.path = path
        self._checkpoints = checkpoints
        self._readers = threading.local()
        self._opened: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            _migrate(self._writer, path, migrations)
            self._writer.execute(f"PRAGMA busy_timeout = {LOOK_MS}")
        except (OSError, sqlite3.Error) as problem:
            raise Misconfigured(f"The database {path} cannot be opened ({problem}). Check that its folder is writable and the disk has room.") from problem
        self._writes = GroupCommit("sqlite-writer", self._commit, self._shorten_log if checkpoints else None, LOG_LOOK_S)

    def rows(self, sql: str, /, **values: Any) -> list[dict[str, Any]]:
        return _rows(self._reader(), sql, values)

    def write(self, work: Callable[[Transaction], T], /, *, bulk: bool = False) -> T:
        return self._writes.enqueue(work, bulk).result()

    async def awrite(self, work: Callable[[Transaction], T], /, *, bulk: bool = False) -> T:
        # Shielded: a caller that is cancelled must not leave it open whether its write happened.
        return await asyncio.shield(asyncio.wrap_future(self._writes.enqueue(work, bulk)))

    def append_only(self, table: str) -> None:
        # REPLACE removes the row before it without asking a trigger for deletions, so a number that is taken is refused as well.
        taken = f"INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE number = NEW.number)"
        for name, when in (("change", f"UPDATE ON {table}"), ("removal", f"DELETE ON {table}"), ("replacement", taken)):
            refusal = f"SELECT RAISE(ABORT, 'rows of {table} are neither changed nor removed');"
            if not self.rows("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = :name", name=f"{table}_no_{name}"):
                self.write(lambda tx, sql=f"CREATE TRIGGER IF NOT EXISTS {table}_no_{name} BEFORE {when} BEGIN {refusal} END": tx.execute(sql))

    def problems(self) -> list[str]:
        found = [row["quick_check"] for row in self.rows("PRAGMA quick_check(20)")]
        strays = self.rows("PRAGMA foreign_key_check")
        return [text for text in found if text != "ok"] + [f"A row of {row['table']} belongs to a missing row of {row['parent']}." for row in strays[:20]]

    def compact(self) -> None:
        try:
            compact(self.path, BUSY_S)
        except sqlite3.Error as problem:
            raise _in_words(problem, self.path) from problem

    def copy_to(self, path: Path) -> None:
        # Not sqlite3's backup in steps: each commit of another process begins it anew. This reads one snapshot and packs it.
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            connection.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error as problem:
            raise _in_words(problem, path) from problem
        finally:
            connection.close()

    def size(self) -> int:
        return self.path.stat().st_size

    def about(self) -> tuple[str, str]:
        return "SQLite", sqlite3.sqlite_version

    def close(self) -> None:
        """Ends after the writes that already wait."""
        self._writes.close()
        for connection in [*self._opened, self._writer]:
            connection.close()

    def _commit(self, group: list[Write]) -> None:
        try:
            self._begin()
            transaction = _SQLiteTransaction(self._writer)
            for write in group:  # SQLite rolls back by itself when the disk is full
                write.run(transaction, self._writer.execute, lambda: not self._writer.in_transaction)
            self._writer.execute("COMMIT")
        except (sqlite3.Error, TransactionLost) as problem:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            log.error("a group of %d writes failed: %s", len(group), problem)
            for write in group:
                write.settle(_in_words(problem, self.path))
            return
        for write in group:
            of_sqlite = isinstance(write.problem, sqlite3.OperationalError) or type(write.problem) is sqlite3.DatabaseError  # the latter: it reads damage
            write.settle(_in_words(write.problem, self.path) if of_sqlite else write.problem)

    def _shorten_log(self) -> None:
        """Moves a long log into the file and cuts it off: SQLite does so by itself only after a commit of this process."""
        try:
            if self.path.with_name(self.path.name + "-wal").stat().st_size > LOG_BYTES:
                # While others read or write it moves what it can, and does not wait.
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (OSError, sqlite3.Error) as problem:
            log.warning("the database's log stays long: %s", problem)

    def _begin(self) -> None:
        """Waits for the write lock. SQLite's own waiting looks less and less often, up to 0.1 s apart, while another process writes and writes."""
        ends = time.monotonic() + BUSY_S
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as problem:
                if "locked" not in str(problem) or time.monotonic() > ends:
                    raise

    def _reader(self) -> sqlite3.Connection:
        found = getattr(self._readers, "connection", None)
        if found is None:
            found = self._readers.connection = self._connect()
            found.execute("PRAGMA query_only = 1")
            self._opened.append(found)
        return found

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = 1")
        if not self._checkpoints:
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection


class _SQLiteTransaction:
    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    def execute(self, sql: str, /, **values: Any) -> int:
        return _execute(self._connection, sql, values).rowcount

    def rows(self, sql: str, /, **values: Any) -> list[dict[str, Any]]:
        return _rows(self._connection, sql, values)

    def insert(self, table: str, /, **values: Any) -> None:
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)


def _execute(connection: sqlite3.Connection, sql: str, values: dict[str, Any]) -> sqlite3.Cursor:
    """A list or tuple serves `IN :name`; as JSON it may be longer than SQLite allows variables."""
    lists = {name: json.dumps(value) for name, value in values.items() if isinstance(value, (list, tuple))}
    for name in lists:
        sql = sql.replace(f"IN :{name}", f"IN (SELECT value FROM json_each(:{name}))")
    return connection.execute(sql, {**values, **lists})


def _rows(connection: sqlite3.Connection, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = _execute(connection, sql, values)
    cursor.row_factory = None  # dict() of a sqlite3.Row takes half as long again
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _migrate(connection: sqlite3.Connection, path: Path, migrations: list[tuple[str, list[str]]]) -> None:
    """Applies what is pending, each in a transaction of its own, after a copy of an older version's data; one process at a time."""
    steps = sqlite_utils.Migrations("maisale")
    for name, statements in migrations:
        steps(name=name)(_step(statements))
    with open(path.with_name(path.name + ".migrate"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        db = sqlite_utils.Database(connection)
        if steps.applied(db) and (pending := steps.pending(db)):
            _keep_copy(connection, path, pending[0].name)
        steps.apply(db)


def _keep_copy(connection: sqlite3.Connection, path: Path, step: str) -> None:
    """The data as it was before `step`, beside the database; of earlier steps no copy is kept."""
    kept = path.with_name(f"{path.name}.before-{step}")
    if kept.exists():  # an earlier try of this step broke off
        return
    coming = path.with_name(f"{path.name}.copying")
    coming.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(coming),))
    coming.replace(kept)
    for older in path.parent.glob(f"{path.name}.before-*"):
        if older != kept:
            older.unlink()
    log.warning("the data of an older version is kept in %s", kept)


def _step(statements: list[str]) -> Callable[[sqlite_utils.Database], None]:
    def apply(db: sqlite_utils.Database) -> None:
        for statement in statements:
            db.execute(statement)

    return apply


def _in_words(problem: BaseException, path: Path) -> StorageFailed:
    text = str(problem)
    log.error("%s refused a write: %s", path, text)
    if "full" in text:
        words = "The disk of the server is full; nothing was stored. Free some space there and send it again."
    elif "readonly" in text or "read-only" in text:
        words = "The folder of the database cannot be written to; nothing was stored. Check its permissions on the server."
    elif "locked" in text:
        words = f"Another program holds the database for more than {BUSY_S} s; nothing was stored. Close it and try again."
    else:
        words = "The database refused the write; nothing was stored. The log of the server says why."
    failed = StorageFailed(words)
    failed.__cause__ = problem
    return failed
