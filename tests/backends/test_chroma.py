"""Chroma under its lock: what is written is found, a torn folder is noticed, and two processes never share it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from maisale.backends.chroma import HNSW, MARK, ChromaIndex
from maisale.errors import IndexUnavailable, Misconfigured, ModelFailed
from maisale.records import SearchFilter, VectorRow

ROOT = Path(__file__).parents[2]
HERE = SearchFilter(("t",), ("a",))


def rows(number, collection="a", first=0, dimensions=16):
    made = np.random.default_rng(first).normal(size=(number, dimensions)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return [VectorRow(f"d{first + at}#chunk_0", collection, f"d{first + at}", vector) for at, vector in enumerate(made)]


@pytest.fixture
def index(tmp_path):
    made = ChromaIndex(tmp_path / "chroma")
    made.open()
    made.ready()
    yield made
    made.release()


def test_each_vector_finds_itself_first(index):
    made = rows(200)
    index.upsert("t", "hash", "documents", made)
    assert index.lost("t", "hash", "documents", made) == []
    hit = index.nearest("hash", "documents", HERE, made[7].vector, 3)[0]
    assert hit.key == "d7#chunk_0" and hit.score == pytest.approx(1.0, abs=1e-4)


def test_the_filter_holds(index):
    index.upsert("t", "hash", "documents", rows(20) + rows(20, "b", first=100))
    vector = rows(1)[0].vector
    in_b = index.nearest("hash", "documents", SearchFilter(("t",), ("b",)), vector, 50)
    assert {hit.key for hit in in_b} == {f"d{n}#chunk_0" for n in range(100, 120)}
    of_d3 = index.nearest("hash", "documents", SearchFilter(("t",), ("a", "b"), ("d3",)), vector, 50)
    assert [hit.key for hit in of_d3] == ["d3#chunk_0"]


def test_the_filter_holds_where_the_nearest_of_the_index_are_outside_of_it(index):
    made = rows(300)
    index.upsert("t", "hash", "documents", made)
    index.upsert("t", "hash", "documents", rows(10, "b", first=900))
    for limit in (4, 50):
        found = index.nearest("hash", "documents", SearchFilter(("t",), ("b",)), made[0].vector, limit)
        assert len(found) == min(limit, 10) and all(hit.key.startswith("d90") for hit in found)
        assert found == sorted(found, key=lambda hit: -hit.score)
    of_two = index.nearest("hash", "documents", SearchFilter(("t",), ("a", "b"), ("d299", "d900")), made[0].vector, 4)
    assert {hit.key for hit in of_two} == {"d299#chunk_0", "d900#chunk_0"}


def test_an_index_that_was_made_with_another_search_ef_gets_todays(tmp_path):
    made = rows(400, dimensions=64)
    first = ChromaIndex(tmp_path / "chroma", search_ef=1)
    first.open()
    first.upsert("t", "hash", "documents", made)
    first.release()
    second = ChromaIndex(tmp_path / "chroma")
    second.open()
    assert second.lost("t", "hash", "documents", made) == []
    assert second._index("t", "hash", "documents").configuration["hnsw"]["ef_search"] == HNSW["ef_search"]
    second.release()


@pytest.mark.parametrize(("tenant", "embedder", "kind"), [("u", "hash", "documents"), ("t", "other", "documents"), ("t", "hash", "messages")])
def test_another_tenant_embedder_or_kind_has_an_index_of_its_own(index, tenant, embedder, kind):
    index.upsert("t", "hash", "documents", rows(3))
    assert index.nearest(embedder, kind, SearchFilter((tenant,), ("a",)), rows(1)[0].vector, 5) == []


def test_the_same_key_is_never_there_twice(index):
    index.upsert("t", "hash", "documents", rows(5))
    index.upsert("t", "hash", "documents", rows(5))
    assert index.count("t", "hash", "documents") == 5


def test_what_is_deleted_is_not_found(index):
    index.upsert("t", "hash", "documents", rows(5))
    index.delete("t", "hash", "documents", ["d0#chunk_0", "unknown#chunk_0"])
    assert "d0#chunk_0" not in {hit.key for hit in index.nearest("hash", "documents", HERE, rows(1)[0].vector, 9)}


def test_a_vector_of_another_length_is_never_written(index):
    index.upsert("t", "hash", "documents", rows(2))
    with pytest.raises(ModelFailed, match="8 numbers.* holds 16"):
        index.upsert("t", "hash", "documents", [*rows(1, first=5), *rows(1, first=6, dimensions=8)])
    assert index.count("t", "hash", "documents") == 2


def test_a_second_opener_is_refused_in_a_sentence(index):
    with pytest.raises(Misconfigured, match="Another worker already has the vector index"):
        ChromaIndex(index.folder)


def test_it_answers_only_when_it_is_ready(tmp_path):
    index = ChromaIndex(tmp_path / "chroma")
    with pytest.raises(IndexUnavailable, match="being opened"):
        index.nearest("hash", "documents", HERE, rows(1)[0].vector, 1)
    index.release()


def test_a_closed_folder_opens_as_it_was(tmp_path):
    first = ChromaIndex(tmp_path / "chroma")
    first.open()
    first.upsert("t", "hash", "documents", rows(10))
    first.release()
    second = ChromaIndex(tmp_path / "chroma")
    assert second.open() is True
    assert second.indexes() == [("t", "hash", "documents")] and second.count("t", "hash", "documents") == 10
    second.release()


def test_after_a_kill_the_folder_is_checked_and_keeps_its_vectors(tmp_path):
    script = """
import os, signal, sys, time
from pathlib import Path
from maisale.backends.chroma import ChromaIndex
from tests.backends.test_chroma import rows
index = ChromaIndex(Path(sys.argv[1]), sync_threshold=1000)
index.open()
index.upsert("t", "hash", "documents", rows(30)[:20])
time.sleep(0.3)
index.upsert("t", "hash", "documents", rows(30)[20:])
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "chroma")], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-800:]
    index = ChromaIndex(tmp_path / "chroma")
    assert index.open() is False
    assert index.keys("t", "hash", "documents") == {row.key for row in rows(30)} and not index.lost("t", "hash", "documents", rows(30))
    index.release()


@pytest.mark.parametrize("times_tell", [True, False], ids=["by their times", "by the check"])
def test_torn_files_are_noticed_and_the_folder_starts_anew(tmp_path, times_tell):
    first = ChromaIndex(tmp_path / "chroma", sync_threshold=10)
    first.open()
    for start in range(0, 60, 20):
        first.upsert("t", "hash", "documents", rows(20, first=start))
    first.release()
    torn = next((tmp_path / "chroma").glob("*/data_level0.bin"))
    os.truncate(torn, torn.stat().st_size // 3)
    if not times_tell:
        for path in torn.parent.iterdir():
            os.utime(path, (1, 1))
    (tmp_path / "chroma" / MARK).touch()
    second = ChromaIndex(tmp_path / "chroma")
    assert second.open() is False and second.indexes() == []
    second.upsert("t", "hash", "documents", rows(5))
    assert second.lost("t", "hash", "documents", rows(5)) == []
    second.release()


def test_a_folder_that_was_deleted_under_it_is_made_anew_and_locked(index):
    index.upsert("t", "hash", "documents", rows(5))
    shutil.rmtree(index.folder)
    index.close()
    index.open()
    assert index.indexes() == []
    index.upsert("t", "hash", "documents", rows(5))
    assert index.lost("t", "hash", "documents", rows(5)) == []
    with pytest.raises(Misconfigured, match="Another worker already has the vector index"):
        ChromaIndex(index.folder)


def test_a_folder_that_chroma_cannot_open_is_said_in_words(tmp_path):
    index = ChromaIndex(tmp_path / "chroma")
    (index.folder / "chroma.sqlite3").mkdir()
    with pytest.raises(IndexUnavailable, match="failed to open"):
        index.open()
    index.release()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone fills memory")
def test_a_new_file_holds_nothing_of_what_the_process_held_in_memory(tmp_path):
    """chromadb 1.5.9 keeps room for a hundred vectors in it, as it came from the allocator."""
    made = ChromaIndex(tmp_path / "chroma")
    for turn in range(12):
        made.open()
        made.upsert("t", "hash", "documents", rows(120, first=1000 * turn, dimensions=256))
        made.close()
        made.empty()
        made.open()
        made.upsert("t", "hash", "documents", rows(3, dimensions=256))
        made.close()
        for path in made.folder.rglob("data_level0.bin"):
            whole = path.read_bytes()
            assert len(set(whole[len(whole) // 2 :])) == 1
        made.empty()
    made.release()
