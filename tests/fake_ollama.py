"""A real HTTP server that speaks Ollama's protocol (0.33), strictly, without a model.

`with FakeOllama() as ollama:` serves `ollama.url` until the block ends, and then fails the test when the product asked for something that Ollama
would take in silence to the product's harm (`violations`). Embeddings are hashed words, so retrieval through them makes sense; answers come from a
function of the messages. `python tests/fake_ollama.py --port 11434` serves it for trials by hand. Left out: /api/generate and /v1, which the
product never calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import threading
import time
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

NAN_500 = "failed to encode response: json: unsupported value: NaN"  # up to 0.24, status 500
NAN_400 = "embedding contains NaN or Inf values"  # from 0.14 on when the check is reached, status 400
BUSY = "server busy, please try again.  maximum pending requests exceeded"
RUNNER_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")
OPTION_TYPES = {
    "integer": [*RUNNER_OPTIONS[:4], *RUNNER_OPTIONS[5:], "num_keep", "seed", "num_predict", "top_k", "repeat_last_n"],
    "float32": ["temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"],
    "boolean": ["use_mmap"],
    "array": ["stop"],
}
CHAT_FIELDS = {"model", "messages", "tools", "think", "format", "stream", "options", "keep_alive", "truncate", "shift", "logprobs", "top_logprobs"}
EMBED_FIELDS = {"model", "input", "truncate", "dimensions", "options", "keep_alive"}
EMBED_BATCH = 2048  # tokens: Ollama 0.33 cuts a longer text without a word unless num_batch says otherwise
NUM_KEEP = 4
FIRST_PASSAGE = re.compile(r'<passage n="1"[^>]*>(.*?)</passage>|^\W{0,4}\[1\](.*?)(?=^\W{0,4}\[\d+\]|\Z)', re.MULTILINE | re.DOTALL)


@dataclass
class FakeModel:
    """A pulled model and, while `loaded`, its runner."""

    name: str
    architecture: str = "llama"
    context_length: int = 131072
    embedding_length: int = 3072
    capabilities: tuple[str, ...] = ("completion", "tools")
    loaded: dict[str, Any] | None = None  # the runner options it was loaded with
    expires_at: float = math.inf  # time.monotonic()
    keep_s: float = 300
    slot: asyncio.Lock = field(default_factory=asyncio.Lock)


LIBRARY = {
    "gpt-oss": FakeModel("gpt-oss", "gptoss", 131072, 2880, ("completion", "tools", "thinking")),
    "bge-m3": FakeModel("bge-m3", "bert", 8192, 1024, ("embedding",)),
    "all-minilm": FakeModel("all-minilm", "bert", 512, 384, ("embedding",)),
    "llama3.2": FakeModel("llama3.2"),
}


@dataclass
class Fault:
    """What goes wrong with one request. Everything but `vectors` may be used with chat; status and silence with every endpoint."""

    silence_s: float = 0  # before the first byte
    status: int = 0  # answered instead, with `error` as its text or, when it is bytes, as an HTML page
    error: str | bytes = ""
    token_delay_s: float | None = None
    chunks: list[dict[str, Any]] | None = None  # messages sent instead of the answer's
    after: int | None = None  # this many chunks were sent, `then` happens: cut, cut_line, end, error (a line with `error`) or stall
    then: str = "cut"
    final: dict[str, Any] = field(default_factory=dict)  # fields of the last line; None leaves one out
    vectors: Callable[[list], list] | None = None  # changes the embeddings of the answer


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any] = field(default_factory=dict)
    phase: str = "queue"  # queue, load, prompt or tokens
    sent: int = 0  # chunks


@dataclass(frozen=True)
class Cancel:
    """A request whose client closed the connection before the end."""

    path: str
    phase: str
    sent: int
    at: float  # time.monotonic() when its work had stopped


class Refused(Exception):
    def __init__(self, status: int, text: str | bytes):
        self.status, self.text = status, text


class FakeOllama:
    """The server. Lists and counters may be read, and models added or removed, at any time from the test."""

    def __init__(self, models=("gpt-oss", "bge-m3"), *, port=0, strict=True, version="0.33.0", answer=None, token_delay_s=0.0, load_s=0.0, embed_s=0.0,
                 max_queue=512, max_loaded=3, too_long="truncate", tls=None):  # fmt: skip
        self.models: dict[str, FakeModel] = {}
        self.port, self.strict, self.version = port, strict, version
        self.tls = tls  # an ssl.SSLContext: https, as a proxy in front of Ollama speaks it
        self.answer = answer or cite_the_first_passage
        self.token_delay_s, self.load_s, self.embed_s = token_delay_s, load_s, embed_s
        self.max_queue, self.max_loaded = max_queue, max_loaded
        self.too_long = too_long  # truncate (silently, 200) or refuse (400), as some 0.30 to 0.32 builds did
        self.requests: list[Request] = []
        self.open, self.most_open = Counter(), Counter()  # requests that are answered at once, by path: now, and at most
        self.prompts: list[str] = []  # as the model really saw them, after any cut
        self.violations: list[str] = []
        self.cancels: list[Cancel] = []
        self.loads = self.reloads = self.loading = 0
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._poison: dict[str, str] = {}
        for name in models:
            self.add(name)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def add(self, name: str) -> FakeModel:
        known = LIBRARY.get(name.partition(":")[0], FakeModel(name))
        model = replace(known, name=with_tag(name), slot=asyncio.Lock())
        self.models[model.name.lower()] = model
        return model

    def remove(self, name: str) -> None:
        del self.models[with_tag(name).lower()]

    def fail_next(self, endpoint: str, times: int = 1, **fault: Any) -> None:
        """The next `times` requests to /api/{endpoint} meet Fault(**fault)."""
        self._faults[endpoint.removeprefix("/api/")] += [Fault(**fault)] * times

    def poison(self, marker: str, how: str = "") -> None:
        """Texts that hold `marker` cannot be embedded: nan_500, nan_400, zero or null; by default as this version does it."""
        self._poison[marker] = how or ("zero" if int(self.version.split(".")[1]) >= 30 else "nan_500")

    def asked(self, endpoint: str) -> list[dict[str, Any]]:
        """The bodies of the requests to /api/{endpoint}, in order."""
        return [request.body for request in self.requests if request.path == f"/api/{endpoint}"]

    # Life cycle

    def __enter__(self) -> FakeOllama:
        self.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self.stop()
        if self.strict and kind is None and self.violations:
            raise AssertionError("Ollama was used against its rules:\n" + "\n".join(self.violations))

    def start(self) -> None:
        """Serve, on the same port as before a `stop`."""
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="fake-ollama", daemon=True)
        self._thread.start()
        if not ready.wait(10) or not self.port:
            raise OSError(f"the fake Ollama cannot serve on port {self.port}")

    def stop(self) -> None:
        """Cut every connection and refuse new ones; models are unloaded."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        for model in self.models.values():
            model.loaded, model.slot = None, asyncio.Lock()

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(ready))
        finally:
            ready.set()
            self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._stopping, self._load_lock = asyncio.Event(), asyncio.Lock()
        self._connections: set[asyncio.Task] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    # One connection

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        try:
            while (request := await read_request(reader, first)) is not None:
                self.requests.append(request)
                work = asyncio.ensure_future(self._answer(request, Exchange(request, writer)))
                hangup = asyncio.ensure_future(reader.read(1))
                try:
                    await asyncio.wait({work, hangup}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    # Written to before the end was read: the same hanging up.
                    closed_early = not work.done() or isinstance(work.exception(), (ConnectionResetError, BrokenPipeError))
                    work.cancel()
                    hangup.cancel()
                    done, heard = await asyncio.gather(work, hangup, return_exceptions=True)
                if closed_early:
                    self.cancels.append(Cancel(request.path, request.phase, request.sent, time.monotonic()))
                    break
                if isinstance(done, BaseException):
                    raise done
                first = heard if isinstance(heard, bytes) else b""
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, or a fault cut the line
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _answer(self, request: Request, to: Exchange) -> None:
        fault = self._next_fault(request.path)
        self.open[request.path] += 1
        self.most_open[request.path] = max(self.most_open[request.path], self.open[request.path])
        try:
            await asyncio.sleep(fault.silence_s)
            if fault.status:
                raise Refused(fault.status, fault.error)
            self._guard(request)
            await self._route(request, to, fault)
        except Refused as refused:
            await to.refuse(refused.status, refused.text)
        finally:
            self.open[request.path] -= 1

    def _next_fault(self, path: str) -> Fault:
        waiting = self._faults[path.removeprefix("/api/")]
        return waiting.pop(0) if waiting else Fault()

    def _guard(self, request: Request) -> None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
        if not re.match(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$", host) or (origin and "localhost" not in origin and "127.0.0.1" not in origin):
            raise Refused(403, b"")
        if "authorization" in request.headers:
            self._against("an Authorization header was sent to a local Ollama")

    async def _route(self, request: Request, to: Exchange, fault: Fault) -> None:
        simple = {"/": lambda: "Ollama is running", "/api/version": lambda: {"version": self.version}, "/api/tags": self._tags, "/api/ps": self._ps}
        posts = {"/api/show": self._show, "/api/embed": self._embed, "/api/embeddings": self._old_embed, "/api/chat": self._chat, "/api/pull": self._pull}
        if request.path in simple:
            if request.method not in (("GET",) if request.path == "/api/ps" else ("GET", "HEAD")):
                return await to.plain(405, "405 method not allowed")
            found = simple[request.path]()
            return await (to.plain(200, found) if isinstance(found, str) else to.json(200, found))
        if request.path not in posts:
            if request.path.startswith(("/v1/", "/api/generate")):
                self._against(f"{request.path} was called, which cannot set num_ctx or is not the product's way")
            return await to.plain(404, "404 page not found")
        if request.method != "POST":
            return await to.plain(405, "405 method not allowed")
        request.body = parse_body(request.raw)
        await posts[request.path](request, to, fault)

    def _against(self, what: str) -> None:
        self.violations.append(what)

    # What is there

    def _tags(self) -> dict[str, Any]:
        return {"models": [{**self._identity(model), "modified_at": now(), "capabilities": list(model.capabilities)} for model in self.models.values()]}

    def _identity(self, model: FakeModel) -> dict[str, Any]:
        details = {"parent_model": "", "format": "gguf", "family": model.architecture, "families": [model.architecture], "parameter_size": "1B"}
        digest = f"{zlib.crc32(model.name.encode()):08x}" * 8
        return {"name": model.name, "model": model.name, "size": 1_200_000_000, "digest": digest, "details": {**details, "quantization_level": "F16"}}

    def _ps(self) -> dict[str, Any]:
        self._expire()
        running = [model for model in self.models.values() if model.loaded is not None]
        return {"models": [{**self._identity(m), "expires_at": now(), "size_vram": 1_200_000_000, "context_length": self._num_ctx(m)} for m in running]}

    async def _show(self, request: Request, to: Exchange, fault: Fault) -> None:
        name = request.body.get("model") or request.body.get("name") or ""
        if not name:
            raise Refused(400, "model is required")
        model = self._find(name, f"model '{with_tag(name)}' not found")
        arch = model.architecture
        info = {"general.architecture": arch, f"{arch}.context_length": model.context_length, f"{arch}.embedding_length": model.embedding_length}
        texts = {"modelfile": f"FROM {model.name}", "parameters": 'stop "</s>"', "template": "{{ .Prompt }}", "modified_at": now()}
        info["tokenizer.ggml.tokens"] = []  # filled with verbose only
        await to.json(200, {**texts, "details": self._identity(model)["details"], "model_info": info, "capabilities": list(model.capabilities)})

    async def _pull(self, request: Request, to: Exchange, fault: Fault) -> None:
        name = request.body.get("model") or request.body.get("name") or ""
        check_name(name)
        lines = [{"status": "pulling manifest"}]
        if name.partition(":")[0] in LIBRARY:
            layer = {"status": "pulling 633fc5be925f", "digest": "sha256:" + "633fc5be925f" * 5 + "633f", "total": 2142590208}
            rest = ("verifying sha256 digest", "writing manifest", "success")
            lines += [layer, {**layer, "completed": 241970}, {**layer, "completed": 2142590208}, *({"status": status} for status in rest)]
            self.add(name)
        else:
            lines.append({"error": "pull model manifest: file does not exist"})
        if request.body.get("stream", True):
            return await to.stream(lines)
        await to.json(500 if "error" in lines[-1] else 200, lines[-1])

    def _find(self, name: str, missing: str) -> FakeModel:
        check_name(name)
        if name.lower().endswith((":cloud", "-cloud")):
            self._against(f"{name} would be run on ollama.com: documents would leave the host")
        if with_tag(name).lower() not in self.models:
            raise Refused(404, missing)
        return self.models[with_tag(name).lower()]

    # Running a model

    async def _load(self, model: FakeModel, request: Request) -> None:
        """The model loaded with this request's runner options; waits for the load as Ollama does."""
        self._expire()
        options = self._options(request.body.get("options"))
        wanted = {key: options[key] for key in RUNNER_OPTIONS if key in options} | ({"shift": False} if request.body.get("shift") is False else {})
        if model.loaded != wanted:
            if self.loading >= self.max_queue:
                raise Refused(503, BUSY)
            self.loading += 1
            try:
                async with self._load_lock:
                    await self._start_runner(model, wanted, request)
            finally:
                self.loading -= 1
        if (keep := request.body.get("keep_alive")) is not None:
            model.keep_s = seconds(keep)
        model.expires_at = time.monotonic() + model.keep_s

    async def _start_runner(self, model: FakeModel, wanted: dict[str, Any], request: Request) -> None:
        if model.loaded == wanted:
            return
        if model.loaded is not None:
            self.reloads += 1
            self._against(f"{model.name} is reloaded: its runner options changed from {model.loaded} to {wanted}")
        others = [other for other in self.models.values() if other.loaded is not None and other is not model]
        for evicted in others[: max(0, len(others) - self.max_loaded + 1)]:
            async with evicted.slot:  # it ends its running request first
                evicted.loaded = None
        request.phase = "load"
        await asyncio.sleep(self.load_s)  # cancelled with the request: then the load is aborted
        self.loads += 1
        model.loaded = wanted

    def _expire(self) -> None:
        for model in self.models.values():
            if model.loaded is not None and time.monotonic() >= model.expires_at:
                model.loaded = None

    def _options(self, options: Any) -> dict[str, Any]:
        for key, value in (options or {}).items():
            kind = next((kind for kind, names in OPTION_TYPES.items() if key in names), None)
            if kind is None:
                self._against(f"option {key!r} is unknown to Ollama and would be ignored")
            elif not isinstance(value, {"integer": (int, float), "float32": (int, float), "boolean": bool, "array": list}[kind]):
                raise Refused(500, f'option "{key}" must be of type {kind}')
        return dict(options or {})

    def _num_ctx(self, model: FakeModel) -> int:
        return min((model.loaded or {}).get("num_ctx", 4096), model.context_length)

    # Embeddings

    async def _embed(self, request: Request, to: Exchange, fault: Fault) -> None:
        began, body = time.monotonic_ns(), request.body
        texts = body.get("input")
        texts = [] if not texts else [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Refused(400, "invalid input type")
        name = typed(body, "EmbedRequest", "model")
        model = self._find(name, f'model "{name}" not found, try pulling it first') if name else refuse(404, "model '' not found")
        for what in set(body) - EMBED_FIELDS:
            self._against(f"embed has no field {what!r}")
        if "" in texts:
            self._against("an empty text was sent to embed")
        await self._load(model, request)
        request.phase = "tokens"
        vectors, counts = await self._vectors(model, texts, body)
        answer = {"model": name, "embeddings": fault.vectors(vectors) if fault.vectors else vectors}
        await to.json(200, answer | nonzero({"total_duration": time.monotonic_ns() - began, "load_duration": 1_000_000, "prompt_eval_count": counts}))

    async def _vectors(self, model: FakeModel, texts: list[str], body: dict[str, Any]) -> tuple[list[list[float | None]], int]:
        vectors, count, error = [], 0, None
        limit = (model.loaded or {}).get("num_batch", EMBED_BATCH)
        for text in texts:
            async with model.slot:  # text by text through the one slot
                await asyncio.sleep(self.embed_s)
            if tokens(text) > limit:
                self._against(f"a text of {tokens(text)} tokens was sent to embed, which cuts it at {limit} in silence")
                if body.get("truncate") is False:
                    raise Refused(400, "the input length exceeds the context length")
            count += min(tokens(text), limit)
            how = next((how for marker, how in self._poison.items() if marker in text), "")
            error = error or {"nan_500": Refused(500, NAN_500), "nan_400": Refused(400, NAN_400)}.get(how)
            size = model.embedding_length
            vectors.append({"zero": [0.0] * size, "null": [None] * size}.get(how) or hashed_words(text, size))
        if error:  # one bad text fails the batch, after all were computed, and is not named
            raise error
        return vectors, count

    async def _old_embed(self, request: Request, to: Exchange, fault: Fault) -> None:
        self._against("/api/embeddings is deprecated and not normalised")
        name = request.body.get("model") or refuse(400, "model is required")
        model = self._find(name, f'model "{name}" not found, try pulling it first')
        await to.json(200, {"embedding": [7 * value for value in hashed_words(request.body.get("prompt", ""), model.embedding_length)]})

    # Chat

    async def _chat(self, request: Request, to: Exchange, fault: Fault) -> None:
        body, began = request.body, time.monotonic_ns()
        model = self._chat_model(body)
        messages = typed(body, "ChatRequest", "messages", list, [])
        self._check_chat(model, body, messages)
        await self._load(model, request)
        load_ns = time.monotonic_ns() - began
        if not messages:
            reason = "unload" if body.get("keep_alive") == 0 else "load"
            model.loaded = None if reason == "unload" else model.loaded
            return await to.json(200, chat_line(body["model"], {"role": "assistant", "content": ""}, done_reason=reason, done=True))
        async with model.slot:
            request.phase = "prompt"
            prompt, seen = self._prompt(model, body, messages)
            self.prompts.append(prompt)
            chunks = self._chunks(model, messages) if fault.chunks is None else fault.chunks
            counts = {"total_duration": time.monotonic_ns() - began + 1, "load_duration": load_ns, "prompt_eval_count": seen}
            counts |= {"prompt_eval_duration": 1_000_000, "eval_count": len(chunks), "eval_duration": 1_000_000 * len(chunks)}
            final = {"done_reason": "stop", "done": True, **nonzero(counts), **fault.final}
            final = {key: value for key, value in final.items() if value is not None}
            request.phase = "tokens"
            if not body.get("stream", True):
                whole = {key: "".join(chunk.get(key, "") for chunk in chunks) for key in ("content", "thinking")}
                message = {"role": "assistant", "content": whole["content"]} | nonzero({"thinking": whole["thinking"]})
                return await to.json(200, chat_line(body["model"], message, **final))
            await self._write(request, to, fault, chunks, final)
        if model.keep_s == 0:
            model.loaded = None

    async def _write(self, request: Request, to: Exchange, fault: Fault, chunks: list[dict[str, Any]], final: dict[str, Any]) -> None:
        delay_s = self.token_delay_s if fault.token_delay_s is None else fault.token_delay_s
        for number, chunk in enumerate([*chunks, None]):
            if fault.after == number:
                if fault.then == "stall":
                    await asyncio.sleep(3600)
                if fault.then == "error":
                    await to.line({"error": fault.error})
                if fault.then == "cut_line":
                    await to.bytes(b'{"model":"gpt-oss","mess')
                if fault.then in ("cut", "cut_line"):
                    raise ConnectionAbortedError
                return await to.end()
            if chunk is not None:
                await asyncio.sleep(delay_s)
                await to.line(chat_line(request.body["model"], {"role": "assistant", "content": "", **chunk}, done=False))
                request.sent += 1
        await to.line(chat_line(request.body["model"], {"role": "assistant", "content": ""}, **final))
        await to.end()

    def _chat_model(self, body: dict[str, Any]) -> FakeModel:
        name = typed(body, "ChatRequest", "model") or refuse(400, "model is required")
        model = self._find(name, f"model '{name}' not found")
        think = body.get("think")
        if isinstance(think, str) and think not in ("high", "medium", "low", "max"):
            raise Refused(400, f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
        if "completion" not in model.capabilities:
            raise Refused(400, f'"{name}" does not support chat')
        if think and "thinking" not in model.capabilities:
            raise Refused(400, f'"{name}" does not support thinking')
        if body.get("tools") and "tools" not in model.capabilities:
            raise Refused(400, f"registry.ollama.ai/library/{model.name} does not support tools")
        form = body.get("format")
        if form and form != "json" and not isinstance(form, dict):
            raise Refused(500, f'invalid format: {json.dumps(json.dumps(form))}; expected "json" or a valid JSON Schema object')
        return model

    def _check_chat(self, model: FakeModel, body: dict[str, Any], messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if not isinstance(message.get("content", ""), str):
                raise Refused(400, f"json: cannot unmarshal {go_type(message['content'])} into Go struct field ChatRequest.messages.content of type string")
            if message.get("role") not in ("system", "user", "assistant", "tool"):
                self._against(f"role {message.get('role')!r} is dropped by the template in silence")
        rules = {
            "chat without messages loads the model and says nothing": not messages,
            "chat without num_ctx: the window depends on the host's memory": "num_ctx" not in (body.get("options") or {}),
            "think:false does not stop gpt-oss from thinking": model.architecture == "gptoss" and body.get("think") is False,
        }
        rules |= {f"chat has no field {what!r}": True for what in set(body) - CHAT_FIELDS}
        self.violations += [rule for rule, broken in rules.items() if broken]

    def _prompt(self, model: FakeModel, body: dict[str, Any], messages: list[dict[str, Any]]) -> tuple[str, int]:
        """What the model sees of the messages, and its tokens: oldest messages go first, then the middle of what is left."""
        num_ctx, left = self._num_ctx(model), list(messages)
        total = tokens(render(left))
        if total > num_ctx:
            self._against(f"the prompt has {total} tokens and num_ctx is {num_ctx}: Ollama cuts it in silence")
            if self.too_long == "refuse" or body.get("truncate") is False:
                inner = {"code": 400, "message": f"request ({total} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"}
                inner |= {"type": "exceed_context_size_error", "n_prompt_tokens": total, "n_ctx": num_ctx}
                raise Refused(400, json.dumps({"error": inner}, separators=(",", ":")))
        while tokens(render(left)) > num_ctx and (oldest := next((m for m in left[:-1] if m["role"] != "system"), None)):
            left.remove(oldest)
        text = render(left)
        if tokens(text) > num_ctx - 1:
            keep = num_ctx - (num_ctx - NUM_KEEP) // 2
            text = text[: 4 * NUM_KEEP] + text[-4 * (keep - NUM_KEEP) :]
        return text, tokens(text)

    def _chunks(self, model: FakeModel, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        thinking = [{"thinking": "The passages "}, {"thinking": "say it."}] if "thinking" in model.capabilities else []
        return thinking + [{"content": piece} for piece in re.findall(r"\s*\S+\s*$|\s*\S+", self.answer(messages))]


class Exchange:
    """Writes one answer. No header leaves before the first chunk, as with Ollama."""

    def __init__(self, request: Request, writer: asyncio.StreamWriter):
        self.request, self.writer, self.begun = request, writer, False

    async def plain(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        body = text.encode()
        self._head(status, kind, f"Content-Length: {len(body)}")
        self.writer.write(b"" if self.request.method == "HEAD" else body)
        await self.writer.drain()

    async def json(self, status: int, value: Any) -> None:
        await self.plain(status, go_json(value), "application/json; charset=utf-8")

    async def refuse(self, status: int, text: str | bytes) -> None:
        await (self.plain(status, text.decode(), "text/html") if isinstance(text, bytes) else self.json(status, {"error": text}))

    async def stream(self, lines: list[Any]) -> None:
        for line in lines:
            await self.line(line)
        await self.end()

    async def line(self, value: Any) -> None:
        await self.bytes(go_json(value).encode() + b"\n")

    async def bytes(self, data: bytes) -> None:
        if not self.begun:
            self.begun = True
            self._head(200, "application/x-ndjson", "Transfer-Encoding: chunked")
        # Two chunks with a border anywhere, even inside a character: clients must not take chunks for lines.
        for part in filter(None, (data[: len(data) // 2], data[len(data) // 2 :])):
            self.writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await self.writer.drain()
            await asyncio.sleep(0)

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def _head(self, status: int, kind: str, length: str) -> None:
        self.writer.write(f"HTTP/1.1 {status} Answer\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode())


async def read_request(reader: asyncio.StreamReader, first: bytes) -> Request | None:
    head = first + await reader.readuntil(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = start.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Request(method, target.partition("?")[0], headers, await reader.readexactly(int(headers.get("content-length", 0))))


def parse_body(raw: bytes) -> dict[str, Any]:
    if not raw:
        raise Refused(400, "missing request body")
    try:
        body = json.loads(raw)
    except ValueError as problem:
        at = getattr(problem, "pos", 0)
        rest = raw.decode("utf-8", "replace")[at:]
        raise Refused(400, f"invalid character '{rest[0]}' looking for beginning of value" if rest else "unexpected EOF") from problem
    return {key.lower(): value for key, value in body.items()}


def typed(body: dict[str, Any], struct: str, name: str, kind: type = str, default: Any = "") -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        wanted = {str: "string", list: "[]api.Message"}[kind]
        raise Refused(400, f"json: cannot unmarshal {go_type(value)} into Go struct field {struct}.{name} of type {wanted}")
    return default if value is None else value


def go_type(value: Any) -> str:
    return {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}[type(value)]


def go_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def refuse(status: int, text: str) -> Any:
    raise Refused(status, text)


def check_name(name: str) -> None:
    if not re.fullmatch(r"[\w][\w.-]*(/[\w][\w.-]*){0,2}(:[\w][\w.-]*)?", name):
        raise Refused(400, "invalid model name")


def with_tag(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def seconds(keep_alive: Any) -> float:
    """keep_alive as Go reads it; negative is for ever."""
    if isinstance(keep_alive, bool):
        raise Refused(400, "Unsupported type: 'bool'")
    if isinstance(keep_alive, str) and keep_alive != "0":
        found = re.fullmatch(r"(-?[\d.]+)(ms|s|m|h)", keep_alive)
        if not found:
            raise Refused(400, f'time: missing unit in duration "{keep_alive}"')
        keep_alive = float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[found[2]]
    return math.inf if float(keep_alive) < 0 else float(keep_alive)


def now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def nonzero(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


def chat_line(model: str, message: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"model": model, "created_at": now(), "message": message, **rest}


def render(messages: list[dict[str, Any]]) -> str:
    return "\n\n".join(f"{message['role']}: {message.get('content', '')}" for message in messages)


def tokens(text: str) -> int:
    return -(-len(text) // 4)  # about right for English


def hashed_words(text: str, size: int) -> list[float]:
    """A unit vector in which texts that share words, with or without diacritics, are near each other."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower().replace("đ", "d")) if not unicodedata.combining(c))
    vector = [0.0] * size
    for word in re.findall(r"\w+", plain) or [text]:
        code = zlib.crc32(word.encode())
        vector[code % size] += 1.0 if code >> 31 else -1.0
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else [1.0] + [0.0] * (size - 1)


def cite_the_first_passage(messages: list[dict[str, Any]]) -> str:
    """One sentence of passage [1] of the latest message that has one, citing it."""
    for message in reversed(messages):
        if passage := FIRST_PASSAGE.search(message.get("content", "")):
            sentences = re.split(r"(?<=[.!?])\s+|\n+", (passage[1] or passage[2]).strip())
            best = next((one for one in sentences if len(one.split()) >= 5), sentences[0])
            return f"{best.strip().rstrip('.!?')[:300]} [1]."
    return "None of the passages says it."


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve Ollama's protocol without a model.")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--token-delay", type=float, default=0.0, help="seconds between tokens")
    parser.add_argument("--load", type=float, default=0.0, help="seconds to load a model")
    parser.add_argument("--model", action="append", help="a model that is there; may be repeated (default: gpt-oss and bge-m3)")
    given = parser.parse_args()
    ollama = FakeOllama(given.model or ("gpt-oss", "bge-m3"), port=given.port, token_delay_s=given.token_delay, load_s=given.load, strict=False)
    ollama.start()
    print(f"{ollama.url} with {', '.join(ollama.models)}; Ctrl+C stops it", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        ollama.stop()
        print("\n".join(["requests: " + str(len(ollama.requests)), *ollama.violations]))


if __name__ == "__main__":
    main()
