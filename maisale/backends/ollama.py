"""The Ollama servers of the settings: which one answers and what it has, watched in the background; chat and embedding models while they are there.

What each model does is in ollama_chat.py and ollama_embedding.py; what happens without a model is decided by who asks.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx

from maisale.backends import ollama_wire as wire
from maisale.backends.ollama_chat import FIRST_TOKEN_S, IDLE_S, OllamaChat
from maisale.backends.ollama_embedding import QUERY_WAIT_S, READ_S, OllamaEmbedder
from maisale.config import Settings
from maisale.records import ModelStatus

log = logging.getLogger(__name__)

CHECK_EVERY_S = 5.0  # from start to start: coming and going is noticed within 15 s, also when the server hangs
CHECK_TIMEOUT = httpx.Timeout(3.0, connect=2.0)


@dataclass(frozen=True)
class _Model:
    """A model as Ollama describes it."""

    name: str  # :latest left out
    digest: str
    context_length: int | None = None  # tokens it was trained with
    embedding_length: int | None = None


class OllamaServer:
    """The first of the settings' servers that answers. `status` is kept in memory: reading it never waits."""

    def __init__(self, settings: Settings, *, every_s: float = CHECK_EVERY_S, first_token_s: float = FIRST_TOKEN_S, idle_s: float = IDLE_S,
                 embed_read_s: float = READ_S, query_wait_s: float = QUERY_WAIT_S):  # fmt: skip
        self._settings, self._every_s = settings, every_s
        self._first_token_s, self._idle_s, self._embed_read_s, self._query_wait_s = first_token_s, idle_s, embed_read_s, query_wait_s
        self._lock = threading.Lock()
        self._status = ModelStatus(url=settings.ollama_urls[0], reachable=False, generation=None, embedding=None, cause="Ollama was not asked yet.")
        self._described: dict[tuple[str, str, str], _Model] = {}
        self._generation: _Model | None = None
        self._embedder: OllamaEmbedder | None = None
        self._turns = threading.Semaphore(settings.embed_concurrency)
        self._slow_checks = 0
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="ollama-watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch, the first look at once and in the background."""
        self._watcher.start()

    def close(self) -> None:
        self._closed.set()
        if self._watcher.is_alive():
            self._watcher.join(CHECK_TIMEOUT.read)
        if self._embedder:
            self._embedder.close()

    @property
    def status(self) -> ModelStatus:
        return self._status

    def chat_model(self) -> OllamaChat | None:
        """The generation model while it can be used, as an object for one answer."""
        with self._lock:
            status, model = self._status, self._generation
        if not status.generation or model is None:
            return None
        context = min(self._settings.num_ctx, model.context_length or self._settings.num_ctx)
        noticed = partial(self._noticed, status.url)
        return OllamaChat(status.url, model.name, context, on_problem=noticed, first_token_s=self._first_token_s, idle_s=self._idle_s)

    def embedder(self) -> OllamaEmbedder | None:
        """The embedding model while it can be used; the same object as long as server and model are the same."""
        with self._lock:
            return self._embedder if self._status.embedding else None

    # Watching

    def _watch(self) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._look()
            except Exception:  # a server that answers nonsense must not end the watch
                log.exception("The look at Ollama failed")
                self._away(self._settings.ollama_urls[0], "Ollama could not be asked; the log says more.")
            self._closed.wait(max(0.0, self._every_s - (time.monotonic() - began)))

    def _look(self) -> None:
        """Ask each server until one answers, and keep what it has."""
        problem: Exception | None = None
        for url in self._settings.ollama_urls:
            try:
                # GET /api/tags touches no model; /api/ps waits while one is loading (Ollama 0.33).
                with httpx.Client(base_url=url, timeout=CHECK_TIMEOUT, verify=wire.tls(), trust_env=False) as http:
                    self._found(http, url, _models(http))
                self._slow_checks = 0
                return
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failed:
                problem = problem or failed
        slow = isinstance(problem, httpx.ReadTimeout)
        self._slow_checks = self._slow_checks + 1 if slow else 0
        if slow and self._slow_checks < 2 and self._status.reachable:
            return  # a busy host may be late once
        self._away(self._settings.ollama_urls[0], _why(problem, self._settings.ollama_urls))

    def _found(self, http: httpx.Client, url: str, models: list[dict[str, Any]]) -> None:
        generation = self._describe(http, url, _choose(self._settings.generation_model, models))
        embedding = self._describe(http, url, _choose(self._settings.embedding_model, models))
        missing = [name for name, model in ((self._settings.generation_model, generation), (self._settings.embedding_model, embedding)) if model is None]
        cause = f"Ollama at {url} does not have {' and '.join(missing)}. Run `ollama pull`." if missing else ""
        if embedding and not embedding.embedding_length:
            cause = f"Ollama at {url} does not say how long the vectors of {embedding.name} are; choose another EMBEDDING_MODEL."
            embedding = None
        with self._lock:
            self._generation = generation
            self._use_embedder(url, embedding)
            now = time.time()
            well_since = min((self._status.well_since if self._status.url == url else None) or now, now)  # the clock may have been set back
            status = ModelStatus(url, True, generation and generation.name, embedding and embedding.name, tuple(missing), cause, now, embedding and well_since)
            self._keep(status)

    def _use_embedder(self, url: str, model: _Model | None) -> None:
        now = self._embedder
        if model is None or (now and (now.url, now.name, now.dimensions) == (url, model.name, model.embedding_length)):
            return  # kept while its model is away: a running call ends by itself
        self._embedder = OllamaEmbedder(url, model.name, model.embedding_length or 0, self._turns, on_problem=partial(self._noticed, url),
                                        read_s=self._embed_read_s, query_wait_s=self._query_wait_s)  # fmt: skip

    def _describe(self, http: httpx.Client, url: str, listed: dict[str, Any] | None) -> _Model | None:
        """The model with its lengths, asked once for each version of it."""
        if listed is None:
            return None
        key = (url, _name(listed), str(listed.get("digest")))
        model = self._described.get(key) or _described(http, key[1], key[2])
        if model.embedding_length:  # else asked again: it may have been too busy
            self._described[key] = model
        return model

    def _keep(self, status: ModelStatus) -> None:
        before = self._status
        if (before.reachable, before.generation, before.embedding) != (status.reachable, status.generation, status.embedding):
            log.info("Ollama at %s: reachable %s, generation %s, embedding %s", status.url, status.reachable, status.generation, status.embedding)
        self._status = status

    # What calls notice

    def _noticed(self, url: str, problem: Exception, model: str) -> None:
        """A real call to `url` failed: what it says about the server counts at once."""
        if url != self._status.url:
            return
        if isinstance(problem, (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout)):
            self._away(url, _why(problem, (url,)))
        elif wire.missing(problem):
            self._without(model)

    def _without(self, model: str) -> None:
        with self._lock:
            status = self._status
            if model == status.generation:
                status = replace(status, generation=None, missing=(*status.missing, self._settings.generation_model))
            if model == status.embedding:
                status = replace(status, embedding=None, well_since=None, missing=(*status.missing, self._settings.embedding_model))
            self._keep(status)

    def _away(self, url: str, cause: str) -> None:
        with self._lock:
            self._keep(ModelStatus(url, False, None, None, (), cause, time.time(), None))


def _models(http: httpx.Client) -> list[dict[str, Any]]:
    answer = http.get("/api/tags")
    answer.raise_for_status()
    models = answer.json().get("models") if isinstance(answer.json(), dict) else None
    if not isinstance(models, list):
        raise ValueError("no list of models")
    return [model for model in models if isinstance(model, dict)]


def _described(http: httpx.Client, name: str, digest: str) -> _Model:
    answer = http.post("/api/show", json={"model": name})
    if answer.status_code != 200:
        return _Model(_short(name), digest)
    info = answer.json().get("model_info") or {}
    kind = info.get("general.architecture", "")  # gpt-oss is "gptoss" or "gpt-oss", by version
    return _Model(_short(name), digest, info.get(f"{kind}.context_length"), info.get(f"{kind}.embedding_length"))


def _choose(wanted: str, models: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The listed model that `wanted` names. Without a tag any will do, :latest first: `ollama pull gpt-oss:20b` is enough for gpt-oss."""
    # Models with a remote host run on ollama.com: a team's documents would leave the house.
    local = {_name(model).lower(): model for model in models if not model.get("remote_host") and not _name(model).lower().endswith(("-cloud", ":cloud"))}
    name = wanted.lower()
    if ":" in name:
        return local.get(name)
    return local.get(f"{name}:latest") or next((model for listed, model in local.items() if listed.partition(":")[0] == name), None)


def _name(model: dict[str, Any]) -> str:
    return str(model.get("name") or model.get("model") or "")


def _short(name: str) -> str:
    return name.removesuffix(":latest")


def _why(problem: Exception | None, urls: tuple[str, ...]) -> str:
    where = " or ".join(urls)
    if isinstance(problem, (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout)):
        return f"Ollama at {where} cannot be reached. Is `ollama serve` running?"
    if isinstance(problem, httpx.TimeoutException):
        return f"Ollama at {where} does not answer in time."
    return f"What answers at {where} is not Ollama. Check OLLAMA_HOST and OLLAMA_PORT."
