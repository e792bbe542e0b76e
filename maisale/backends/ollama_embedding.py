"""Texts to vectors by a model on Ollama. Every vector is checked, and a text that the model cannot take never costs its neighbours theirs."""

from __future__ import annotations

import re
import ssl
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from contextlib import contextmanager

import numpy as np
from langchain_core.embeddings import Embeddings

from maisale.backends import ollama_wire as wire
from maisale.errors import BadInput, ModelFailed, ModelUnavailable

BATCH = 8  # texts; Ollama takes them one by one in one slot, and a question waits behind every batch that has begun
LONGEST = 6000  # characters: Ollama 0.33 cuts bge-m3's texts at 2048 tokens without a word, whatever the model could read
READ_S = 300.0  # a cold load; cutting it short would abort the load, and the next call would begin it again
QUERY_WAIT_S = 8.0  # a person waits; words alone answer when it takes longer
WAITING_QUERIES = 8

_Rows = list[Sequence[float]]
_Ask = Callable[[list[str]], _Rows]


class Seat:
    """Our place at one server: its connections, and the turns of bulk work there. For threads."""

    def __init__(self, url: str, tls: ssl.SSLContext, turns: int, on_problem: Callable[[Exception, str], None], read_s: float = READ_S):
        self.url, self.on_problem = url, on_problem
        self.bulk, self.queries = wire.client(url, tls, read_s), wire.client(url, tls, read_s)
        self.taken = 0  # bulk requests that are answered or wait for their turn
        self._turns, self._lock = threading.Semaphore(turns), threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        self._take(1)
        try:
            with self._turns:
                yield
        finally:
            self._take(-1)

    def close(self) -> None:
        self.bulk.close()
        self.queries.close()

    def _take(self, more: int) -> None:
        with self._lock:
            self.taken += more


class OllamaEmbedder(Embeddings):
    """Vectors by one model, of whichever server has it. For threads: `vectors` waits its turn at a server, questions do not.

    for_question, for_bulk: where to ask, the first choice first; a server that is away is passed over.
    """

    def __init__(self, name: str, dimensions: int, for_question: Callable[[], list[Seat]], for_bulk: Callable[[], list[Seat]],
                 query_wait_s: float = QUERY_WAIT_S):  # fmt: skip
        self.name, self.dimensions = name, dimensions
        self._for_question, self._for_bulk, self._query_wait_s = for_question, for_bulk, query_wait_s
        self._query_places = threading.Semaphore(WAITING_QUERIES)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """float32, shape (len(texts), dimensions), each row of unit length.

        Raises ModelUnavailable (passing) or ModelFailed; its .positions name the texts without a vector, and `embed_each` gives the others theirs.
        """
        each = self.embed_each(texts)
        failed = [position for position, one in enumerate(each) if isinstance(one, ModelFailed)]
        if failed:
            problem = ModelFailed(f"{len(failed)} of {len(texts)} texts got no vector. The first: {each[failed[0]]}")
            problem.positions = tuple(failed)
            raise problem from each[failed[0]]
        return np.stack(each) if each else np.empty((0, self.dimensions), np.float32)

    def embed_each(self, texts: Sequence[str]) -> list[np.ndarray | ModelFailed]:
        """For each text its vector, float32, shape (dimensions,), unit length; or why it has none. Raises ModelUnavailable (passing)."""
        found: list[np.ndarray | ModelFailed] = [ModelFailed("An empty text has no vector.")] * len(texts)
        filled = [position for position, text in enumerate(texts) if text.strip()]
        for start in range(0, len(filled), BATCH):
            batch = filled[start : start + BATCH]
            for position, one in zip(batch, self._each([texts[position] for position in batch], self._ask_in_turn), strict=True):
                found[position] = one
        return found

    def query_vector(self, parts: Sequence[tuple[str, float]], weight_of: Callable[[str], float]) -> np.ndarray:
        """float32, shape (dimensions,), unit length: the weighted sum of a question and earlier turns. weight_of is not used.

        Never waits behind `vectors`. Raises ModelUnavailable when it takes longer than a person would wait.
        """
        said = [(text, weight) for text, weight in parts if text.strip()]
        if not said:
            raise BadInput("There are no words in the question.")
        rows = self._within_wait([text for text, _ in said])
        return _unit(sum(weight * row for (_, weight), row in zip(said, rows, strict=True)), otherwise=rows[0])

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.vectors(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.query_vector([(text, 1.0)], lambda word: 1.0).tolist()

    def _each(self, texts: list[str], ask: _Ask) -> list[np.ndarray | ModelFailed]:
        """What one request gives for each text; one bad text fails all of it and is not named, so it is looked for by halves."""
        try:
            rows = ask(texts)
        except ModelFailed as problem:
            if len(texts) == 1:
                return [self._otherwise(texts[0], problem, ask)]
            middle = len(texts) // 2
            return self._each(texts[:middle], ask) + self._each(texts[middle:], ask)
        checked = [_checked(row, self.dimensions) for row in rows]
        return [self._otherwise(text, one, ask) if isinstance(one, ModelFailed) else one for text, one in zip(texts, checked, strict=True)]

    def _otherwise(self, text: str, problem: ModelFailed, ask: _Ask) -> np.ndarray | ModelFailed:
        """The vector of a text that failed, by way of its variants: bge-m3 makes NaN of some texts, always the same, and a small change cures most."""
        for variant in _variants(text):
            try:
                rows = [_checked(row, self.dimensions) for row in ask(variant)]
            except ModelFailed:
                continue
            if not any(isinstance(row, ModelFailed) for row in rows):
                return _unit(sum(rows), otherwise=rows[0])
        return problem

    def _within_wait(self, texts: list[str]) -> list[np.ndarray]:
        # In a thread that may outlive the wait: hanging up during a cold load would abort the load.
        late = ModelUnavailable(f"{self.name} on Ollama did not read the question in {self._query_wait_s:g} s; it may be loading or be busy.")
        if not self._query_places.acquire(timeout=self._query_wait_s):
            raise late
        answer: Future[list[np.ndarray]] = Future()
        threading.Thread(target=self._answer_query, args=(texts, answer), name="ollama-query", daemon=True).start()
        try:
            return answer.result(self._query_wait_s)
        except WaitedTooLong as problem:
            raise late from problem

    def _answer_query(self, texts: list[str], answer: Future[list[np.ndarray]]) -> None:
        try:
            answer.set_result(self._query_rows(texts))
        except BaseException as problem:  # handed to who waits
            answer.set_exception(problem)
        finally:
            self._query_places.release()

    def _query_rows(self, texts: list[str]) -> list[np.ndarray]:
        rows = self._each(texts, self._ask_at_once)
        for row in rows:
            if isinstance(row, ModelFailed):
                raise row
        return rows

    def _ask_at_once(self, texts: list[str]) -> _Rows:
        return self._at_first_that_can(self._for_question(), lambda seat: self._ask(seat, seat.queries, texts))

    def _ask_in_turn(self, texts: list[str]) -> _Rows:
        def ask(seat: Seat) -> _Rows:
            with seat.turn():
                return self._ask(seat, seat.bulk, texts)

        return self._at_first_that_can(self._for_bulk(), ask)

    def _at_first_that_can(self, seats: list[Seat], ask: Callable[[Seat], _Rows]) -> _Rows:
        first: ModelUnavailable | None = None
        for seat in seats:
            try:
                return ask(seat)
            except ModelUnavailable as problem:
                first = first or problem
        raise first or ModelUnavailable(f"No Ollama has {self.name} at the moment.")

    def _ask(self, seat: Seat, client: wire.ollama.Client, texts: list[str]) -> _Rows:
        """What Ollama answers, as many as there are texts. No options: any would load the model anew for who else uses it."""
        try:
            answer = client.embed(model=self.name, input=[text[:LONGEST] for text in texts], truncate=True)
        except wire.CLIENT_ERRORS as problem:
            seat.on_problem(problem, self.name)
            raise wire.in_words(problem, seat.url, self.name) from problem
        if len(answer.embeddings) != len(texts):
            raise ModelFailed(f"{self.name} on Ollama at {seat.url} gave {len(answer.embeddings)} vectors for {len(texts)} texts.")
        return list(answer.embeddings)


def _checked(values: Sequence[float], dimensions: int) -> np.ndarray | ModelFailed:
    """The vector, or what is wrong with it. Ollama 0.30 and later send zeros, with 200, where the model made NaN."""
    vector = np.asarray(values, dtype=np.float32)
    if vector.shape != (dimensions,):
        return ModelFailed(f"A vector came with {vector.size} numbers instead of {dimensions}; the model may have been changed.")
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        return ModelFailed("The model made no numbers of this text.")
    if abs(length - 1) > 0.01:
        return ModelFailed(f"A vector of length {length:.3g} came instead of 1; the server may be something else than Ollama.")
    return vector / np.float32(length)


def _variants(text: str) -> list[list[str]]:
    """Other ways to ask for the same text, each as parts whose vectors are averaged."""
    plain = unicodedata.normalize("NFC", text)
    plain = re.sub(r"([^\w\s])(\s*\1)+", r"\1", re.sub(r"\s+", " ", plain)).strip()
    words = plain.split(" ")
    middle = len(words) // 2
    halves = [[" ".join(words[:middle]), " ".join(words[middle:])]] if middle else []
    return ([[plain]] if plain and plain != text else []) + halves


def _unit(vector: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float32) if length > 1e-6 else otherwise
