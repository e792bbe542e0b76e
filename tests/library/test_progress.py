"""Seconds left are measured or not said."""

import time
from threading import Thread

import pytest
from hand import LINH, Worker

from maisale.library.progress import with_seconds_left
from maisale.store import chunks, documents, jobs, ledger

NOW = 1_000_000_000.0


@pytest.fixture
def worker(services):
    services.vectors = None
    return Worker(services)


def put(worker, name, passages, done=0, state="running", kind="embed_document", since=10.0, counted=0, lane="people", next_at=0.0, renewed=1.0):
    """A document with so many passages, `done` of them embedded in `since` seconds, and its job."""
    worker.receive(document_id=name, name=f"{name}.md")

    def work(tx):
        tx.execute("DELETE FROM jobs WHERE subject_id = :id", id=name)
        job_id = jobs.add(tx, LINH.tenant_id, kind, name, lane)
        lease = NOW - renewed + jobs.LEASE_S
        sql = "UPDATE jobs SET state = :state, next_at = :next, lease_until = :lease WHERE id = :id"
        tx.execute(sql, state=state, next=next_at or NOW - 1, lease=lease, id=job_id)
        if kind == "embed_document":
            documents.set_stage(tx, name, "searchable", chunks=passages)
            if state == "running":
                ledger.note(tx, name, "embedding", reached_at=NOW - since, counted=counted)
        for number in range(done):
            whose = {"embedder": "e", "tenant_id": LINH.tenant_id, "kind": "documents", "collection_id": "c", "document_id": name}
            tx.insert("vectors", key=f"{name}#chunk_{number}", **whose, vector=b"", indexed=1, changed_at=0)

    worker.db.write(work)


def left(worker, now=NOW):
    return {one.id: one.seconds_left for one in with_seconds_left(worker.db, documents.list_documents(worker.db, LINH), now)}


def test_a_documents_own_rate_tells_its_end(worker):
    put(worker, "a", 100, done=40, since=10.0)
    assert left(worker) == {"a": 15}


def test_what_was_there_before_is_no_rate(worker):
    put(worker, "a", 100, done=60, counted=40, since=10.0)
    assert left(worker) == {"a": 20}


@pytest.mark.parametrize("odd", [{"since": 3.0}, {"done": 10}, {"done": 0}, {"renewed": 60.0}, {"state": "pending"}])
def test_nothing_is_said_that_was_not_measured(worker, odd):
    put(worker, "a", 100, **{"done": 40, **odd})
    assert left(worker) == {"a": None}


def test_who_waits_is_told_by_the_queue_before(worker):
    put(worker, "a", 100, done=40, since=10.0)
    put(worker, "b", 20, state="pending", next_at=NOW - 5)
    put(worker, "c", 40, state="pending", next_at=NOW - 3)
    assert left(worker) == {"a": 15, "b": 20, "c": 30}


def test_people_go_before_bulk(worker):
    put(worker, "a", 100, done=40, since=10.0)
    put(worker, "b", 20, state="pending", next_at=NOW - 9, lane="bulk")
    put(worker, "c", 40, state="pending", next_at=NOW - 3)
    assert left(worker) == {"a": 15, "c": 25, "b": 30}


@pytest.mark.parametrize("first", [{"kind": "read_document", "state": "pending"}, {"state": "pending", "next_at": NOW + 60}])
def test_behind_what_nobody_knows_nothing_is_said(worker, first):
    put(worker, "a", 100, done=40, since=10.0)
    put(worker, "b", 20, **{"next_at": NOW - 9, **first})
    put(worker, "c", 40, state="pending", next_at=NOW - 3 if first["state"] == "pending" and first.get("next_at", 0) < NOW else NOW + 70)
    assert left(worker) == {"a": 15, "b": None, "c": None}


def test_while_embedding_goes_on_the_count_moves_and_the_end_is_told(worker):
    """The real thing: 200 passages at 20 a second."""
    class Measured:
        name, dimensions = worker.services.builtin.name, worker.services.builtin.dimensions

        def vectors(self, texts, make=worker.services.builtin.vectors):
            time.sleep(len(texts) / 20)
            return make(texts)

    worker.receive("\n\n".join(f"# Part {number}\n\nPart {number} is about pump {number}." for number in range(200)))
    worker.indexing.do(jobs.claim(worker.db, jobs.due(worker.db, 1)[0]))
    hand = Thread(target=worker.work)
    worker.services.builtin = Measured()
    hand.start()
    seen = []
    while hand.is_alive():
        (one,) = with_seconds_left(worker.db, documents.list_documents(worker.db, LINH))
        seen.append((one.embedded, one.seconds_left))
        time.sleep(0.2)
    counts, told = [count for count, _ in seen], [second for _, second in seen if second is not None]
    assert counts == sorted(counts) and len(set(counts)) > 3
    assert told and told[0] > told[-1] and seen[0][1] is None
    assert len(chunks.vectors_of(worker.db, worker.services.builtin.name, worker.keys("chunks"))) == 200
