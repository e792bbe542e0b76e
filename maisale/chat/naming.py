"""Documents by a part of their name, as somebody types it: with or without diacritics, from the beginning of the name or of any word in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from maisale.chat.mentions import file_name
from maisale.contracts import Database
from maisale.records import Named, Scope
from maisale.store import conversations, documents
from maisale.text import fold

OFFERED = 20  # whoever does not find it among these types more


def find_names(db: Database, scope: Scope, typed: str, conversation_id: str | None = None, *, anywhere: bool = False) -> list[Named]:
    """Up to OFFERED documents that this person may ask by name, those that begin so first, then the newest; all of them fit an empty text.

    anywhere: also what is typed inside a word, or names a folder. conversation_id: with that conversation's own files. Raises NotFound.
    """
    if conversation_id:
        conversations.get_conversation(db, scope, conversation_id)
    if not typed.strip():
        return documents.document_names(db, scope, conversation_id, OFFERED)
    rank = ranked(typed)
    found = []
    for one in documents.document_names(db, scope, conversation_id):
        place = rank([file_name(one), one.title], [one.source, one.collection] if anywhere else [])
        if place is not None and (anywhere or place < INSIDE):
            found.append((place, one))
    found.sort(key=lambda each: each[0])
    return [one for _, one in found[:OFFERED]]


BEGINS, WORDS, INSIDE = range(3)  # the whole name begins so; words of it do; it stands inside


def ranked(typed: str) -> Callable[[Sequence[str], Sequence[str]], int | None]:
    """How well (names, places) fit what was typed: BEGINS, WORDS or INSIDE; None: not at all."""
    whole = " ".join(fold(typed).split())
    parts = whole.split()
    begins = [re.compile(rf"(?<![^\W_]){re.escape(part)}") for part in parts]

    def rank(names: Sequence[str], places: Sequence[str]) -> int | None:
        folded = [fold(name) for name in names]
        text = "\n".join(folded)
        everywhere = "\n".join([text, *map(fold, places)]) if places else text
        if not all(part in everywhere for part in parts):
            return None
        if any(name.startswith(whole) for name in folded):
            return BEGINS
        if all(pattern.search(text) for pattern in begins):
            return WORDS
        return INSIDE

    return rank
