"""What processes have in common without Redis: files of one machine that only one of them can lock, and no messages."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any


class Alone:
    """Shared, for the processes of one machine that have a data folder in common."""

    away = ""
    counts = None

    def __init__(self, folder: Path):
        self.locks = FileLocks(folder)

    def events(self) -> NoEvents:
        return NoEvents()

    def close(self) -> None: ...


class FileLocks:
    """Locks as files of one folder; the system frees them when a process ends, however it ends."""

    def __init__(self, folder: Path):
        self._folder = folder

    def hold(self, name: str) -> HeldFile | None:
        file = open(self._folder / f"{name}.lock", "a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return HeldFile(file)


class HeldFile:
    lost = False

    def __init__(self, file: IO):
        self._file = file

    def __enter__(self) -> HeldFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


class NoEvents:
    """Nobody is told anything: who wants to know asks the database."""

    live = False

    def listen(self, channels: Sequence[str], heard: Callable[[dict[str, Any]], None]) -> None: ...

    def publish(self, channel: str, message: dict[str, Any], key: str = "") -> None: ...

    async def close(self) -> None: ...
