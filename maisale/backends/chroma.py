"""Chroma as the VectorIndex: a collection per tenant, kind and embedder. Disposable: SQL has every vector, and library/upkeep.py brings what is missing.

Where it is kept is its home's: a folder of this machine (chroma_folder.py) or a server (chroma_server.py).
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import chromadb
import numpy as np
from chromadb.errors import InternalError, NotFoundError

from maisale.backends.chroma_check import SAME
from maisale.errors import IndexUnavailable, MaiSaleError, ModelFailed
from maisale.records import Hit, SearchFilter, VectorRow

log = logging.getLogger(__name__)

# An upsert holds Python's global lock for its whole length: 100 vectors took up to 205 ms. Each costs the same beside what its vectors cost.
BATCH, BATCH_UNASKED = 64, 192
LONGEST_REST_S = 1.0
ASKED_S = 30.0  # after a search, in which others are expected
WIDER = 5  # times the limit that is asked for without a filter first: one that holds all of 100,000 rows takes 430 ms instead of 14
MOST_VALUES = 5000  # of an $in filter; 40,000 are refused by SQLite
# Recall@20 among edited copies (bench retrieval, the whole scope), 10,000 and 100,000 chunks: search_ef 100 (the default) .962 and .883,
# 400 .998 and .976 (13 ms), 800 .999 and .990 (14 ms), 1200 .994 of 100,000 (14 ms), all with M 32.
# Vectors of one template lie equally far from each other, and the graph loses its way among them: of 150 passages that differ in one number it finds 66
# with M 32 and all with M 64, which costs real text nothing (10,000 passages: written in 24 s instead of 26, asked in 12 ms instead of 10).
# ef_construction 100 writes a quarter faster and costs recall: .977 of 100,000 passages of real text (200 questions); 200 has .985 (100 questions).
# Each persist rewrites the whole file, and only a persist can be torn: it comes every 2,000 vectors instead of 1,000. Not later, for until then every
# upsert reads again what came since the last one: one of 6 vectors takes 17 ms with 500 of them there, and 131 ms with 4,500.
HNSW = {"space": "cosine", "ef_construction": 200, "ef_search": 1200, "max_neighbors": 64, "sync_threshold": 2000}


class Home(Protocol):
    """Where a Chroma lives."""

    def look(self) -> bool:
        """Whether it had been closed properly, and nobody else can have changed it."""

    def open(self, closed: bool) -> chromadb.ClientAPI: ...

    def empty(self) -> None: ...

    def closed(self, well: bool) -> None: ...

    def release(self) -> None: ...


class ChromaIndex:
    """contracts.KeptIndex, for many threads. `open`, then `ready` once it holds what SQL holds."""

    label = "Chroma"

    def __init__(self, home: Home, sync_threshold: int = HNSW["sync_threshold"], search_ef: int = HNSW["ef_search"]):
        self.home = home
        self._hnsw = {**HNSW, "ef_search": search_ef, "sync_threshold": sync_threshold, "batch_size": min(100, sync_threshold)}
        self._client: chromadb.ClientAPI | None = None
        self._opened: dict[str, chromadb.Collection] = {}
        self._writing = threading.Lock()
        self._ready = False
        self._asked_at = float("-inf")  # monotonic time
        self.broken = False  # it answered with an error of its own: close it and open it again
        self.state = "it is being opened"  # for people, after "The vector index is not used: "

    def open(self) -> bool:
        """Opens its home, emptied first when it is damaged. Returns whether it had been closed properly."""
        closed = self.home.look()
        if not closed:
            self.state = "it is being checked after an unclean end"
        with self._trouble("open"):
            self._client = self.home.open(closed)
        self.broken = False
        self.state = "it is being filled"
        return closed

    def empty(self) -> None:
        """It has to be closed."""
        self.home.empty()

    def ready(self) -> None:
        """It holds what SQL holds: from now on it answers."""
        self._ready, self.state = True, ""

    def close(self) -> None:
        """Closes it; nobody else may have it yet. Harmless when it is closed."""
        self._ready = False
        with self._writing:
            client, self._client = self._client, None
            self._opened.clear()
            if client is not None:
                client.close()
                self.home.closed(well=not self.broken)
        self.state = "it is closed"

    def release(self) -> None:
        """`close`, and another process may have it."""
        try:
            self.close()
        finally:
            self.home.release()

    def nearest(self, embedder: str, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> list[Hit]:
        if not self._ready:
            raise IndexUnavailable(f"The vector index is not used: {self.state}.")
        self._asked_at = time.monotonic()
        found: list[Hit] = []
        with self._trouble("search"):
            for tenant_id in where.tenants if where.collections else ():
                index = self._index(tenant_id, embedder, kind)
                if index is None or index.metadata["dimensions"] != len(vector):
                    continue
                found += _nearest(index, where, vector, limit)
        return sorted(found, key=lambda hit: -hit.score)[:limit]

    def upsert(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> None:
        """Raises ModelFailed, with nothing written, when a vector has another length than its index; IndexUnavailable when it is not open."""
        if not rows:
            return
        with self._trouble("write"):
            index = self._index(tenant_id, embedder, kind, dimensions=len(rows[0].vector))
        held = index.metadata["dimensions"]
        if strange := [len(row.vector) for row in rows if len(row.vector) != held]:
            question = "Has the model been replaced under its name?"
            raise ModelFailed(f"{embedder} gave a vector of {strange[0]} numbers, and its index holds {held}. {question}")
        size = BATCH if self._is_asked() else BATCH_UNASKED
        for start in range(0, len(rows), size):
            self._write(index, rows[start : start + size])

    def delete(self, tenant_id: str, embedder: str, kind: str, keys: Sequence[str]) -> None:
        with self._trouble("delete"), self._writing:
            index = self._index(tenant_id, embedder, kind)
            for start in range(0, len(keys) if index else 0, BATCH):
                index.delete(ids=list(keys[start : start + BATCH]))

    def lost(self, tenant_id: str, embedder: str, kind: str, rows: Sequence[VectorRow]) -> list[str]:
        """The keys of those `rows` that a search for their own vector does not find."""
        if not rows:
            return []
        with self._trouble("read back"):
            index = self._index(tenant_id, embedder, kind)
            if index is None:
                return [row.key for row in rows]
            found = index.query(query_embeddings=[row.vector for row in rows], n_results=1, include=["distances"])
        answers = zip(rows, found["ids"], found["distances"], strict=True)
        return [row.key for row, ids, distances in answers if not ids or (ids[0] != row.key and distances[0] > SAME)]

    def indexes(self) -> list[tuple[str, str, str]]:
        """(tenant_id, embedder, kind) of each index that exists."""
        with self._trouble("list"):
            listed = [one.metadata for one in self._open_client().list_collections()]
        return [(one["tenant"], one["embedder"], one["kind"]) for one in listed]

    def count(self, tenant_id: str, embedder: str, kind: str) -> int:
        with self._trouble("count"):
            index = self._index(tenant_id, embedder, kind)
            return index.count() if index else 0

    def keys(self, tenant_id: str, embedder: str, kind: str, among: Sequence[str] = ()) -> set[str]:
        with self._trouble("list"):
            index = self._index(tenant_id, embedder, kind)
            if index is None or not among:
                return set(index.get(include=[])["ids"]) if index else set()
            held = index.get(ids=list(among), include=["embeddings"])  # its SQLite alone knows of vectors that the graph's file lost
            return {key for key, vector in zip(held["ids"], held["embeddings"], strict=True) if vector is not None}

    def _write(self, index: chromadb.Collection, rows: Sequence[VectorRow]) -> None:
        with self._writing, self._trouble("write"):
            self._open_client()
            began = time.monotonic()
            index.upsert(
                ids=[row.key for row in rows],
                embeddings=[row.vector for row in rows],
                metadatas=[{"collection_id": row.collection_id, "document_id": row.document_id} for row in rows],
            )
            # As much rest as work: a question beside a long import is answered in 5 ms (P95) and not after the import.
            if self._is_asked():
                time.sleep(min(time.monotonic() - began, LONGEST_REST_S))

    def _is_asked(self) -> bool:
        return time.monotonic() - self._asked_at < ASKED_S

    def _index(self, tenant_id: str, embedder: str, kind: str, dimensions: int | None = None) -> chromadb.Collection | None:
        """The Chroma collection of this name; with `dimensions` it is made when it is missing, else None."""
        client = self._open_client()
        name = f"{kind}-{hashlib.sha256(f'{tenant_id} {kind} {embedder}'.encode()).hexdigest()[:32]}"
        if name in self._opened:
            return self._opened[name]
        try:
            found = client.get_collection(name, embedding_function=None)
        except NotFoundError:
            if dimensions is None:
                return None
            about = {"tenant": tenant_id, "embedder": embedder, "kind": kind, "dimensions": dimensions}
            found = client.get_or_create_collection(name, embedding_function=None, configuration={"hnsw": self._hnsw}, metadata=about)
        # Chroma 1.5.9 takes another search_ef until an index is first used in its process; the rest is fixed when the index is made.
        if (found.configuration.get("hnsw") or {}).get("ef_search") != self._hnsw["ef_search"]:
            found.modify(configuration={"hnsw": {"ef_search": self._hnsw["ef_search"]}})
        self._opened[name] = found
        return found

    def _open_client(self) -> chromadb.ClientAPI:
        if self._client is None:
            raise IndexUnavailable(f"The vector index is not used: {self.state}.")
        return self._client

    @contextmanager
    def _trouble(self, doing: str) -> Iterator[None]:
        """Chroma's own errors as IndexUnavailable. Its Rust part panics with an exception that is no Exception."""
        try:
            yield
        except (MaiSaleError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:
            if isinstance(problem, InternalError) or not isinstance(problem, Exception):
                self.broken, self._ready = True, False
                self.state = "it answered with an error and is being checked"
            log.exception("the vector index failed to %s", doing)
            raise IndexUnavailable(f"The vector index failed to {doing}; the worker's log says why.") from problem


def _nearest(index: chromadb.Collection, where: SearchFilter, vector: np.ndarray, limit: int) -> list[Hit]:
    """From the nearest of the whole index while enough of them are inside the filter, else with the filter in the query."""
    asked = WIDER * limit
    answer = index.query(query_embeddings=[vector], n_results=asked, include=["distances", "metadatas"])
    rows = list(zip(answer["ids"][0], answer["distances"][0], answer["metadatas"][0], strict=True))
    inside = [Hit(key, 1.0 - distance) for key, distance, about in rows if _holds(where, about)][:limit]
    if len(inside) == limit or len(rows) < asked:
        return inside
    answer = index.query(query_embeddings=[vector], n_results=limit, where=_condition(where), include=["distances"])
    return [Hit(key, 1.0 - distance) for key, distance in zip(answer["ids"][0], answer["distances"][0], strict=True)]


def _holds(where: SearchFilter, about: Mapping[str, Any]) -> bool:
    return about["collection_id"] in where.collections and (not where.documents or about["document_id"] in where.documents)


def _condition(where: SearchFilter) -> dict:
    if max(len(where.collections), len(where.documents)) > MOST_VALUES:
        raise IndexUnavailable(f"The filter names more than {MOST_VALUES} values.")
    inside = {"collection_id": {"$in": list(where.collections)}}
    return {"$and": [inside, {"document_id": {"$in": list(where.documents)}}]} if where.documents else inside
