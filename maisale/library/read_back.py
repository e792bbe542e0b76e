"""The last look before a document is called complete: do searches for what it says find it?

A search that fails is mended once from SQL, and asked again. What is still not found then is told, and the document is not complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from maisale.contracts import KeptIndex, Transaction
from maisale.errors import ModelFailed
from maisale.library.passages import SLICE, slices
from maisale.records import Chunk, SearchFilter
from maisale.redaction import words_text
from maisale.services import Services
from maisale.store import chunks
from maisale.text import content_words, words

SAMPLE = 8  # passages of a document that are searched for
ASKED = 12  # words of a passage
ANSWERS = 5
SAME = 0.9999  # cosine
WORDS_LOST = "Its passages were read, and a search for their own words does not find them."


class NotFoundAgain(ModelFailed):
    """What was stored is not found by a search."""


def read_back(services: Services, document_id: str, embedder: str, index: KeptIndex | None) -> None:
    """Searches for some passages by their words and by their vectors, as questions do. index: None when vectors are searched exactly.

    Raises NotFoundAgain, or IndexUnavailable.
    """
    passages = chunks.chunks_of(services.db, document_id)
    sample = passages[:: max(1, len(passages) // SAMPLE)]
    if _lost_words(services, sample):
        _index_words_again(services, passages)
        if lost := _lost_words(services, sample):
            raise NotFoundAgain(f"{WORDS_LOST} The first is passage {lost[0].position + 1}. `rebuild-index` makes the index of words anew.")
    if lost := _lost_vectors(services, sample, embedder, index):
        raise NotFoundAgain(f"The search by meaning does not find passage {lost[0].position + 1} again. `rebuild-index` makes the index anew.")


def _lost_words(services: Services, sample: Sequence[Chunk]) -> list[Chunk]:
    """Those that no search for their words finds, though they have some."""
    lost = []
    for chunk in sample:
        asked = " ".join((content_words(chunk.sought[2]) or words(words_text(chunk)))[:ASKED])
        if asked and not _found(services, chunk, [hit.key for hit in services.words.search("documents", _inside(chunk), [(asked, 1.0)], ANSWERS)]):
            lost.append(chunk)
    return lost


def _lost_vectors(services: Services, sample: Sequence[Chunk], embedder: str, index: KeptIndex | None) -> list[Chunk]:
    """Those that have a vector which finds something else. Passages that an embedder refused have none, and are told of elsewhere."""
    by_key = {chunk.key: chunk for chunk in sample}
    rows = chunks.vectors_of(services.db, embedder, list(by_key))
    if index is not None and not index.state and rows:  # until it is filled, exact search answers in its place
        return [by_key[key] for key in index.lost(sample[0].tenant_id, embedder, "documents", rows)]
    lost = []
    for row in rows:
        chunk = by_key[row.key]
        hits = services.exact.nearest(embedder, "documents", _inside(chunk), row.vector, ANSWERS)
        # Passages with the same vector are one place: any of them may come first.
        if chunk.key not in {hit.key for hit in hits} and not (hits and hits[0].score > SAME):
            lost.append(chunk)
    return lost


def _inside(chunk: Chunk) -> SearchFilter:
    return SearchFilter((chunk.tenant_id,), (chunk.collection_id,), (chunk.document_id,))


def _found(services: Services, chunk: Chunk, keys: Sequence[str]) -> bool:
    """Whether a search found the passage, or others that say the very same."""
    return chunk.key in keys or any(other.text == chunk.text for other in chunks.with_keys(services.db, keys))


def _index_words_again(services: Services, passages: Sequence[Chunk]) -> None:
    for part in slices(passages, SLICE):

        def add(tx: Transaction, part: Sequence[Chunk] = part) -> None:
            there = {one.key for one in chunks.with_keys(tx, [chunk.key for chunk in part])}
            services.words.add(tx, [chunk for chunk in part if chunk.key in there])

        services.db.write(add, bulk=True)
