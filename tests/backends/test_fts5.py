"""What is FTS5's own in word search; the rest holds for every back end (tests/contract)."""

import random

import numpy as np
import pytest

from maisale.backends.fts5 import FTS5Index
from maisale.backends.fts5_counts import ENTRY, Counts, HeldRows
from maisale.backends.word_scores import best_rows
from maisale.records import Chunk, SearchFilter

HERE = SearchFilter(("tenant-a",), ("policies",))


def chunk(key, text, tenant="tenant-a", collection="policies", **more):
    more.setdefault("document_id", key.split("#")[0])
    return Chunk(key, tenant, collection, more.pop("title", ""), text, 0, 50, 0.0, **more)


@pytest.fixture
def index(db):
    made = FTS5Index(db)
    made.added = lambda *chunks: db.write(lambda tx: made.add(tx, chunks))
    made.removed = lambda *keys, kind="documents": db.write(lambda tx: made.remove(tx, "tenant-a", kind, keys))
    return made


def found(index, question, where=HERE, kind="documents"):
    return [hit.key for hit in index.search(kind, where, [(question, 1.0)], 20)]


def test_what_came_and_went_in_one_transaction_is_purged(index, db):
    db.write(lambda tx: (index.add(tx, [chunk("a#chunk_0", "Vexillotrope.")]), index.remove(tx, "tenant-a", "documents", ["a#chunk_0"])))
    index.added(chunk("b#chunk_0", "Months of rain."))
    held = [row["name"] for row in db.rows("SELECT name FROM sqlite_master WHERE name LIKE 'words:%data'")]
    assert any(b"exillotrop" in row["block"] for table in held for row in db.rows(f'SELECT block FROM "{table}"'))
    index.purge()
    assert not any(b"exillotrop" in row["block"] for table in held for row in db.rows(f'SELECT block FROM "{table}"'))
    assert found(index, "rain") == ["b#chunk_0"] and index.lost("tenant-a", "documents", ["b#chunk_0"]) == []


def test_a_library_that_an_earlier_version_made_is_searched(index, db):
    index.added(chunk("a#chunk_0", "The warranty lasts."))
    for which in ("words", "stems"):
        db.write(lambda tx, which=which: tx.execute(f'DROP TABLE "words:documents:tenant-a:{which}:counts"'))
    fresh = FTS5Index(db)
    assert found(fresh, "lasting warranty") == ["a#chunk_0"]


def test_rows_that_hold_a_word_once_come_in_the_order_of_fts5(index, db):
    drawn = random.Random(7)
    vocabulary = ["pump", "valve", "filter", "seal", "motor", *(f"word{number}" for number in range(40))]
    texts = [" ".join(drawn.sample(vocabulary, drawn.randint(3, 40))) for _ in range(60)]
    index.added(*(chunk(f"d{number}#chunk_0", text) for number, text in enumerate(texts)))
    table = "words:documents:tenant-a"
    words = ("valve", "seal", "motor")
    sql = f'SELECT rowid AS id FROM "{table}:words" WHERE "{table}:words" MATCH :match ORDER BY bm25("{table}:words", 1.0, 0.0), rowid LIMIT 20'
    by_fts5 = [row["id"] for row in db.rows(sql, match=f"body : ({' OR '.join(words)})")]
    counts = Counts.of(db, table, None, HeldRows())
    assert best_rows([*counts.rows_of("words", words).values()], counts, None, 20) == by_fts5


def test_rows_of_terms_are_kept_until_others_need_their_room():
    held = HeldRows(room=2 * (ENTRY + 10))
    for name in "abcd":
        held.put(name, np.arange(10))
        held.get("a")  # asked last, so kept
    assert [held.get(name) is not None for name in "abcd"] == [True, False, False, True]
    held.put("all", np.arange(1000))  # more than there is room for
    assert held.get("all") is None and held.get("a") is None
    held.put("a", np.arange(10))
    assert len(held.get("a")) == 10


def test_what_is_indexed_between_two_equal_questions_is_found_by_the_second(index):
    index.added(chunk("a#chunk_0", "The warranty lasts 24 months."))
    assert found(index, "warranty months") == ["a#chunk_0"]
    index.added(chunk("b#chunk_0", "Warranty: months of it."))
    assert set(found(index, "warranty months")) == {"a#chunk_0", "b#chunk_0"}
    index.removed("a#chunk_0")
    assert found(index, "warranty months") == ["b#chunk_0"]
