"""Words of removed rows taken out of an FTS5 index: it only marks them as deleted, and keeps them until its segments are merged."""

from __future__ import annotations

from maisale.contracts import Database, Transaction

PAGES = 64  # merged in one transaction, about 20 ms: others' writes go in between
SMALL = 2_000  # rows of an index that is built anew in less than that takes
ROUNDS = 100_000


def purge(db: Database, index: str) -> None:
    """Merges the segments of an index into one, which holds no deleted word, a few pages at a time."""
    if _in_one_piece(db, index):
        # Nothing is merged then; that piece may have been written by a transaction that added and removed.
        db.write(lambda tx: tx.execute(f'INSERT INTO "{index}"("{index}") VALUES (\'rebuild\')'), bulk=True)
        return
    pages = -PAGES  # a negative number begins with all segments, a positive one goes on
    for _ in range(ROUNDS):
        if not db.write(lambda tx, pages=pages: _merge(tx, index, pages), bulk=True):
            return
        pages = PAGES


def _in_one_piece(db: Database, index: str) -> bool:
    segments = db.rows(f'SELECT count(DISTINCT segid) AS n FROM "{index}_idx"')[0]["n"]
    return segments <= 1 and db.rows(f'SELECT count(*) AS n FROM "{index}_docsize"')[0]["n"] <= SMALL


def _merge(tx: Transaction, index: str, pages: int) -> bool:
    """Whether anything was left to merge."""
    before = tx.rows("SELECT total_changes() AS n")[0]["n"]
    tx.execute(f'INSERT INTO "{index}"("{index}", rank) VALUES (\'merge\', :pages)', pages=pages)
    return tx.rows("SELECT total_changes() AS n")[0]["n"] - before >= 2  # by FTS5's documentation
