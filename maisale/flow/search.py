"""Passages without an answer: the policy's own retrieval and order, for those who want the sources only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from maisale.flow.graph import decide
from maisale.flow.retriever import Passage
from maisale.flow.state import Sources
from maisale.records import Candidate, Scope
from maisale.store import documents
from maisale.store.chunks import chunks


def search(services: Sources, scope: Scope, query: str, limit: int = 10, *, names: Sequence[str] = (), conversation_id: str | None = None) -> list[Candidate]:
    """The best passages for `query` in what `scope` may read, best first, each with its text and the parts of its score. Blocking.

    names: only these collections. conversation_id: this conversation's files too.
    Raises NotFound for a collection or a conversation that this person cannot read.
    """
    where, searched = documents.searchable(services.db, scope, conversation_id, names)
    found = decide(services, query, scope, where, "", searched=searched).trace.candidates[:limit]
    texts = chunks(services.db, where, [one.chunk.key for one in found])
    return [replace(one, chunk=texts[one.chunk.key]) for one in found if one.chunk.key in texts]


class KnowledgeRetriever(BaseRetriever):
    """`search` for LangChain: what one person would be answered from, best first."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    services: Any  # flow.state.Sources
    scope: Scope
    k: int = 3
    collections: tuple[str, ...] = ()

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Passage.of(one) for one in search(self.services, self.scope, query, self.k, names=self.collections)]
