"""The nearest vectors, the same from Chroma in a folder, in memory and at a server, from pgvector and from exact search on both databases."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings
from postgres_server import new_database

from maisale.backends.chroma import ChromaIndex
from maisale.backends.chroma_folder import ChromaFolder
from maisale.backends.chroma_server import ChromaServer
from maisale.backends.exact import ExactIndex
from maisale.backends.pgvector import PgVectorIndex
from maisale.backends.postgres import PostgresDatabase
from maisale.backends.sqlite import SQLiteDatabase
from maisale.errors import IndexUnavailable, ModelFailed
from maisale.records import SearchFilter, VectorRow
from maisale.store.schema import MIGRATIONS

pytestmark = pytest.mark.contract

HERE = SearchFilter(("t",), ("a",))
KEPT = ["chroma in a folder", "chroma in memory", "chroma at a server", "pgvector"]
EXACT = ["exact on sqlite", "exact on postgres"]


def rows(number, collection="a", first=0, dimensions=16):
    made = np.random.default_rng(first).normal(size=(number, dimensions)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return [VectorRow(f"d{first + at}#chunk_0", collection, f"d{first + at}", vector) for at, vector in enumerate(made)]


class InMemory:
    """chroma.Home of one process; what an earlier test left is removed."""

    def look(self):
        return True

    def open(self, closed):
        client = chromadb.EphemeralClient(settings=Settings(_env_file=None, anonymized_telemetry=False))
        for found in client.list_collections():
            client.delete_collection(found.name)
        return client

    def empty(self):
        self.open(True)

    def closed(self, well):
        pass

    def release(self):
        pass


class ExactAlone:
    """Exact search, with writing and counting as a kept index has them: into the table that it reads."""

    def __init__(self, db):
        self._db, self._index = db, ExactIndex(db)
        self.nearest = self._index.nearest

    def upsert(self, tenant, embedder, kind, made):
        def write(tx):
            for row in made:
                tx.execute("DELETE FROM vectors WHERE embedder = :embedder AND key = :key", embedder=embedder, key=row.key)
                of = {"tenant_id": tenant, "embedder": embedder, "kind": kind, "key": row.key, "collection_id": row.collection_id}
                tx.insert("vectors", **of, document_id=row.document_id, vector=row.vector.tobytes(), indexed=1, changed_at=time.time())

        self._db.write(write)

    def delete(self, tenant, embedder, kind, keys):
        self._db.write(lambda tx: tx.execute("DELETE FROM vectors WHERE embedder = :embedder AND key IN :keys", embedder=embedder, keys=list(keys)))


@pytest.fixture(scope="session")
def chroma_url(tmp_path_factory):
    """Of a Chroma server of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("chroma-server")
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        ends = time.monotonic() + 60
        while time.monotonic() < ends and socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture
def made(request, tmp_path):
    match request.param:
        case "chroma in a folder":
            yield ChromaIndex(ChromaFolder(tmp_path / "chroma"))
        case "chroma in memory":
            yield ChromaIndex(InMemory())
        case "chroma at a server":
            home = ChromaServer(request.getfixturevalue("chroma_url"))
            home.empty()
            yield ChromaIndex(home)
        case "pgvector":
            with new_database(request.getfixturevalue("postgres_server")) as url:
                yield (index := PgVectorIndex(url))
                index.release()
        case "exact on sqlite":
            db = SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS)
            yield ExactAlone(db)
            db.close()
        case "exact on postgres":
            with new_database(request.getfixturevalue("postgres_server")) as url:
                db = PostgresDatabase(url, MIGRATIONS)
                yield ExactAlone(db)
                db.close()


def opened(made):
    if not isinstance(made, ExactAlone):
        made.open()
        made.ready()
    return made


@pytest.fixture
def index(made):
    yield opened(made)
    if isinstance(made, ChromaIndex):
        made.release()


@pytest.fixture
def kept(index):
    return index


everywhere = pytest.mark.parametrize("made", [*KEPT, *EXACT], indirect=True)
where_it_is_kept = pytest.mark.parametrize("made", KEPT, indirect=True)


@everywhere
def test_each_vector_finds_itself_first(index):
    made = rows(200)
    index.upsert("t", "hash", "documents", made)
    hit = index.nearest("hash", "documents", HERE, made[7].vector, 3)[0]
    assert hit.key == "d7#chunk_0" and hit.score == pytest.approx(1.0, abs=1e-4)


@everywhere
def test_the_filter_holds(index):
    index.upsert("t", "hash", "documents", rows(20) + rows(20, "b", first=100))
    vector = rows(1)[0].vector
    in_b = index.nearest("hash", "documents", SearchFilter(("t",), ("b",)), vector, 50)
    assert {hit.key for hit in in_b} == {f"d{n}#chunk_0" for n in range(100, 120)}
    of_d3 = index.nearest("hash", "documents", SearchFilter(("t",), ("a", "b"), ("d3",)), vector, 50)
    assert [hit.key for hit in of_d3] == ["d3#chunk_0"]


@everywhere
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


@everywhere
@pytest.mark.parametrize(("embedder", "kind"), [("other", "documents"), ("hash", "messages")])
def test_another_embedder_or_kind_is_not_searched(index, embedder, kind):
    index.upsert("t", "hash", "documents", rows(3))
    assert index.nearest(embedder, kind, HERE, rows(1)[0].vector, 5) == []


@where_it_is_kept  # exact search reads by collection, and each is of one tenant
def test_another_tenant_has_an_index_of_its_own(kept):
    kept.upsert("t", "hash", "documents", rows(3))
    assert kept.nearest("hash", "documents", SearchFilter(("u",), ("a",)), rows(1)[0].vector, 5) == []


@where_it_is_kept
def test_the_same_key_is_never_there_twice(kept):
    kept.upsert("t", "hash", "documents", rows(5))
    kept.upsert("t", "hash", "documents", rows(5))
    assert kept.count("t", "hash", "documents") == 5
    assert [hit.key for hit in kept.nearest("hash", "documents", HERE, rows(1)[0].vector, 2)][0] == "d0#chunk_0"


@everywhere
def test_what_is_deleted_is_not_found(index):
    index.upsert("t", "hash", "documents", rows(5))
    index.delete("t", "hash", "documents", ["d0#chunk_0", "unknown#chunk_0"])
    assert "d0#chunk_0" not in {hit.key for hit in index.nearest("hash", "documents", HERE, rows(1)[0].vector, 9)}


@where_it_is_kept
def test_a_vector_of_another_length_is_never_written(kept):
    kept.upsert("t", "hash", "documents", rows(2))
    with pytest.raises(ModelFailed, match="8 numbers.* holds 16"):
        kept.upsert("t", "hash", "documents", [*rows(1, first=5), *rows(1, first=6, dimensions=8)])
    assert kept.count("t", "hash", "documents") == 2


@everywhere
def test_the_nearest_of_exact_search_are_found(index):
    some = rows(300)
    index.upsert("t", "hash", "documents", some)
    asked = rows(1, first=999)[0].vector
    best = sorted(some, key=lambda row: -float(row.vector @ asked))[:10]
    hits = index.nearest("hash", "documents", HERE, asked, 10)
    assert [hit.key for hit in hits] == [row.key for row in best]
    assert [hit.score for hit in hits] == pytest.approx([float(row.vector @ asked) for row in best], abs=1e-4)


@where_it_is_kept
def test_it_answers_only_when_it_is_ready(made):
    with pytest.raises(IndexUnavailable, match="not used"):
        made.nearest("hash", "documents", HERE, rows(1)[0].vector, 1)
    made.open()
    with pytest.raises(IndexUnavailable, match="being filled"):
        made.nearest("hash", "documents", HERE, rows(1)[0].vector, 1)
    made.ready()
    assert made.nearest("hash", "documents", HERE, rows(1)[0].vector, 1) == []


@where_it_is_kept
def test_what_no_search_finds_is_told(kept):
    some = rows(20)
    kept.upsert("t", "hash", "documents", some[:19])
    assert kept.lost("t", "hash", "documents", some) == [some[19].key]
    assert kept.lost("t", "hash", "messages", some[:2]) == [row.key for row in some[:2]]
    assert kept.keys("t", "hash", "documents") == {row.key for row in some[:19]}
    assert kept.keys("t", "hash", "documents", [some[0].key, some[19].key]) == {some[0].key}
    assert kept.indexes() == [("t", "hash", "documents")]


@where_it_is_kept
def test_an_emptied_index_holds_nothing_and_is_filled_again(kept):
    kept.upsert("t", "hash", "documents", rows(5))
    kept.close()
    kept.empty()
    opened(kept)
    assert kept.indexes() == [] and kept.count("t", "hash", "documents") == 0
    kept.upsert("t", "hash", "documents", rows(3))
    assert kept.count("t", "hash", "documents") == 3


@where_it_is_kept
def test_a_row_that_moved_to_another_collection_is_found_there_alone(kept):
    kept.upsert("t", "hash", "documents", rows(3))
    kept.upsert("t", "hash", "documents", rows(1, "b"))
    vector = rows(1)[0].vector
    assert "d0#chunk_0" not in {hit.key for hit in kept.nearest("hash", "documents", HERE, vector, 5)}
    assert [hit.key for hit in kept.nearest("hash", "documents", SearchFilter(("t",), ("b",)), vector, 5)] == ["d0#chunk_0"]
