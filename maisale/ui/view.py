"""What one tab shows of the documents, and the page of the list that follows from it. The tab carries it as texts, which a hostile page may have written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maisale.chat.naming import ranked
from maisale.records import Outline

ROWS = 50  # of a page of the list; each redraw sends them all
KINDS = ("all", "running", "words", "failed")
FIND_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class View:
    """find: what is typed in the search box. after: the document that the page before ends with. opened: the one whose steps are shown.

    drawn: the digest of what the tab shows already.
    """

    find: str = ""
    kind: str = "all"  # of KINDS
    after: str = ""
    opened: str = ""
    letters: bool = False  # what was given up is unfolded
    drawn: str = ""

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> View:
        kind = sent.get("kind", "")
        return cls(
            find=sent.get("find", "")[:FIND_CHARACTERS].strip(),
            kind=kind if kind in KINDS else "all",
            after=sent.get("after", ""),
            opened=sent.get("opened", ""),
            letters=bool(sent.get("letters")),
            drawn=sent.get("drawn", ""),
        )

    @classmethod
    def of_text(cls, text: str) -> View:
        """Of the same as JSON; the first page for any other text."""
        try:
            sent = json.loads(text)
        except (ValueError, RecursionError):
            return cls()
        return cls.read({name: value for name, value in sent.items() if isinstance(value, str)} if isinstance(sent, dict) else {})


@dataclass(frozen=True, slots=True)
class Shown:
    """A page of the list. counts: by kind, of what the search found; totals: the same of everything."""

    ids: tuple[str, ...]
    first: int  # the number of the first row, from 1
    found: int  # rows of all pages
    counts: Mapping[str, int]
    totals: Mapping[str, int]
    collections: int
    newer: str | None = None  # `after` of the page before this; None: there is none
    older: str | None = None


def page_of(listed: Sequence[Outline], view: View) -> Shown:
    """listed: everything that this person may read, the newest first. A page that begins after a document that is gone is the first one."""
    rank = ranked(view.find) if view.find else None
    found = [one for one in listed if rank is None or rank([one.title], [one.source, one.collection]) is not None]
    rows = [one.id for one in found if view.kind in ("all", one.kind)]
    start = rows.index(view.after) + 1 if view.after in rows else 0
    ids = tuple(rows[start : start + ROWS])
    before = start - ROWS
    return Shown(
        ids=ids,
        first=start + 1,
        found=len(rows),
        counts=_counts(found),
        totals=_counts(listed),
        collections=len({one.collection_id for one in listed}),
        newer=None if not start else rows[before - 1] if before > 0 else "",
        older=ids[-1] if start + len(ids) < len(rows) else None,
    )


def _counts(listed: Sequence[Outline]) -> dict[str, int]:
    by_kind = Counter(one.kind for one in listed)
    return {kind: len(listed) if kind == "all" else by_kind[kind] for kind in KINDS}
