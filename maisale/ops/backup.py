"""Backup while work goes on, and restore into an empty folder.

A backup is one tar file: the database as it was at one moment, the files of its documents, and last a manifest with the SHA-256 of each.
The vector index is not in it: the database holds the vectors, and the worker builds the index anew after a restore. Sessions and links do not
come back; keys do, those too that were revoked since.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from maisale.config import Settings
from maisale.contracts import Database, Transaction
from maisale.errors import BadInput, MaiSaleError, StorageFailed
from maisale.ops.audit_chain import witness_path
from maisale.records import SERVER, Scope
from maisale.store import audit, erasures
from maisale.store.schema import AUDIT

FORMAT = 1
DATABASE = "sqlite.db"
MANIFEST = "manifest.json"
TABLES = ("tenants", "users", "keys", "conversations", "messages", "replies", "collections", "documents", "chunks", "vectors", "jobs")
PIECE = 1 << 20
_MEMBER = re.compile(r"sqlite\.db|manifest\.json|files/[0-9a-f-]{36}")
Progress = Callable[[str, int, int], None]  # what, done, of how many


class BrokenBackup(MaiSaleError):
    """A backup that is cut short, was changed, or is none."""

    status = 422


@dataclass
class Manifest:
    """What a backup says of itself."""

    format: int
    created_at: float
    counts: dict[str, int]  # rows of each table
    members: dict[str, dict[str, Any]]  # name -> size and sha256
    missing: list[str] = field(default_factory=list)  # titles of documents whose file was not there


def back_up(db: Database, settings: Settings, target: Path, progress: Progress = lambda *_: None, by: Scope = SERVER, by_itself: bool = False) -> Manifest:
    """Writes the backup; `target` appears whole or not at all. It is noted, so that receipts of deletions name it while it holds what was deleted.

    by: who makes it, for the audit log. by_itself: it is of those that are removed by themselves.
    Raises BadInput when it exists, StorageFailed when it cannot be written.
    """
    if target.exists():
        raise BadInput(f"{target} exists already. Name another file, or remove it first.")
    coming, began_at = target.with_name(f"{target.name}.{os.getpid()}.part"), time.time()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as aside, _private(coming) as file:
            snapshot = Path(aside) / DATABASE
            db.copy_to(snapshot)
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                manifest = _write(tar, snapshot, settings, progress)
            file.flush()
            os.fsync(file.fileno())
        os.replace(coming, target)
    except OSError as problem:
        raise StorageFailed(f"The backup could not be written to {target} ({problem.strerror}). Free some space, or choose another place.") from problem
    finally:
        with suppress(OSError):
            coming.unlink()

    def note(tx: Transaction) -> None:
        erasures.note_backup(tx, str(target.resolve()), began_at, manifest.created_at, by_itself)
        audit.note(tx, by, "backup")

    db.write(note)
    return manifest


def check(source: Path, progress: Progress = lambda *_: None) -> Manifest:
    """Reads the whole backup and compares it with its manifest. Raises BrokenBackup."""
    with _opened(source) as tar:
        return _read(tar, None, progress)


def restore(
    source: Path,
    settings: Settings,
    progress: Progress = lambda *_: None,
    by: Scope = SERVER,
    prepare: Callable[[Path], object] = lambda _: None,
) -> Manifest:
    """Puts a backup into the data folder, which must not hold a database yet. Nothing is there until all of it was compared.

    by: who restores; the audit log in the backup goes on with that.
    prepare: what is done to the folder aside that holds it all, before it is put into its place.
    Raises BadInput, BrokenBackup or StorageFailed.
    """
    for held in (settings.sqlite_path, *(settings.sqlite_path.with_name(settings.sqlite_path.name + end) for end in ("-wal", "-shm"))):
        if held.exists():  # a log that stayed behind would be replayed over what is restored
            raise BadInput(f"{held} exists already. Restore into an empty folder: set DATA_DIR to another one, or move this one away.")
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        settings.sqlite_path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix=".restoring-") as aside:
            with _opened(source) as tar:
                manifest = _read(tar, Path(aside), progress)
            _settle(Path(aside) / DATABASE, by)
            prepare(Path(aside))
            _take_in(Path(aside), settings)
    except OSError as problem:
        raise StorageFailed(f"The backup could not be put into {settings.data_dir} ({problem.strerror}). Free some space there.") from problem
    return manifest


def _private(path: Path) -> IO[bytes]:
    """A new file that only its owner reads: a backup holds every conversation."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _write(tar: tarfile.TarFile, snapshot: Path, settings: Settings, progress: Progress) -> Manifest:
    rows = _select(snapshot, "SELECT id, title FROM documents ORDER BY id")
    manifest = Manifest(FORMAT, time.time(), {table: _select(snapshot, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}, {})
    manifest.members[DATABASE] = _add(tar, snapshot, DATABASE)
    for done, (document_id, title) in enumerate(rows):
        progress("Files", done, len(rows))
        try:
            manifest.members[f"files/{document_id}"] = _add(tar, settings.files_dir / document_id, f"files/{document_id}")
        except FileNotFoundError:  # deleted since the database was copied, or gone before
            manifest.missing.append(title)
    _add_text(tar, MANIFEST, json.dumps(asdict(manifest), ensure_ascii=False, indent=1))
    return manifest


def _add(tar: tarfile.TarFile, path: Path, name: str) -> dict[str, Any]:
    with path.open("rb") as file:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = os.fstat(file.fileno()).st_size, int(time.time()), 0o600
        reading = _Hashed(file)
        tar.addfile(entry, reading)
    return {"size": entry.size, "sha256": reading.digest.hexdigest()}


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
    tar.addfile(entry, io.BytesIO(data))


def _read(tar: tarfile.TarFile, into: Path | None, progress: Progress) -> Manifest:
    """Compares every member with the manifest, which comes last, and keeps them in `into`."""
    found: dict[str, dict[str, Any]] = {}
    said = None
    for done, entry in enumerate(tar):
        progress("Comparing", done, 0)
        if not entry.isreg() or not _MEMBER.fullmatch(entry.name) or entry.name in found or said is not None:
            raise BrokenBackup(f"This is no backup of Mai-Sale: it holds {entry.name[:100]!r}.")
        file = tar.extractfile(entry)
        if entry.name == MANIFEST:
            said = file.read()
            continue
        reading = _Hashed(file)
        _keep(reading, into / entry.name if into else None)
        found[entry.name] = {"size": entry.size, "sha256": reading.digest.hexdigest()}
    if said is None:
        raise BrokenBackup("The backup ends before its manifest: it was cut short. Use another one.")
    manifest = Manifest(**json.loads(said))
    if manifest.format != FORMAT:
        raise BrokenBackup(f"The backup has the format {manifest.format}; this version reads {FORMAT}. Restore it with the version that made it.")
    if wrong := sorted(name for name in manifest.members.keys() | found.keys() if manifest.members.get(name) != found.get(name)):
        raise BrokenBackup(f"{wrong[0]} in the backup is not what its manifest says ({len(wrong)} such). Use another backup.")
    return manifest


def _keep(reading: _Hashed, path: Path | None) -> None:
    if path is None:
        while reading.read(PIECE):
            pass
        return
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(reading, file, PIECE)
        file.flush()
        os.fsync(file.fileno())


def _settle(database: Path, by: Scope) -> None:
    """What must not come back, what is to be done again, and that it was restored, before anybody opens it."""
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("DELETE FROM sessions")
        connection.execute("DELETE FROM links")
        connection.execute("UPDATE vectors SET indexed = 0")  # the index is built anew
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (AUDIT,)).fetchone():  # older backups have no log
            audit.note(_Restored(connection), by, "restore")
        connection.commit()
    finally:
        connection.close()


def _take_in(aside: Path, settings: Settings) -> None:
    """Files first: a database without its files would be believed. Where an earlier log ended is kept beside, for this one goes on from its backup."""
    if witness_path(settings).exists():
        os.replace(witness_path(settings), witness_path(settings).with_name(f"audit.head.before-{time.strftime('%Y%m%d-%H%M%S')}"))
    settings.files_dir.mkdir(parents=True, exist_ok=True)
    for path in sorted((aside / "files").glob("*")) if (aside / "files").is_dir() else []:
        os.replace(path, settings.files_dir / path.name)
    if settings.sqlite_path.parent == settings.data_dir:
        os.replace(aside / DATABASE, settings.sqlite_path)
    else:  # maybe on another disk
        shutil.move(aside / DATABASE, settings.sqlite_path)


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, mode="r:") as tar:
            yield tar
    except FileNotFoundError as problem:
        raise BadInput(f"There is no file {source}.") from problem
    except (tarfile.TarError, EOFError, ValueError, TypeError) as problem:
        raise BrokenBackup(f"{source} cannot be read as a backup ({problem}). Use another one.") from problem


def _select(database: Path, sql: str) -> list[tuple]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


class _Restored:
    """The database that is being restored, as a Transaction."""

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    def execute(self, sql: str, /, **values: Any) -> int:
        return self._connection.execute(sql, values).rowcount

    def rows(self, sql: str, /, **values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection.execute(sql, values)]

    def insert(self, table: str, /, **values: Any) -> None:
        self.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(f':{name}' for name in values)})", **values)


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece
