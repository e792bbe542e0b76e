"""Connections to Ollama, and its failures in words: what chat and embeddings share.

Every failure of the `ollama` client becomes ModelUnavailable (passing) or ModelFailed. Its own text is repeated neither to people nor in the log,
for it may quote a document.
"""

from __future__ import annotations

import logging
import os
import ssl

import httpx

from maisale.backends import ollama_tls
from maisale.errors import MaiSaleError, ModelFailed, ModelUnavailable

# ollama 0.6.3 parses OLLAMA_HOST when it is imported and raises on what it cannot read. Settings has read it already, and takes several hosts.
_given = os.environ.pop("OLLAMA_HOST", None)
try:
    import ollama
finally:
    if _given is not None:
        os.environ["OLLAMA_HOST"] = _given

log = logging.getLogger(__name__)

CONNECT_S = 5.0
# What ollama 0.6.3 raises: its own error, a fixed ConnectionError, httpx's in streams, ValueError for bad JSON and shapes, AttributeError for odd error bodies.
CLIENT_ERRORS = (ollama.ResponseError, ConnectionError, httpx.HTTPError, ValueError, AttributeError)

_NOT_LOADED = ("timed out waiting for llama-server", "llama-server process has terminated", "more system memory", "failed to load", "unable to load")
_TOO_LONG = ("exceeds the available context", "longer than the context", "exceeds the context length")
_FAILURES = (
    (_TOO_LONG, "the text is longer than the model's context"),
    (("nan", "inf values"), "the model made no numbers of a text"),
    (("unexpectedly stopped", "an error was encountered while running"), "the model stopped running, perhaps for want of memory; Ollama's log says more"),
    (("parsing tool call",), "the model tried to call a tool instead of answering; asking again may help"),
    (("does not support",), "the model cannot do this; choose another one with GENERATION_MODEL or EMBEDDING_MODEL"),
)


def client(url: str, tls: ssl.SSLContext, read_s: float) -> ollama.Client:
    """A client for threads. read_s: for the whole silence of a cold load, a queue and the work."""
    return ollama.Client(host=url, event_hooks={"request": [_without_key]}, **_how(tls, read_s))


def async_client(url: str, tls: ssl.SSLContext, read_s: float) -> ollama.AsyncClient:
    async def without_key(request: httpx.Request) -> None:
        _without_key(request)

    return ollama.AsyncClient(host=url, event_hooks={"request": [without_key]}, transport=_WholeLines(tls), **_how(tls, read_s))


def _how(tls: ssl.SSLContext, read_s: float) -> dict:
    # No proxy from the environment for internal hosts; a redirect would turn POST into GET.
    return {"timeout": httpx.Timeout(read_s, connect=CONNECT_S, write=30, pool=CONNECT_S), "verify": tls, "trust_env": False, "follow_redirects": False}


def _without_key(request: httpx.Request) -> None:
    # ollama 0.6.3 sends OLLAMA_API_KEY to whatever host is configured.
    request.headers.pop("authorization", None)


def in_words(problem: Exception, url: str, model: str, *, begun: bool = False) -> MaiSaleError:
    """`problem`, one of CLIENT_ERRORS, as a person may read it. begun: a part of the answer had come."""
    log.warning("Ollama at %s, model %s: %s %s", url, model, type(problem).__name__, getattr(problem, "status_code", ""))
    if begun:
        return ModelFailed(f"The answer broke off: {_cause(problem)}. What came is kept; ask again for the rest.")
    if trouble := ollama_tls.trouble(problem):
        return ModelUnavailable(ollama_tls.sentence(trouble, url))
    if isinstance(problem, (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout)):
        return ModelUnavailable(f"Ollama at {url} cannot be reached. Is `ollama serve` running?")
    if isinstance(problem, httpx.TimeoutException):
        return ModelUnavailable(f"Ollama at {url} did not answer in time; it may be loading {model} or be busy.")
    if isinstance(problem, httpx.HTTPError):
        return ModelUnavailable(f"Ollama at {url} closed the connection before it answered.")
    if isinstance(problem, ollama.ResponseError) and (passing := _passing(problem, url, model)):
        return ModelUnavailable(passing)
    return ModelFailed(f"{model} on Ollama at {url} gave no usable answer: {_cause(problem)}.")


def missing(problem: Exception) -> bool:
    """Whether Ollama said that it does not have the model."""
    return isinstance(problem, ollama.ResponseError) and problem.status_code == 404 and "not found" in str(problem.error) and "model" in str(problem.error)


def _passing(problem: ollama.ResponseError, url: str, model: str) -> str:
    status, text = problem.status_code, str(problem.error).lower()
    if missing(problem):
        return f"Ollama at {url} does not have {model}. Run `ollama pull {model}`."
    if status == 503:
        return f"Ollama at {url} has too much to do. Try again in a moment."
    if status in (401, 403):
        return f"Ollama at {url} does not let us in (HTTP {status})."
    if 300 <= status < 400 or status in (404, 405, 502, 504):
        return f"What answers at {url} is not Ollama, or its proxy cannot reach it (HTTP {status}). Check OLLAMA_HOST."
    if any(sign in text for sign in _NOT_LOADED):
        return f"Ollama at {url} could not load {model}, perhaps for want of memory. Its log says more; a smaller model may help."
    return ""


def _cause(problem: Exception) -> str:
    if isinstance(problem, ollama.ResponseError):
        text = str(problem.error).lower()
        known = next((words for signs, words in _FAILURES if any(sign in text for sign in signs)), "")
        return known or (f"Ollama reported an error (HTTP {problem.status_code})" if problem.status_code > 0 else "Ollama reported an error")
    if isinstance(problem, (httpx.HTTPError, ConnectionError)):
        return "the connection to Ollama was lost"
    return "what came is not what Ollama sends; something between may have changed it"


class _WholeLines(httpx.AsyncBaseTransport):
    """Answers in which U+0085 is escaped: httpx 0.28 takes it for the end of a line, and Ollama sends it as it is."""

    def __init__(self, tls: ssl.SSLContext):
        self._inner = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        response.stream = _Escaped(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Escaped(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream):
        self._inner = inner

    async def __aiter__(self):
        held = b""  # the first byte of U+0085's two, when a chunk ends with it
        async for part in self._inner:
            part = held + part
            held = b"\xc2" if part.endswith(b"\xc2") else b""
            yield part[: len(part) - len(held)].replace(b"\xc2\x85", b"\\u0085")
        if held:
            yield held

    async def aclose(self) -> None:
        await self._inner.aclose()
