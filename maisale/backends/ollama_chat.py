"""Answers by a model on Ollama, streamed. What to ask, and whether the model is there, is decided elsewhere."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import anyio
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from maisale.backends import ollama_wire as wire
from maisale.backends.ollama_harmony import Harmony, harmless
from maisale.contracts import Delta
from maisale.errors import ModelFailed, ModelUnavailable
from maisale.text import estimate_tokens

log = logging.getLogger(__name__)

FIRST_TOKEN_S = 300.0  # a cold load of 13 GB from a slow disk, the queue before us, and reading the prompt: nothing is sent before the first token
IDLE_S = 60.0  # between two tokens
ANSWER_SHARE = 4  # a quarter of the context is for thinking and answer
NUM_KEEP = 4  # tokens that Ollama 0.33 keeps at the front when it cuts the middle out of a prompt


class OllamaChat:
    """One model, for one answer: after `stream` its marks say what happened to the prompt."""

    def __init__(self, url: str, tls: ssl.SSLContext, name: str, context_tokens: int, *, on_problem: Callable[[Exception, str], None],
                 first_token_s: float = FIRST_TOKEN_S, idle_s: float = IDLE_S):  # fmt: skip
        self.url, self.name, self.context_tokens = url, name, context_tokens
        self.answer_tokens = context_tokens // ANSWER_SHARE  # leave them free: the prompt may take the rest
        self.prompt_tokens: int | None = None  # as Ollama counted them
        self.prompt_was_cut = False  # Ollama dropped a part of the prompt without saying so: the rules and sources may be gone
        self.answer_was_cut = False  # it reached answer_tokens
        self._tls, self._on_problem, self._first_token_s, self._idle_s = tls, on_problem, first_token_s, idle_s

    async def stream(self, messages: Sequence[BaseMessage]) -> AsyncIterator[Delta]:
        """The answer as it is written. Closing the iterator closes the upstream request.

        Raises ModelUnavailable before anything was said when Ollama is away or silent, ModelFailed when it breaks off or says nothing.
        """
        harmony, said, finished = Harmony(), False, False
        asked = [{"role": _role(message), "content": harmless(str(message.text))} for message in messages]
        async with aclosing(self._parts(asked)) as parts:
            async for part in parts:
                delta = harmony.read(part.message.content or "")
                if part.done:
                    finished = True
                    rest = harmony.end()
                    delta = Delta(delta.text + rest.text, delta.thinking + rest.thinking)
                    self._look_back(part, asked)
                delta = Delta(delta.text, (part.message.thinking or "") + delta.thinking)
                said = said or bool(delta.text.strip())
                if delta.text or delta.thinking:
                    yield delta
        if not finished:
            if (rest := harmony.end()).text:
                yield rest
            raise ModelFailed(f"{self.name} broke off in the middle of the answer. What came is kept; ask again for the rest.")
        if not said:
            why = "it used up its room thinking; ask something shorter or raise NUM_CTX" if self.answer_was_cut else "asking again may help"
            raise ModelFailed(f"{self.name} said nothing: {why}.")

    async def _parts(self, asked: list[dict[str, str]]) -> AsyncIterator[Any]:
        """Ollama's own chunks, each within its deadline; failures in words."""
        begun = False
        try:
            # A client of its own: closing it closes the connection, and it belongs to this event loop.
            async with wire.async_client(self.url, self._tls, read_s=self._first_token_s + self._idle_s) as client:
                answer = await client.chat(model=self.name, messages=asked, stream=True, think=self._think(), options=self._options())
                async with aclosing(answer) as chunks:
                    while (chunk := await self._next(chunks, begun)) is not None:
                        begun = True
                        yield chunk
        except wire.CLIENT_ERRORS as problem:
            self._on_problem(problem, self.name)
            raise wire.in_words(problem, self.url, self.name, begun=begun) from problem

    async def _next(self, chunks: AsyncIterator[Any], begun: bool) -> Any | None:
        wait_s = self._idle_s if begun else self._first_token_s
        try:
            # asyncio.wait_for before Python 3.12 loses a cancel that comes together with the chunk, and the answer would run on.
            with anyio.fail_after(wait_s):
                return await _one_more(chunks)
        except TimeoutError as problem:
            if begun:
                raise ModelFailed(f"{self.name} stopped in the middle of the answer: nothing came for {wait_s:g} s. What came is kept.") from problem
            raise ModelUnavailable(f"{self.name} on Ollama at {self.url} said nothing for {wait_s:g} s. It may be loading, or the host be busy.") from problem

    def _options(self) -> dict[str, Any]:
        """The same for every call: a changed num_ctx makes Ollama load the model again."""
        # gpt-oss's makers recommend plain sampling; other models keep closer to the passages when cooler.
        sampling = {"temperature": 1.0, "top_p": 1.0} if self._is_gpt_oss() else {"temperature": 0.2, "top_p": 0.9}
        return {"num_ctx": self.context_tokens, "num_predict": self.answer_tokens, **sampling}

    def _think(self) -> str | bool:
        # gpt-oss thinks in any case (Ollama 0.33 ignores False) and takes a level; other models refuse a level unless they can think.
        return "low" if self._is_gpt_oss() else False

    def _is_gpt_oss(self) -> bool:
        return "gpt-oss" in self.name.lower()

    def _look_back(self, last: Any, asked: list[dict[str, str]]) -> None:
        self.answer_was_cut = last.done_reason == "length"
        self.prompt_tokens = last.prompt_eval_count
        if self.prompt_tokens is None:
            return
        expected = sum(estimate_tokens(message["content"]) for message in asked)
        middle_cut = self.context_tokens - (self.context_tokens - NUM_KEEP) // 2  # what is left when Ollama 0.33 cuts the middle out
        self.prompt_was_cut = (
            self.prompt_tokens < expected / 2  # the estimate is good within 13 % for English, 30 % for other tokenizers
            or self.prompt_tokens >= self.context_tokens - 1
            or (abs(self.prompt_tokens - middle_cut) <= 1 and expected > 1.2 * middle_cut)
        )
        if self.prompt_was_cut:
            log.warning("Ollama cut the prompt for %s: it read %d tokens of about %d", self.name, self.prompt_tokens, expected)


async def _one_more(chunks: AsyncIterator[Any]) -> Any | None:
    try:
        return await chunks.__anext__()
    except StopAsyncIteration:
        return None


def _role(message: BaseMessage) -> str:
    # Ollama drops roles that it does not know without a word: everything else is what the person says.
    return "system" if isinstance(message, SystemMessage) else "assistant" if isinstance(message, AIMessage) else "user"
