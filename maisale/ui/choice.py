"""What one tab searches: collections, or single documents. The page carries it as text, which a hostile page may have written."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

MOST_CHOSEN = 50  # documents; more is a collection


@dataclass(frozen=True, slots=True)
class Choice:
    """collections: names; empty: all. documents: ids; when there are any, they alone are searched."""

    collections: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Choice:
        """What `str` wrote; nothing chosen for any other text."""
        try:
            collections, documents = json.loads(text)
            return cls(_texts(collections), _texts(documents)[:MOST_CHOSEN])
        except (ValueError, TypeError, RecursionError):
            return cls()

    def without(self, document_id: str) -> Choice:
        return replace(self, documents=tuple(one for one in self.documents if one != document_id))

    def __str__(self) -> str:
        return json.dumps([self.collections, self.documents]) if self.collections or self.documents else ""


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError("a list of texts is wanted")
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str)))
