"""Personal data in a question: searched as the indexes hold it, embedded without it, and shown to a model as the tenant chose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from langchain_core.messages import BaseMessage

from maisale.contracts import Database, LexicalIndex
from maisale.records import Candidate, Chunk
from maisale.redaction import NOWHERE, as_indexed, plain
from maisale.store import privacy


def as_searched(db: Database, words: LexicalIndex, tenants: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Questions in which a number that the word indexes of these tenants know by its hash word stands as that word."""

    def known(hash_words: Collection[str]) -> Collection[str]:
        held: set[str] = set()
        for kind in ("documents", "messages"):
            idf = words.idf(kind, tenants, [*hash_words, NOWHERE])
            held |= {word for word in hash_words if idf[word] < idf[NOWHERE]}
        return held

    return as_indexed(texts, privacy.key(db), known)


def as_embedded(db: Database, tenant_id: str) -> Callable[[str], str]:
    """What becomes of a text of this tenant's question before an embedder reads it."""
    return plain if privacy.redacts(db, tenant_id) else str


def as_shown(db: Database, tenant_id: str) -> Callable[[str], str]:
    """What becomes of every text before the model that answers this tenant reads it."""
    return str if privacy.model_sees_originals(db, tenant_id) else plain


def veiled(used: Sequence[Candidate], shown: Callable[[str], str]) -> list[Candidate]:
    return [replace(one, chunk=_veiled(one.chunk, shown)) for one in used]


def veiled_turns(history: Sequence[BaseMessage], shown: Callable[[str], str]) -> list[BaseMessage]:
    return [type(message)(shown(message.text)) for message in history]


def _veiled(chunk: Chunk, shown: Callable[[str], str]) -> Chunk:
    return replace(chunk, title=shown(chunk.title), heading=shown(chunk.heading), place=shown(chunk.place), text=shown(chunk.text))
