"""Nothing is called complete that a search does not find."""

import pytest
from hand import LINH, Worker

from maisale.backends.chroma import ChromaIndex
from maisale.backends.chroma_folder import ChromaFolder
from maisale.backends.exact import ExactIndex
from maisale.backends.fts5 import FTS5Index
from maisale.library.read_back import ANSWERS, WORDS_LOST
from maisale.records import SearchFilter
from maisale.store import jobs


@pytest.fixture
def worker(services):
    services.vectors = None
    return Worker(services)


def try_to_the_end(worker):
    for _ in range(jobs.ATTEMPTS):
        worker.work()
        worker.db.write(lambda tx: tx.execute("UPDATE jobs SET next_at = 0 WHERE state = 'pending'"))


class Deaf(FTS5Index):
    """Takes words and keeps none."""

    def add(self, tx, chunks):
        pass


class Blind(ExactIndex):
    """Finds something else than what was asked for."""

    def nearest(self, embedder, kind, where, vector, limit):
        return super().nearest(embedder, kind, where, -vector, 1)


class Forgetful(ChromaIndex):
    """Takes vectors and keeps none."""

    def upsert(self, tenant_id, embedder, kind, rows):
        pass


def test_what_words_do_not_find_is_not_complete(worker):
    worker.services.words = Deaf(worker.db)
    worker.receive()
    try_to_the_end(worker)
    assert worker.document().stage == "searchable" and worker.document().cause.startswith(WORDS_LOST)
    assert [job.kind for job in jobs.dead(worker.db)] == ["embed_document"]


def test_what_meaning_does_not_find_is_not_complete(worker):
    worker.services.exact = Blind(worker.db)
    worker.receive()
    try_to_the_end(worker)
    assert worker.document().stage == "searchable" and "does not find passage 1 again" in worker.document().cause


def test_what_the_vector_index_lost_is_not_complete(worker, tmp_path):
    worker.services.vectors = index = Forgetful(ChromaFolder(tmp_path / "chroma"))
    index.open()
    index.ready()
    worker.receive()
    try_to_the_end(worker)
    assert worker.document().stage == "searchable" and "does not hold 2 of them" in worker.document().cause
    index.release()


def test_what_the_index_lost_after_it_was_marked_there_is_brought_again(worker, tmp_path):
    worker.services.vectors = index = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    index.open()
    index.ready()
    worker.receive()
    worker.work()
    index.delete(LINH.tenant_id, "hash-1024", "documents", ["doc#chunk_0"])
    worker.db.write(lambda tx: tx.execute("UPDATE documents SET stage = 'searchable'"))
    worker.again("embed_document")
    assert worker.document().stage == "complete"
    assert "doc#chunk_0" in index.keys(LINH.tenant_id, "hash-1024", "documents")
    index.release()


class Leaky(ChromaIndex):
    """Takes vectors, and after the first time keeps none."""

    written = False

    def upsert(self, tenant_id, embedder, kind, rows):
        if not self.written:
            super().upsert(tenant_id, embedder, kind, rows)
        self.written = True


def test_what_the_index_does_not_take_again_is_not_complete(worker, tmp_path):
    worker.services.vectors = index = Leaky(ChromaFolder(tmp_path / "chroma"))
    index.open()
    index.ready()
    worker.receive()
    worker.work()
    index.delete(LINH.tenant_id, "hash-1024", "documents", ["doc#chunk_0"])
    worker.db.write(lambda tx: tx.execute("UPDATE documents SET stage = 'searchable'"))
    worker.again("embed_document")
    assert worker.document().stage == "searchable" and "does not find passage 1 again" in worker.db.rows("SELECT cause FROM jobs WHERE cause <> ''")[0]["cause"]
    index.release()


class Astray(ChromaIndex):
    """Holds everything, and no way through its graph leads anywhere."""

    def lost(self, tenant_id, embedder, kind, rows):
        return [row.key for row in rows]


def test_what_the_index_holds_and_its_graph_does_not_find_is_complete(worker, tmp_path, caplog):
    worker.services.vectors = index = Astray(ChromaFolder(tmp_path / "chroma"))
    index.open()
    index.ready()
    worker.receive()
    try_to_the_end(worker)
    assert worker.document().stage == "complete" and not jobs.dead(worker.db) and "no way through its graph" in caplog.text
    index.release()


def test_words_that_went_missing_are_indexed_again(worker):
    place = worker.receive()
    worker.indexing.do(jobs.claim(worker.db, jobs.due(worker.db, 1)[0]))
    worker.db.write(lambda tx: worker.services.words.remove(tx, LINH.tenant_id, "documents", ["doc#chunk_0", "doc#chunk_1"]))
    worker.work()
    assert worker.document().stage == "complete"
    assert worker.services.words.search("documents", SearchFilter((LINH.tenant_id,), (place,)), [("returned", 1.0)], 5)[0].key == "doc#chunk_0"


@pytest.mark.parametrize("text", ["---\n\n***", "Same line.\n\n" * 400, "1 2 3", "\u0110\u01b0\u1eddng d\u00e2y n\u00f3ng: 0900 123 456."])
def test_odd_texts_are_found_too(worker, text):
    worker.receive(text)
    worker.work()
    assert worker.document().stage in ("complete", "failed") and not jobs.dead(worker.db)


def test_a_table_whose_rows_all_hold_its_head_is_complete(worker):
    rows = "\n".join(f"{n},{n % 3},Passenger {n % 7},{n % 60},{n % 5},C{n % 9}" for n in range(600))
    worker.receive(f"number,class,name,age,siblings,cabin\n{rows}\n", "passengers.csv")
    try_to_the_end(worker)
    assert worker.document().stage == "complete" and worker.document().chunks > ANSWERS


def test_passages_that_say_next_to_nothing_or_the_same_are_complete(worker):
    worker.receive("\n\n".join(f"# Part {n}\n\n{text}" for n, text in enumerate(["---", "git *", "git *", "git *", "git *", "git *", "git *", "git *"])))
    try_to_the_end(worker)
    assert worker.document().stage == "complete"


class HalfDeaf(FTS5Index):
    """Keeps the text of a passage, and not where its words are."""

    def add(self, tx, chunks):
        super().add(tx, chunks)
        for chunk in chunks:
            if chunk.position == 1:
                rows = tx.rows("SELECT name FROM sqlite_master WHERE name LIKE 'words:documents:%:words'")
                for index in (rows[0]["name"], rows[0]["name"].removesuffix("words") + "stems"):
                    of = tx.rows(f'SELECT id, body, place FROM "{index.rpartition(":")[0]}" WHERE key = :key', key=chunk.key)[0]
                    tx.execute(f'INSERT INTO "{index}"("{index}", rowid, body, place) VALUES (\'delete\', :id, :body, :place)', **of)


def test_a_passage_of_which_only_the_words_are_missing_is_noticed(worker):
    worker.services.words = HalfDeaf(worker.db)
    worker.receive("\n\n".join(f"# Part {n}\n\nThe filter of purifier {n} lasts {n} months." for n in range(8)))
    try_to_the_end(worker)
    assert worker.document().stage == "searchable" and worker.document().cause.startswith(WORDS_LOST)
