"""Files of other programs read in a process of their own: one that hangs, or wants all the memory, costs that process and nobody else.

A short text is read in the worker itself: its readers take time and memory in proportion to the file, so that the bound on its length bounds both, and
what a process takes to be asked is saved. The process reads one file after the other; after a
failure, and after FILES, another takes its place.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import maisale
from maisale.errors import Unreadable
from maisale.library.chunking import Part
from maisale.library.reading import check_kind, read
from maisale.pipes import receive
from maisale.store.jobs import PLAIN

READ_S = 120.0  # for one file; a PDF of 1,000 pages takes about 10
MEMORY_MB = 2048  # of addresses; a process that has read a PDF has about 500
FILES = 200  # read by one process
ANSWER_MB = 200  # of text out of one file
PLAIN_BYTES = 1 << 20  # of plain text that the worker reads itself: half a second and 20 MB at the worst


class Reader:
    """`read` for many threads; each file in a process when its kind asks for that."""

    def __init__(self, read_s: float = READ_S, memory_mb: int = MEMORY_MB):
        self._read_s, self._memory_mb = read_s, memory_mb
        self._idle: deque[_Process] = deque()

    def read(self, path: Path, name: str, go_on: Callable[[], None] | None = None) -> list[Part]:
        """As reading.read. go_on: asked every second; what it raises ends the reading.

        Raises Unreadable also for a file that takes too long or too much memory.
        """
        check_kind(name)
        # Plain text only: a table of 8,000 rows with a column each of its own has 64 million cells.
        if Path(name).suffix.lower() in PLAIN and path.stat().st_size <= PLAIN_BYTES:
            return read(path, name)
        process = self._take()
        try:
            answer = process.ask({"path": str(path.absolute()), "name": name}, self._read_s, go_on)
        except TimeoutError as problem:
            process.end()
            raise Unreadable(f"{name} could not be read within {self._read_s:.0f} s. Split it, or save it in a simpler form, and add it again.") from problem
        except (EOFError, OSError, ValueError) as problem:
            process.end()
            raise Unreadable(f"{name} needs more memory than it may, or broke its reader. Split it, or save it in another form.") from problem
        except BaseException:  # of go_on: the process is in the middle of a file that nobody wants
            process.end()
            raise
        if process.files < FILES:
            self._idle.append(process)
        else:
            process.end()
        if "refused" in answer:
            raise Unreadable(answer["refused"])
        return [Part(**part) for part in answer["parts"]]

    def close(self) -> None:
        while self._idle:
            self._idle.pop().end()

    def _take(self) -> _Process:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            process.end()
        return _Process(self._memory_mb)


class _Process:
    def __init__(self, memory_mb: int):
        package = Path(maisale.__file__).resolve().parent.parent  # -m looks there first
        command = [sys.executable, "-m", "maisale.library.reader_process", str(memory_mb)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=package, bufsize=0)
        self.files = 0

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, asked: dict[str, str], wait_s: float, go_on: Callable[[], None] | None) -> dict[str, Any]:
        """Raises TimeoutError, EOFError when the process ended, or what go_on raises."""
        self.files += 1
        ends = time.monotonic() + wait_s
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        length = int.from_bytes(receive(self._process.stdout, 8, ends, go_on), "big")
        if length > ANSWER_MB << 20:
            raise ValueError("the answer is too long")
        return json.loads(receive(self._process.stdout, length, ends, go_on))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()


def _serve(memory_mb: int) -> None:
    """Reads what is asked for on standard input until its end, which comes with the worker's."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a reader that prints must not be taken for an answer
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        try:
            parts = read(Path(asked["path"]), asked["name"])
            answer = json.dumps({"parts": [asdict(part) for part in parts]})
        except Unreadable as problem:
            answer = json.dumps({"refused": str(problem)})
        data = answer.encode()
        answers.write(len(data).to_bytes(8, "big") + data)
        answers.flush()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
