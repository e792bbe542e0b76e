"""What Mai-Sale needs from outside, in few verbs each. backends/ implements them; services.py chooses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from maisale.records import Chunk, Hit, SearchFilter, VectorRow, WordHit

if TYPE_CHECKING:  # its import takes 2.4 s, which the worker and most commands do not need
    from langchain_core.messages import BaseMessage

T = TypeVar("T")


class Transaction(Protocol):
    """Inside one transaction. SQL is portable, with named parameters (`:name`); a list or tuple serves `IN :name`."""

    def execute(self, sql: str, /, **values: Any) -> int:
        """How many rows were touched."""

    def rows(self, sql: str, /, **values: Any) -> list[dict[str, Any]]:
        """The rows, each a dict of column to value."""

    def insert(self, table: str, /, **values: Any) -> None:
        """Add one row."""


class Database(Protocol):
    def rows(self, sql: str, /, **values: Any) -> list[dict[str, Any]]:
        """The rows of a SELECT, read outside of any write."""

    def write(self, work: Callable[[Transaction], T], /, *, bulk: bool = False) -> T:
        """What `work` returns, once it is durable; all of it is stored or, when it raises, nothing. bulk: people go first."""

    async def awrite(self, work: Callable[[Transaction], T], /, *, bulk: bool = False) -> T:
        """`write`, for async code: the event loop goes on meanwhile."""

    def append_only(self, table: str) -> None:
        """From now on every change and removal of a row of this table is refused, whoever asks with SQL. Its primary key is `number`."""

    def problems(self) -> list[str]:
        """What is wrong with the stored data itself, in words; reads all of it."""

    def compact(self) -> None:
        """Writes its files anew, so that they hold what is stored and nothing that was deleted. Writes wait for a part of that."""

    def copy_to(self, path: Path) -> None:
        """Writes everything that is stored at this moment into one new file, a SQLite database. Work goes on meanwhile."""

    def size(self) -> int:
        """Bytes that it takes on its disk."""

    def about(self) -> tuple[str, str]:
        """Its name and version, for people."""

    def close(self) -> None: ...


class Embedder(Protocol):
    """Text to vectors. Also a langchain_core `Embeddings`."""

    name: str  # of model and version: the key of an index, e.g. "hash-1024" or "bge-m3"
    dimensions: int

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """float32, shape (len(texts), dimensions), each row of unit length.

        Raises ModelUnavailable (passing) or ModelFailed (these texts; .positions names them when known).
        """

    def query_vector(self, parts: Sequence[tuple[str, float]], weight_of: Callable[[str], float]) -> np.ndarray:
        """float32, shape (dimensions,), unit length: the weighted sum of a question and earlier turns.

        parts: (text, weight). weight_of: how much a folded word says in what is searched; an embedder may ignore it.
        """


class VectorIndex(Protocol):
    """Nearest chunks by meaning. Disposable: built from SQL. An index is named by (tenant, kind, embedder)."""

    label: str  # as the trace names it: "Chroma", "exact"

    def nearest(self, embedder: str, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> list[Hit]:
        """Up to `limit` chunks inside `where`, best first; score: cosine, -1..1.

        kind: documents or messages. vector: float32, shape (dimensions,), unit length.
        Raises IndexUnavailable when it cannot answer in time.
        """

    def upsert(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> None: ...

    def delete(self, tenant_id: str, embedder: str, kind: str, keys: Sequence[str]) -> None: ...


class CompleteIndex(VectorIndex, Protocol):
    """A vector index that always holds what SQL holds and misses nothing; it costs more the more rows there are."""

    def count(self, embedder: str, kind: str, where: SearchFilter, most: int) -> int:
        """How many vectors a search in `where` would compare, counted up to `most`: at least about, and cheap."""


class KeptIndex(VectorIndex, Protocol):
    """A vector index with files of its own, as the one process that owns it sees it: it can fall behind SQL, and be compared with it."""

    state: str  # why it does not answer, for people; empty when it does
    broken: bool  # it answered with an error of its own: close it and open it again

    def open(self) -> bool:
        """Whether it had been closed properly; if not it was checked, and emptied when it was damaged."""

    def empty(self) -> None:
        """Removes all that it holds; it has to be closed."""

    def ready(self) -> None:
        """It holds what SQL holds: from now on it answers."""

    def close(self) -> None: ...

    def release(self) -> None:
        """`close`, and another process may have it."""

    def lost(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> list[str]:
        """The keys of those `rows` that a search for their own vector does not find."""

    def indexes(self) -> list[tuple[str, str, str]]:
        """(tenant_id, embedder, kind) of each index that exists."""

    def count(self, tenant_id: str, embedder: str, kind: str) -> int: ...

    def keys(self, tenant_id: str, embedder: str, kind: str, among: Sequence[str] = ()) -> set[str]:
        """What it holds, found by a search or not. among: only of these, when there are any."""


class LexicalIndex(Protocol):
    """Word search over folded text, one index per tenant and kind. Changed in the transaction that changes the chunks."""

    label: str

    def add(self, tx: Transaction, chunks: Iterable[Chunk]) -> None: ...

    def remove(self, tx: Transaction, tenant_id: str, kind: str, keys: Sequence[str]) -> None: ...

    def search(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], limit: int) -> list[WordHit]:
        """Up to `limit` chunks inside `where`, best first by words (the stems' own best among them).

        parts: (text, weight) of the question and of earlier turns.
        """

    def scores(self, kind: str, where: SearchFilter, parts: Sequence[tuple[str, float]], keys: Sequence[str]) -> dict[str, WordHit]:
        """The same scores for chunks that another index found."""

    def rename(self, tx: Transaction, tenant_id: str, kind: str, before: str, after: str) -> None:
        """Gives every chunk whose key begins with `before` one that begins with `after`. Cheap: nothing is indexed anew."""

    def remove_some(self, tx: Transaction, tenant_id: str, kind: str, begin: str, limit: int) -> int:
        """Removes up to `limit` chunks whose key begins so; returns how many went."""

    def purge(self) -> None:
        """Takes the words of removed chunks out of its structures, where they stay until then. In short transactions; what is stored is in place before."""

    def drop(self, tx: Transaction, tenant_id: str, kind: str) -> None:
        """Removes an index, whatever state it is in; `add` makes it anew."""

    def lost(self, tenant_id: str, kind: str, keys: Sequence[str]) -> list[str]:
        """Those chunks among `keys` (all of a tenant and kind) that no search can find. Compares the whole index with its text."""

    def found(self, tenant_id: str, kind: str, asked: Mapping[str, Sequence[str]]) -> set[str]:
        """The keys of those chunks that every structure of the index finds by all of these words of theirs. asked: folded words, one at least, by key."""

    def idf(self, kind: str, tenants: Sequence[str], words: Iterable[str]) -> Mapping[str, float]:
        """Inverse document frequency of folded words among these tenants' chunks (BM25's, never below 0)."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What a model says next; either part may be empty."""

    text: str = ""
    thinking: str = ""


class ChatModel(Protocol):
    """One answer of a model: an object for one stream."""

    url: str  # of the server that runs it
    name: str
    context_tokens: int
    prompt_was_cut: bool  # known once the stream has ended
    answer_was_cut: bool

    def stream(self, messages: Sequence[BaseMessage]) -> AsyncIterator[Delta]:
        """The answer as it is written. Closing the iterator closes the upstream request.

        Raises ModelUnavailable before anything was said when the server is away, ModelFailed when it breaks off or says nothing.
        """


class Counts(Protocol):
    """How often something happened, counted once over all processes, and whose it is. Raises RedisUnavailable, at once while that is known."""

    def hit(self, per_second: int, kind: str, name: str) -> float:
        """0.0 when it is taken, being one of `per_second` in the last second; else not counted, and the seconds until there is room."""

    def increase(self, name: str, lasts_s: int) -> int:
        """How often `name` was counted, this time among them, since the first time; forgotten `lasts_s` after that."""

    def claim(self, name: str, user_id: str, lasts_s: int) -> bool:
        """Whether the thing of this name is this person's: it is of the first who claims it, for `lasts_s`."""


class Held(Protocol):
    """Something that this process alone may do, until the `with` block ends."""

    @property
    def lost(self) -> bool:
        """Whether another process may have it by now."""

    def __enter__(self) -> Held: ...

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None: ...


class Locks(Protocol):
    """What only one process may do at a time."""

    def hold(self, name: str) -> Held | None:
        """Ours until it is left, or None when another process has it. Does not wait."""


class Events(Protocol):
    """Short messages between the processes of one installation. Any of them may be lost; nothing waits for one. Used inside one event loop."""

    @property
    def live(self) -> bool:
        """Whether what is published now is heard by the other processes."""

    def listen(self, channels: Sequence[str], heard: Callable[[dict[str, Any]], None]) -> None:
        """From now on every message on these channels is handed to `heard`, also our own. Once, inside the loop."""

    def publish(self, channel: str, message: dict[str, Any], key: str = "") -> None:
        """Sends it soon. key: a later message with the same channel and key takes the place of one that was not sent yet."""

    async def close(self) -> None: ...


class Shared(Protocol):
    """What several processes have in common beside the database."""

    away: str  # why it is done without at the moment, in words; empty when all is well
    counts: Counts | None  # None: each process counts for itself
    locks: Locks

    def events(self) -> Events:
        """New ones, for one event loop."""

    def close(self) -> None: ...
