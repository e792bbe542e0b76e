"""A wall clock that jumps for one instance alone: Python imports a module of ours when it starts, and that moves `time.time`.

Not libfaketime: its 0.9.10 breaks `time.sleep` (EINVAL from clock_nanosleep) when the clock is set back. Time that only passes, `time.monotonic`
and all sleeping, stays the kernel's, as with a real jump.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

READ_EVERY_S = 0.05
MODULE = '''"""Moves the wall clock by as many seconds as a file says."""
import time

kernel, steady, read_at, ahead = time.time, time.monotonic, 0.0, 0.0

def moved():
    global read_at, ahead
    if steady() - read_at > {every_s}:
        read_at = steady()
        with open({file!r}) as file:
            ahead = float(file.read())
    return kernel() + ahead

time.time, time.time_ns = moved, lambda: int(moved() * 1e9)
'''


class Clock:
    """The instance's wall clock: the machine's, and so many seconds. folder: for the module and the file that it reads."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._file = folder, folder / "ahead_s"
        self.jump(0.0)
        (folder / "sitecustomize.py").write_text(MODULE.format(every_s=READ_EVERY_S, file=str(self._file)))

    def environ(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """What the instance is started with."""
        return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, [str(self._folder), inherited.get("PYTHONPATH")]))}

    def jump(self, ahead_s: float) -> None:
        coming = self._file.with_suffix(".coming")
        coming.write_text(str(ahead_s))
        coming.replace(self._file)
        self._ahead_s = ahead_s

    def now(self) -> float:
        return time.time() + self._ahead_s
