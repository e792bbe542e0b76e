"""The worker's vector index for other processes of this machine: a socket in the data folder, one question and one answer at a time.

Who may ask: processes that can read the key beside it (0600); both sides prove that they know it. Every frame is a length, a line of JSON and the
vector's bytes: nothing that is received is ever executed. The asking side has 100 ms for everything and then goes on without an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import socket
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from maisale.config import Settings
from maisale.errors import IndexUnavailable
from maisale.records import Hit, SearchFilter, VectorRow

log = logging.getLogger(__name__)

WAIT_S = 0.1  # connecting, asking and hearing the answer; exact search answers what takes longer
LONGEST_PATH = 100  # bytes; Linux takes 107, macOS 103
LONGEST_FRAME = 4 << 20  # bytes
NONCE = 32  # bytes
SLOW_CALLER_S = 5.0  # for the rest of a frame that has begun
IDLE_CONNECTIONS = 16  # kept by a client
_LENGTH = struct.Struct(">I")


class _Index(Protocol):
    label: str
    state: str

    def nearest(self, embedder: str, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> list[Hit]: ...


def address(settings: Settings) -> Path:
    """Where the socket is; in the system's temporary folder when the data folder's path is too long for a socket."""
    folder = settings.data_dir.resolve()
    inside = folder / "index.sock"
    if len(os.fsencode(inside)) <= LONGEST_PATH:
        return inside
    return Path(tempfile.gettempdir()) / f"maisale-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.sock"


def _key_path(settings: Settings) -> Path:
    return settings.data_dir / "index.key"


class IndexServer:
    """Answers for `index` until closed; a thread for each connection. One server a folder: the caller holds the worker's lock."""

    def __init__(self, settings: Settings, index: _Index):
        self._index = index
        self._path = address(settings)
        self._key = _new_key(_key_path(settings))
        self._connections: set[socket.socket] = set()
        self._path.unlink(missing_ok=True)  # left by a worker that was killed
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(self._path))
        self._path.chmod(0o600)
        self._listening.listen(64)
        threading.Thread(target=self._accept, name="index-socket", daemon=True).start()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        for one in [self._listening, *self._connections]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return  # closed
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="index-caller", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(SLOW_CALLER_S)
            if _proved_by_server(connection, self._key):
                while request := _received(connection, patient=True):
                    _send(connection, self._answer(request))
        except (OSError, ValueError) as problem:
            log.debug("a caller of the index went away: %s", problem)
        finally:
            self._connections.discard(connection)
            connection.close()

    def _answer(self, request: bytes) -> bytes:
        """Bad requests are answered with what is wrong; the connection stays."""
        try:
            line, _, rest = request.partition(b"\n")
            asked = json.loads(line)
            if asked["what"] == "health":
                return _as_frame({"label": self._index.label, "state": self._index.state})
            where = SearchFilter(*(tuple(map(str, asked["where"][name])) for name in ("tenants", "collections", "documents")))
            vector = np.frombuffer(rest, np.float32)
            if not len(vector) or not np.isfinite(vector).all() or not 1 <= asked["limit"] <= 10_000:
                raise ValueError("a vector of finite numbers and a limit from 1 to 10000 are needed")
            hits = self._index.nearest(str(asked["embedder"]), str(asked["kind"]), where, vector, int(asked["limit"]))
            return _as_frame({"hits": [[hit.key, hit.score] for hit in hits]})
        except IndexUnavailable as problem:
            return _as_frame({"unavailable": str(problem)})
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            return _as_frame({"unavailable": f"The question to the index was malformed ({problem})."})
        except Exception:  # whatever the index raises, the caller is to hear of it
            log.exception("the index failed to answer")
            return _as_frame({"unavailable": "The vector index failed to answer."})


class WorkerIndex:
    """contracts.VectorIndex that asks the worker. For many threads; never takes longer than `wait_s`."""

    label = "Chroma"

    def __init__(self, settings: Settings, wait_s: float = WAIT_S):
        self._settings = settings
        self._path = str(address(settings))
        self._wait_s = wait_s
        self._idle: deque[socket.socket] = deque()

    def nearest(self, embedder: str, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> list[Hit]:
        asked = {"what": "nearest", "embedder": embedder, "kind": kind, "where": asdict(where), "limit": limit}
        answer = self._ask(_as_frame(asked, np.ascontiguousarray(vector, np.float32).tobytes()))
        return [Hit(key, score) for key, score in answer["hits"]]

    def health(self) -> dict[str, str]:
        """label, and state: empty when it answers, else why it does not. Raises IndexUnavailable without a worker."""
        return self._ask(_as_frame({"what": "health"}))

    def upsert(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> None:
        raise IndexUnavailable("Only the worker writes to the vector index.")

    def delete(self, tenant_id: str, embedder: str, kind: str, keys: Sequence[str]) -> None:
        raise IndexUnavailable("Only the worker writes to the vector index.")

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _ask(self, frame: bytes) -> dict[str, Any]:
        ends = time.monotonic() + self._wait_s
        try:
            answer = self._ask_kept(frame, ends) or self._ask_on(self._connect(ends), frame, ends)
        except TimeoutError as problem:
            raise IndexUnavailable(f"The vector index did not answer in {self._wait_s * 1000:.0f} ms.") from problem
        except (OSError, ValueError) as problem:
            raise IndexUnavailable(f"The worker, which has the vector index, cannot be reached ({problem}).") from problem
        if "unavailable" in answer:
            raise IndexUnavailable(answer["unavailable"])
        return answer

    def _ask_kept(self, frame: bytes, ends: float) -> dict[str, Any] | None:
        """The answer over a connection of before; None when there is none that still lives, as after a restart of the worker."""
        while True:
            try:
                kept = self._idle.pop()
            except IndexError:
                return None
            try:
                return self._ask_on(kept, frame, ends)
            except TimeoutError:
                raise
            except (OSError, ValueError):
                continue

    def _ask_on(self, connection: socket.socket, frame: bytes, ends: float) -> dict[str, Any]:
        """Keeps the connection when it answered. One that was too late is closed: its answer would be taken for the next one's."""
        try:
            _send(connection, frame, ends)
            answer = json.loads(_received(connection, ends))
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _connect(self, ends: float) -> socket.socket:
        key = _key_path(self._settings).read_bytes()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(ends))
            connection.connect(self._path)
            _prove_to_server(connection, key, ends)
        except BlockingIOError as problem:  # its queue of callers is full
            connection.close()
            raise TimeoutError("too many callers") from problem
        except BaseException:
            connection.close()
            raise
        return connection


# Both sides know the key: each answers the other's number with a hash that only the key makes.


def _proved_by_server(connection: socket.socket, key: bytes) -> bool:
    challenge = secrets.token_bytes(NONCE)
    _send(connection, challenge)
    answer = _received(connection)
    proof, theirs = answer[:NONCE], answer[NONCE:]
    if len(theirs) != NONCE or not hmac.compare_digest(proof, _proof(key, b"caller", challenge)):
        return False
    _send(connection, _proof(key, b"index", theirs))
    return True


def _prove_to_server(connection: socket.socket, key: bytes, ends: float) -> None:
    challenge = _received(connection, ends)
    mine = secrets.token_bytes(NONCE)
    _send(connection, _proof(key, b"caller", challenge) + mine, ends)
    if not hmac.compare_digest(_received(connection, ends), _proof(key, b"index", mine)):
        raise ValueError("what listens there does not know the key")


def _proof(key: bytes, side: bytes, number: bytes) -> bytes:
    return hmac.new(key, side + number, hashlib.sha256).digest()


def _new_key(path: Path) -> bytes:
    """A key for this life of the worker, in a file that only its user can read, replaced in one step."""
    key = secrets.token_bytes(NONCE)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
    fresh.replace(path)
    return key


# Frames


def _as_frame(head: dict[str, Any], rest: bytes = b"") -> bytes:
    return json.dumps(head).encode() + b"\n" + rest


def _send(connection: socket.socket, frame: bytes, ends: float | None = None) -> None:
    if ends is not None:
        connection.settimeout(_left(ends))
    connection.sendall(_LENGTH.pack(len(frame)) + frame)


def _received(connection: socket.socket, ends: float | None = None, patient: bool = False) -> bytes:
    """One frame; empty when a patient side's caller has hung up. Raises TimeoutError, OSError or ValueError."""
    if patient:
        connection.settimeout(None)
        first = connection.recv(_LENGTH.size)
        if not first:
            return b""
        connection.settimeout(SLOW_CALLER_S)
    else:
        first = b""
    (length,) = _LENGTH.unpack(first + _exactly(connection, _LENGTH.size - len(first), ends))
    if length > LONGEST_FRAME:
        raise ValueError(f"a frame of {length} bytes is too long")
    return _exactly(connection, length, ends)


def _exactly(connection: socket.socket, size: int, ends: float | None) -> bytes:
    parts: list[bytes] = []
    while size:
        if ends is not None:
            connection.settimeout(_left(ends))
        part = connection.recv(min(size, 1 << 16))
        if not part:
            raise ConnectionError("the other side hung up")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("out of time")
    return left
