"""The real product as a subprocess, for tests from outside."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
ADMIN_KEY = "an-admin-key-for-tests-only-0123456789"
HELP = str(ROOT / "knowledge")  # KNOWLEDGE_DIR for those who ask about Mai-Sale's own pages: to read them costs a start two seconds of the processor
NOWHERE = "http://127.0.0.1:9"  # the discard port: no model server answers


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class RunningApp:
    """`python app.py` on a folder of its own. As a context manager it is stopped by SIGTERM at the end."""

    def __init__(self, folder: Path, ollama: str = NOWHERE, tls: ssl.SSLContext | None = None, **settings: str):
        """tls: what it is asked with when it serves HTTPS."""
        self.folder, self.tls = folder, tls
        self.port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.log = folder / "app.log"
        self.settings = {
            "DATA_DIR": str(folder / "data"),
            "PORT": str(self.port),
            "X_API_KEY_ADMIN": ADMIN_KEY,
            "OLLAMA_HOST": ollama,
            "RATE_LIMIT": "1000",  # tests ask faster than people
            "KNOWLEDGE_DIR": str(folder / "knowledge"),  # empty
            **settings,
        }
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> RunningApp:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, wait_s: float = 120) -> RunningApp:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "app.py"], cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        ends = time.monotonic() + wait_s
        while time.monotonic() < ends:
            if self.process.poll() is not None:
                raise AssertionError(f"the app ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
            try:
                if httpx.get(f"{self.url}/healthz", timeout=2, verify=self.tls or True).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.1)
        self.stop()  # what did not come must not stay: it would take the processor from all that follows
        raise AssertionError(f"no answer within {wait_s} s:\n{self.log.read_text()[-4000:]}")

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.settings}

    def command(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess:
        """Runs the command line on the same folder."""
        return subprocess.run(
            [sys.executable, "-m", "maisale", *words], cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=timeout
        )

    def worker_pids(self) -> list[int]:
        """The app's child."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", "maisale.worker"], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    def wait_until_indexed(self, wait_s: float = 180) -> RunningApp:
        """The help pages are found by words from here on."""
        ends = time.monotonic() + wait_s
        while time.monotonic() < ends:
            db = sqlite3.connect(self.folder / "data" / "sqlite.db", timeout=30)
            stages = [stage for (stage,) in db.execute("SELECT stage FROM documents")]
            db.close()
            if stages and set(stages) <= {"searchable", "complete"}:
                return self
            time.sleep(0.2)
        raise AssertionError(f"the help was not indexed within {wait_s} s: {stages}")

    def sign_in_link(self) -> str:
        return re.search(r"http\S+/link/\S+", self.log.read_text())[0]

    def kill(self) -> None:
        """kill -9 of the app."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int | None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        return self.process.returncode if self.process else None
