"""Postgres as the Database: a pool of readers, and one writer connection a process with group commit.

A write holds an advisory lock until its transaction ends, so all processes write one after the other, as on SQLite: what a write reads first stays
true until it is stored, whichever process it is of. SERIALIZABLE would allow writes beside each other, but on small tables, which the planner
reads whole, each insert conflicts with each read, and the retries cost more than the turns. Group commit makes a turn cheap: up to 256 writes.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.adapt import Loader
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from maisale.backends.group_commit import GroupCommit, TransactionLost, Write
from maisale.backends.sqlite import SQLiteDatabase
from maisale.contracts import T, Transaction
from maisale.errors import Misconfigured, StorageFailed

log = logging.getLogger(__name__)

WRITER = 0x4D61_6953_616C_65  # "MaiSale": the advisory lock of whoever writes
MIGRATOR = WRITER + 1
LOCK_S = 30  # how long another process may hold the lock
WAIT_S = 10.0  # for a free connection, and for the server
AGAIN_S = 0.5  # between two tries to reach the server again
CONNECTING = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "application_name": "maisale"}
# A process that stops in the middle of a write gives up its turn, and what it wrote goes.
OPTIONS = f"-c idle_in_transaction_session_timeout={LOCK_S}s"
PAGE = 500  # rows copied at once

_NAME = re.compile(r"(NOT IN|IN)?( ?)(?<![:\w]):([a-z_]\w*)")


class PostgresDatabase:
    """url: postgresql://. pool: connections that read; one more writes."""

    def __init__(self, url: str, migrations: list[tuple[str, list[str]]], pool: int = 10):
        """Raises Misconfigured when the server cannot be reached or refuses."""
        self._url = url
        self.place = place_of(url)
        self._migrations = migrations
        self._writer: psycopg.Connection | None = None
        try:
            self._migrate(migrations)
            # No connection before it is needed: most processes read little.
            self._pool = ConnectionPool(url, kwargs=_connecting(autocommit=True), min_size=0, max_size=pool, timeout=WAIT_S, configure=_prepare, open=True)
        except psycopg.Error as problem:
            words = f"The database {self.place} cannot be opened ({_first_line(problem)})."
            raise Misconfigured(f"{words} Check DATABASE_URL, and that the server runs.") from problem
        self._writes = GroupCommit("postgres-writer", self._commit)

    def rows(self, sql: str, /, **values: Any) -> list[dict[str, Any]]:
        with self._in_words():
            try:
                return self._read(sql, values)
            except psycopg.OperationalError:  # a connection that the server closed meanwhile; the next one is new
                self._pool.check()
                return self._read(sql, values)

    def write(self, work: Callable[[Transaction], T], /, *, bulk: bool = False) -> T:
        return self._writes.enqueue(work, bulk).result()

    async def awrite(self, work: Callable[[Transaction], T], /, *, bulk: bool = False) -> T:
        # Shielded: a caller that is cancelled must not leave it open whether its write happened.
        return await asyncio.shield(asyncio.wrap_future(self._writes.enqueue(work, bulk)))

    def append_only(self, table: str) -> None:
        if self.rows("SELECT 1 FROM pg_trigger WHERE tgname = :name", name=f"{table}_no_truncation"):
            return
        refusal = f"BEGIN RAISE EXCEPTION 'rows of {table} are neither changed nor removed'; END"

        def work(tx: Transaction) -> None:
            tx.execute(f"CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $${refusal}$$")
            for name, when, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncation", "TRUNCATE", "STATEMENT")):
                trigger = f"CREATE OR REPLACE TRIGGER {table}_no_{name} BEFORE {when} ON {table} FOR EACH {each} EXECUTE FUNCTION {table}_refuse()"
                tx.execute(trigger if name == "change" else trigger.replace("OR REPLACE ", ""))

        self.write(work)

    def problems(self) -> list[str]:
        """Reads every row, so that a page whose checksum is wrong is met; the server checks the rest itself."""
        found = []
        for table in self._tables():
            try:
                self.rows(f"SELECT count(*) AS n, sum(length(row_of::text)) AS read FROM {table} AS row_of")
            except StorageFailed as problem:
                found.append(f"{table} cannot be read whole: {problem.__cause__}")
        return found

    def compact(self) -> None:
        """Writes each table and its indexes anew. The server's own log (WAL), replicas and base backups are its administrator's."""
        with self._in_words(), psycopg.connect(self._url, **_connecting(autocommit=True)) as connection:
            connection.execute(f"SET lock_timeout = '{LOCK_S}s'")
            for row in connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace").fetchall():
                connection.execute(f'VACUUM (FULL, ANALYZE) "{row["relname"]}"')

    def copy_to(self, path: Path) -> None:
        """As a SQLite database of the same tables, from one snapshot."""
        target = SQLiteDatabase(path, self._migrations)
        try:
            with self._in_words(), psycopg.connect(self._url, **_connecting(autocommit=False)) as connection:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                for table in self._tables():
                    with connection.cursor(f"copy_{table}") as rows:  # by its name it stays at the server, and pages come
                        rows.execute(f"SELECT * FROM {table}")
                        while page := rows.fetchmany(PAGE):
                            target.write(lambda tx, table=table, page=page: [tx.insert(table, **row) for row in page])
        finally:
            target.close()

    def size(self) -> int:
        return self.rows("SELECT pg_database_size(current_database()) AS n")[0]["n"]

    def about(self) -> tuple[str, str]:
        return "Postgres", f"{self.rows('SHOW server_version')[0]['server_version']} at {self.place}"

    def close(self) -> None:
        """Ends after the writes that already wait."""
        self._writes.close()
        self._pool.close()
        if self._writer is not None:
            self._writer.close()

    def _tables(self) -> list[str]:
        """Those that the migrations made, each behind those that it refers to."""
        made = (re.match(r"\s*CREATE TABLE (\w+)", statement) for _, statements in self._migrations for statement in statements)
        return [found[1] for found in made if found]

    def _read(self, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._pool.connection() as connection:
            return connection.execute(*_bound(sql, values)).fetchall()

    def _commit(self, group: list[Write]) -> None:
        try:
            writer = self._open_writer()
            writer.execute("SELECT pg_advisory_xact_lock(%s)", (WRITER,))
            transaction = _PostgresTransaction(writer)
            for write in group:
                write.run(transaction, writer.execute, lambda: writer.broken)
            writer.commit()
        except (psycopg.Error, TransactionLost) as problem:
            log.error("a group of %d writes failed: %s", len(group), _first_line(problem))
            self._drop_writer()
            failed = _words(problem.__cause__ if isinstance(problem, TransactionLost) else problem)
            for write in group:
                write.settle(failed)
            return
        for write in group:
            storage = isinstance(write.problem, psycopg.Error) and not isinstance(write.problem, (psycopg.IntegrityError, psycopg.errors.RaiseException))
            write.settle(_words(write.problem) if storage else write.problem)

    def _open_writer(self) -> psycopg.Connection:
        """The writer's connection. One that the server closed while nobody wrote is noticed before anything was done with it, and replaced."""
        if self._writer is not None:
            try:
                self._writer.execute("SELECT 1")
                return self._writer
            except psycopg.OperationalError:
                self._drop_writer()
        self._writer = psycopg.connect(self._url, **_connecting(autocommit=False))
        _prepare(self._writer)
        self._writer.execute(f"SET lock_timeout = '{LOCK_S}s'")
        self._writer.commit()
        return self._writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _migrate(self, migrations: list[tuple[str, list[str]]]) -> None:
        """Applies what is pending, each in a transaction of its own; one process at a time. Older data is the administrator's to copy before."""
        with psycopg.connect(self._url, **_connecting(autocommit=True)) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATOR,))  # until this connection ends
            connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at DOUBLE PRECISION NOT NULL)")
            done = {row["name"] for row in connection.execute("SELECT name FROM migrations").fetchall()}
            for name, statements in migrations:
                if name in done:
                    continue
                with connection.transaction():
                    for statement in statements:
                        connection.execute(_for_postgres(statement))
                    connection.execute("INSERT INTO migrations VALUES (%s, %s)", (name, time.time()))

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, PoolTimeout) as problem:
            raise _words(problem) from problem


def place_of(url: str) -> str:
    """Host, port and database of a URL: without its user and password."""
    parts = urlsplit(url)
    return f"{(parts.netloc.rpartition('@')[2] or 'localhost')}{parts.path}"


class _PostgresTransaction:
    def __init__(self, connection: psycopg.Connection):
        self._connection = connection

    def execute(self, sql: str, /, **values: Any) -> int:
        return self._connection.execute(*_bound(sql, values)).rowcount

    def rows(self, sql: str, /, **values: Any) -> list[dict[str, Any]]:
        return self._connection.execute(*_bound(sql, values)).fetchall()

    def insert(self, table: str, /, **values: Any) -> None:
        names = ", ".join(values)
        marks = ", ".join(f"%({name})s" for name in values)
        self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", _storable(values))


class _Whole(Loader):
    """A sum of whole numbers is NUMERIC there, and a whole number here; a mean is a float."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdecimal() else float(text)


def _prepare(connection: psycopg.Connection) -> None:
    connection.adapters.register_loader("numeric", _Whole)


def _connecting(autocommit: bool) -> dict[str, Any]:
    return {**CONNECTING, "options": OPTIONS, "autocommit": autocommit, "row_factory": dict_row}


def _bound(sql: str, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return _statement(sql), _storable(values)


@lru_cache(maxsize=2000)
def _statement(sql: str) -> str:
    """`:name` as psycopg writes it; a list or tuple serves `IN :name`."""

    def mark(found: re.Match[str]) -> str:
        inside, blank, name = found.groups()
        return {"IN": f"= ANY(%({name})s)", "NOT IN": f"<> ALL(%({name})s)"}.get(inside or "", f"{inside or ''}{blank}%({name})s")

    return _NAME.sub(mark, sql.replace("%", "%%"))


def _storable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _one(value) for name, value in values.items()}


def _one(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        # Postgres takes no NUL and no half of a surrogate pair in a text.
        return value.replace("\0", "\ufffd") if value.isascii() else value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, tuple):
        return list(value)
    return value


def _for_postgres(statement: str) -> str:
    """Texts compare by their bytes, as in SQLite: ranges of keys rest on that, and a server's own collation may pass over `#`."""
    if not re.match(r"\s*(CREATE TABLE|ALTER TABLE)", statement):
        return statement
    return re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', statement)


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


def _words(problem: BaseException) -> StorageFailed:
    log.error("the database refused: %s", _first_line(problem))
    if isinstance(problem, psycopg.errors.LockNotAvailable):
        words = f"Another process holds the database for more than {LOCK_S} s; nothing was stored. Try it again."
    elif isinstance(problem, psycopg.errors.DiskFull):
        words = "The disk of the database server is full; nothing was stored. Free some space there and send it again."
    elif isinstance(problem, psycopg.errors.ReadOnlySqlTransaction):
        words = "The database server only reads at the moment; nothing was stored. Check whether DATABASE_URL names a replica."
    elif isinstance(problem, (psycopg.OperationalError, PoolTimeout)):
        words = "The database server cannot be reached; nothing was stored. Try it again in a moment."
    else:
        words = "The database refused the write; nothing was stored. The log of the server says why."
    failed = StorageFailed(words)
    failed.__cause__ = problem
    return failed
