"""A model server that speaks as much of Ollama's protocol (0.33) as an instance needs, and misbehaves as it is told."""

from __future__ import annotations

import json
import math
import random
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSIONS = 1024
SLOW_S = 4.0
WELL, SLOW, ERROR, NAN, ZERO, WRONG = "well", "slow", "status 500", "NaN", "zero vectors", "wrong dimension"
NAN_TEXT = "failed to encode response: json: unsupported value: NaN"  # with status 500, up to Ollama 0.24
MODELS = {"gpt-oss": ("gptoss", 2880, ["completion", "tools", "thinking"]), "bge-m3": ("bert", DIMENSIONS, ["embedding"])}
ANSWER = ("The ", "passage ", "says ", "so ", "[1].")


class ModelServer:
    """Serves `url` until `close`. mode: of every embedding and chat from now on. `stop` and `start` make it go away and come back."""

    def __init__(self) -> None:
        self.mode = WELL
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        owner = self

        class Answers(_Answers):
            server_of = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Answers)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="drill-model", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    close = stop


class _Answers(BaseHTTPRequestHandler):
    """One connection an answer: a server that went away must not go on answering over an open one."""

    server_of: ModelServer

    def do_GET(self) -> None:
        listed = [{"name": f"{name}:latest", "model": f"{name}:latest", "digest": f"{zlib.crc32(name.encode()):08x}" * 8} for name in MODELS]
        self._json(200, {"models": listed} if self.path == "/api/tags" else {"version": "0.33.0"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/show":
            arch, length, can = MODELS[asked["model"].partition(":")[0]]
            about = {"general.architecture": arch, f"{arch}.context_length": 8192, f"{arch}.embedding_length": length}
            return self._json(200, {"model_info": about, "capabilities": can, "details": {}})
        mode = self.server_of.mode
        if mode == SLOW:
            time.sleep(SLOW_S)
        if mode == ERROR or (mode == NAN and self.path == "/api/embed"):
            return self._json(500, {"error": NAN_TEXT if mode == NAN else "an error was encountered while running the model"})
        if self.path == "/api/embed":
            texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
            return self._json(200, {"model": asked["model"], "embeddings": [_vector(text, mode) for text in texts]})
        self._lines(asked["model"])

    def _lines(self, model: str) -> None:
        self._head(200, "application/x-ndjson")
        for number, text in enumerate((*ANSWER, "")):
            done = number == len(ANSWER)
            line = {"model": model, "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": text}, "done": done}
            end = {"done_reason": "stop", "prompt_eval_count": 100, "eval_count": len(ANSWER)} if done else {}
            self.wfile.write(json.dumps(line | end).encode() + b"\n")

    def _json(self, status: int, value: Any) -> None:
        self._head(status, "application/json")
        self.wfile.write(json.dumps(value).encode())

    def _head(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def _vector(text: str, mode: str) -> list[float]:
    """The same for the same text, and of unit length when all is well."""
    size = DIMENSIONS // 2 if mode == WRONG else DIMENSIONS
    if mode == ZERO:
        return [0.0] * size
    drawn = random.Random(zlib.crc32(text.encode()))
    vector = [drawn.gauss(0, 1) for _ in range(size)]
    length = math.sqrt(sum(value * value for value in vector))
    return [round(value / length, 7) for value in vector]
