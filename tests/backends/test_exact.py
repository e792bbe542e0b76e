"""Exact search answers from what SQL holds now, whatever it has in memory."""

import time

import numpy as np
import pytest

from maisale.backends.exact import ExactIndex
from maisale.records import Chunk, SearchFilter
from maisale.store import chunks

EVERYWHERE = SearchFilter(("t",), ("a", "b"))


def unit(*values):
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def put(db, key, vector, collection="a", embedder="e", text="text"):
    chunk = Chunk(key, "t", collection, "Title", text, 0, 1, time.time(), document_id=key.split("#")[0])

    def write(tx):
        chunks.delete_chunks(tx, [key])
        chunks.insert_chunks(tx, "o", [chunk])
        chunks.save_vectors(tx, embedder, [(chunk, vector)])

    db.write(write)


def keys(index, vector, where=EVERYWHERE, limit=10):
    return [hit.key for hit in index.nearest("e", "documents", where, vector, limit)]


@pytest.fixture(params=[64, 0.00001], ids=["kept in memory", "read in pages"])
def index(db, request):
    return ExactIndex(db, cache_mb=request.param)


def test_the_nearest_come_first_with_their_cosine(db, index):
    put(db, "d1#chunk_0", unit(1, 0, 0))
    put(db, "d2#chunk_0", unit(1, 1, 0))
    hits = index.nearest("e", "documents", EVERYWHERE, unit(1, 0, 0), 5)
    assert [(hit.key, round(hit.score, 3)) for hit in hits] == [("d1#chunk_0", 1.0), ("d2#chunk_0", 0.707)]


def test_only_the_filter_is_searched(db, index):
    put(db, "d1#chunk_0", unit(1, 0, 0), collection="a")
    put(db, "d2#chunk_0", unit(1, 0, 0), collection="b")
    put(db, "d3#chunk_0", unit(1, 0, 0), collection="elsewhere")
    assert keys(index, unit(1, 0, 0), SearchFilter(("t",), ("b",))) == ["d2#chunk_0"]
    assert keys(index, unit(1, 0, 0), SearchFilter(("t",), ("a", "b"), ("d1",))) == ["d1#chunk_0"]


def test_what_is_written_later_is_found(db, index):
    put(db, "d1#chunk_0", unit(0, 1, 0))
    assert keys(index, unit(1, 0, 0)) == ["d1#chunk_0"]
    put(db, "d2#chunk_0", unit(1, 0, 0))
    assert keys(index, unit(1, 0, 0)) == ["d2#chunk_0", "d1#chunk_0"]


def test_what_is_deleted_is_not_found(db, index):
    put(db, "d1#chunk_0", unit(1, 0, 0))
    put(db, "d2#chunk_0", unit(1, 0, 0))
    keys(index, unit(1, 0, 0))
    db.write(lambda tx: chunks.delete_chunks(tx, ["d1#chunk_0"]))
    assert keys(index, unit(1, 0, 0)) == ["d2#chunk_0"]


def test_a_changed_vector_counts_at_once(db, index):
    put(db, "d1#chunk_0", unit(1, 0, 0))
    keys(index, unit(1, 0, 0))
    put(db, "d1#chunk_0", unit(0, 1, 0), text="another text")
    assert index.nearest("e", "documents", EVERYWHERE, unit(1, 0, 0), 1)[0].score == pytest.approx(0)


def test_one_deleted_and_one_added_is_noticed(db, index):
    put(db, "d1#chunk_0", unit(1, 0, 0))
    keys(index, unit(1, 0, 0))
    db.write(lambda tx: chunks.delete_chunks(tx, ["d1#chunk_0"]))
    put(db, "d2#chunk_0", unit(1, 0, 0))
    assert keys(index, unit(1, 0, 0)) == ["d2#chunk_0"]


def test_vectors_of_another_length_are_passed_over(db, index):
    put(db, "d1#chunk_0", unit(1, 0, 0))
    put(db, "d2#chunk_0", unit(1, 0))
    assert keys(index, unit(1, 0, 0)) == ["d1#chunk_0"]


def test_the_limit_keeps_the_best_over_all_collections(db, index):
    for number in range(20):
        put(db, f"d{number}#chunk_0", unit(number + 1, 20 - number, 0), collection="ab"[number % 2])
    assert keys(index, unit(1, 0, 0), limit=3) == ["d19#chunk_0", "d18#chunk_0", "d17#chunk_0"]


def test_memory_stays_within_its_bound(db):
    index = ExactIndex(db, cache_mb=0.00005)  # four vectors of three numbers
    for number in range(6):
        put(db, f"d{number}#chunk_0", unit(1, number, 0), collection=f"c{number // 3}")
    assert len(keys(index, unit(1, 0, 0), SearchFilter(("t",), ("c0", "c1")))) == 6
    assert sum(held.size for held in index._cache.values()) <= 50
