"""A real redis-server on a socket of its own, which can be killed, made to hang and started again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from running import free_port


class RedisServer:
    """Of Debian's package. It keeps nothing on disk, as a Redis that was lost: what comes back is empty.

    tls: certificate and key; then `url` is of a port that speaks TLS.
    """

    def __init__(self, tls: tuple[str, str] | None = None):
        self._folder = Path(tempfile.mkdtemp(prefix="redis"))  # tmp_path may be longer than a socket's path can be
        self._socket = self._folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._options = {"port": "0", "unixsocket": str(self._socket), "save": "", "appendonly": "no", "dir": str(self._folder)}
        if tls:
            self._options |= {"bind": "127.0.0.1", "tls-port": str(free_port()), "tls-cert-file": tls[0], "tls-key-file": tls[1], "tls-auth-clients": "no"}
            self.url = f"rediss://127.0.0.1:{self._options['tls-port']}?db=0"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def start(self) -> RedisServer:
        command = ["redis-server", *(part for name, value in self._options.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        ends = time.monotonic() + 10
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return self
            except RedisError:
                assert time.monotonic() < ends, "redis-server did not start"
                time.sleep(0.02)

    def client(self) -> Redis:
        return Redis.from_url(f"unix://{self._socket}")

    def kill(self) -> None:
        """SIGKILL, also of one that hangs."""
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)
