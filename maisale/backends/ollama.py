"""The Ollama servers of the settings as one: chat and embedding models on those of them that have them, as long as they are there.

Each is watched by itself (ollama_server.py). Who gets which is settled by what they have: an answer goes to a server with the generation model,
vectors to one with the embedding model, best to one that has nothing else to do. What happens without a model is decided by who asks.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from maisale import certificates
from maisale.backends.ollama_chat import FIRST_TOKEN_S, IDLE_S, OllamaChat
from maisale.backends.ollama_embedding import QUERY_WAIT_S, READ_S, OllamaEmbedder, Seat
from maisale.backends.ollama_server import CHECK_EVERY_S, OllamaServer
from maisale.config import Settings
from maisale.records import ModelStatus


class OllamaServers:
    """`status` is kept in memory: reading it never waits. Raises Misconfigured for a certificate that cannot be used."""

    def __init__(self, settings: Settings, *, every_s: float = CHECK_EVERY_S, first_token_s: float = FIRST_TOKEN_S, idle_s: float = IDLE_S,
                 embed_read_s: float = READ_S, query_wait_s: float = QUERY_WAIT_S):  # fmt: skip
        self._settings = settings
        self._first_token_s, self._idle_s, self._query_wait_s = first_token_s, idle_s, query_wait_s
        self._lock = threading.Lock()
        tls = certificates.for_ollama(settings)  # one for all connections: reading the certificates takes 20 ms and more
        self._servers = [OllamaServer(url, settings, tls, self._changed, every_s) for url in settings.ollama_urls]
        self._seats = {one.url: Seat(one.url, tls, settings.embed_concurrency, one.noticed, embed_read_s) for one in self._servers}
        self._with_vectors: tuple[OllamaServer, ...] = ()  # those whose vectors can be compared with each other, in the order of the settings
        self._embedder: OllamaEmbedder | None = None
        self._status = _together([one.seen.status for one in self._servers], None)

    def start(self) -> None:
        """Begin to watch, the first look at once and in the background."""
        for one in self._servers:
            one.start()

    def close(self) -> None:
        for one in self._servers:
            one.close()
        for one in self._servers:
            one.wait_closed()
        for seat in self._seats.values():
            seat.close()

    @property
    def status(self) -> ModelStatus:
        return self._status

    def chat_models(self) -> list[OllamaChat]:
        """The generation model on each server where it can be used now, as objects for one answer each; where it would disturb least first."""
        seen = [(one, one.seen) for one in self._servers]
        writing = sorted((pair for pair in seen if pair[1].generation), key=lambda pair: pair[1].embedding is not None)
        return [self._chat(one, found.generation.name, found.generation.context_length) for one, found in writing]

    def embedder(self) -> OllamaEmbedder | None:
        """The embedding model while it can be used; the same object as long as the model is the same, whichever server has it."""
        with self._lock:
            return self._embedder if self._with_vectors else None

    def _chat(self, server: OllamaServer, name: str, trained: int | None) -> OllamaChat:
        context = min(self._settings.num_ctx, trained or self._settings.num_ctx)
        return OllamaChat(server.url, server.tls, name, context, on_problem=server.noticed, first_token_s=self._first_token_s, idle_s=self._idle_s)

    def _changed(self) -> None:
        with self._lock:
            seen = [(one, one.seen) for one in self._servers]
            model = next((found.embedding for _, found in seen if found.embedding), None)
            # The same model in another version makes vectors that compare with none of these.
            self._with_vectors = tuple(one for one, found in seen if model and found.embedding == model)
            now = self._embedder
            if model and (now is None or (now.name, now.dimensions) != (model.name, model.embedding_length)):
                seats = {"for_question": self._seats_for_question, "for_bulk": self._seats_for_bulk}
                self._embedder = OllamaEmbedder(model.name, model.embedding_length, **seats, query_wait_s=self._query_wait_s)
            states = [found.status if found.embedding in (None, model) else _apart(found.status) for _, found in seen]
            self._status = _together(states, self._status.well_since)

    def _seats_for_question(self) -> list[Seat]:
        """Where a question's vector is asked for, the first choice first: the same server always, which `_seats_for_bulk` spares."""
        idle, others = self._able()
        return idle + others

    def _seats_for_bulk(self) -> list[Seat]:
        """Where vectors of documents and messages are asked for, the first choice first: where the fewest are, so that no question waits behind them."""
        idle, others = self._able()
        return sorted(idle[1:], key=lambda seat: seat.taken) + idle[:1] + others

    def _able(self) -> tuple[list[Seat], list[Seat]]:
        """The servers for vectors; and those that are asked when all of these fail: where answers are written, either model may push the other out."""
        writing = {one.url for one in self._servers if one.seen.generation}
        able = [self._seats[one.url] for one in self._with_vectors]
        idle = [seat for seat in able if seat.url not in writing] or able
        return idle, [seat for seat in able if seat not in idle]


def _apart(status: ModelStatus) -> ModelStatus:
    cause = f"{status.embedding} at {status.url} is another version than that of the server before it, and makes no vectors. Run `ollama pull` on both."
    return replace(status, embedding=None, cause=cause)


def _together(states: list[ModelStatus], well_since: float | None) -> ModelStatus:
    """What all of them offer. checked_at is set once everything was found, or everybody asked. well_since: as it was before."""
    writing = next((one for one in states if one.generation), None)
    reading = next((one for one in states if one.embedding), None)
    answering = [one for one in states if one.reachable]
    shown = writing or (answering or states)[0]
    nowhere = [name for name in shown.missing if all(name in one.missing for one in answering)]
    asked = (writing and reading) or all(one.checked_at for one in states)
    now = time.time()
    since = min(well_since or now, now) if reading else None  # the clock may have been set back
    return ModelStatus(
        url=shown.url,
        reachable=bool(answering),
        generation=writing and writing.generation,
        embedding=reading and reading.embedding,
        missing=tuple(nowhere),
        cause=" ".join(one.cause for one in states if one.cause and (not one.missing or set(one.missing) & set(nowhere))),
        checked_at=max(one.checked_at for one in states) if asked else 0.0,
        well_since=since,
        servers=tuple(states),
    )
