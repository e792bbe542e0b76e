"""Retrieval judged on a labelled set, through the product's own path: chunking, store, indexes and flow, in a data folder of its own.

A set is a folder in BEIR's layout: corpus.jsonl (_id, title, text), queries.jsonl (_id, text and, where there are any, history, answerable and
answers) and qrels/test.tsv (query-id, corpus-id, score). How to read the figures: knowledge/docs/retrieval.md.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from maisale.config import Settings
from maisale.errors import BadInput
from maisale.flow.graph import decide
from maisale.flow.state import Decision
from maisale.library.documents import add_document
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.ops import measures
from maisale.records import Scope
from maisale.services import Services, open_services
from maisale.store import accounts, documents, jobs
from maisale.text import fold

DEPTH = 10  # how far down a ranking is judged
RANKINGS: dict[str, Callable[[Sequence[str], Mapping[str, int]], float]] = {
    **{f"R@{k}": lambda ranked, grades, k=k: measures.recall(ranked, grades, k) for k in (1, 3, 5, 10)},
    "MRR@10": lambda ranked, grades: measures.reciprocal_rank(ranked, grades, 10),
    "nDCG@5": lambda ranked, grades: measures.ndcg(ranked, grades, 5),
}
OUTCOMES = ("answer", "possible", "abstain")
Progress = Callable[[str, int, int], None]  # what is done, how many, of how many


@dataclass(frozen=True)
class Query:
    id: str
    text: str
    history: tuple[BaseMessage, ...] = ()
    answerable: bool = True
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvalSet:
    name: str
    corpus: dict[str, tuple[str, str]]  # id to (title, text)
    queries: list[Query]
    grades: dict[str, dict[str, int]]  # query id to {corpus id: grade}


@dataclass(frozen=True)
class Answered:
    """What the flow made of one query."""

    query: Query
    ranked: tuple[str, ...]  # corpus ids, best first
    gate: float
    outcome: str
    quotes: tuple[tuple[str, str], ...]  # (corpus id, sentence), best first
    milliseconds: float


def load(folder: Path) -> EvalSet:
    """Raises BadInput when the folder does not hold a set."""
    try:
        corpus = {one["_id"]: (one.get("title") or "", one["text"]) for one in _lines(folder / "corpus.jsonl")}
        queries = [_query(one) for one in _lines(folder / "queries.jsonl")]
        grades: dict[str, dict[str, int]] = {}
        for line in (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]:
            query, document, grade = line.split("\t")
            grades.setdefault(query, {})[document] = int(grade)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BadInput(f"{folder} is no evaluation set ({problem}). It takes corpus.jsonl, queries.jsonl and qrels/test.tsv, as BEIR lays them.") from problem
    if not corpus or not queries:
        raise BadInput(f"{folder} holds {len(corpus)} passages and {len(queries)} questions; at least one of each is needed.")
    return EvalSet(folder.resolve().name, corpus, queries, grades)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text("utf-8").split("\n"):
        if line.strip():
            yield json.loads(line)


def _query(one: dict[str, Any]) -> Query:
    said = tuple((HumanMessage if turn["role"] == "user" else AIMessage)(turn["text"]) for turn in one.get("history") or ())
    return Query(one["_id"], one["text"], said, bool(one.get("answerable", True)), tuple(one.get("answers") or ()))


def evaluate(given: EvalSet, settings: Settings, without_marks: bool = False, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Every figure of the set, by name. settings: of retrieval and models; the data folder is a temporary one.

    without_marks: the questions are asked without diacritics. A set without unanswerable questions is also asked with each half of its passages
    left out, and the gate is judged on that: a question whose passages are all out has no answer.
    """
    queries = [replace(one, text=_unmarked(one.text)) for one in given.queries] if without_marks else given.queries
    halves = _halves(given) if all(one.answerable for one in queries) else []
    with tempfile.TemporaryDirectory(prefix="maisale-eval-") as folder:
        gated = []
        for number, half in enumerate(halves):
            with _Library(replace(settings, data_dir=Path(folder, f"half-{number}"))) as library:
                library.add(half, progress)
                gated += [
                    (bool(given.grades.get(one.query.id, {}).keys() & half.keys()), one) for one in library.ask(queries, progress, f"half {number + 1} of 2")
                ]
        with _Library(replace(settings, data_dir=Path(folder, "all"))) as library:
            began = time.perf_counter()
            library.add(given.corpus, progress)
            index_s = time.perf_counter() - began
            answered = library.ask(queries, progress, "questions")
            follow_ups = [one for one in queries if one.history]
            alone = library.ask([replace(one, history=()) for one in follow_ups], progress, "history ignored")
            about = {"passages": len(given.corpus), "chunks": library.chunks(), "embedder": library.embedder, "index_s": round(index_s, 1)}
    gated = gated or [(one.query.answerable, one) for one in answered]
    by_id = {one.query.id: one for one in alone}
    return {
        "set": given.name,
        "questions": len(queries),
        **about,
        **_ranking(given, answered),
        **_gate(gated),
        **_extraction(given, answered),
        **_times(answered),
        "last_turn": _ranking(given, [by_id.get(one.query.id, one) for one in answered]),
        "follow_ups": {
            "questions": len(follow_ups),
            **_ranking(given, [one for one in answered if one.query.history]),
            "last_turn": _ranking(given, alone),
        },
        "per_question": _per_question(given, answered),
    }


class _Library:
    """A data folder of its own with one reader; documents are taken in and indexed as everywhere, in this thread."""

    def __init__(self, settings: Settings):
        # Exact search is what a library of this size is asked by; no worker is needed then.
        self._settings = replace(settings, vectors="exact", database_url="", chroma_path="", files_folder="")
        self._ids: dict[str, str] = {}  # of documents: to corpus ids

    def __enter__(self) -> _Library:
        self._services: Services = open_services(self._settings, "cli")
        self._services.bell = _SilentBell()
        self._scope: Scope = self._services.db.write(lambda tx: accounts.add_user(tx, "evaluation", "reader")).scope
        self._embedders = Embedders(self._services)
        self.embedder = self._embedders.active()
        return self

    def __exit__(self, *_: object) -> None:
        self._services.close()

    def chunks(self) -> int:
        return self._services.db.rows("SELECT count(*) AS n FROM chunks")[0]["n"]

    def add(self, corpus: Mapping[str, tuple[str, str]], progress: Progress) -> None:
        """Raises BadInput when a passage cannot be indexed."""
        file = self._settings.data_dir / "passage.md"
        for number, (corpus_id, (title, text)) in enumerate(corpus.items(), 1):
            file.write_text(f"# {title}\n\n{text}" if title else text, "utf-8")
            document = add_document(self._services, self._scope, file, f"{number}.md")
            self._ids[document.id] = corpus_id
            self._do_jobs()
            progress("passages", number, len(corpus))
        listed = documents.list_documents(self._services.db, self._scope)
        if unfit := [one for one in listed if one.stage != "complete"]:
            raise BadInput(f"{len(unfit)} passages could not be indexed, the first {self._ids[unfit[0].id]!r}: {unfit[0].cause or unfit[0].stage}")

    def _do_jobs(self) -> None:
        indexing = Indexing(self._services, self._embedders)
        while waiting := jobs.due(self._services.db, 100):
            for job_id in waiting:
                if job := jobs.claim(self._services.db, job_id):
                    indexing.do(job)

    def ask(self, queries: Sequence[Query], progress: Progress, what: str) -> list[Answered]:
        where, searched = documents.searchable(self._services.db, self._scope)
        found = []
        for number, query in enumerate(queries, 1):
            began = time.perf_counter()
            decision = decide(self._services, query.text, self._scope, where, "", history=query.history, searched=searched)
            found.append(self._answered(query, decision, (time.perf_counter() - began) * 1000))
            progress(what, number, len(queries))
        return found

    def _answered(self, query: Query, decision: Decision, milliseconds: float) -> Answered:
        ranked = dict.fromkeys(self._ids[one.chunk.document_id] for one in decision.trace.candidates)
        by_number = {one.number: self._ids[one.document_id] for one in decision.citations}
        quotes = tuple((by_number[quote.number], quote.text) for quote in decision.quotes)
        return Answered(query, tuple(ranked)[:DEPTH], decision.trace.gate, decision.outcome, quotes, milliseconds)


class _SilentBell:
    """Nobody else is to be woken."""

    def ring(self, job_id: str) -> None: ...

    def waiting(self) -> int:
        return 0

    def close(self) -> None: ...


def _halves(given: EvalSet) -> list[dict[str, tuple[str, str]]]:
    """The corpus in two, every second passage of it."""
    items = list(given.corpus.items())
    return [dict(items[::2]), dict(items[1::2])] if len(items) > 1 else []


def _unmarked(text: str) -> str:
    """`text` as people type Vietnamese without diacritics; capitals stay."""
    return "".join(fold(char).upper() if char.isupper() else fold(char) for char in text)


def _ranking(given: EvalSet, answered: Iterable[Answered]) -> dict[str, float]:
    judged = [(one.ranked, given.grades[one.query.id]) for one in answered if one.query.id in given.grades]
    return {name: _mean(measure(*one) for one in judged) for name, measure in RANKINGS.items()}


def _gate(gated: Sequence[tuple[bool, Answered]]) -> dict[str, Any]:
    rates = {}
    for name, wanted in (("answerable", True), ("unanswerable", False)):
        outcomes = [one.outcome for answerable, one in gated if answerable is wanted]
        rates[name] = {"questions": len(outcomes), **{outcome: _mean(found == outcome for found in outcomes) for outcome in OUTCOMES}}
    found = measures.auroc([one.gate for answerable, one in gated if answerable], [one.gate for answerable, one in gated if not answerable])
    return {"gate_auroc": None if found is None else round(found, 4), "gate_rates": rates}


def _extraction(given: EvalSet, answered: Sequence[Answered]) -> dict[str, float | None]:
    """Share of the questions with gold answers whose best sentence, or one of the first three, holds one and comes from a relevant passage."""
    asked = [one for one in answered if one.query.answers and one.query.id in given.grades]
    return {f"extract_{k}": _mean(_holds_answer(one, given.grades[one.query.id], k) for one in asked) if asked else None for k in (1, 3)}


def _holds_answer(one: Answered, grades: Mapping[str, int], k: int) -> bool:
    answers = [_plain(answer) for answer in one.query.answers]
    return any(grades.get(corpus_id, 0) > 0 and any(answer in _plain(text) for answer in answers) for corpus_id, text in one.quotes[:k])


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _times(answered: Sequence[Answered]) -> dict[str, float]:
    taken = [one.milliseconds for one in answered]
    found = {"ms_per_question": np.mean(taken), "ms_p50": np.median(taken), "ms_p95": np.quantile(taken, 0.95)}
    return {name: round(float(value), 2) for name, value in found.items()}


def _per_question(given: EvalSet, answered: Sequence[Answered]) -> dict[str, list[float]]:
    """R@1, R@5 and nDCG@5 of each question: what `compare` pairs."""
    names = ("R@1", "R@5", "nDCG@5")
    return {
        one.query.id: [round(RANKINGS[name](one.ranked, given.grades[one.query.id]), 4) for name in names] for one in answered if one.query.id in given.grades
    }


def compare(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By measure: both means over the questions that both runs answered, their difference and its 95 % interval. Raises BadInput."""
    try:
        both = [query for query in one["per_question"] if query in other["per_question"]]
        pairs = {
            name: ([one["per_question"][query][at] for query in both], [other["per_question"][query][at] for query in both])
            for at, name in enumerate(("R@1", "R@5", "nDCG@5"))
        }
    except (KeyError, TypeError, IndexError) as problem:
        raise BadInput("These files are not what `eval DIR --json` prints.") from problem
    if not both:
        raise BadInput("The two runs have no question in common.")
    found = {}
    for name, (before, after) in pairs.items():
        difference, low, high = measures.paired_bootstrap(before, after)
        found[name] = {"before": _mean(before), "after": _mean(after), "difference": difference, "low": low, "high": high, "questions": len(both)}
    return found


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return round(float(np.mean(listed)), 4) if listed else 0.0
