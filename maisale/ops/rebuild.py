"""The index of words anew from the passages; that of vectors is the worker's to build (library/upkeep.py)."""

from __future__ import annotations

from collections.abc import Callable

from maisale.contracts import Transaction
from maisale.records import SearchFilter
from maisale.services import Services
from maisale.store import chunks

PAGE = 200  # passages in one transaction
Progress = Callable[[str, int, int], None]


def words(services: Services, progress: Progress = lambda *_: None) -> int:
    """Returns how many passages were indexed. Until it is through, words find only a part, and vectors answer for the rest."""
    db, done = services.db, 0
    total = db.rows("SELECT count(*) AS n FROM chunks")[0]["n"]
    groups = db.rows("SELECT DISTINCT tenant_id, CASE WHEN message_id IS NULL THEN 'documents' ELSE 'messages' END AS kind FROM chunks")
    for group in groups:
        db.write(lambda tx, group=group: services.words.drop(tx, group["tenant_id"], group["kind"]), bulk=True)
        after = ""
        while page := chunks.page(db, group["tenant_id"], group["kind"], after, PAGE):
            after = page[-1].key

            def index(tx: Transaction, keys: tuple[str, ...] = tuple(chunk.key for chunk in page)) -> None:
                services.words.add(tx, chunks.with_keys(tx, keys))  # read again: one may have gone meanwhile

            db.write(index, bulk=True)
            done += len(page)
            progress("Words", done, total)
    return done


def has_words(services: Services) -> bool:
    """Whether every tenant's passages have an index of words; one that has is complete, for both are written together."""
    sql = """SELECT c.tenant_id, c.collection_id, c.message_id, c.key FROM chunks AS c JOIN (
             SELECT min(key) AS key FROM chunks GROUP BY tenant_id, CASE WHEN message_id IS NULL THEN 0 ELSE 1 END) AS first ON first.key = c.key"""
    for row in services.db.rows(sql):
        kind, where = "messages" if row["message_id"] else "documents", SearchFilter((row["tenant_id"],), (row["collection_id"],))
        if not services.words.scores(kind, where, [("anything", 1.0)], [row["key"]]):
            return False
    return True
