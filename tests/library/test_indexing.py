"""From a received file or a message to words and vectors: every step may be repeated, and what goes wrong is told."""

import threading

import pytest
from hand import LINH, TEXT, Ollama, Worker

from maisale.backends.chroma import ChromaIndex
from maisale.backends.chroma_folder import ChromaFolder
from maisale.errors import BadInput
from maisale.library import embedders, upkeep
from maisale.library.indexing import Indexing
from maisale.records import SearchFilter
from maisale.store import chunks, conversations, facts, jobs, ledger


@pytest.fixture
def index(tmp_path):
    opened = ChromaIndex(ChromaFolder(tmp_path / "chroma"))
    opened.open()
    opened.ready()
    yield opened
    opened.release()


@pytest.fixture
def worker(services):
    """Does jobs with exact search only; the tests that are about Chroma give it one."""
    services.vectors = None
    return Worker(services)


def test_a_document_becomes_searchable_and_then_complete(worker):
    place = worker.receive()
    worker.indexing.do(jobs.claim(worker.db, jobs.due(worker.db, 1)[0]))
    assert worker.document().stage == "searchable"
    where = SearchFilter((LINH.tenant_id,), (place,))
    assert worker.services.words.search("documents", where, [("returned", 1.0)], 5)[0].key == "doc#chunk_0"
    assert worker.work() == ["embed_document"]
    assert (worker.document().stage, worker.document().chunks, worker.document().embedded) == ("complete", 2, 2)


def test_its_ledger_says_when_it_reached_which_stage_with_counts(worker):
    worker.receive()
    worker.work()
    steps = ledger.of_document(worker.db, "doc")
    told = [(one.stage, one.counted) for one in steps]
    assert told[:5] == [("received", None), ("read", len(TEXT)), ("chunked", 2), ("redacted", 0), ("searchable", 2)]
    assert told[5:] == [("embedding", 0), ("embedded", 2), ("complete", None)]
    assert [one.reached_at for one in steps] == sorted(one.reached_at for one in steps)


def test_a_failure_tells_its_stage_its_cause_and_the_attempts(worker):
    worker.receive("x")
    (worker.services.settings.files_dir / "doc").write_text("")
    worker.work()
    last = ledger.of_document(worker.db, "doc")[-1]
    assert (last.stage, last.attempts, worker.document().failed_after) == ("failed", 1, "received") and "is empty" in last.cause


def test_a_permanent_error_is_not_tried_again_and_the_poison_is_a_dead_letter(worker):
    worker.services.models = Ollama()
    worker.receive(TEXT + "\n\n# Bad\n\npoison")
    assert worker.work() == ["read_document", "embed_document"]
    (dead,) = jobs.dead(worker.db)
    assert (dead.subject_id, dead.attempts) == ("doc", 1) and "Passage 3 is found by words only" in dead.cause


def test_doing_it_again_doubles_nothing(worker):
    worker.receive()
    worker.work()
    worker.again("read_document")
    worker.again("embed_document")
    assert worker.keys("chunks") == worker.keys("vectors") == ["doc#chunk_0", "doc#chunk_1"]
    assert worker.document().stage == "complete"


def test_a_shorter_version_leaves_nothing_of_the_longer_one(worker, index):
    worker.services.vectors = index
    worker.receive()
    worker.work()
    (worker.services.settings.files_dir / "doc").write_text("Short.", "utf-8")
    worker.again("read_document")
    assert worker.keys("chunks") == ["doc#chunk_0"]
    assert index.keys(LINH.tenant_id, "hash-1024", "documents") == {"doc#chunk_0"}


@pytest.mark.parametrize(("text", "cause"), [("", "is empty"), (None, "is gone from the server")])
def test_a_file_that_cannot_be_read_fails_at_once_with_the_cause(worker, text, cause):
    worker.receive(text or "x")
    path = worker.services.settings.files_dir / "doc"
    path.write_text(text) if text is not None else path.unlink()
    assert worker.work() == ["read_document"]
    assert worker.document().stage == "failed" and cause in worker.document().cause


def test_a_document_deleted_meanwhile_leaves_nothing(worker):
    worker.receive()
    worker.db.write(lambda tx: tx.execute("DELETE FROM documents"))
    assert worker.work() == ["read_document"]
    assert worker.keys("chunks") == [] and jobs.counts(worker.db)["done"] == 1


def test_a_message_gets_its_chunks_once(worker):
    ack, _ = worker.db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How long does the filter last?", "Filter", {}))
    worker.work()
    worker.again("embed_message", ack.message_id)
    key = f"{ack.message_id}#chunk_0"
    assert worker.keys("chunks") == worker.keys("vectors") == [key]
    chunk = chunks.conversation_chunks(worker.db, LINH, ack.conversation_id)[0]
    assert (chunk.collection_id, chunk.message_id, chunk.title) == (ack.conversation_id, ack.message_id, "Filter")


def test_vectors_reach_the_index_and_are_found_there(worker, index):
    worker.services.vectors = index
    worker.receive()
    worker.work()
    rows = chunks.vectors_of(worker.db, "hash-1024", ["doc#chunk_0", "doc#chunk_1"])
    assert len(rows) == 2 and index.lost(LINH.tenant_id, "hash-1024", "documents", rows) == []
    assert worker.document().stage == "complete"


def test_an_index_that_is_not_open_puts_the_job_back(worker, tmp_path):
    worker.services.vectors = closed = ChromaIndex(ChromaFolder(tmp_path / "other"))
    worker.receive()
    worker.work()
    assert worker.document().stage == "searchable"
    waiting = worker.db.rows("SELECT state, attempts, cause FROM jobs WHERE kind = 'embed_document'")[0]
    assert (waiting["state"], waiting["attempts"]) == ("pending", 0) and "being opened" in waiting["cause"]
    closed.release()


def test_removed_vectors_leave_the_index_unless_they_were_made_again(worker, index):
    worker.services.vectors = index
    worker.receive()
    worker.work()
    worker.db.write(lambda tx: chunks.delete_chunks(tx, ["doc#chunk_1"]))
    worker.again("remove_vectors", payload={"tenant_id": LINH.tenant_id, "kind": "documents", "keys": ["doc#chunk_0", "doc#chunk_1"]})
    assert index.keys(LINH.tenant_id, "hash-1024", "documents") == {"doc#chunk_0"}


def test_a_fresh_folder_begins_with_the_model_that_is_there(worker):
    worker.services.models = Ollama(well_s=0)
    assert worker.embedders.active() == "bge-m3"


def test_without_a_model_it_begins_with_the_built_in_one(worker):
    assert worker.embedders.active() == "hash-1024"


def test_one_text_that_no_embedder_takes_costs_the_others_nothing(worker):
    worker.services.models = Ollama()
    worker.receive(TEXT + "\n\n# Bad\n\npoison")
    worker.work()
    assert worker.keys("vectors") == ["doc#chunk_0", "doc#chunk_1"]
    assert worker.document().stage == "searchable" and "Passage 3 is found by words only" in worker.document().cause


def test_a_model_that_is_away_costs_no_attempt_and_goes_on_when_it_is_back(worker):
    worker.services.models = ollama = Ollama()
    worker.embedders.active()
    ollama.away = True
    worker.embedders.tend()
    worker.receive()
    assert worker.work() == ["read_document", "embed_document"]
    assert worker.document().stage == "searchable" and worker.work() == []
    ollama.away = False
    worker.embedders.tend()
    assert worker.work() == ["embed_document"] and worker.document().stage == "complete"


def test_wrong_answers_end_in_a_cause_and_the_words_stay(worker):
    worker.services.models = ollama = Ollama()
    ollama.answer_wrongly = True
    worker.receive()
    for _ in range(3):
        worker.work()
        worker.db.write(lambda tx: tx.execute("UPDATE jobs SET next_at = 0 WHERE state = 'pending'"))
    assert worker.document().stage == "searchable" and "The model answered with an error." in worker.document().cause
    assert jobs.counts(worker.db)["dead"] == 1


def test_a_better_embedder_takes_over_only_when_its_index_is_complete(worker):
    worker.receive()
    worker.work()
    worker.services.models = Ollama()
    worker.embedders.tend()
    assert facts.get_fact(worker.db, facts.EMBEDDER) == "hash-1024"
    assert worker.work() == ["embed_document"]
    worker.embedders.tend()
    assert worker.embedders.active() == "bge-m3"


def test_a_text_that_the_better_embedder_refuses_does_not_hold_it_up(worker):
    worker.receive(TEXT + "\n\n# Bad\n\npoison")
    worker.work()
    worker.services.models = Ollama()
    for _ in range(3):
        worker.embedders.tend()
        worker.work()
    assert worker.embedders.active() == "bge-m3"


def test_a_model_that_flaps_starts_no_rebuild_and_one_that_leaves_keeps_its_index(worker):
    worker.embedders.active()
    worker.services.models = ollama = Ollama(well_s=5)
    assert worker.embedders.wanted() == ["hash-1024"]
    worker.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, "bge-m3"))
    ollama.away = True
    assert worker.embedders.wanted() == ["bge-m3"]


def test_new_passages_are_embedded_for_both_while_one_is_built_beside(worker):
    worker.embedders.active()
    worker.services.models = Ollama()
    worker.receive()
    worker.work()
    assert {row["embedder"] for row in worker.db.rows("SELECT embedder FROM vectors")} == {"hash-1024", "bge-m3"}


def test_an_index_that_lost_everything_is_filled_from_sql(worker, index):
    worker.receive()
    worker.work()
    assert upkeep.fill(worker.db, index, thorough=False, stopping=threading.Event()) == 2
    assert index.keys(LINH.tenant_id, "hash-1024", "documents") == {"doc#chunk_0", "doc#chunk_1"}


def test_what_sql_does_not_have_leaves_the_index(worker, index):
    worker.services.vectors = index
    worker.receive()
    worker.work()
    worker.db.write(lambda tx: chunks.delete_chunks(tx, ["doc#chunk_1"]))
    upkeep.fill(worker.db, index, thorough=False, stopping=threading.Event())
    assert index.keys(LINH.tenant_id, "hash-1024", "documents") == {"doc#chunk_0"}


def test_a_worker_that_is_ending_hands_its_job_on(worker):
    worker.receive()
    worker.indexing.do(jobs.claim(worker.db, jobs.due(worker.db, 1)[0]))
    ending = threading.Event()
    ending.set()
    job = jobs.claim(worker.db, jobs.due(worker.db, 1)[0])
    Indexing(worker.services, worker.embedders, ending).do(job)
    assert worker.work() == ["embed_document"] and worker.document().stage == "complete"


def test_the_embedder_before_can_be_searched_again_and_stays(worker):
    worker.services.models = Ollama()
    worker.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, "hash-1024"))
    worker.receive()
    worker.work()
    worker.embedders.tend()
    worker.work()
    worker.embedders.tend()
    assert [(one.name, one.searched) for one in embedders.made(worker.services)] == [("bge-m3", True), ("hash-1024", False)]
    embedders.use(worker.services, "hash-1024")
    worker.embedders.tend()
    assert worker.embedders.active() == "hash-1024"
    embedders.choose_by_itself(worker.services)
    worker.embedders.tend()
    assert worker.embedders.active() == "bge-m3"


def test_an_embedder_whose_vectors_are_not_complete_is_not_searched(worker):
    worker.receive()
    worker.work()
    with pytest.raises(BadInput, match="no vectors of 'bge-m3'"):
        embedders.use(worker.services, "bge-m3")
    worker.db.write(lambda tx: tx.execute("DELETE FROM vectors WHERE key = 'doc#chunk_1'"))
    with pytest.raises(BadInput, match="1 of 2 passages"):
        embedders.use(worker.services, "hash-1024")


def say(worker, *texts):
    """Messages of one conversation, each with its job; their ids."""

    def work(tx):
        made, conversation = [], None
        for text in texts:
            ack, _ = conversations.accept_question(tx, LINH, conversation, text, "title", {})
            conversation = ack.conversation_id
            made.append(ack.message_id)
        return made

    return worker.db.write(work)


def claimed(worker):
    first = jobs.claim(worker.db, jobs.due(worker.db, 1)[0])
    return [first, *jobs.claim_alike(worker.db, first, 31)]


def test_messages_that_wait_are_embedded_together(worker, index):
    worker.services.vectors = index
    ids = say(worker, "The filter lasts six months.", "It costs forty euros.", "Returns take thirty days.")
    taken = claimed(worker)
    assert {job.subject_id for job in taken} == set(ids)
    worker.indexing.do_together(taken)
    assert worker.keys("vectors") == sorted(f"{one}#chunk_0" for one in ids)
    assert index.keys(LINH.tenant_id, "hash-1024", "messages") == {f"{one}#chunk_0" for one in ids}
    assert jobs.counts(worker.db) == {"pending": 0, "running": 0, "done": 3, "dead": 0}


def test_one_that_no_embedder_takes_leaves_the_others_theirs(worker):
    worker.services.models = Ollama()
    worker.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, "bge-m3"))
    good, bad, fine = say(worker, "The filter lasts six months.", "This is poison.", "It costs forty euros.")
    worker.indexing.do_together(claimed(worker))
    assert worker.keys("vectors") == sorted(f"{one}#chunk_0" for one in (good, fine))
    assert jobs.counts(worker.db)["done"] == 2
    assert [(job.subject_id, job.attempts) for job in jobs.dead(worker.db)] == [(bad, 1)]


def test_while_the_model_is_away_they_all_wait(worker):
    worker.services.models = Ollama()
    worker.services.models.away = True
    worker.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, "bge-m3"))
    say(worker, "The filter lasts six months.", "It costs forty euros.")
    worker.indexing.do_together(claimed(worker))
    assert worker.db.rows("SELECT state, attempts FROM jobs") == [{"state": "pending", "attempts": 0}] * 2


def read(worker, *document_ids, text=TEXT):
    """Documents that wait for their vectors."""
    for one in document_ids:
        worker.receive(text, f"{one}.md", one)
        reading = worker.db.rows("SELECT id FROM jobs WHERE subject_id = :id", id=one)[0]["id"]
        worker.indexing.do(jobs.claim(worker.db, reading))


def stages(worker):
    return {row["id"]: row["stage"] for row in worker.db.rows("SELECT id, stage FROM documents")}


def test_small_documents_that_wait_become_complete_together(worker, index):
    worker.services.vectors = index
    read(worker, "a", "b", "c")
    taken = claimed(worker)
    assert {job.subject_id for job in taken} == {"a", "b", "c"}
    worker.indexing.do_together(taken)
    assert stages(worker) == dict.fromkeys("abc", "complete")
    assert index.keys(LINH.tenant_id, "hash-1024", "documents") == {f"{one}#chunk_{n}" for one in "abc" for n in (0, 1)}
    told = [(one.stage, one.counted) for one in ledger.of_document(worker.db, "b")]
    assert told[-3:] == [("embedding", 0), ("embedded", 2), ("complete", None)]
    assert jobs.counts(worker.db) == {"pending": 0, "running": 0, "done": 6, "dead": 0}


def waits(worker, name, text, title=""):
    """Received, and not read yet."""
    worker.receive(text, title or f"{name}.md", name)


def test_small_plain_files_that_wait_are_read_together_and_no_other(worker, caplog):
    caplog.set_level("INFO")
    waits(worker, "a", TEXT)
    waits(worker, "b", "# Opening\n\nThe shop opens at nine.", "b.TXT")
    waits(worker, "table", "name,age\nAn,4\n", "table.csv")
    waits(worker, "long", "The shop opens at nine. " * 1000)
    taken = claimed(worker)
    assert {job.subject_id for job in taken} == {"a", "b"}
    worker.indexing.do_together(taken)
    assert stages(worker) == {"a": "searchable", "b": "searchable", "table": "received", "long": "received"}
    assert "one by one" not in caplog.text
    assert worker.keys("chunks") == ["a#chunk_0", "a#chunk_1", "b#chunk_0"]
    assert [one.stage for one in ledger.of_document(worker.db, "b")] == ["received", "read", "chunked", "redacted", "searchable"]
    worker.work()
    assert set(stages(worker).values()) == {"complete"}


def test_of_files_read_together_a_bad_one_fails_alone(worker, caplog):
    caplog.set_level("INFO")
    waits(worker, "a", TEXT)
    waits(worker, "empty", " \n")
    waits(worker, "b", TEXT)
    worker.indexing.do_together(claimed(worker))
    assert stages(worker) == {"a": "searchable", "empty": "failed", "b": "searchable"}
    assert worker.keys("chunks") == ["a#chunk_0", "a#chunk_1", "b#chunk_0", "b#chunk_1"] and "one by one" in caplog.text


def test_of_files_read_together_one_that_was_deleted_or_cancelled_meanwhile_stays_so(worker):
    for name in "abc":
        waits(worker, name, TEXT)
    taken = claimed(worker)
    worker.db.write(lambda tx: (jobs.cancel(tx, "b"), tx.execute("DELETE FROM documents WHERE id = 'b'"), jobs.cancel(tx, "c")))
    worker.indexing.do_together(taken)
    assert stages(worker) == {"a": "searchable", "c": "received"} and worker.keys("chunks") == ["a#chunk_0", "a#chunk_1"]
    assert jobs.counts(worker.db)["running"] == 0


def test_a_new_version_of_each_is_exchanged_together(worker, caplog):
    caplog.set_level("INFO")
    for name in "ab":
        waits(worker, name, TEXT)
    worker.work()
    for name in "ab":
        (worker.services.settings.files_dir / name).write_text("# Prices\n\nThe kettle costs forty euros.")
        worker.db.write(lambda tx, name=name: jobs.add(tx, LINH.tenant_id, "read_document", name))
    worker.db.write(lambda tx: tx.execute("UPDATE documents SET stage = 'received'"))
    worker.indexing.do_together(claimed(worker))
    assert worker.keys("chunks") == ["a#chunk_0", "b#chunk_0"] and set(stages(worker).values()) == {"searchable"}
    assert "one by one" not in caplog.text
    worker.work()
    assert set(stages(worker).values()) == {"complete"} and worker.keys("vectors") == ["a#chunk_0", "b#chunk_0"]


def test_a_large_document_is_done_alone(worker):
    read(worker, "large", text="\n\n".join(f"# Part {n}\n\nThe filter of purifier {n} lasts {n} months." for n in range(jobs.SMALL + 1)))
    read(worker, "a", "b")
    waiting = {row["subject_id"]: row["id"] for row in worker.db.rows("SELECT subject_id, id FROM jobs WHERE state = 'pending'")}
    first = jobs.claim(worker.db, waiting["a"])
    assert [job.subject_id for job in jobs.claim_alike(worker.db, first, 31)] == ["b"]
    assert jobs.small(worker.db, first) and not jobs.small(worker.db, jobs.claim(worker.db, waiting["large"]))


def test_of_documents_done_together_one_that_was_deleted_or_cancelled_meanwhile_stays_as_it_is(worker, index):
    worker.services.vectors = index
    read(worker, "a", "b", "c")
    taken = claimed(worker)
    worker.db.write(lambda tx: (chunks.delete_chunks(tx, ["b#chunk_0", "b#chunk_1"]), tx.execute("DELETE FROM documents WHERE id = 'b'")))
    worker.db.write(lambda tx: jobs.cancel(tx, "c"))
    worker.indexing.do_together(taken)
    assert stages(worker) == {"a": "complete", "c": "searchable"}
    assert not [key for key in index.keys(LINH.tenant_id, "hash-1024", "documents") if key.startswith("b")]


def test_one_that_no_embedder_takes_leaves_the_other_documents_theirs(worker):
    worker.services.models = Ollama()
    worker.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, "bge-m3"))
    read(worker, "a", "b")
    read(worker, "bad", text="# Bad\n\npoison")
    assert not worker.indexing.wait_for_no_model()
    worker.indexing.do_together(claimed(worker))
    assert stages(worker) == {"a": "complete", "b": "complete", "bad": "searchable"}
    assert [job.subject_id for job in jobs.dead(worker.db)] == ["bad"]


def test_a_job_that_was_put_back_during_a_short_outage_goes_on_when_the_model_is_well(worker):
    worker.services.models = ollama = Ollama()
    worker.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, "bge-m3"))
    worker.receive()
    worker.embedders.tend()
    ollama.away = True
    worker.work()
    assert jobs.due(worker.db, 1) == [] and worker.document().stage == "searchable"
    ollama.away = False  # nobody has looked meanwhile
    worker.embedders.tend()
    assert worker.work() == ["embed_document"] and worker.document().stage == "complete"


def test_a_model_that_refuses_everything_for_a_while_leaves_no_document_without_vectors(worker):
    worker.services.models = ollama = Ollama()
    ollama.refused = ""  # every text holds it
    worker.receive()
    worker.work()
    waiting = worker.db.rows("SELECT attempts, cause FROM jobs WHERE state = 'pending'")
    assert [row["attempts"] for row in waiting] == [1] and "gives no vector for any text" in waiting[0]["cause"]
    assert (worker.document().stage, worker.document().cause) == ("searchable", "")
    ollama.refused = "poison"
    worker.db.write(lambda tx: tx.execute("UPDATE jobs SET next_at = 0 WHERE state = 'pending'"))
    worker.work()
    assert worker.document().stage == "complete"
