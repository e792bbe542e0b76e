"""Candidates, and search as LangChain knows it: a retriever whose documents carry every part of their scores.

CandidateRetriever is what the policy searches with; search.KnowledgeRetriever runs the whole policy and gives what it would answer from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from maisale.flow.reading import Question
from maisale.records import Candidate, Chunk, SearchFilter, WordHit
from maisale.store.chunks import chunks, kind_of, vectors_of

Parts = Sequence[tuple[str, float]]


class Passage(Document):
    """A candidate as LangChain's Document: page_content is its text, id its key, metadata where it stands and what it scored."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    candidate: Candidate

    @classmethod
    def of(cls, one: Candidate) -> Passage:
        chunk = one.chunk
        where = {"title": chunk.title, "heading": chunk.heading, "place": chunk.place, "document_id": chunk.document_id, "message_id": chunk.message_id}
        scores = {"score": one.score, "vector_score": one.vector_score, "word_score": one.word_score, "stem_score": one.stem_score}
        return cls(page_content=chunk.text, id=chunk.key, metadata={**where, **scores}, candidate=one)


class CandidateRetriever(BaseRetriever):
    """What words and vectors find for a question inside a filter, in no order. For one question: who answered for the vectors is kept here."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    sources: Any  # flow.state.Sources
    where: SearchFilter
    kind: str = "documents"  # or messages
    question: Question | None = None  # with the weights of earlier turns; None: what is invoked, alone
    vector: np.ndarray | None = None  # the question's; None: words answer
    vectors_by: str = "none: not asked yet"

    def candidates(self, asked: str = "") -> list[Candidate]:
        parts = self.question.parts if self.question else ((asked, 1.0),)
        limit = self.sources.settings.retrieval_candidates
        by_words = {hit.key: hit for hit in self.sources.words.search(self.kind, self.where, parts, limit)}
        near: dict[str, float | None] = {}
        self.vectors_by = "none: no vector of the question"
        if self.vector is not None:
            hits, self.vectors_by = self.sources.nearest(self.kind, self.where, self.vector, limit)
            near = {hit.key: hit.score for hit in hits}
        return candidates(self.sources, self.kind, self.where, parts, self.vector, near, by_words)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Passage.of(one) for one in self.candidates(query)]


def candidates(
    sources: Any, kind: str, where: SearchFilter, parts: Parts, vector: np.ndarray | None, near: Mapping[str, float | None], by_words: Mapping[str, WordHit]
) -> list[Candidate]:
    """The chunks with both scores, read under the filter once more: an index is not trusted with tenancy. near: cosine by key, where it is known."""
    by_words = {**by_words, **sources.words.scores(kind, where, parts, [key for key in near if key not in by_words])}
    texts: dict[str, Chunk] = {key: one for key, one in chunks(sources.db, where, list({**by_words, **near})).items() if kind_of(one) == kind}
    # What words alone found is as near as it is: the index names its nearest only.
    near = {**near, **_cosines(sources, [key for key in texts if near.get(key) is None], vector)}
    return [
        Candidate(
            chunk,
            vector_score=near.get(key),
            word_score=by_words[key].words if key in by_words else 0.0,
            stem_score=by_words[key].stems if key in by_words else 0.0,
        )
        for key, chunk in texts.items()
    ]


def _cosines(sources: Any, keys: Sequence[str], vector: np.ndarray | None) -> dict[str, float]:
    """Of the stored vectors of these chunks, as far as there are any."""
    embedder = sources.embedder
    if vector is None or embedder is None or not keys:
        return {}
    rows = vectors_of(sources.db, embedder.name, keys)
    return {row.key: float(row.vector @ vector) for row in rows if row.vector.shape == vector.shape}
