"""An instance of Mai-Sale of a command's own: `python app.py` in a data folder of its own, for as long as the command needs it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import maisale
from maisale.config import apart
from maisale.errors import MaiSaleError

ROOT = Path(maisale.__file__).resolve().parent.parent
START_S = 120.0
END_S = 15.0  # the app ends within 10 s
NO_MODEL = "http://127.0.0.1:9"  # the discard port


class NotStarted(MaiSaleError):
    """The instance did not come up."""


@contextmanager
def own_instance(**settings: str) -> Iterator[tuple[str, str]]:
    """(address, X_API_KEY_ADMIN) of an app that answers. settings: beside, or instead of, what this process was given."""
    with tempfile.TemporaryDirectory(prefix="maisale-own-") as folder:
        port, key = _free_port(), secrets.token_urlsafe(32)
        own = {"HOST": "127.0.0.1", "PORT": str(port), "X_API_KEY_ADMIN": key, "OLLAMA_HOST": NO_MODEL}
        own |= {"TLS_CERT": "", "TLS_KEY": "", "TLS_CLIENT_CA": "", **settings}
        log = Path(folder) / "app.log"
        with log.open("wb") as out:
            environ = apart(os.environ, Path(folder), **own)
            app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            _wait_for(app, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}", key
        finally:
            app.send_signal(signal.SIGTERM)
            try:
                app.wait(END_S)
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


def _wait_for(app: subprocess.Popen, url: str, log: Path) -> None:
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        if app.poll() is not None:
            raise NotStarted(f"`python app.py` ended with {app.returncode}: {log.read_text(errors='replace')[-500:].strip()}")
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                return
        except urllib.error.HTTPError:  # it answers, and is not well: a load would show that
            return
        except OSError:
            time.sleep(0.1)
    raise NotStarted(f"`python app.py` did not answer within {START_S:.0f} s: {log.read_text(errors='replace')[-500:].strip()}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
