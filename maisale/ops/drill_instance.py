"""An instance of Mai-Sale on a folder of its own that a drill may kill, start again and damage. It is `python app.py`, and seen from outside only."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import maisale
from maisale.config import Settings, apart
from maisale.errors import MaiSaleError
from maisale.services import read_settings

ROOT = Path(maisale.__file__).resolve().parent.parent
KEY = "of-a-drill-alone-0123456789-abcdefghij"
NO_MODEL = "http://127.0.0.1:9"  # the discard port
START_S = 120.0
END_S = 15.0  # the app ends within 10 s
COMMAND_S = 600.0
# In a process inside: SQLite follows links by their names, and /proc/PID/root leads outside by its name. Read-only: the last one to close a
# writable connection would move the log, and with it the scene of a crash.
READER = """
import json, sqlite3, sys
for line in sys.stdin:
    path, sql = json.loads(line)
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30) as db:
            found = db.execute(sql).fetchall()
        db.close()
    except sqlite3.Error as problem:
        found = str(problem)
    print(json.dumps(found), flush=True)
"""


class NotRun(MaiSaleError):
    """What a drill needs is not to be had on this machine."""


class DrillFailed(MaiSaleError):
    """The instance does not do what the drill needs to go on."""


class Instance:
    """The app and its worker. environ: what they inherit. inside: a command that starts another where its data folder is.

    data: the data folder as the drill sees it; the instance may see it under another name.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], inside: Sequence[str] = (), data: Path | None = None, **settings: str):
        self.data = data or folder / "data"
        self.log = folder / "app.log"
        self._inside = list(inside)
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        own = {"HOST": "127.0.0.1", "PORT": str(self._port), "X_API_KEY_ADMIN": KEY, "OLLAMA_HOST": NO_MODEL}
        own |= {"TLS_CERT": "", "TLS_KEY": "", "TLS_CLIENT_CA": ""}
        # Searched by the vector index whatever the size: it is what the drills break. A load works faster than people.
        self.environ = apart(environ, folder / "data", **{**own, "VECTORS": "chroma", "RATE_LIMIT": "1000", **settings})
        self._process: subprocess.Popen | None = None
        self._reader: subprocess.Popen | None = None
        self._reading = threading.Lock()

    def settings(self) -> Settings:
        """As the instance has them, with the folder as it is seen from here."""
        return read_settings({**self.environ, "DATA_DIR": str(self.data)})

    def start(self, wait_s: float = START_S) -> None:
        """Returns when it answers. Raises DrillFailed."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            command = [*self._inside, sys.executable, "app.py"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        ends = time.monotonic() + wait_s
        while time.monotonic() < ends:
            if (code := self._process.poll()) is not None:
                raise DrillFailed(f"`python app.py` ended with {code}: {self.tail()}")
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                return
            time.sleep(0.05)
        raise DrillFailed(f"`python app.py` did not answer within {wait_s:.0f} s: {self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-500:].strip()

    def kill(self) -> None:
        """kill -9 of the app; its worker ends by itself."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ends the app, and the reader of its database."""
        if self._reader:
            self._reader.stdin.close()
            self._reader.wait()
            self._reader = None
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def worker_pids(self) -> list[int]:
        """The app's children that are a worker."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self._process.pid and b"maisale.worker" in (place / "cmdline").read_bytes():
                    found.append(int(place.name))
        return found

    def kill_worker(self, wait_s: float = 60.0) -> None:
        """kill -9 of the worker, once there is one."""
        ends = time.monotonic() + wait_s
        while not (pids := self.worker_pids()) and time.monotonic() < ends:
            time.sleep(0.05)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def command(self, *words: str, **settings: str) -> subprocess.CompletedProcess:
        """`python -m maisale WORDS` on the same folder, whatever it ends with."""
        command = [*self._inside, sys.executable, "-m", "maisale", *words]
        return subprocess.run(command, cwd=ROOT, env={**self.environ, **settings}, capture_output=True, text=True, timeout=COMMAND_S)

    def rows(self, sql: str) -> list[list[Any]]:
        """Read from its database, past the instance. Raises sqlite3.Error."""
        with self._reading:
            if self._reader is None:
                command = [*self._inside, sys.executable, "-c", READER]
                self._reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._reader.stdin.write(json.dumps([self.environ["DATA_DIR"] + "/sqlite.db", sql]) + "\n")
            self._reader.stdin.flush()
            found = json.loads(self._reader.stdout.readline())
        if isinstance(found, str):
            raise sqlite3.OperationalError(found)
        return found


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
