"""Whether the audit log is as it was written, and its witness: a file beside the database that says where the log had got to.

The chain in the table shows that a row was changed, removed or swapped, and `facts` that the end was cut. Whoever may write to the whole database can
write all of it anew; the witness, which lies outside of it and never goes back, shows that too. Whoever may write to the database and to the files can
do anything: against them helps a copy of number and hash elsewhere.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from maisale.config import Settings
from maisale.contracts import Database
from maisale.store import audit
from maisale.store.audit import Head

log = logging.getLogger(__name__)

_told = ""  # what was logged last: the worker looks every few seconds


@dataclass(frozen=True, slots=True)
class Checked:
    """rows: how many are as they were written. problem: the first that is not, in words; empty when all are. hash: of the last one."""

    rows: int
    hash: str
    problem: str


def check(db: Database, settings: Settings) -> Checked:
    """Reads the whole log: two to three seconds for 100,000 rows."""
    witness = _read(settings)  # first: the log goes on, and the witness with it
    rows, problem = audit.first_break(db)
    last = audit.entry(db, rows)
    return Checked(rows, last.hash if last else "", problem or _contradiction(db, witness))


def keep_witness(db: Database, settings: Settings) -> None:
    """Brings the witness to where the log is now. One that the log contradicts is kept as it is, and logged."""
    global _told
    head, witness = audit.head(db), _read(settings)
    if head == witness:
        return
    if problem := _contradiction(db, witness):
        if problem != _told:
            log.error("the audit log was tampered with: %s", problem)
        _told = problem
        return
    coming = witness_path(settings).with_suffix(".part")
    try:
        with coming.open("w") as file:
            file.write(f"{head}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(coming, witness_path(settings))
    except OSError as problem:
        log.warning("where the audit log ends could not be written to %s: %s", witness_path(settings), problem)


def witness_path(settings: Settings) -> Path:
    return settings.data_dir / "audit.head"


def _contradiction(db: Database, witness: Head) -> str:
    if not witness.number:
        return ""
    one = audit.entry(db, witness.number)
    if one is None:
        return f"Row {witness.number} is missing: audit.head says that the log had got there."
    return "" if one.hash == witness.hash else f"Row {witness.number} is not the one that audit.head tells of: the log was written anew."


def _read(settings: Settings) -> Head:
    try:
        return Head.read(witness_path(settings).read_text("utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        return Head()
