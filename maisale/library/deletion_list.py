"""The list of deletions that travels outside of the backups: one line of ids and kinds for each receipt, never what was deleted.

The table `erasures` is the truth; the list is for the day on which the database is lost and an older backup comes back.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from maisale.config import Settings
from maisale.contracts import Database
from maisale.errors import BadInput
from maisale.records import Erasure
from maisale.store import erasures

log = logging.getLogger(__name__)

NAME = "deletions.jsonl"
_FIELDS = ("id", "kind", "subject_id", "tenant_id", "user_id", "since", "asked_at")


def place(settings: Settings) -> Path:
    return settings.data_dir / NAME


def note(settings: Settings, made: Iterable[Erasure]) -> None:
    """Adds receipts to the list, durably. A list that cannot be written is told in the log, and brought up to date later."""
    lines = "".join(json.dumps({name: getattr(one, name) for name in _FIELDS}) + "\n" for one in made)
    if not lines:
        return
    try:
        handle = os.open(place(settings), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(handle).st_size
            torn = size and os.pread(handle, 1, size - 1) != b"\n"  # a crash within a line
            os.write(handle, (("\n" if torn else "") + lines).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as problem:
        log.error("the list of deletions %s could not be written: %s", place(settings), problem)


def bring_up_to_date(db: Database, settings: Settings) -> int:
    """Adds the receipts that the list lacks: of deletions after which a process was killed, and of all when the list is lost. Returns how many."""
    known = {one.id for one in _parsed(place(settings))} if place(settings).exists() else set()
    missing = [one for one in erasures.everything(db) if one.id not in known]
    note(settings, missing)
    return len(missing)


def read(path: Path) -> list[Erasure]:
    """The deletions of a list, the oldest first; a torn line is passed over. Raises BadInput for what is no such list."""
    found = _parsed(path)
    if not found and path.stat().st_size:
        raise BadInput(f"{path} is no list of deletions. It is {NAME} of a data folder.")
    return found


def _parsed(path: Path) -> list[Erasure]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise BadInput(f"{path} cannot be read as a list of deletions ({problem}).") from problem
    found: dict[str, Erasure] = {}
    for line in filter(None, lines):
        try:
            data = json.loads(line)
            found.setdefault(data["id"], Erasure(**{name: data[name] for name in _FIELDS}, counts={}))
        except (ValueError, KeyError, TypeError):
            log.warning("a line of %s is torn and passed over", path)
    return sorted(found.values(), key=lambda one: one.asked_at)
