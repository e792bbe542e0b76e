"""One Ollama server: whether it answers and what it has, watched in the background.

Which server is asked for what is decided in ollama.py; what each model does is in ollama_chat.py and ollama_embedding.py.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx

from maisale.backends import ollama_tls
from maisale.backends import ollama_wire as wire
from maisale.config import Settings
from maisale.records import ModelStatus

log = logging.getLogger(__name__)

CHECK_EVERY_S = 5.0  # from start to start: coming and going is noticed within 15 s, also when the server hangs
CHECK_TIMEOUT = httpx.Timeout(3.0, connect=2.0)


@dataclass(frozen=True)
class Model:
    """A model as Ollama describes it."""

    name: str  # :latest left out
    digest: str
    context_length: int | None = None  # tokens it was trained with
    embedding_length: int | None = None


@dataclass(frozen=True)
class Seen:
    """A server as it was when it was looked at last. A model that cannot be used is None."""

    status: ModelStatus
    generation: Model | None = None
    embedding: Model | None = None


class OllamaServer:
    """`seen` is kept in memory: reading it never waits. changed: told after every look, and when a call has shown more; by several threads."""

    def __init__(self, url: str, settings: Settings, tls: ssl.SSLContext, changed: Callable[[], None], every_s: float = CHECK_EVERY_S):
        self.url, self.tls = url, tls
        self._settings, self._changed, self._every_s = settings, changed, every_s
        self._lock = threading.Lock()
        self._seen = Seen(ModelStatus(url, reachable=False, generation=None, embedding=None, cause="Ollama was not asked yet."))
        self._described: dict[tuple[str, str], Model] = {}
        self._slow_checks = 0
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"ollama-watcher {url}", daemon=True)

    def start(self) -> None:
        """Begin to watch, the first look at once and in the background."""
        self._watcher.start()

    def close(self) -> None:
        self._closed.set()

    def wait_closed(self) -> None:
        if self._watcher.is_alive():
            self._watcher.join(CHECK_TIMEOUT.read)

    @property
    def seen(self) -> Seen:
        return self._seen

    # Watching

    def _watch(self) -> None:
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._look()
            except Exception:  # a server that answers nonsense must not end the watch
                log.exception("The look at Ollama failed")
                self._away("away", f"Ollama at {self.url} could not be asked. The log says more.")
            self._closed.wait(max(0.0, self._every_s - (time.monotonic() - began)))

    def _look(self) -> None:
        """Ask the server, and keep what it has."""
        try:
            # GET /api/tags touches no model; /api/ps waits while one is loading (Ollama 0.33).
            with httpx.Client(base_url=self.url, timeout=CHECK_TIMEOUT, verify=self.tls, trust_env=False) as http:
                self._found(http, _models(http))
            self._slow_checks = 0
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as problem:
            slow = isinstance(problem, httpx.ReadTimeout)
            self._slow_checks = self._slow_checks + 1 if slow else 0
            if slow and self._slow_checks < 2 and self._seen.status.reachable:
                return  # a busy host may be late once
            self._away(*_why(problem, self.url))

    def _found(self, http: httpx.Client, models: list[dict[str, Any]]) -> None:
        generation = self._describe(http, _choose(self._settings.generation_model, models))
        embedding = self._describe(http, _choose(self._settings.embedding_model, models))
        missing = [name for name, model in ((self._settings.generation_model, generation), (self._settings.embedding_model, embedding)) if model is None]
        cause = f"Ollama at {self.url} does not have {' and '.join(missing)}. Run `ollama pull`." if missing else ""
        if embedding and not embedding.embedding_length:
            cause = f"Ollama at {self.url} does not say how long the vectors of {embedding.name} are; choose another EMBEDDING_MODEL."
            embedding = None
        status = ModelStatus(self.url, True, generation and generation.name, embedding and embedding.name, tuple(missing), cause, time.time())
        self._keep(Seen(status, generation, embedding))

    def _describe(self, http: httpx.Client, listed: dict[str, Any] | None) -> Model | None:
        """The model with its lengths, asked once for each version of it."""
        if listed is None:
            return None
        key = (_name(listed), str(listed.get("digest")))
        model = self._described.get(key) or _described(http, *key)
        if model.embedding_length:  # else asked again: it may have been too busy
            self._described[key] = model
        return model

    def _keep(self, seen: Seen) -> None:
        with self._lock:
            before, status = self._seen.status, seen.status
            if (before.reachable, before.generation, before.embedding) != (status.reachable, status.generation, status.embedding):
                log.info("Ollama at %s: reachable %s, generation %s, embedding %s", status.url, status.reachable, status.generation, status.embedding)
            self._seen = seen
        self._changed()

    # What calls notice

    def noticed(self, problem: Exception, model: str) -> None:
        """A real call failed: what it says about the server counts at once."""
        if ollama_tls.trouble(problem) or isinstance(problem, (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout)):
            self._away(*_why(problem, self.url))
        elif wire.missing(problem):
            self._without(model)

    def _without(self, model: str) -> None:
        seen, status = self._seen, self._seen.status
        if model == status.generation:
            status = replace(status, generation=None, missing=(*status.missing, self._settings.generation_model))
            seen = replace(seen, status=status, generation=None)
        if model == status.embedding:
            status = replace(status, embedding=None, missing=(*status.missing, self._settings.embedding_model))
            seen = replace(seen, status=status, embedding=None)
        self._keep(seen)

    def _away(self, trouble: str, cause: str) -> None:
        self._keep(Seen(ModelStatus(self.url, False, None, None, (), cause, time.time(), trouble=trouble)))


def _models(http: httpx.Client) -> list[dict[str, Any]]:
    answer = http.get("/api/tags")
    answer.raise_for_status()
    models = answer.json().get("models") if isinstance(answer.json(), dict) else None
    if not isinstance(models, list):
        raise ValueError("no list of models")
    return [model for model in models if isinstance(model, dict)]


def _described(http: httpx.Client, name: str, digest: str) -> Model:
    answer = http.post("/api/show", json={"model": name})
    if answer.status_code != 200:
        return Model(_short(name), digest)
    info = answer.json().get("model_info") or {}
    kind = info.get("general.architecture", "")  # gpt-oss is "gptoss" or "gpt-oss", by version
    return Model(_short(name), digest, info.get(f"{kind}.context_length"), info.get(f"{kind}.embedding_length"))


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


def _why(problem: Exception, url: str) -> tuple[str, str]:
    """ModelStatus.trouble and .cause."""
    if trouble := ollama_tls.trouble(problem):
        return trouble, ollama_tls.sentence(trouble, url)
    if isinstance(problem, (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout)):
        return "away", f"Ollama at {url} cannot be reached. Is `ollama serve` running?"
    if isinstance(problem, httpx.TimeoutException):
        return "late", f"Ollama at {url} does not answer in time. Is the machine busy, or something else listening there?"
    return "other", f"What answers at {url} is not Ollama. Check OLLAMA_HOST and OLLAMA_PORT."
