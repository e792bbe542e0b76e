"""Cancel and retry: what was never complete leaves, what was keeps its passages, and the worker stops at its next step."""

import threading

import pytest
from hand import LINH, TEXT, Ollama, Worker

from maisale.access import people
from maisale.errors import BadInput, NotAllowed, NotFound
from maisale.library.indexing import Indexing
from maisale.library.passages import SLICE
from maisale.library.readings import OLD_STAYS, cancel_document, retry_document
from maisale.records import SearchFilter
from maisale.store import documents, facts, jobs, ledger

LONG = "\n\n".join(f"# Part {number}\n\nPart {number} of the manual is about pump {number}." for number in range(60))


@pytest.fixture
def worker(services):
    services.vectors = None
    return Worker(services)


def left(worker):
    """The tables that still know the document, and its file."""
    tables = {"documents": "id", "jobs": "subject_id", **dict.fromkeys(("chunks", "incoming_chunks", "vectors", "stages"), "document_id")}
    held = [table for table, column in tables.items() if worker.db.rows(f"SELECT 1 FROM {table} WHERE {column} = 'doc' LIMIT 1")]
    return held + (["file"] if (worker.services.settings.files_dir / "doc").exists() else [])


def renew(worker, text):
    """The file has changed in the folder that it came from."""
    (worker.services.settings.files_dir / "doc").write_text(text, "utf-8")

    def work(tx):
        documents.renew_document(tx, "doc", size=len(text), content_hash="new", modified_at=None)
        jobs.add(tx, LINH.tenant_id, "read_document", "doc")

    worker.db.write(work)


def found(worker, place, word):
    where = SearchFilter((LINH.tenant_id,), (place,))
    return [hit.key for hit in worker.services.words.search("documents", where, [(word, 1.0)], 5)]


def test_a_document_that_waits_leaves_with_its_bytes(worker):
    worker.receive()
    assert cancel_document(worker.services, LINH, "doc") is None
    assert left(worker) == [] and worker.work() == []


class Slow(Ollama):
    """Says when it was asked, and answers when it is let."""

    def __init__(self):
        super().__init__()
        self.asked, self.may_answer, self.texts = threading.Event(), threading.Event(), 0

    def vectors(self, texts):
        self.texts += len(texts)
        self.asked.set()
        assert self.may_answer.wait(20)
        return super().vectors(texts)


def embed_meanwhile(worker, slow, act):
    """Calls `act` while the document is embedded, after the model was asked for the first time."""
    job = jobs.claim(worker.db, jobs.due(worker.db, 1)[0])
    hand = threading.Thread(target=worker.indexing.do, args=(job,))
    hand.start()
    assert slow.asked.wait(20)
    done = act()
    slow.may_answer.set()
    hand.join(20)
    assert not hand.is_alive()
    return done


def test_one_that_is_embedded_leaves_and_the_model_is_asked_no_more(worker):
    place = worker.receive(LONG)
    worker.indexing.do(jobs.claim(worker.db, jobs.due(worker.db, 1)[0]))
    worker.services.models = slow = Slow()
    worker.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, slow.name))
    assert embed_meanwhile(worker, slow, lambda: cancel_document(worker.services, LINH, "doc")) is None
    assert slow.texts == 8  # of 60: the batch that was on its way
    worker.work()
    assert set(left(worker)) <= {"jobs"} and not found(worker, place, "pump")
    assert {row["kind"] for row in worker.db.rows("SELECT kind FROM jobs")} == {"remove_vectors"}


@pytest.mark.parametrize("passages", [3, SLICE + 20])
def test_a_changed_document_keeps_its_old_passages(worker, passages):
    place = worker.receive(TEXT)
    worker.work()
    renew(worker, "\n\n".join(f"# New {number}\n\nNew line {number}." for number in range(passages)))
    kept = cancel_document(worker.services, LINH, "doc")
    assert (kept.stage, kept.cancelled, kept.chunks) == ("searchable", "reading", 2)
    worker.work()
    now = worker.document()
    assert (now.stage, now.cause, now.cancelled, now.embedded) == ("complete", OLD_STAYS, "reading", 2)
    assert found(worker, place, "returned") == ["doc#chunk_0"] and (worker.services.settings.files_dir / "doc").exists()
    assert "cancelled" in {one.stage for one in ledger.of_document(worker.db, "doc")}


class CancelsBetween(Indexing):
    """The document is cancelled after the first slice of its new version came in."""

    def __init__(self, worker):
        super().__init__(worker.services, worker.embedders)
        write = worker.db.write

        def watched(work, /, **how):
            done = write(work, **how)
            if worker.db.rows("SELECT 1 FROM incoming_chunks LIMIT 1"):
                worker.db.write = write
                cancel_document(worker.services, LINH, "doc")
            return done

        worker.db.write = watched


def test_a_version_that_came_in_half_leaves_and_the_old_one_stays_whole(worker):
    place = worker.receive(TEXT)
    worker.work()
    renew(worker, "\n\n".join(f"# New {number}\n\nNew line {number}." for number in range(SLICE * 2)))
    CancelsBetween(worker).do(jobs.claim(worker.db, jobs.due(worker.db, 1)[0]))
    worker.work()
    assert worker.keys("chunks") == worker.keys("vectors") == ["doc#chunk_0", "doc#chunk_1"] and worker.keys("incoming_chunks") == []
    assert found(worker, place, "returned") and not found(worker, place, "new")


def test_after_a_cancelled_reading_retry_reads_the_new_version(worker):
    place = worker.receive(TEXT)
    worker.work()
    renew(worker, "# Pumps\n\nThe pump is blue.")
    cancel_document(worker.services, LINH, "doc")
    assert retry_document(worker.services, LINH, "doc").stage == "received"
    worker.work()
    assert (worker.document().stage, worker.document().cause, worker.document().cancelled) == ("complete", "", "")
    assert found(worker, place, "pump") and not found(worker, place, "returned")


def test_a_changed_document_whose_embedding_is_cancelled_is_found_by_words_and_retry_goes_on(worker):
    place = worker.receive(TEXT)
    worker.work()
    renew(worker, LONG)
    worker.indexing.do(jobs.claim(worker.db, jobs.due(worker.db, 1)[0]))
    worker.services.models = slow = Slow()
    worker.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, slow.name))
    kept = embed_meanwhile(worker, slow, lambda: cancel_document(worker.services, LINH, "doc"))
    assert (kept.stage, kept.cancelled) == ("searchable", "embedding") and found(worker, place, "pump")
    worker.work()
    assert worker.document().stage == "searchable" and slow.texts == 8
    assert retry_document(worker.services, LINH, "doc").cancelled == ""
    assert worker.work() == ["embed_document"] and worker.document().stage == "complete"


def test_nothing_is_cancelled_of_what_has_ended(worker):
    worker.receive()
    worker.work()
    with pytest.raises(BadInput, match="nothing to cancel"):
        cancel_document(worker.services, LINH, "doc")


def test_another_persons_document_is_not_cancelled(worker):
    minh = people.add_user(worker.db, "shop", "minh")[0].scope
    worker.receive()
    with pytest.raises(NotFound):
        cancel_document(worker.services, minh, "doc")
    worker.db.write(lambda tx: tx.execute("UPDATE collections SET tenant_id = :tenant", tenant=minh.tenant_id))  # now both read it
    with pytest.raises(NotAllowed):
        cancel_document(worker.services, minh, "doc")
    assert documents.document_row(worker.db, "doc")["stage"] == "received"


def test_a_dead_letter_leaves_the_list_when_its_document_is_read_again_or_deleted(worker):
    worker.services.models = Ollama()
    worker.receive(TEXT + "\n\n# Bad\n\npoison")
    worker.work()
    assert len(jobs.dead(worker.db)) == 1
    retry_document(worker.services, LINH, "doc")
    assert jobs.dead(worker.db) == []
    worker.work()
    assert len(jobs.dead(worker.db)) == 1
    renew(worker, TEXT)
    worker.db.write(lambda tx: jobs.forget(tx, ["doc"]))
    assert jobs.dead(worker.db) == []
