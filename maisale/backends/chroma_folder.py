"""The folder of Chroma's PersistentClient: one process has it, and what was not closed is checked before it is opened again.

Two processes on one folder lose vectors without an error, and a kill during a persist can tear the HNSW files (chromadb 1.5.9). Hence the lock, the
mark that says a folder was not closed, and the check in another process.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import chromadb

import maisale
from maisale.backends.chroma_check import open_folder
from maisale.errors import IndexUnavailable, Misconfigured

log = logging.getLogger(__name__)

CHECK_S = 180.0
LOCK_S = 5.0  # for the check that a killed worker left behind to end
JUST_S = 0.1  # between the end of a persist and SQLite's note of it; file times are kept to 4 ms
MARK = "not_closed"


class ChromaFolder:
    """chroma.Home on this machine. Made with the folder's lock."""

    def __init__(self, folder: Path):
        """Raises Misconfigured when another process has the folder or it cannot be written to."""
        self.folder = folder
        self._lock = _locked(folder)

    def look(self) -> bool:
        """Whether it had been closed properly."""
        self._lock = _locked_still(self.folder, self._lock)
        return not (self.folder / MARK).exists()

    def open(self, closed: bool) -> chromadb.ClientAPI:
        """closed: what `look` said; if not, it is checked, and emptied when it does not pass."""
        if not closed and (_killed_in_persist(self.folder) or not _usable(self.folder, self._lock)):
            log.warning("the vector index in %s is damaged; it is made anew from SQL", self.folder)
            self.empty()
        (self.folder / MARK).touch()
        return open_folder(str(self.folder))

    def empty(self) -> None:
        """Removes what is in the folder, which has to be closed; the folder itself stays, for it carries the lock."""
        for entry in self.folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def closed(self, well: bool) -> None:
        """The client was closed; well: after no error of its own."""
        if well:
            (self.folder / MARK).unlink(missing_ok=True)

    def release(self) -> None:
        os.close(self._lock)


def _locked(folder: Path) -> int:
    """A descriptor that holds the folder's lock while it is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as problem:
        words = f"The folder {folder} cannot be used for the vector index ({problem.strerror})."
        raise Misconfigured(f"{words} Check its permissions, or set CHROMA_PATH.") from problem
    ends = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return held
        except BlockingIOError as problem:
            if time.monotonic() >= ends:
                os.close(held)
                raise Misconfigured(f"Another worker already has the vector index in {folder}. Stop it first; two would destroy it.") from problem
        time.sleep(0.1)


def _locked_still(folder: Path, held: int) -> int:
    """`held`, or the lock of the folder that stands in the place of the one that was deleted under us."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.stat(folder), os.fstat(held)):
            return held
    log.warning("the folder %s of the vector index was deleted; it is made anew from SQL", folder)
    found = _locked(folder)
    os.close(held)
    return found


def _killed_in_persist(folder: Path) -> bool:
    """Whether the last thing that happened was a persist: its files may be torn in ways that only a later write runs into.

    chromadb 1.5.9 writes the HNSW files in place, index_metadata.pickle last, and then notes it in SQLite.
    """
    noted = max((path.stat().st_mtime for path in folder.glob("chroma.sqlite3*")), default=0.0)
    for graph in (path for path in folder.iterdir() if path.is_dir()):
        written = {path.name: path.stat().st_mtime for path in graph.iterdir()}
        newest = max(written.values(), default=0.0)
        if newest > written.get("index_metadata.pickle", newest) or newest > noted - JUST_S:
            return True
    return False


def _usable(folder: Path, lock: int) -> bool:
    # From the folder that holds the package, so that -m finds it wherever this process was started.
    command = [sys.executable, "-m", "maisale.backends.chroma_check", str(folder.resolve())]
    try:
        # It holds the lock as well, and its pipe ends with us: a killed worker's check must not meet the next worker in the folder.
        root, pipe = Path(maisale.__file__).parent.parent, subprocess.PIPE
        checking = subprocess.Popen(command, cwd=root, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, pass_fds=(lock,))
        ended = threading.Timer(CHECK_S, checking.kill)
        ended.start()
        with checking:
            said = checking.stderr.read()
        ended.cancel()
    except OSError as problem:
        raise IndexUnavailable(f"The vector index cannot be checked ({problem.strerror}).") from problem
    if checking.returncode:
        log.warning("the check of %s ended with %d: %s", folder, checking.returncode, said.decode(errors="replace")[-500:])
    return checking.returncode == 0
