"""A document's passages exchanged for those of a new version, short and long ones."""

import pytest
from desk import Desk

from maisale.config import Settings
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.library.passages import SLICE
from maisale.ops.verify import verify
from maisale.records import SearchFilter
from maisale.store import documents, jobs


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data", ollama_urls=("http://127.0.0.1:9",), vectors="exact")


@pytest.fixture
def desk(services, tmp_path):
    return Desk(services, tmp_path)


def pages(word, count):
    """A text of as many passages."""
    return "\n\n".join(f"# Part {number}\n\nThe {word} of part {number} is described here." for number in range(count))


class Watching(Indexing):
    """Looks at what a reader would find after every transaction of a job."""

    def __init__(self, services, look):
        super().__init__(services, Embedders(services))
        write = services.db.write

        def watched(work, /, **how):
            done = write(work, **how)
            look()
            return done

        self._services.db.write = watched


def found(services, desk, document, word):
    """The keys by which a search for `word` shows passages of the document that hold it."""
    place = services.db.rows("SELECT collection_id, tenant_id FROM documents WHERE id = :id", id=document)[0]
    where = SearchFilter((place["tenant_id"],), (place["collection_id"],))
    hits = services.words.search("documents", where, [(word, 1.0)], 20)
    held = services.db.rows("SELECT key FROM chunks WHERE key IN :keys AND text LIKE :word", keys=[hit.key for hit in hits], word=f"%{word}%")
    return {row["key"] for row in held}


@pytest.mark.parametrize(("before", "after"), [(3, 4), (SLICE + 30, SLICE + 50), (SLICE * 2 + 10, 3), (2, SLICE * 2)])
def test_a_reader_sees_the_old_version_or_the_new_one_never_neither(services, desk, before, after):
    document = desk.add("manual.md", pages("apple", before))
    (services.settings.files_dir / document).write_text(pages("pear", after))
    seen = []

    def look():
        seen.append((bool(found(services, desk, document, "apple")), bool(found(services, desk, document, "pear"))))

    services.db.write(lambda tx: jobs.add(tx, desk.user.tenant_id, "read_document", document))
    Watching(services, look).do(jobs.claim(services.db, jobs.due(services.db, 1)[0]))
    assert seen[-1] == (False, True)
    assert (False, False) not in seen and (True, True) not in seen


def test_after_an_exchange_everything_is_whole(services, desk):
    document = desk.add("manual.md", pages("apple", SLICE + 30))
    (services.settings.files_dir / document).write_text(pages("pear", SLICE * 2 + 7))
    services.db.write(lambda tx: jobs.add(tx, desk.user.tenant_id, "read_document", document))
    work(services)
    assert documents.document_row(services.db, document)["chunks"] == SLICE * 2 + 7
    problems = [problem for problem in verify(services, None).problems if "not what was received" not in problem]  # the file was changed by hand
    assert problems == []
    assert services.db.rows("SELECT count(*) AS n FROM incoming_chunks") == [{"n": 0}]


def test_an_exchange_that_broke_off_is_begun_anew(services, desk):
    document = desk.add("manual.md", pages("apple", SLICE + 30))
    (services.settings.files_dir / document).write_text(pages("pear", SLICE * 3))
    services.db.write(lambda tx: jobs.add(tx, desk.user.tenant_id, "read_document", document))

    class Killed(BaseException):
        pass

    writes = iter(range(100))

    def kill_in_the_middle():
        if next(writes) == 5:
            raise Killed

    indexing = Watching(services, kill_in_the_middle)
    job_id = jobs.due(services.db, 1)[0]
    with pytest.raises(Killed):
        indexing.do(jobs.claim(services.db, job_id))
    assert services.db.rows("SELECT count(*) AS n FROM incoming_chunks")[0]["n"] > 0
    services.db.write(lambda tx: tx.execute("UPDATE jobs SET lease_until = 0 WHERE id = :id", id=job_id))
    work(services)
    assert documents.document_row(services.db, document)["chunks"] == SLICE * 3
    assert len(found(services, desk, document, "pear")) == 20 and not found(services, desk, document, "apple")


def test_the_same_text_is_embedded_once(services, desk):
    asked = []
    vectors = services.builtin.vectors

    class Counting:
        name, dimensions, query_vector = services.builtin.name, services.builtin.dimensions, services.builtin.query_vector

        def vectors(self, texts):
            asked.extend(texts)
            return vectors(texts)

    services.builtin = Counting()
    text = "# Warranty\n\nTwo years from the date of purchase."
    first, second = desk.add("one.md", text), desk.add("two.md", text)
    assert len(asked) == 1
    rows = services.db.rows("SELECT document_id, vector FROM vectors ORDER BY document_id")
    assert {row["document_id"] for row in rows} == {first, second} and rows[0]["vector"] == rows[1]["vector"]


def work(services):
    indexing = Indexing(services, Embedders(services))
    while due := jobs.due(services.db, 10):
        for job_id in due:
            indexing.do(jobs.claim(services.db, job_id))
