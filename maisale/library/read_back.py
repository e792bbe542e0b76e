"""The last look before a document is called complete: do searches for what it says find it?

A search that fails is mended once from SQL, and asked again. What is still not found then is told, and the document is not complete.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from maisale.contracts import KeptIndex, Transaction
from maisale.errors import ModelFailed, StorageFailed
from maisale.library.passages import SLICE, slices
from maisale.records import Chunk, SearchFilter, WordHit
from maisale.redaction import words_text
from maisale.services import Services
from maisale.store import chunks
from maisale.text import content_words, words

log = logging.getLogger(__name__)

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
    asked = _telling_words(passages, sample)
    if (lost := _lost_words(services, sample, asked)) and (not _index_words_again(services, passages) or (lost := _lost_words(services, sample, asked))):
        raise NotFoundAgain(f"{WORDS_LOST} The first is passage {lost[0].position + 1}. `rebuild-index` makes the index of words anew.")
    if (lost := _lost_vectors(services, sample, embedder, index)) and index is not None:
        # One vector in a thousand stands where no way through Chroma's graph leads; written again, it is linked anew.
        index.upsert(lost[0].tenant_id, embedder, "documents", chunks.vectors_of(services.db, embedder, [chunk.key for chunk in passages]))
        lost = _lost_vectors(services, sample, embedder, index)
    if lost:
        raise NotFoundAgain(f"The search by meaning does not find passage {lost[0].position + 1} again. `rebuild-index` makes the index anew.")


def _telling_words(passages: Sequence[Chunk], sample: Sequence[Chunk]) -> dict[str, str]:
    """key -> what is asked for: the words of a passage that fewest others of its document hold. The rows of a table all hold its head."""
    held = {chunk.key: dict.fromkeys(content_words(chunk.sought[2]) or words(words_text(chunk))) for chunk in passages}
    seen = Counter(word for found in held.values() for word in found)
    return {chunk.key: " ".join(sorted(held[chunk.key], key=seen.__getitem__)[:ASKED]) for chunk in sample}


def _lost_words(services: Services, sample: Sequence[Chunk], asked: Mapping[str, str]) -> list[Chunk]:
    """Those that no search for their words finds, though they have some and nothing else has more of them."""
    return [chunk for chunk in sample if asked[chunk.key] and not _found(services, chunk, [(asked[chunk.key], 1.0)])]


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


def _found(services: Services, chunk: Chunk, parts: Sequence[tuple[str, float]]) -> bool:
    """Whether the search shows the passage, or others in its place that it puts before it rightly: passages may say the very same."""
    where = _inside(chunk)
    hits = services.words.search("documents", where, parts, ANSWERS)
    if chunk.key in (hit.key for hit in hits):
        return True
    own = services.words.scores("documents", where, parts, [chunk.key]).get(chunk.key)
    return own is not None and len(hits) == ANSWERS and min(map(_score, hits)) >= _score(own)


def _score(hit: WordHit) -> float:
    return hit.words + hit.stems


def _index_words_again(services: Services, passages: Sequence[Chunk]) -> bool:
    """Whether the index took them: one that lost a part of its words cannot forget the rest, and has to be made anew as a whole."""
    for part in slices(passages, SLICE):

        def add(tx: Transaction, part: Sequence[Chunk] = part) -> None:
            there = {one.key for one in chunks.with_keys(tx, [chunk.key for chunk in part])}
            services.words.add(tx, [chunk for chunk in part if chunk.key in there])

        try:
            services.db.write(add, bulk=True)
        except StorageFailed as problem:
            log.error("the index of words takes nothing more of document %s: %s", passages[0].document_id, problem)
            return False
    return True
