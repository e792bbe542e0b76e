"""Backups that are made by themselves: when one is due, and which old ones go. The worker looks every few seconds."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from maisale.config import Settings
from maisale.contracts import Database
from maisale.errors import MaiSaleError
from maisale.ops.backup import back_up
from maisale.store import erasures

log = logging.getLogger(__name__)

_NAME = "maisale-%Y%m%d-%H%M%S.tar"
_PATTERN = "maisale-*-*.tar"
AFTER_FAILURE_S = 900.0  # until the next try
_failed_at = float("-inf")


def due(settings: Settings) -> bool:
    """Whether the latest backup is older than it may be."""
    if not settings.backup_dir or time.monotonic() - _failed_at < AFTER_FAILURE_S:
        return False
    made = kept(settings)
    return not made or time.time() - made[0].stat().st_mtime >= settings.backup_hours * 3600


def run(db: Database, settings: Settings) -> None:
    """Makes a backup and removes those beyond the number to keep. A failure is logged, and tried again later."""
    global _failed_at
    target = Path(settings.backup_dir) / time.strftime(_NAME)
    try:
        back_up(db, settings, target, by_itself=True)
    except MaiSaleError as problem:
        _failed_at = time.monotonic()
        log.error("the backup failed: %s", problem)
        return
    for old in kept(settings)[settings.backup_keep :]:
        old.unlink(missing_ok=True)
        db.write(lambda tx, path=str(old.resolve()): erasures.forget_backup(tx, path))
    log.info("a backup was written to %s", target)


def sweep(settings: Settings) -> int:
    """Removes what a killed worker left of a backup that it was writing. For a worker that has just become the only one. Returns how many."""
    folder = Path(settings.backup_dir) if settings.backup_dir else None
    if folder is None or not folder.is_dir():
        return 0
    left = [*folder.glob(f"{_PATTERN}.*.part"), *folder.glob(f".{_PATTERN}-*")]  # the file on its way, and the copy of the database
    for path in left:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if left:
        log.info("%d leftovers of a backup that broke off were removed", len(left))
    return len(left)


def began_at(path: Path) -> float:
    """When a backup was begun, by its name, to the second; 0.0 when it bears another name."""
    try:
        return time.mktime(time.strptime(path.name, _NAME))
    except ValueError:
        return 0.0


def kept(settings: Settings) -> list[Path]:
    """The backups that were made so, the latest first."""
    folder = Path(settings.backup_dir) if settings.backup_dir else None
    return sorted(folder.glob(_PATTERN), key=lambda path: path.name, reverse=True) if folder and folder.is_dir() else []
