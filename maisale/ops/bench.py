"""How fast retrieval is, and what the approximate index misses: measured by the product's own path, one question at a time.

Recall counts an index's hits that are at least as near as the last one of exact search: of equal neighbours either is right.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from maisale.contracts import VectorIndex
from maisale.errors import IndexUnavailable
from maisale.flow.graph import decide
from maisale.ops import bench_library
from maisale.ops.bench_library import Progress
from maisale.records import Hit, Scope, SearchFilter
from maisale.services import Services, patient_index
from maisale.store import chunks, documents, facts

DEPTH = 20  # candidates that retrieval takes from an index
PATIENCE_S = 10.0  # for one answer of the index: what it misses and what it costs is to be known also above its 100 ms
STUCK_S = 300.0  # without any vector brought into the index
LOOK_S = 0.5
SAME = 1e-5  # cosine; float32 sums differ by their order
Times = dict[str, float]


def wait_for_index(services: Services, progress: Progress) -> float:
    """The seconds until the worker's index holds every vector and answers. Raises IndexUnavailable when it does not get on."""
    began = moved_at = time.monotonic()
    left, total, index = -1, None, patient_index(services.settings, PATIENCE_S)
    while True:
        try:
            state = index.health()["state"]
            if not state:
                # The app's next write moves what the worker wrote into the file; until then every read would search a long log.
                services.db.write(lambda tx: facts.set_fact(tx, "bench", "indexed"))
                return time.monotonic() - began
        except IndexUnavailable as problem:
            state = str(problem)
        waiting = services.db.rows("SELECT count(*) AS n FROM vectors WHERE embedder = :name AND indexed = 0", name=services.embedder.name)[0]["n"]
        if waiting != left:
            left, moved_at = waiting, time.monotonic()
        total = total or waiting
        progress("vectors", total - waiting, total)
        if time.monotonic() - moved_at > STUCK_S:
            raise IndexUnavailable(f"The vector index is not ready: {state}.")
        time.sleep(LOOK_S)


def retrieval(services: Services, number: int, progress: Progress) -> dict[str, Any]:
    """Recall and milliseconds over a filled library, by name. number: of questions."""
    scope = bench_library.reader(services)
    everywhere, names = documents.searchable(services.db, scope)
    one_of_ten, _ = documents.searchable(services.db, scope, names=names[:1])
    asked = bench_library.questions(services, number)
    embedder, index = services.embedder, patient_index(services.settings, PATIENCE_S)
    _decide(services, scope, everywhere, names, asked[0])  # loads what is loaded once
    flow, decisions = _timed("the flow", asked, lambda text: _decide(services, scope, everywhere, names, text), progress)
    vector_ms, vectors = _timed("question vectors", asked, lambda text: embedder.query_vector([(text, 1.0)], lambda _: 1.0), progress)
    words, _ = _timed("words", asked, lambda text: services.words.search("documents", everywhere, [(text, 1.0)], DEPTH), progress)
    found: dict[str, Any] = {"flow": flow, "question_vector": vector_ms, "words": words}
    recall = {}
    for name, where in (("everywhere", everywhere), ("one_of_ten", one_of_ten)):
        found[f"vectors {name}"], near = _timed("vector index", vectors, _nearest(index, embedder.name, where), progress)
        found[f"exact {name}"], exact = _timed("exact", vectors, _nearest(services.exact, embedder.name, where), progress)
        recall[name] = round(float(np.mean([_recall(*pair) for pair in zip(near, exact, strict=True)])), 4)
    return {
        **_about(services),
        "questions": len(asked),
        f"recall@{DEPTH}": recall,
        "answered_by": dict(Counter(decision.trace.answered_by["vectors"] for decision in decisions)),
        "outcomes": dict(Counter(decision.outcome for decision in decisions)),
        "ms": {name: _shares(times) for name, times in found.items()},
        "steps_ms": _steps([decision.trace.milliseconds for decision in decisions]),
    }


def _decide(services: Services, scope: Scope, where: SearchFilter, names: Sequence[str], text: str) -> Any:
    return decide(services, text, scope, where, "", searched=tuple(names))


def _nearest(index: VectorIndex, embedder: str, where: SearchFilter) -> Callable[[np.ndarray], list[Hit]]:
    return lambda vector: index.nearest(embedder, "documents", where, vector, DEPTH)


def _timed(what: str, asked: Sequence[Any], work: Callable[[Any], Any], progress: Progress) -> tuple[list[float], list[Any]]:
    """(milliseconds, answers) of one question after the other."""
    taken, answers = [], []
    for number, one in enumerate(asked, 1):
        began = time.perf_counter()
        answers.append(work(one))
        taken.append((time.perf_counter() - began) * 1000)
        progress(what, number, len(asked))
    return taken, answers


def _recall(near: Sequence[Hit], exact: Sequence[Hit]) -> float:
    """Share of the nearest that the index found."""
    if not exact:
        return 1.0
    return min(1.0, sum(hit.score >= exact[-1].score - SAME for hit in near) / len(exact))


def _steps(each: Sequence[dict[str, float]]) -> dict[str, Times]:
    names = dict.fromkeys(name for one in each for name in one)
    return {name: _shares([one[name] for one in each if name in one]) for name in names}


def _shares(times: Iterable[float]) -> Times:
    listed = list(times)
    return {f"p{share}": round(float(np.percentile(listed, share)), 2) for share in (50, 95)}


def _about(services: Services) -> dict[str, Any]:
    counted = {table: services.db.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in ("documents", "collections", "chunks")}
    sql = f"SELECT coalesce(sum(chunks), 0) AS n FROM documents WHERE source LIKE '{bench_library.COPIES}%'"
    return {**counted, "edited_copies": services.db.rows(sql)[0]["n"], "embedder": services.embedder.name, "indexes": len(chunks.vector_indexes(services.db))}
