"""What one run of the flow knows, field by field, and what it hands back."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypedDict

import numpy as np
from langchain_core.messages import BaseMessage

from maisale.config import Settings
from maisale.contracts import Database, Embedder, LexicalIndex
from maisale.flow.reading import Question, Quote, Reader
from maisale.records import Candidate, Citation, Hit, Scope, SearchFilter, Trace


class Sources(Protocol):
    """What the nodes need of the services: they get it as LangGraph's runtime context."""

    db: Database
    settings: Settings
    words: LexicalIndex

    @property
    def embedder(self) -> Embedder | None:
        """The one whose vectors are searched now; None while its model is away."""

    def nearest(self, kind: str, where: SearchFilter, vector: np.ndarray, limit: int) -> tuple[list[Hit], str]:
        """Hits, and who answered: "Chroma", "exact" or "none: why". Never raises."""


class AgentState(TypedDict, total=False):
    """The state of the graph."""

    asked: str  # the question as it was typed
    scope: Scope  # who asks: what may be read
    where: SearchFilter  # the readable collections and this conversation
    conversation_id: str  # its chunks are history, and get the boost
    history: Sequence[BaseMessage]  # earlier turns, oldest first
    said_is_source: bool  # the history is in no index: its client keeps the conversation
    earlier: Sequence[Citation]  # what earlier answers rest on, the latest first
    model_name: str | None  # who will write the answer; None: quotations
    context_tokens: int  # how much that model reads, its own answer included
    searched: tuple[str, ...]  # names of the collections, for the trace

    question: Question  # set by recall: language, weights of earlier turns
    embedder: str  # whose vector it is; empty without one
    vector: np.ndarray | None  # the question's, float32; None without an embedder
    reader: Reader  # the question ready to be laid beside passages
    path: str  # history, or knowledge once it has been searched
    coverage: float  # of the question by one passage of this conversation, 0..1
    candidates: list[Candidate]  # found so far; after rank in order, the best first
    outcome: str  # answer, possible or abstain
    gate: float  # the judge's score of the best candidate
    decision: Decision  # the end

    answered_by: Annotated[dict[str, str], operator.or_]  # {"vectors": "Chroma", "words": "FTS5"}
    notes: Annotated[tuple[str, ...], operator.add]  # what was degraded or cut, in words
    milliseconds: Annotated[dict[str, float], operator.or_]  # each node's


@dataclass(frozen=True)
class Decision:
    """What to answer. Either `text` is ready or `prompt` is for the model to stream."""

    outcome: str  # answer, possible or abstain
    text: str  # Markdown with [n]; empty when a model writes
    prompt: list[BaseMessage] | None
    citations: tuple[Citation, ...]  # numbered 1..K in the order of their rank
    trace: Trace
    quotes: tuple[Quote, ...] = ()  # of an answer by quotations, the best first
