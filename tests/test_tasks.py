"""The worker's hands: what becomes of a job whose end the database refuses to write."""

import threading

from conftest import LINH
from maisale import tasks
from maisale.errors import StorageFailed
from maisale.library.documents import add_document
from maisale.library.embedders import Embedders
from maisale.store import conversations, documents, jobs
from maisale.tasks import CROWD, TOGETHER, Work


def test_a_job_whose_end_could_not_be_stored_is_done_again_once_there_is_room(services, tmp_path):
    (tmp_path / "a.md").write_text("# Kettle\n\nThe kettle boils water.")
    document = add_document(services, LINH, tmp_path / "a.md", "a.md")
    work, db = Work(services, Embedders(services), 1, threading.Event()), services.db
    # A full disk: what ends a job needs a page more than there is.
    db.write(lambda tx: tx.execute("CREATE TABLE pages (page)"))
    db.write(lambda tx: tx.execute("CREATE TRIGGER one_more BEFORE UPDATE OF next_at ON jobs BEGIN INSERT INTO pages VALUES (zeroblob(100000)); END"))
    db.write(lambda tx: tx.execute("CREATE TRIGGER text BEFORE INSERT ON chunks BEGIN INSERT INTO pages VALUES (zeroblob(100000)); END"))
    pages = db.write(lambda tx: tx.rows("PRAGMA page_count"))[0]["page_count"]
    db.write(lambda tx: tx.rows(f"PRAGMA max_page_count = {pages + 5}"))
    work.take(jobs.due(db, 1)[0])
    assert jobs.counts(db)["running"] == 1 and jobs.due(db, 1) == []
    db.write(lambda tx: tx.rows("PRAGMA max_page_count = 100000"))
    work.sweep()
    while due := jobs.due(db, 1):
        work.take(due[0])
    assert documents.get_document(db, LINH, document.id).searchable
    assert db.rows("SELECT max(attempts) AS n FROM jobs")[0]["n"] == 1
    work.put_back()


def test_a_document_makes_way_for_a_crowd_that_waits_for_answers(services, tmp_path):
    (tmp_path / "a.md").write_text("# Kettle\n\nThe kettle boils water.")
    document = add_document(services, LINH, tmp_path / "a.md", "a.md")
    work, db = Work(services, Embedders(services), 1, threading.Event()), services.db
    job_id = jobs.due(db, 1)[0]
    asked = [db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How long?", "t", {}))[0] for _ in range(CROWD)]
    hand = threading.Thread(target=work.take, args=(job_id,))
    hand.start()
    hand.join(1)
    assert hand.is_alive() and documents.get_document(db, LINH, document.id).stage == "received"
    db.write(lambda tx: tx.execute("UPDATE replies SET state = 'done' WHERE id = :id", id=asked[0].reply_id))
    hand.join(60)
    assert not hand.is_alive() and documents.get_document(db, LINH, document.id).searchable
    work.put_back()


def test_a_crowd_that_may_ask_again_is_not_over_with_its_last_answer(services, monkeypatch):
    work, db = Work(services, Embedders(services), 1, threading.Event()), services.db
    services.vectors = None
    monkeypatch.setattr(tasks, "WAY_S", 600.0)
    monkeypatch.setattr(tasks, "QUIET_S", 300.0)
    for _ in range(CROWD):
        db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How long?", "t", {}))
    hand = threading.Thread(target=work.take, args=(jobs.due(db, 1)[0],))
    hand.start()
    hand.join(1)
    db.write(lambda tx: tx.execute("UPDATE replies SET state = 'done'"))
    hand.join(1)
    assert hand.is_alive() and jobs.due(db, 100)
    monkeypatch.setattr(tasks, "QUIET_S", 0.0)
    hand.join(60)
    assert not hand.is_alive() and not jobs.due(db, 100)


def test_messages_make_way_for_a_crowd_and_are_embedded_in_one_go_then(services):
    work, db = Work(services, Embedders(services), 1, threading.Event()), services.db
    services.vectors = None
    asked = [db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How long?", "t", {}))[0] for _ in range(CROWD)]
    hand = threading.Thread(target=work.take, args=(jobs.due(db, 1)[0],))
    hand.start()
    hand.join(1)
    stored = "SELECT count(*) AS n FROM chunks WHERE message_id IS NOT NULL"
    assert hand.is_alive() and db.rows(stored)[0]["n"] == 0
    late = db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How late?", "t", {}))[0]
    db.write(lambda tx: tx.execute("UPDATE replies SET state = 'done' WHERE id IN (:one, :other)", one=asked[0].reply_id, other=late.reply_id))
    hand.join(60)
    assert not hand.is_alive() and db.rows(stored)[0]["n"] == CROWD + 1
    assert db.rows("SELECT max(attempts) AS n FROM jobs")[0]["n"] == 1
    work.put_back()


def test_a_job_beside_which_the_database_fails_is_free_again_at_the_next_look(services, monkeypatch):
    work, db = Work(services, Embedders(services), 1, threading.Event()), services.db
    services.vectors = None
    asked = db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How long?", "t", {}))[0]

    def fails(*_):
        raise StorageFailed("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(jobs, "claim_alike", fails)
        work.take(jobs.due(db, 1)[0])
    assert jobs.due(db, 1) == []
    work.sweep()
    while due := jobs.due(db, 1):
        work.take(due[0])
    assert db.rows("SELECT count(*) AS n FROM chunks WHERE message_id = :id", id=asked.message_id)[0]["n"] == 1
    assert db.rows("SELECT DISTINCT state FROM jobs") == [{"state": "done"}]
    work.put_back()


def test_small_files_that_wait_are_embedded_in_one_go(services, tmp_path):
    for n in range(40):
        (tmp_path / f"{n}.md").write_text(f"# Kettle {n}\n\nKettle {n} boils {n} litres.")
        add_document(services, LINH, tmp_path / f"{n}.md", f"{n}.md")
    work, db = Work(services, Embedders(services), 1, threading.Event()), services.db
    services.vectors = None
    work.take(jobs.due(db, 1)[0])
    assert documents.stage_counts(db) == {"complete": 40}
    begun = "SELECT count(*) AS n FROM stages WHERE stage = 'embedding' AND reached_at < (SELECT min(reached_at) FROM stages WHERE stage = 'embedded')"
    assert db.rows(begun)[0]["n"] == TOGETHER["embed_document"]
    work.put_back()


def test_what_a_process_died_over_is_tried_again_without_others(services, tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.md").write_text(f"# Kettle {n}\n\nKettle {n} boils {n} litres.")
        add_document(services, LINH, tmp_path / f"{n}.md", f"{n}.md")
    work, db = Work(services, Embedders(services), 1, threading.Event()), services.db
    first = jobs.due(db, 1)[0]
    jobs.claim(db, first, lease_s=-1)
    assert work._alike(jobs.claim(db, first)) == []
    assert len(work._alike(jobs.claim(db, jobs.due(db, 1)[0]))) == 1
