"""Reading from the pipe of a process that may hang or end."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import IO

PIECE = 1 << 20  # bytes read at a time
LONGEST_LOOK_S = 3600.0  # select takes no endless wait as a number
MEANWHILE_S = 1.0


def receive(pipe: IO[bytes], length: int, ends: float, meanwhile: Callable[[], None] | None = None) -> bytes:
    """Exactly `length` bytes, until the monotonic time `ends`. meanwhile: called every second of waiting; what it raises ends it.

    Raises TimeoutError, or EOFError when the other side ended.
    """
    parts, missing = [], length
    longest_s = MEANWHILE_S if meanwhile else LONGEST_LOOK_S
    while missing:
        left_s = max(0.0, ends - time.monotonic())
        if not select.select([pipe], [], [], min(longest_s, left_s))[0]:
            if left_s <= longest_s:
                raise TimeoutError
            if meanwhile:
                meanwhile()
            continue
        part = pipe.read(min(missing, PIECE))
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
