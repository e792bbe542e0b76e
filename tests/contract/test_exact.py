"""Exact search answers from what SQL holds now, whatever it has in memory."""

import threading
import time

import numpy as np
import pytest

from maisale.backends.exact import ExactIndex
from maisale.records import Chunk, SearchFilter
from maisale.store import chunks

pytestmark = pytest.mark.contract

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


@pytest.mark.parametrize("told", [1, 8], ids=["most numbers 0", "none 0"])
def test_the_cosine_is_that_of_all_numbers(db, index, told):
    drawn = np.random.default_rng(7)
    question = unit(*drawn.standard_normal(told), *[0] * (8 - told))
    vectors = [unit(*drawn.standard_normal(8)) for _ in range(4)]
    for number, vector in enumerate(vectors):
        put(db, f"d{number}#chunk_0", vector)
    hits = {hit.key: hit.score for hit in index.nearest("e", "documents", EVERYWHERE, question, 4)}
    assert hits == {f"d{number}#chunk_0": pytest.approx(float(vector @ question), abs=1e-6) for number, vector in enumerate(vectors)}


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


class Watched:
    """A database that counts the vectors that are read from it."""

    def __init__(self, db):
        self._db = db
        self.read = 0

    def rows(self, sql, /, **values):
        found = self._db.rows(sql, **values)
        self.read += sum("vector" in row for row in found)
        return found


@pytest.fixture
def watched(db):
    return Watched(db)


def test_only_what_is_new_is_read_of_a_collection_that_grows(db, watched):
    index = ExactIndex(watched)
    for number in range(30):
        put(db, f"d{number}#chunk_0", unit(1, number, 0))
        assert len(keys(index, unit(1, 0, 0), limit=50)) == number + 1
    assert watched.read == 30


def test_nothing_is_read_again_of_a_collection_that_shrinks(db, watched):
    index = ExactIndex(watched)
    for number in range(30):
        put(db, f"d{number}#chunk_0", unit(1, number, 0))
    keys(index, unit(1, 0, 0))
    for number in range(29):
        db.write(lambda tx, key=f"d{number}#chunk_0": chunks.delete_chunks(tx, [key]))
        assert f"d{number}#chunk_0" not in keys(index, unit(1, 0, 0), limit=50)
    assert keys(index, unit(1, 0, 0)) == ["d29#chunk_0"] and watched.read == 30


def test_of_named_documents_only_their_own_vectors_are_read(db, watched):
    for number in range(300):
        put(db, f"d{number}#chunk_0", unit(1, number, 0))
    index, some = ExactIndex(watched), tuple(f"d{number}" for number in range(0, 260, 2))
    found = keys(index, unit(1, 0, 0), SearchFilter(("t",), ("a",), some), limit=500)
    assert found == [f"{document}#chunk_0" for document in some] and watched.read == len(some)


def test_named_documents_are_searched_inside_the_filter_only(db):
    put(db, "d1#chunk_0", unit(1, 0, 0))
    put(db, "d2#chunk_0", unit(1, 0, 0), collection="elsewhere")
    put(db, "d10#chunk_0", unit(1, 0, 0))
    assert keys(ExactIndex(db), unit(1, 0, 0), SearchFilter(("t",), ("a", "b"), ("d1", "d2"))) == ["d1#chunk_0"]


def test_what_does_not_fit_leaves_the_rest_in_memory(db, watched):
    index = ExactIndex(watched, cache_mb=0.00005)  # four vectors of three numbers
    for number in range(6):
        put(db, f"d{number}#chunk_0", unit(1, number, 0), collection="ab"[number // 3])
    keys(index, unit(1, 0, 0))
    before = watched.read
    keys(index, unit(1, 0, 0))
    assert watched.read - before == 3


def test_what_another_question_needs_takes_the_place_of_the_oldest(db, watched):
    index = ExactIndex(watched, cache_mb=0.00005)
    for number in range(6):
        put(db, f"d{number}#chunk_0", unit(1, number, 0), collection="ab"[number // 3])
    for collection in "abb":
        keys(index, unit(1, 0, 0), SearchFilter(("t",), (collection,)))
    assert watched.read == 6


def test_the_count_follows_what_is_written_and_deleted(db):
    index, one = ExactIndex(db), SearchFilter(("t",), ("a", "b"), ("d1",))
    for number in range(5):
        put(db, f"d{number}#chunk_0", unit(1, number, 0), collection="ab"[number % 2])
    put(db, "d9#chunk_0", unit(1, 0, 0), collection="elsewhere")
    assert [index.count("e", "documents", EVERYWHERE, most) for most in (3, 10)] == [3, 5]
    assert index.count("e", "documents", one, 10) == 1
    db.write(lambda tx: chunks.delete_chunks(tx, ["d1#chunk_0"]))
    assert (index.count("e", "documents", EVERYWHERE, 10), index.count("e", "documents", one, 10)) == (4, 0)


def test_questions_beside_an_import_find_every_vector_that_was_there_before(db):
    index, first = ExactIndex(db), [f"d{number}#chunk_0" for number in range(20)]
    for key in first:
        put(db, key, unit(1, 0, 0))
    ended = threading.Event()

    def bring():
        for number in range(100):
            put(db, f"n{number}#chunk_0", unit(0, 1, number))
            put(db, f"d{number % 20}#chunk_0", unit(1, 0, 0))
        ended.set()

    importing = threading.Thread(target=bring)
    importing.start()
    while not ended.is_set():
        assert set(keys(index, unit(1, 0, 0), limit=20)) <= set(first)
    importing.join()
    assert set(keys(index, unit(1, 0, 0), limit=20)) == set(first) and len(keys(index, unit(1, 0, 0), limit=500)) == 120
