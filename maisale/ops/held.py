"""Which backups still hold what was deleted, and until when: those taken after it came and before it went."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maisale.config import Settings
from maisale.contracts import Database
from maisale.ops import scheduled_backups
from maisale.records import Erasure
from maisale.store import erasures


@dataclass(frozen=True)
class Held:
    """A backup that holds something deleted."""

    path: str
    taken_at: float
    expires_at: float | None  # when it makes way for newer ones; None: it is kept by whoever made it
    there: bool  # the file is where it was written; one that is not may have been moved


@dataclass(frozen=True)
class Backup:
    path: str
    began_at: float
    ended_at: float
    expires_at: float | None


def known(db: Database, settings: Settings) -> list[Backup]:
    """The backups that are known, the latest first: those that go by themselves while they are there, the others always."""
    kept = {str(path.resolve()): path for path in scheduled_backups.kept(settings)}
    noted = {row["path"]: row for row in erasures.backups(db)}
    latest = max((path.stat().st_mtime for path in kept.values()), default=time.time())
    found = []
    for number, path in enumerate(kept):
        ended = noted[path]["ended_at"] if path in noted else kept[path].stat().st_mtime
        began = noted[path]["began_at"] if path in noted else scheduled_backups.began_at(kept[path])
        # It goes when BACKUP_KEEP newer ones are there, one each BACKUP_HOURS.
        found.append(Backup(path, began, ended, latest + (settings.backup_keep - number) * settings.backup_hours * 3600))
    for path, row in noted.items():
        if path not in kept and (not row["by_itself"] or Path(path).exists()):
            found.append(Backup(path, row["began_at"], row["ended_at"], None))
    return sorted(found, key=lambda one: -one.began_at)


def holding(one: Erasure, backups: Sequence[Backup]) -> list[Held]:
    """Those of `backups` that hold what this receipt is about, the latest first."""
    held = [backup for backup in backups if one.since <= backup.ended_at and backup.began_at <= one.asked_at]
    return [Held(backup.path, backup.began_at, backup.expires_at, Path(backup.path).exists()) for backup in held]
