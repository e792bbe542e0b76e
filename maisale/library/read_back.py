"""The last look before a document is called complete: do searches for what it says find it?

A search that fails is mended once from SQL, and asked again. What is still not found then is told, and the document is not complete; but for a vector
that the index holds and no way through its graph leads to.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from maisale.contracts import KeptIndex, Transaction
from maisale.errors import ModelFailed, StorageFailed
from maisale.library.passages import SLICE, slices
from maisale.records import Chunk, SearchFilter, VectorRow
from maisale.redaction import words_text
from maisale.services import Services
from maisale.store import chunks
from maisale.text import STOP_EN, STOP_VI, words

log = logging.getLogger(__name__)

SAMPLE = 8  # passages of a document that are searched for by their words
SAMPLE_VECTORS = 2  # of them, by their vectors: 6 ms each in Chroma, twice what it takes to write one
ASKED = 4  # words of a passage; each is looked up in every segment of two indexes
ANSWERS = 5
SAME = 0.9999  # cosine
_SAY_LITTLE = STOP_EN | STOP_VI
WORDS_LOST = "Its passages were read, and a search for their own words does not find them."


class NotFoundAgain(ModelFailed):
    """What was stored is not found by a search."""


def read_back(services: Services, document_id: str, embedder: str, index: KeptIndex | None) -> None:
    """Searches for some passages by their words and by their vectors, as questions do. index: None when vectors are searched exactly.

    Raises NotFoundAgain, or IndexUnavailable.
    """
    passages, sample = read_back_words(services, document_id)
    sample = sample[:: max(1, len(sample) // SAMPLE_VECTORS)]
    if lost := _lost_vectors(services, passages, sample, embedder, index):
        raise NotFoundAgain(f"The search by meaning does not find passage {lost[0].position + 1} again. `rebuild-index` makes the index anew.")


def not_held(index: KeptIndex, name: tuple[str, str, str], sample: Sequence[VectorRow], rows: Callable[[], Sequence[VectorRow]]) -> list[str]:
    """The keys of `sample` that the index lost. rows: what is written again when a search does not find them all; then they are linked anew.

    name: (tenant_id, embedder, kind). What it holds then and still does not find stands where no way through its graph leads: among vectors of one template
    there are many such. Words find it, and exact search up to services.EXACT_ROWS; no document waits for it.
    """
    if not index.lost(*name, sample):
        return []
    index.upsert(*name, rows())
    if not (lost := index.lost(*name, sample)):
        return []
    held = index.keys(*name, lost)
    if held:
        log.warning("%d of %d vectors that were looked for are in the index, and no way through its graph leads there", len(held), len(sample))
    return [key for key in lost if key not in held]


def read_back_words(services: Services, document_id: str) -> tuple[list[Chunk], list[Chunk]]:
    """The words alone, for what was searched for by its vectors already. Returns the passages, and those that were looked for. Raises NotFoundAgain."""
    passages = chunks.chunks_of(services.db, document_id)
    sample = passages[:: max(1, len(passages) // SAMPLE)]
    asked = _telling_words(passages, sample)
    if (lost := _lost_words(services, sample, asked)) and (not _index_words_again(services, passages) or (lost := _lost_words(services, sample, asked))):
        raise NotFoundAgain(f"{WORDS_LOST} The first is passage {lost[0].position + 1}. `rebuild-index` makes the index of words anew.")
    return passages, sample


def _telling_words(passages: Sequence[Chunk], sample: Sequence[Chunk]) -> dict[str, list[str]]:
    """key -> what is asked for: the words of a passage that fewest others of its document hold. The rows of a table all hold its head."""
    held = {}
    for chunk in passages:
        of_text = dict.fromkeys(words(chunk.sought[2]))
        held[chunk.key] = [word for word in of_text if word not in _SAY_LITTLE] or list(dict.fromkeys(words(words_text(chunk))))
    seen = Counter(word for found in held.values() for word in found)
    return {chunk.key: sorted(held[chunk.key], key=seen.__getitem__)[:ASKED] for chunk in sample}


def _lost_words(services: Services, sample: Sequence[Chunk], asked: Mapping[str, Sequence[str]]) -> list[Chunk]:
    """Those that their own words do not find, though they have some."""
    said = [chunk for chunk in sample if asked[chunk.key]]
    found = services.words.found(said[0].tenant_id, "documents", {chunk.key: asked[chunk.key] for chunk in said}) if said else ()
    return [chunk for chunk in said if chunk.key not in found]


def _lost_vectors(
    services: Services, passages: Sequence[Chunk], sample: Sequence[Chunk], embedder: str, index: KeptIndex | None
) -> list[Chunk]:
    """Those that have a vector which finds something else. Passages that an embedder refused have none, and are told of elsewhere."""
    by_key = {chunk.key: chunk for chunk in sample}
    rows = chunks.vectors_of(services.db, embedder, list(by_key))
    if index is not None and not index.state and rows:  # until it is filled, exact search answers in its place
        every = [chunk.key for chunk in passages]
        name = (sample[0].tenant_id, embedder, "documents")
        return [by_key[key] for key in not_held(index, name, rows, lambda: chunks.vectors_of(services.db, embedder, every))]
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
