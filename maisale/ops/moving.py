"""Everything from one database into another one, SQLite or Postgres, whichever way: rows, embeddings too, so that no model is needed.

The words are indexed anew from the passages. The target says that it is half moved until every table was compared and everything was found in it;
no process opens it before. A move that broke off is run again: what it left is removed first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from maisale.config import Settings
from maisale.contracts import Database
from maisale.errors import BadInput, StorageFailed
from maisale.ops import rebuild, verify
from maisale.records import SERVER, Scope
from maisale.services import Services, open_database, open_services, process_lives
from maisale.store import audit, chunks, facts
from maisale.store.schema import primary_keys

PAGE = 500  # rows in one transaction
Progress = Callable[[str, int, int], None]  # what, done, of how many


@dataclass
class Moved:
    rows: dict[str, int] = field(default_factory=dict)  # of each table
    passages: int = 0  # whose words were indexed
    compared: dict[str, int] = field(default_factory=dict)  # what `verify` looked at
    notes: list[str] = field(default_factory=list)


def move(source: Settings, target: Settings, progress: Progress = lambda *_: None, by: Scope = SERVER) -> Moved:
    """Copies, compares, and only then lets the target be opened. The source stays as it is.

    by: who moves, for the audit log of the target. Raises BadInput when an app or worker runs on this DATA_DIR or the target holds other data, StorageFailed
    when what arrived is not what was sent.
    """
    if source.database_url == target.database_url and source.sqlite_path == target.sqlite_path:
        raise BadInput("The database to move to is the one that is used now. Name another one.")
    if running := [role for role in ("app", "worker") if process_lives(source, role)]:
        raise BadInput(f"The {running[0]} still runs. Stop it first, so that nothing comes after what was copied.")
    moved = Moved()
    origin, arriving = open_database(source), open_database(target)
    try:
        _begin(arriving)
        for table, key in primary_keys().items():
            moved.rows[table] = _copy(origin, arriving, table, key, progress)
        for table, key in primary_keys().items():
            progress(f"Comparing {table}", 0, moved.rows[table])
            if _digest(origin, table, key) != _digest(arriving, table, key):
                raise StorageFailed(f"{table} did not arrive as it was sent. Did something write to the old database? Run the move again.")
        arriving.write(lambda tx: (chunks.mark_unindexed(tx), facts.set_fact(tx, facts.REBUILD, "moved")))
    finally:
        origin.close()
        arriving.close()
    services = open_services(target, "cli", half_moved=True)
    try:
        _finish(services, moved, progress, by)
    finally:
        services.close()
    return moved


def check_empty(target: Settings) -> None:
    """Raises BadInput when the database holds data that is not of a move that broke off."""
    arriving = open_database(target)
    try:
        _check_empty(arriving)
    finally:
        arriving.close()


def _check_empty(arriving: Database) -> None:
    if facts.get_fact(arriving, facts.MOVING) is None and arriving.rows("SELECT 1 FROM tenants LIMIT 1"):
        raise BadInput("The database to move to holds data already. Name an empty one.")


def _begin(arriving: Database) -> None:
    """Notes that a move goes on, and removes what an earlier one left. Raises BadInput when there is other data."""
    _check_empty(arriving)
    arriving.write(lambda tx: facts.set_fact(tx, facts.MOVING, "yes"))
    for table in reversed(primary_keys()):
        kept = f"WHERE name <> '{facts.MOVING}'" if table == "facts" else ""
        arriving.write(lambda tx, table=table, kept=kept: tx.execute(f"DELETE FROM {table} {kept}"))


def _finish(services: Services, moved: Moved, progress: Progress, by: Scope) -> None:
    moved.passages = rebuild.words(services, progress)
    report = verify.verify(services, None, progress)
    moved.compared, moved.notes = report.counts, report.notes
    if report.problems:
        raise StorageFailed(f"{report.problems[0]} ({len(report.problems)} such.) The old database is as it was; mend this there, and run the move again.")
    services.db.write(lambda tx: (facts.forget_fact(tx, facts.MOVING), audit.note(tx, by, "move")))


def _copy(origin: Database, arriving: Database, table: str, key: tuple[str, ...], progress: Progress) -> int:
    total, done = origin.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"], 0
    for page in _pages(origin, table, key):

        def insert(tx: Any, page: list[dict[str, Any]] = page) -> None:
            for row in page:
                tx.insert(table, **row)

        arriving.write(insert, bulk=True)
        done += len(page)
        progress(f"Moving {table}", done, total)
    return done


def _digest(db: Database, table: str, key: tuple[str, ...]) -> str:
    """Of every value of every row, in the order of the key."""
    found = hashlib.sha256()
    for page in _pages(db, table, key):
        for row in page:
            found.update(repr(sorted((name, _comparable(value)) for name, value in row.items())).encode())
    return found.hexdigest()


def _comparable(value: Any) -> Any:
    """Postgres takes no NUL in a text; a whole number in a column of floats comes back as a float."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace")
    return float(value) if isinstance(value, int) else value


def _pages(db: Database, table: str, key: tuple[str, ...]) -> Iterator[list[dict[str, Any]]]:
    """All rows in the order of their key, PAGE at a time. What `facts` says of the move itself is left out."""
    names, marks = ", ".join(key), ", ".join(f":{name}" for name in key)
    own = f"name <> '{facts.MOVING}'" if table == "facts" else "1 = 1"
    after: dict[str, Any] = {}
    while True:
        behind = f"AND ({names}) > ({marks})" if after else ""
        page = db.rows(f"SELECT * FROM {table} WHERE {own} {behind} ORDER BY {names} LIMIT {PAGE}", **after)
        if not page:
            return
        yield page
        after = {name: page[-1][name] for name in key}
