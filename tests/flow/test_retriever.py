"""Search as LangChain knows it."""

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

from conftest import LINH
from maisale.flow.graph import decide
from maisale.flow.retriever import CandidateRetriever
from maisale.flow.search import KnowledgeRetriever
from maisale.records import SearchFilter
from maisale.store import documents


def test_candidates_come_as_documents_with_their_scores(library):
    finder = CandidateRetriever(sources=library.services, where=library.where)
    found = {one.id: one for one in finder.invoke("RO-9 warranty")}
    warranty = found["warranty#chunk_0"]
    assert isinstance(finder, BaseRetriever)
    assert warranty.page_content.startswith("The RO-9") and warranty.metadata["title"] == "Warranty policy 2026"
    assert warranty.metadata["word_score"] > 0 and warranty.metadata["vector_score"] is None


def test_what_words_found_knows_how_near_it_is(library):
    vector = library.services.builtin.vectors(["RO-9 warranty"])[0]
    finder = CandidateRetriever(sources=library.services, where=library.where, vector=vector)
    assert all(one.metadata["vector_score"] is not None for one in finder.invoke("RO-9 warranty"))
    assert finder.vectors_by == "exact"


def test_nothing_outside_the_filter_comes(library):
    finder = CandidateRetriever(sources=library.services, where=SearchFilter(("tenant-a",), ("elsewhere",)))
    assert finder.invoke("RO-9 warranty") == []


def test_a_langchain_chain_gets_what_the_policy_would_answer_from(library):
    collection = library.services.db.write(lambda tx: documents.collection_named(tx, LINH, "Policies"))
    for key, text in (("w", "The warranty of the kettle lasts 24 months."), ("h", "The shop opens at eight.")):
        library.add(key, text, collection=collection)
        library.services.db.write(
            lambda tx, key=key: documents.receive_document(
                tx, LINH, collection, document_id=key, title=key, source=key, media_type="", size=1, content_hash=key
            )
        )
    chain = KnowledgeRetriever(services=library.services, scope=LINH, k=1) | RunnableLambda(lambda found: [one.page_content for one in found])
    assert chain.invoke("How long is the warranty of the kettle?") == ["The warranty of the kettle lasts 24 months."]
    where, _ = documents.searchable(library.services.db, LINH)
    assert decide(library.services, "How long is the warranty of the kettle?", LINH, where, "").citations[0].key == "w#chunk_0"


def test_the_embedder_is_langchains(library):
    embedder = library.services.embedder
    assert isinstance(embedder, Embeddings)
    assert np.allclose(embedder.embed_documents(["warranty"])[0], embedder.vectors(["warranty"])[0])
