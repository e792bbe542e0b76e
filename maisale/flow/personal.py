"""Personal data in a question: what the embedder and the model that answers read of it, as the tenant chose. How it is searched: store/privacy.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from langchain_core.messages import BaseMessage

from maisale.contracts import Database, LexicalIndex
from maisale.records import Candidate, Chunk
from maisale.redaction import plain
from maisale.store import privacy


def as_embedded(db: Database, tenant_id: str) -> Callable[[str], str]:
    """What becomes of a text of this tenant's question before an embedder reads it."""
    return plain if privacy.redacts(db, tenant_id) else str


def as_shown(db: Database, words: LexicalIndex, tenant_id: str, tenants: Sequence[str]) -> Callable[[str], str]:
    """What becomes of every text before the model that answers this tenant reads it. tenants: whose indexes know a number without a word before it."""
    if privacy.model_sees_originals(db, tenant_id):
        return str
    return lambda text: plain(privacy.as_searched(db, words, tenants, [text])[0])


def veiled(used: Sequence[Candidate], shown: Callable[[str], str]) -> list[Candidate]:
    return [replace(one, chunk=_veiled(one.chunk, shown)) for one in used]


def veiled_turns(history: Sequence[BaseMessage], shown: Callable[[str], str]) -> list[BaseMessage]:
    return [type(message)(shown(message.text)) for message in history]


def _veiled(chunk: Chunk, shown: Callable[[str], str]) -> Chunk:
    return replace(chunk, title=shown(chunk.title), heading=shown(chunk.heading), place=shown(chunk.place), text=shown(chunk.text))
