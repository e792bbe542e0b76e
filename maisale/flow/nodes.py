"""The steps of the policy. Each reads the state, does one thing, and returns what it found out; the order is graph.py's, the numbers ranking.py's.

Nodes are synchronous and run in a thread: they wait for SQL and for the vector index, never for a model's answer.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime

from maisale.contracts import Embedder
from maisale.errors import ModelFailed, ModelUnavailable
from maisale.flow import personal, prompts, ranking
from maisale.flow.reading import Question, Reader
from maisale.flow.retriever import CandidateRetriever, candidates
from maisale.flow.state import AgentState, Decision, Sources
from maisale.records import FIELDS_APART, Candidate, Chunk, Citation, SearchFilter, Trace
from maisale.store import privacy
from maisale.store.documents import help_is_aside, unread
from maisale.text import asks, content_words, estimate_tokens, fold

CLOSEST_TITLES = 3
TRACED = 40  # candidates kept with the reply
SAID_CHARACTERS = 2_000  # of an earlier message that is no stored chunk
_HERE = {"en": "This conversation", "vi": "Cuộc trò chuyện này"}
_CITED = re.compile(r"\[\d+\]")
_NO_LIMIT = 1 << 30

Node = Callable[[AgentState, Runtime[Sources]], dict[str, Any]]


def _timed(node: Node) -> Node:
    @functools.wraps(node)
    def timed(state: AgentState, runtime: Runtime[Sources]) -> dict[str, Any]:
        began = time.perf_counter()
        found = node(state, runtime)
        return {**found, "milliseconds": {node.__name__: round((time.perf_counter() - began) * 1000, 2)}}

    return timed


@_timed
def recall(state: AgentState, runtime: Runtime[Sources]) -> dict[str, Any]:
    """Reads the question, and looks for its answer in this conversation: its messages, its files, the sources of earlier answers."""
    sources, where = runtime.context, state["where"]
    said = [message.text for message in state["history"] if isinstance(message, HumanMessage)]
    question = ranking.read_question(state["asked"], said, lambda texts: _as_searched(state, sources, texts))
    about = {word for text, _ in question.parts for word in content_words(text)}
    reader = Reader(question, sources.words.idf("documents", where.tenants, about))
    embedder = sources.embedder
    vector, notes = _question_vector(embedder, question, reader, personal.as_embedded(sources.db, state["scope"].tenant_id))
    found: list[Candidate] = []
    answered_by: dict[str, str] = {"words": sources.words.label}
    if state["conversation_id"] in where.collections:
        here = SearchFilter(where.tenants, (state["conversation_id"],), where.documents)
        # A first question's conversation is empty but for files, which the search of the knowledge sees as well.
        for kind in ("messages", "documents") if state["history"] else ("documents",):
            finder = CandidateRetriever(sources=sources, where=here, kind=kind, question=question, vector=vector if said else None)
            found += finder.candidates()
            answered_by["vectors"] = finder.vectors_by
    found += _cited_before(sources, where, question, state["earlier"], vector)
    found += _said_before(state, sources, reader) if state["said_is_source"] else []
    passages = _once(one for one in found if _says_something(one.chunk, state["asked"]))
    coverage = ranking.enough(question, [one.chunk for one in passages], reader)
    return {
        "question": question,
        "reader": reader,
        "embedder": embedder.name if embedder and vector is not None else "",
        "vector": vector,
        "candidates": passages,
        "coverage": coverage,
        "path": "history",
        "answered_by": answered_by,
        "notes": notes,
    }


@_timed
def search_knowledge(state: AgentState, runtime: Runtime[Sources]) -> dict[str, Any]:
    """Adds what the readable collections and the conversation's files hold."""
    finder = CandidateRetriever(sources=runtime.context, where=state["where"], question=state["question"], vector=state["vector"])
    found = [one.candidate for one in finder.invoke(state["asked"])]
    who = finder.vectors_by
    notes = (f"Vectors were not searched ({who.removeprefix('none: ')}); words answered.",) if who.startswith("none: ") and state["vector"] is not None else ()
    return {"candidates": _once([*found, *state["candidates"]]), "path": "knowledge", "answered_by": {"vectors": who}, "notes": notes}


@_timed
def rank(state: AgentState, runtime: Runtime[Sources]) -> dict[str, Any]:
    """Puts the candidates in order and numbers those that the answer may use."""
    settings = runtime.context.settings
    ranked = ranking.rank(state["candidates"], state["reader"], _vectors_of(state), state["conversation_id"], time.time())
    if not state["model_name"]:
        return {"candidates": ranking.choose(ranked, settings.retrieval_k, settings.retrieval_k, _NO_LIMIT)}
    budget = prompts.passage_budget(state["asked"], state["history"], state["context_tokens"])
    chosen = ranking.choose(ranked, settings.retrieval_k, settings.retrieval_k_max, budget, prompts.FRAME_TOKENS)
    if ranked and not any(one.number for one in chosen):
        room = f"the {state['context_tokens']:,} tokens of {state['model_name']}"
        note = f"The question leaves no room for a passage in {room}; quotations answer. Raise NUM_CTX or ask in fewer words."
        return {"candidates": ranking.choose(ranked, settings.retrieval_k, settings.retrieval_k, _NO_LIMIT), "model_name": None, "notes": (note,)}
    cut = sum(one.reason == "budget" for one in chosen)
    note = (f"{cut} passage{'s' if cut > 1 else ''} did not fit the {state['context_tokens']:,} tokens that the model reads.",) if cut else ()
    return {"candidates": chosen, "notes": note}


@_timed
def judge(state: AgentState, runtime: Runtime[Sources]) -> dict[str, Any]:
    """Decides from the scores whether the passages answer, may be related, or do not."""
    outcome, score = ranking.judge(state["candidates"], state["question"].language, _vectors_of(state))
    lacking = state["reader"].lacks([one.chunk for one in _used(state)]) if outcome == "answer" else []
    if lacking:
        return {"outcome": "possible", "gate": score, "notes": (f"No passage names {', '.join(lacking)}.",)}
    by_meaning = outcome == "possible" and score < _gate(state).possible and state["path"] != "history"  # which is searched beyond then
    notes = (f"Other words than the question's, near in meaning ({ranking.nearest(state['candidates']):.2f}).",) if by_meaning else ()
    return {"outcome": outcome, "gate": score, "notes": notes}


@_timed
def compose(state: AgentState, runtime: Runtime[Sources]) -> dict[str, Any]:
    """Writes the prompt; the model's answer is streamed outside of the flow."""
    question, used = state["question"], _used(state)
    shown = personal.as_shown(runtime.context.db, runtime.context.words, state["scope"].tenant_id, state["where"].tenants)
    history, passages = personal.veiled_turns(state["history"], shown), personal.veiled(used, shown)
    messages = prompts.prompt(shown(state["asked"]), question.language, history, passages, state["context_tokens"], state["outcome"] == "possible")
    return {"decision": Decision(state["outcome"], "", messages, _citations(used, state["reader"]), _trace(state, runtime, state["model_name"] or ""))}


@_timed
def quote(state: AgentState, runtime: Runtime[Sources]) -> dict[str, Any]:
    """Answers with the best sentences themselves."""
    used, reader = _used(state), state["reader"]
    quotes = prompts.best_quotes(used, reader)
    text = prompts.quotation(quotes, state["question"].language, state["outcome"] == "possible")
    if state["outcome"] == "possible" and prompts.is_about_mai_sale(state["asked"]):
        text = _with_help(text, state, runtime)
    return {"decision": Decision(state["outcome"], text, None, _citations(used, reader), _trace(state, runtime, "quotations"), tuple(quotes))}


@_timed
def abstain(state: AgentState, runtime: Runtime[Sources]) -> dict[str, Any]:
    """Says that nothing was found, and which documents come closest."""
    closest = tuple(dict.fromkeys(one.chunk.title for one in state["candidates"] if one.chunk.document_id))[:CLOSEST_TITLES]
    unused = {**state, "candidates": [ranking.unused(one) for one in state["candidates"]]}
    text = _with_help(prompts.nothing_found(state["question"].language, closest, *unread(runtime.context.db, state["scope"])), state, runtime)
    return {"decision": Decision("abstain", text, None, (), _trace(unused, runtime, "", closest))}


def _with_help(text: str, state: AgentState, runtime: Runtime[Sources]) -> str:
    on_page = not state["where"].documents and not state["said_is_source"]  # other clients have no line to choose in
    aside = on_page and help_is_aside(runtime.context.db, state["searched"])
    return prompts.with_help(text, state["question"].language) if aside else text


def _question_vector(
    embedder: Embedder | None, question: Question, reader: Reader, embedded: Callable[[str], str]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if embedder is None:
        return None, ("The embedding model is away; words answered.",)
    try:
        return embedder.query_vector([(embedded(text), weight) for text, weight in question.parts], reader.weight), ()
    except (ModelUnavailable, ModelFailed) as problem:
        return None, (f"The question was not embedded ({problem}); words answered.",)


def _cited_before(sources: Sources, where: SearchFilter, question: Question, earlier: Sequence[Citation], vector: np.ndarray | None) -> list[Candidate]:
    """The passages that earlier answers cite, as far as they can still be read."""
    keys = list(dict.fromkeys(citation.key for citation in earlier))
    kinds = ("documents", "messages") if keys else ()
    return [one for kind in kinds for one in candidates(sources, kind, where, question.parts, vector, dict.fromkeys(keys), {})]


def _said_before(state: AgentState, sources: Sources, reader: Reader) -> list[Candidate]:
    """The turns of a conversation that its client keeps. In no index: the share of the question's words that they carry stands for both word scores."""
    made, here = [], _HERE[reader.language]
    texts = [message.text[:SAID_CHARACTERS] for message in state["history"]]
    for position, (text, searched) in enumerate(zip(texts, _as_searched(state, sources, texts), strict=True)):
        name = f"said#{position}"
        chunk = Chunk(f"{name}#chunk_0", state["scope"].tenant_id, "", here, text, 0, estimate_tokens(text), time.time(), message_id=name)
        if searched != text:
            chunk = replace(chunk, searched=FIELDS_APART.join((here, "", searched)))
        share = reader.chunk_coverage(chunk)
        made.append(Candidate(chunk, word_score=share, stem_score=share))
    return made


def _as_searched(state: AgentState, sources: Sources, texts: Sequence[str]) -> list[str]:
    """With the hash words of the numbers that the indexes know, or a conversation that is in no index."""
    said = [message.text for message in state["history"]] if state["said_is_source"] else ()
    return privacy.as_searched(sources.db, sources.words, state["where"].tenants, texts, said)


def _once(found: Iterable[Candidate]) -> list[Candidate]:
    """Each chunk once, with the vector score where one of its finders knew it."""
    kept: dict[str, Candidate] = {}
    for one in found:
        other = kept.get(one.chunk.key)
        if other is None or (other.vector_score is None and one.vector_score is not None):
            kept[one.chunk.key] = one
    return list(kept.values())


def _says_something(chunk: Chunk, asked: str) -> bool:
    """False for messages that hold no answer: questions, and replies whose sources are candidates themselves."""
    if not chunk.message_id:
        return True
    text = chunk.text.strip()
    return not (asks(text) or fold(text) == fold(asked) or _CITED.search(text) or prompts.is_own_frame(text))


def _vectors_of(state: AgentState) -> str:
    """The embedder whose vectors were searched; empty when words alone answered."""
    return "" if state["answered_by"].get("vectors", "none: ").startswith("none: ") else state["embedder"]


def _gate(state: AgentState) -> ranking.Gate:
    return ranking.GATES[ranking.table_key(state["question"].language, _vectors_of(state))]


def _used(state: AgentState) -> list[Candidate]:
    return [one for one in state["candidates"] if one.number]


def _citations(used: Sequence[Candidate], reader: Reader) -> tuple[Citation, ...]:
    return tuple(
        Citation(
            number=one.number or 0,
            key=one.chunk.key,
            title=one.chunk.title,
            place=one.chunk.place,
            text=one.chunk.text,
            score=one.score,
            strength=ranking.strength(one),
            document_id=one.chunk.document_id,
            message_id=one.chunk.message_id,
            heading=one.chunk.heading,
            highlights=reader.highlights(one.chunk),
        )
        for one in used
    )


def _trace(state: AgentState, runtime: Runtime[Sources], model: str, closest: tuple[str, ...] = ()) -> Trace:
    question = state["question"]
    return Trace(
        question=state["asked"],
        language=question.language,
        path=state["path"],
        coverage=state["coverage"],
        coverage_needed=ranking.HISTORY_COVERAGE[question.language],
        outcome=state["outcome"],
        gate=state["gate"],
        gate_needed=_gate(state).possible,
        candidates=tuple(one.without_text() for one in state["candidates"][:TRACED]),
        answered_by=state["answered_by"],
        embedder=_vectors_of(state),
        model=model,
        closest=closest,
        notes=tuple(dict.fromkeys(state["notes"])),
        milliseconds=state["milliseconds"],
        searched=state["searched"],
    )
