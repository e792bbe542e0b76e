"""A clock that jumps for one instance alone, by Debian's libfaketime, which stands between a program and the kernel's clock."""

from __future__ import annotations

import time
from pathlib import Path

from maisale.ops.drill_instance import NotRun

PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")
LIBRARY = "libfaketimeMT.so.1"  # for programs with threads


class Clock:
    """The instance's wall clock: the machine's, and so many seconds. file: where the instance reads them."""

    def __init__(self, file: Path):
        """Raises NotRun where there is no libfaketime."""
        found = [path for place in PLACES for path in Path("/").glob(f"{place[1:]}/{LIBRARY}")]
        if not found:
            raise NotRun("the clock cannot be moved for one program without Debian's package libfaketime")
        self._library, self._file, self._ahead_s = found[0], file, 0.0
        self.jump(0)

    def environ(self) -> dict[str, str]:
        """What the instance is started with. Time that only passes stays the kernel's: a jump does not move it."""
        monotonic = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        return {"LD_PRELOAD": str(self._library), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1", **monotonic}

    def jump(self, ahead_s: float) -> None:
        coming = self._file.with_suffix(".coming")
        coming.write_text(f"{ahead_s:+.0f}\n")
        coming.replace(self._file)
        self._ahead_s = ahead_s

    def now(self) -> float:
        return time.time() + self._ahead_s
