"""Deleted things leave every file of the data folder: bytes are planted, searched for, and searched for again after the compaction."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from desk import QUESTION, Desk

from maisale.access import people
from maisale.backends import sqlite
from maisale.chat import erasure
from maisale.chat.ask import title_of
from maisale.chat.replies import Replies
from maisale.errors import StorageFailed
from maisale.library import deletion_list, upkeep
from maisale.library.deletion import delete_conversation, delete_turn, remove_document
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.ops import erasing
from maisale.services import open_index
from maisale.store import accounts, audit, chunks, conversations, documents, erasures, jobs

ROOT = Path(__file__).parents[2]
# Within a word: FTS5 stores of a word only what its neighbour does not begin with.
MARK, INSIDE = "Vexillotrope", b"exillotrop"
PLANTED = f"# Seals\n\nThe RO-9 purifier bears the {MARK} seal and is under warranty for 24 months from the date of purchase."
STAYS = "# Filters\n\nThe Brackenwald filter of the softener lasts six months and costs 400,000 dong."


@pytest.fixture
def desk(services, tmp_path):
    made = Desk(services, tmp_path)
    services.vectors = open_index(services.settings)
    services.vectors.open()
    services.vectors.ready()
    made.kept = made.add("filters.md", STAYS)
    yield made
    services.vectors.release()


def somebody(desk, tenant, name):
    made = Desk.__new__(Desk)
    made.services, made.folder = desk.services, desk.folder
    made.user = desk.services.db.write(lambda tx: accounts.add_user(tx, tenant, name))
    return made


def settle(desk):
    """All jobs are done, those too that would wait."""
    indexing = Indexing(desk.services, Embedders(desk.services))
    while ids := jobs.due(desk.services.db, 50):
        for job_id in ids:
            indexing.do(jobs.claim(desk.services.db, job_id))


def holding(settings, wanted=INSIDE):
    """The files under data/ that hold these bytes, by their names."""
    found = (path for path in settings.data_dir.rglob("*") if path.is_file() and wanted in path.read_bytes())
    return sorted(str(path.relative_to(settings.data_dir)) for path in found)


def erase(desk):
    """The compaction, as it is without a worker; then the index is filled again, as a worker does."""
    services = desk.services
    services.vectors.release()
    done = erasing.erase(services)
    services.vectors = open_index(services.settings)
    thorough = not services.vectors.open()
    upkeep.fill(services.db, services.vectors, thorough, threading.Event())
    services.vectors.ready()
    return done


def neighbours_are_whole(desk):
    document = documents.get_document(desk.services.db, desk.user.scope, desk.kept)
    assert document.stage == "complete" and (desk.services.settings.files_dir / desk.kept).read_text("utf-8") == STAYS
    assert desk.sources(desk.ask("How long does the Brackenwald filter last?")) == [desk.kept]
    ours = chunks.vector_keys(desk.services.db, desk.user.tenant_id, "hash-1024", "documents")
    assert f"{desk.kept}#chunk_0" in ours and desk.services.vectors.keys(desk.user.tenant_id, "hash-1024", "documents") == ours
    assert desk.services.words.lost(desk.user.tenant_id, "documents", [f"{desk.kept}#chunk_0"]) == []
    assert desk.services.db.problems() == []


def a_document(desk):
    return remove_document(desk.services, desk.user.scope, desk.add("seals.md", PLANTED))


def a_message(desk):
    ack = desk.ask(f"Who gave the purifier its {MARK} seal?")
    desk.ask("How long does the Brackenwald filter last?", conversation_id=ack.conversation_id)
    settle(desk)
    return lambda: delete_turn(desk.services, desk.user.scope, ack.message_id, title_of)


def a_conversation(desk):
    ack = desk.ask(f"Who gave the purifier its {MARK} seal?")
    settle(desk)
    return lambda: delete_conversation(desk.services, desk.user.scope, ack.conversation_id)


def a_file(desk):
    talk = desk.services.db.write(lambda tx: conversations.new_conversation(tx, desk.user.scope))
    document = desk.add("seals.md", PLANTED, conversation_id=talk.id)
    desk.ask(QUESTION, conversation_id=talk.id)
    settle(desk)
    return lambda: remove_document(desk.services, desk.user.scope, document)


def a_shared_document(desk):
    document = desk.add("seals.md", PLANTED)
    other = somebody(desk, "shop", "Minh")
    for one in (desk, other):
        assert document in one.sources(one.ask(QUESTION))
    settle(desk)
    return lambda: remove_document(desk.services, desk.user.scope, document)


def deleted(desk, verb, *about):
    async def story():
        replies = Replies(desk.services)
        receipt = await verb(replies, *about)
        await replies.close()
        return receipt

    return asyncio.run(story())


def a_user(desk):
    other = somebody(desk, "shop", f"Minh {MARK}")
    other.add("mine.md", PLANTED, collection="Mine", visibility="private")
    other.ask(f"Who gave the purifier its {MARK} seal?")
    settle(desk)
    return lambda: deleted(desk, erasure.delete_user, other.user, desk.caller)


def a_tenant(desk):
    other = somebody(desk, f"{MARK} & Co", "Hoa")
    other.add("seals.md", PLANTED)
    other.ask(f"Who gave the purifier its {MARK} seal?")
    settle(desk)
    tenant = accounts.get_tenant(desk.services.db, other.user.tenant_id)
    return lambda: deleted(desk, erasure.delete_tenant, tenant, desk.caller)


KINDS = {
    "message": (a_message, {"messages": 2}),
    "conversation": (a_conversation, {"conversations": 1, "messages": 2}),
    "a conversation's file": (a_file, {"documents": 1, "files": 1, "answers": 1}),
    "document": (a_shared_document, {"documents": 1, "files": 1, "answers": 2}),
    "user": (a_user, {"users": 1, "conversations": 1, "documents": 1, "files": 1}),
    "tenant": (a_tenant, {"tenants": 1, "users": 1, "conversations": 1, "documents": 1, "files": 1, "collections": 1}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_deleted_leaves_every_file_and_nothing_else_does(desk, kind):
    plant, counts = KINDS[kind]
    delete, settings, db = plant(desk), desk.services.settings, desk.services.db
    assert "sqlite.db" in " ".join(holding(settings))
    receipt = delete()
    settle(desk)
    told = erasures.get(db, receipt)
    assert told.state == "pending" and told.erased_at is None and {name: told.counts.get(name) for name in counts} == counts
    assert told.counts["passages"] > 0 and told.counts["vectors"] > 0
    assert [one.id for one in deletion_list.read(deletion_list.place(settings))] == [receipt]
    # At once: no row, no word, no answer.
    tables = [row["name"] for row in db.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%' AND name NOT GLOB '*_data'")]
    assert [one for one in tables if INSIDE in repr(db.rows(f'SELECT * FROM "{one}"')).encode()] == []
    assert desk.services.words.search("documents", *_everywhere(desk), 10) == []
    assert holding(settings) != []  # the files' bytes are another matter
    assert [one.id for one in erase(desk)] == [receipt]
    assert holding(settings) == []
    assert erasures.get(db, receipt).state == "erased"
    log = [(one.action, one.subject_id, one.user_id) for one in audit.entries(db)]
    assert log[0] == ("compact", "", "") and (f"{told.kind}_delete", told.subject_id, desk.user.id) in log
    neighbours_are_whole(desk)


def _everywhere(desk):
    where, _ = documents.searchable(desk.services.db, desk.user.scope)
    return where, [(MARK, 1.0)]


def test_its_vectors_leave_sql_and_chroma(desk):
    document = desk.add("seals.md", PLANTED)
    (row,) = desk.services.db.rows("SELECT vector FROM vectors WHERE document_id = :id", id=document)
    vector = np.frombuffer(row["vector"], np.float32)
    at = next(n for n in range(len(vector) - 8) if np.count_nonzero(vector[n : n + 8]) >= 2)
    run = vector[at : at + 8].tobytes()
    before = " ".join(holding(desk.services.settings, run))
    assert "sqlite.db" in before and "chroma" in before
    remove_document(desk.services, desk.user.scope, document)
    settle(desk)
    assert "chroma" in " ".join(holding(desk.services.settings, run))
    erase(desk)
    assert holding(desk.services.settings, run) == []
    assert set(holding(desk.services.settings, document.encode())) <= {"deletions.jsonl", "sqlite.db", "sqlite.db-wal"}  # the receipt names its id
    neighbours_are_whole(desk)


def test_gradios_copies_and_the_copy_of_before_an_upgrade_go_and_later_ones_stay(desk):
    settings = desk.services.settings
    old, new = settings.copies_dir / "one" / "seals.md", settings.copies_dir / "two" / "later.md"
    for path in (old, new):
        path.parent.mkdir(parents=True)
        path.write_text(PLANTED if path is old else STAYS)
    settings.sqlite_path.with_name("sqlite.db.before-008_x").write_text(PLANTED)
    os.utime(old, (time.time() - 60, time.time() - 60))
    remove_document(desk.services, desk.user.scope, desk.add("seals.md", PLANTED))
    os.utime(new, (time.time() + 60, time.time() + 60))
    erase(desk)
    assert holding(settings) == [] and new.exists() and not old.parent.exists()


def test_an_answer_stored_after_the_deletion_loses_it_with_the_compaction(desk):
    document = desk.add("seals.md", PLANTED)
    ack = desk.ask(QUESTION)
    late = conversations.get_reply(desk.services.db, desk.user.scope, ack.reply_id)
    remove_document(desk.services, desk.user.scope, document)
    desk.services.db.write(lambda tx: conversations.save_reply(tx, desk.user.scope, late))
    settle(desk)
    assert len(erase(desk)) == 1
    assert holding(desk.services.settings) == []


def test_a_document_that_comes_again_under_its_name_stays(desk):
    first = desk.add("seals.md", PLANTED)
    remove_document(desk.services, desk.user.scope, first)
    again = desk.add("seals.md", PLANTED.replace("24", "36"))
    erase(desk)
    assert desk.sources(desk.ask(QUESTION))[0] == again
    assert desk.services.vectors.keys(desk.user.tenant_id, "hash-1024", "documents") >= {f"{again}#chunk_0"}


def test_a_reader_who_keeps_the_log_leaves_the_receipt_pending_and_the_next_time_finishes(desk, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_S", 2)  # what it waits for the reader
    receipt = remove_document(desk.services, desk.user.scope, desk.add("seals.md", PLANTED))
    reading = sqlite3.connect(desk.services.settings.sqlite_path, isolation_level=None)
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM chunks").fetchone()
    try:
        with pytest.raises(StorageFailed):
            erase(desk)
        assert erasures.get(desk.services.db, receipt).state == "pending"
    finally:
        reading.close()
    desk.services.vectors = open_index(desk.services.settings)
    assert [one.id for one in erase(desk)] == [receipt] and holding(desk.services.settings) == []


def test_a_compaction_that_is_killed_leaves_the_receipt_pending_and_a_later_one_finishes(desk):
    settings = desk.services.settings
    receipt = remove_document(desk.services, desk.user.scope, desk.add("seals.md", PLANTED))
    people.make_first_admin(desk.services.db, settings)  # or the command would begin with that
    desk.services.vectors.release()
    environ = {**os.environ, "DATA_DIR": str(settings.data_dir), "OLLAMA_HOST": settings.ollama_urls[0], "PYTHONPATH": str(ROOT)}
    holder = sqlite3.connect(settings.sqlite_path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")  # its first write waits for this
    killed = subprocess.Popen([sys.executable, "-m", "maisale", "compact"], cwd=settings.data_dir, env=environ)
    ends = time.monotonic() + 60
    while not settings.sqlite_path.with_name("sqlite.db.compact.lock").exists():  # it has begun
        assert time.monotonic() < ends and killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    holder.close()
    desk.services.vectors = open_index(settings)
    assert erasures.get(desk.services.db, receipt).state == "pending" and holding(settings) != []
    assert [one.id for one in erase(desk)] == [receipt] and holding(settings) == []
    neighbours_are_whole(desk)


def test_one_that_is_told_to_stop_calls_nothing_erased(desk):
    receipt = remove_document(desk.services, desk.user.scope, desk.add("seals.md", PLANTED))
    desk.services.vectors.release()
    stopping = threading.Event()
    stopping.set()
    assert erasing.erase(desk.services, stopping) == [] and erasures.get(desk.services.db, receipt).state == "pending"
    desk.services.vectors = open_index(desk.services.settings)
    assert [one.id for one in erase(desk)] == [receipt]


def test_a_deletion_that_broke_off_is_not_called_erased(desk):
    other = somebody(desk, "shop", "Minh")
    receipt = desk.services.db.write(lambda tx: erasures.begin(tx, desk.user.scope, "user", other.user.id))
    assert erase(desk) == [] and erasures.get(desk.services.db, receipt).state == "pending"
    assert deleted(desk, erasure.delete_user, other.user, desk.caller) == receipt
    assert [one.id for one in erase(desk)] == [receipt]
