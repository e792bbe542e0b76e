"""Vectors by the embedder whose index is searched now."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from fastapi import APIRouter

from maisale.api.openai import models, shapes
from maisale.api.v1.shapes import Reader
from maisale.chat.replies import Replies
from maisale.contracts import Embedder
from maisale.errors import BadInput, ModelUnavailable, Overloaded
from maisale.flow import personal
from maisale.text import estimate_tokens

AGAIN_S = 30.0
AT_ONCE = 2  # requests; threads of their own, for a model may take minutes, and the app's are for people who wait
WAITING = 8  # requests beside those


def router(running: Callable[[], Replies]) -> APIRouter:
    routes = APIRouter()
    threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="embed")
    places = asyncio.Semaphore(AT_ONCE + WAITING)

    @routes.post("/embeddings")
    async def embed(asked: shapes.Embed, caller: Reader) -> shapes.Embeddings:
        """Turn texts into vectors of unit length. `model` of the answer names who made them: vectors of two embedders cannot be compared."""
        embedder = running().services.embedder
        if embedder is None:
            refused = ModelUnavailable("The embedding model whose vectors are searched is away. Try again later, or tell your admin to start Ollama.")
            refused.retry_after_s = AGAIN_S
            raise refused
        embedded = personal.as_embedded(running().services.db, caller.scope.tenant_id)
        texts = [embedded(text) for text in _checked(asked, embedder)]
        if places.locked():
            raise Overloaded("Too many texts wait for their vectors right now; these were not taken. Try again a little later.")
        async with places:
            return await asyncio.get_running_loop().run_in_executor(threads, _embedded, embedder, texts, asked.encoding_format)

    return routes


def _embedded(embedder: Embedder, texts: list[str], encoding: str | None) -> shapes.Embeddings:
    write = _in_base64 if encoding == "base64" else _in_numbers
    made = [shapes.Embedding(index=index, embedding=write(vector)) for index, vector in enumerate(embedder.vectors(texts))]
    tokens = sum(map(estimate_tokens, texts))
    return shapes.Embeddings(model=embedder.name, data=made, usage=shapes.EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens))


def _checked(asked: shapes.Embed, embedder: Embedder) -> list[str]:
    if asked.model not in (models.NAME, embedder.name):
        raise models.UnknownModel(f"There is no embedder {asked.model[:100]!r} here; the current one is {embedder.name!r}.")
    if asked.dimensions not in (None, embedder.dimensions):
        raise BadInput(f"dimensions: the vectors of {embedder.name} have {embedder.dimensions} numbers, and cannot have {asked.dimensions}. Leave it out.")
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    for position, text in enumerate(texts):
        if not text.strip():
            raise BadInput(f"input: text {position + 1} of {len(texts)} is empty, and an empty text has no vector.")
    return texts


def _in_numbers(vector: np.ndarray) -> list[float]:
    return vector.tolist()


def _in_base64(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
