"""Chroma under its lock: what is written is found, a torn folder is noticed, and two processes never share it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from maisale.backends.chroma import ASKED_S, HNSW, ChromaIndex
from maisale.backends.chroma_folder import MARK, ChromaFolder
from maisale.errors import IndexUnavailable, Misconfigured
from maisale.records import SearchFilter, VectorRow

ROOT = Path(__file__).parents[2]
HERE = SearchFilter(("t",), ("a",))


def rows(number, collection="a", first=0, dimensions=16):
    made = np.random.default_rng(first).normal(size=(number, dimensions)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return [VectorRow(f"d{first + at}#chunk_0", collection, f"d{first + at}", vector) for at, vector in enumerate(made)]


@pytest.fixture
def index(tmp_path):
    made = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    made.open()
    made.ready()
    yield made
    made.release()


def test_an_index_that_was_made_with_another_search_ef_gets_todays(tmp_path):
    made = rows(400, dimensions=64)
    first = ChromaIndex(ChromaFolder(tmp_path / "chroma"), search_ef=1)
    first.open()
    first.upsert("t", "hash", "documents", made)
    first.release()
    second = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    second.open()
    assert second.lost("t", "hash", "documents", made) == []
    assert second._index("t", "hash", "documents").configuration["hnsw"]["ef_search"] == HNSW["ef_search"]
    second.release()


def test_vectors_of_one_template_are_all_found(index):
    """Equally far from each other, as passages are that differ in one number."""
    vectors = np.eye(240, 256, dtype=np.float32) / 2
    vectors[:, 255] = np.sqrt(0.75)
    made = [VectorRow(f"d{at}#chunk_0", "a", f"d{at}", vector) for at, vector in enumerate(vectors)]
    for at in range(0, 240, 48):
        index.upsert("t", "hash", "documents", made[at : at + 48])
        assert index.lost("t", "hash", "documents", made[: at + 48]) == []


def test_writes_rest_only_while_somebody_asks(index, monkeypatch):
    rests, now = [], [1000.0]
    monkeypatch.setattr("maisale.backends.chroma.time.sleep", rests.append)
    monkeypatch.setattr("maisale.backends.chroma.time.monotonic", lambda: now[0])
    index.upsert("t", "hash", "documents", rows(3))
    assert rests == []
    index.nearest("hash", "documents", HERE, rows(1)[0].vector, 1)
    now[0] += ASKED_S / 2
    index.upsert("t", "hash", "documents", rows(3, first=3))
    assert len(rests) == 1
    now[0] += ASKED_S
    index.upsert("t", "hash", "documents", rows(3, first=6))
    assert len(rests) == 1


def test_a_second_opener_is_refused_in_a_sentence(index):
    with pytest.raises(Misconfigured, match="Another worker already has the vector index"):
        ChromaIndex(ChromaFolder(index.home.folder))


def test_it_answers_only_when_it_is_ready(tmp_path):
    index = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    with pytest.raises(IndexUnavailable, match="being opened"):
        index.nearest("hash", "documents", HERE, rows(1)[0].vector, 1)
    index.release()


def test_a_closed_folder_opens_as_it_was(tmp_path):
    first = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    first.open()
    first.upsert("t", "hash", "documents", rows(10))
    first.release()
    second = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    assert second.open() is True
    assert second.indexes() == [("t", "hash", "documents")] and second.count("t", "hash", "documents") == 10
    second.release()


def test_after_a_kill_the_folder_is_checked_and_keeps_its_vectors(tmp_path):
    script = """
import os, signal, sys, time
from pathlib import Path
from maisale.backends.chroma import ChromaIndex
from maisale.backends.chroma_folder import ChromaFolder
from tests.backends.test_chroma import rows
index = ChromaIndex(ChromaFolder(Path(sys.argv[1])), sync_threshold=1000)
index.open()
index.upsert("t", "hash", "documents", rows(30)[:20])
time.sleep(0.3)
index.upsert("t", "hash", "documents", rows(30)[20:])
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "chroma")], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-800:]
    index = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    assert index.open() is False
    assert index.keys("t", "hash", "documents") == {row.key for row in rows(30)} and not index.lost("t", "hash", "documents", rows(30))
    index.release()


@pytest.mark.parametrize("times_tell", [True, False], ids=["by their times", "by the check"])
def test_torn_files_are_noticed_and_the_folder_starts_anew(tmp_path, times_tell):
    first = ChromaIndex(ChromaFolder(tmp_path / "chroma"), sync_threshold=10)
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
    second = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    assert second.open() is False and second.indexes() == []
    second.upsert("t", "hash", "documents", rows(5))
    assert second.lost("t", "hash", "documents", rows(5)) == []
    second.release()


def test_a_folder_that_was_deleted_under_it_is_made_anew_and_locked(index):
    index.upsert("t", "hash", "documents", rows(5))
    shutil.rmtree(index.home.folder)
    index.close()
    index.open()
    assert index.indexes() == []
    index.upsert("t", "hash", "documents", rows(5))
    assert index.lost("t", "hash", "documents", rows(5)) == []
    with pytest.raises(Misconfigured, match="Another worker already has the vector index"):
        ChromaIndex(ChromaFolder(index.home.folder))


def test_a_folder_that_chroma_cannot_open_is_said_in_words(tmp_path):
    index = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    (index.home.folder / "chroma.sqlite3").mkdir()
    with pytest.raises(IndexUnavailable, match="failed to open"):
        index.open()
    index.release()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone fills memory")
def test_a_new_file_holds_nothing_of_what_the_process_held_in_memory(tmp_path):
    """chromadb 1.5.9 keeps room for a hundred vectors in it, as it came from the allocator."""
    made = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    for turn in range(12):
        made.open()
        made.upsert("t", "hash", "documents", rows(120, first=1000 * turn, dimensions=256))
        made.close()
        made.empty()
        made.open()
        made.upsert("t", "hash", "documents", rows(3, dimensions=256))
        made.close()
        for path in made.home.folder.rglob("data_level0.bin"):
            whole = path.read_bytes()
            assert len(set(whole[len(whole) // 2 :])) == 1
        made.empty()
    made.release()
