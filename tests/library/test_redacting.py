"""Personal data in documents and messages: out of words and vectors from the first moment, and again whenever the tenant chooses otherwise."""

import threading

import numpy as np
import pytest
from hand import LINH, Worker

from maisale.backends.sqlite import SQLiteDatabase
from maisale.library.redacting import Redacting, _ChosenOtherwise
from maisale.records import SearchFilter
from maisale.redaction import hash_word, vector_text
from maisale.services import open_services
from maisale.store import chunks, conversations, documents, jobs, ledger, privacy
from maisale.store.schema import MIGRATIONS

TEXT = "# Contacts\n\nAnna's phone is 0912 345 678.\n\n# Filters\n\nThe filter lasts six months."


@pytest.fixture
def worker(services):
    services.vectors = None
    services.db.write(lambda tx: tx.insert("tenants", id=LINH.tenant_id, name="A", created_at=0.0))
    return Worker(services)


def bodies(worker):
    return " ".join(row["body"] for row in worker.db.rows(f'SELECT body FROM "words:documents:{LINH.tenant_id}" ORDER BY key'))


def choose(worker, redact, model_sees_originals=True):
    return worker.db.write(lambda tx: privacy.choose(tx, LINH.tenant_id, redact=redact, model_sees_originals=model_sees_originals))


def vectors(worker):
    return {row["key"]: np.frombuffer(row["vector"], np.float32) for row in worker.db.rows("SELECT key, vector FROM vectors")}


def test_words_and_vectors_hold_placeholders_and_the_chunk_its_original(worker):
    worker.receive(TEXT)
    worker.work()
    first, second = chunks.chunks_of(worker.db, "doc")
    assert "0912 345 678" in first.text and "0912" not in first.searched and second.searched == ""
    assert hash_word("+84912345678", privacy.key(worker.db)) in bodies(worker) and "345" not in bodies(worker)
    assert vector_text(first).endswith("Anna's phone is ‹phone›.")
    made = worker.services.builtin.vectors([vector_text(first), vector_text(second)])
    assert all(np.allclose(vectors(worker)[chunk.key], vector, atol=1e-6) for chunk, vector in zip((first, second), made, strict=True))


def test_the_report_is_in_the_document_and_its_ledger(worker):
    worker.receive(TEXT)
    worker.work()
    stages = [one.stage for one in ledger.of_document(worker.db, "doc")]
    assert stages == ["received", "read", "chunked", "redacted", "searchable", "embedding", "embedded", "complete"]
    assert worker.document().identifiers == {"phone": 1}


def test_a_title_counts_once_however_many_passages_bear_it(worker):
    worker.receive("# Anna, 0912 345 678\n\n## One\n\nFirst.\n\n## Two\n\nSecond, anna@example.com.")
    worker.work()
    assert worker.document().identifiers == {"email": 1, "phone": 1} and "0912" not in bodies(worker)


def test_a_message_is_redacted_too(worker):
    asked = "My phone is 0912345678"
    worker.db.write(lambda tx: conversations.accept_question(tx, LINH, None, asked, asked, {}))
    worker.work()
    rows = worker.db.rows(f'SELECT body FROM "words:messages:{LINH.tenant_id}"')
    assert len(rows) == 1 and "0912345678" not in rows[0]["body"] and hash_word("+84912345678", privacy.key(worker.db)) in rows[0]["body"]


def test_switching_it_off_and_on_makes_words_and_vectors_anew_once(worker):
    worker.receive(TEXT)
    worker.work()
    before = vectors(worker)
    assert choose(worker, redact=False)
    assert worker.work() == ["redact_tenant", "embed_document"]
    assert "0912 345 678" in bodies(worker) and worker.document().identifiers is None and worker.document().stage == "complete"
    changed = {key for key, vector in vectors(worker).items() if not np.array_equal(vector, before[key])}
    assert changed == {"doc#chunk_0"}
    choose(worker, redact=True)
    worker.work()
    assert "0912" not in bodies(worker) and worker.document().identifiers == {"phone": 1}
    assert all(np.array_equal(vector, before[key]) for key, vector in vectors(worker).items())


def test_choosing_the_same_again_starts_nothing(worker):
    worker.receive(TEXT)
    worker.work()
    assert choose(worker, redact=True, model_sees_originals=False) is None and worker.work() == []
    assert not privacy.model_sees_originals(worker.db, LINH.tenant_id)


def test_while_it_is_done_the_document_is_found_by_its_words(worker):
    place = worker.receive(TEXT)
    worker.work()
    choose(worker, redact=False)
    worker.indexing.do(jobs.claim(worker.db, jobs.due(worker.db, 1)[0]))
    where = SearchFilter((LINH.tenant_id,), (place,))
    assert worker.document().stage == "searchable" and worker.services.words.search("documents", where, [("0912 345 678", 1.0)], 5)


def test_a_choice_made_while_a_document_is_being_written_counts_for_it_too(worker):
    worker.receive(TEXT)
    write = worker.indexing._passages.replace

    def choose_and_write(*args):
        choose(worker, redact=False)
        worker.db.write(lambda tx: tx.execute("DELETE FROM jobs WHERE kind = 'redact_tenant'"))  # it went by before this document was there
        return write(*args)

    worker.indexing._passages.replace = choose_and_write
    worker.work()
    assert "0912 345 678" in bodies(worker)


def test_a_job_that_the_choice_has_overtaken_leaves_the_rest_to_the_newer_one(worker):
    worker.receive(TEXT)
    worker.work()
    choose(worker, redact=False)
    older = jobs.claim(worker.db, jobs.due(worker.db, 1)[0])
    go_through = Redacting(worker.services, threading.Event())._go_through
    choose(worker, redact=True)
    with pytest.raises(_ChosenOtherwise):
        go_through(older, None)
    worker.indexing.do(older)
    worker.work()
    assert "0912" not in bodies(worker) and worker.document().identifiers == {"phone": 1}


def test_what_an_earlier_version_indexed_is_gone_through_once(settings, tmp_path):
    settings.files_dir.mkdir(parents=True)
    old = SQLiteDatabase(settings.sqlite_path, MIGRATIONS[:6])
    values = {"tenant_id": LINH.tenant_id, "owner_id": LINH.user_id, "collection_id": "c", "document_id": "doc", "title": "help.md"}

    def fill(tx):
        tx.insert("tenants", id=LINH.tenant_id, name="A", created_at=0.0)
        tx.insert("collections", id="c", tenant_id=LINH.tenant_id, owner_id=LINH.user_id, name="Knowledge", visibility="tenant", created_at=0.0)
        about = {"source": "help.md", "media_type": "", "size": 1, "content_hash": "", "received_at": 1.0, "stage": "complete", "chunks": 1}
        row = {name: value for name, value in values.items() if name != "document_id"}
        tx.insert("documents", id="doc", **row, **about)
        tx.insert("chunks", key="doc#chunk_0", **values, position=0, heading="", place="", text="Anna: 0912 345 678", tokens=9, dated_at=1.0)

    old.write(fill)
    old.close()
    opened = open_services(settings, "cli")
    try:
        opened.vectors = None
        worker = Worker(opened)
        assert worker.work() == ["redact_tenant", "embed_document"]
        assert "0912" not in bodies(worker) and worker.document().identifiers == {"phone": 1} and worker.document().stage == "complete"
        assert worker.work() == []
    finally:
        opened.close()


def test_a_long_document_is_gone_through_in_slices(worker):
    text = "\n\n".join(f"# Part {number}\n\nCall 09123456{number % 100:02} about part {number}." for number in range(450))
    worker.receive(text)
    worker.work()
    assert worker.document().identifiers == {"phone": 450}
    choose(worker, redact=False)
    worker.work()
    assert (worker.document().stage, worker.document().embedded, documents.document_row(worker.db, "doc")["identifiers"]) == ("complete", 450, "")
