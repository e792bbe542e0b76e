"""Reading from the pipe of a process that may hang or end."""

from __future__ import annotations

import select
import time
from typing import IO

PIECE = 1 << 20  # bytes read at a time
LONGEST_LOOK_S = 3600.0  # select takes no endless wait as a number


def receive(pipe: IO[bytes], length: int, ends: float) -> bytes:
    """Exactly `length` bytes, until the monotonic time `ends`. Raises TimeoutError, or EOFError when the other side ended."""
    parts, missing = [], length
    while missing:
        if not select.select([pipe], [], [], min(LONGEST_LOOK_S, max(0.0, ends - time.monotonic())))[0]:
            raise TimeoutError
        part = pipe.read(min(missing, PIECE))
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
