"""Verdicts on answers: whose they are, what they keep, and when they go."""

from dataclasses import replace

import pytest

from conftest import HOA, LINH, MINH
from maisale.errors import BadInput, NotFound
from maisale.records import Candidate, Chunk, Citation, Trace
from maisale.store import conversations
from maisale.store.feedback import clear_feedback, get_feedback, list_feedback, set_feedback, verdicts

CHUNK = Chunk("d#chunk_0", "tenant-a", "c", "Warranty policy", "", 0, 9, 1.0, document_id="d", place="page 3")
TRACE = Trace("How long?", "en", "knowledge", 0.38, 0.6, "answer", 0.7, 0.4, (Candidate(CHUNK, 0.9, number=1),))
CITATION = Citation(1, CHUNK.key, "Warranty policy", "page 3", "24 months", 0.9, "strong", "d", cited=True)


@pytest.fixture
def answered(db):
    """An answer of Linh's."""
    ack, _ = db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How long is the warranty?", "Warranty", {}))
    ended = replace(conversations.get_reply(db, LINH, ack.reply_id), state="done", text="24 months [1]", citations=(CITATION,), trace=TRACE)
    db.write(lambda tx: conversations.save_reply(tx, LINH, ended))
    return ended


def judge(db, reply, verdict="up", comment="", scope=LINH):
    db.write(lambda tx: set_feedback(tx, scope, reply.id, verdict, comment))


def test_a_verdict_keeps_question_sources_and_trace(db, answered):
    judge(db, answered, "down", "It is 36 months.")
    kept = get_feedback(db, LINH, answered.id)
    assert (kept.verdict, kept.comment, kept.question) == ("down", "It is 36 months.", "How long is the warranty?")
    assert (kept.citations, kept.trace) == ((CITATION,), TRACE)


def test_a_new_verdict_takes_the_place_of_the_old_one(db, answered):
    judge(db, answered, "down", "wrong")
    judge(db, answered, "up")
    assert verdicts(db, LINH, answered.conversation_id) == {answered.id: ("up", "")} and len(list_feedback(db, "tenant-a")) == 1


def test_a_verdict_can_be_taken_back(db, answered):
    judge(db, answered)
    for _ in range(2):
        db.write(lambda tx: clear_feedback(tx, LINH, answered.id))
    assert get_feedback(db, LINH, answered.id) is None


@pytest.mark.parametrize("stranger", [MINH, HOA])
def test_a_stranger_neither_judges_nor_sees_a_verdict(db, answered, stranger):
    judge(db, answered, "down", "wrong")
    for write in (lambda tx: set_feedback(tx, stranger, answered.id, "up"), lambda tx: clear_feedback(tx, stranger, answered.id)):
        with pytest.raises(NotFound):
            db.write(write)
    assert get_feedback(db, stranger, answered.id) is None and verdicts(db, stranger, answered.conversation_id) == {}
    assert get_feedback(db, LINH, answered.id).verdict == "down"


def test_another_tenants_verdicts_are_not_listed(db, answered):
    judge(db, answered)
    assert [one.reply_id for one in list_feedback(db, "tenant-a")] == [answered.id] and list_feedback(db, "tenant-b") == []


def test_an_answer_is_judged_when_it_has_ended(db):
    ack, _ = db.write(lambda tx: conversations.accept_question(tx, LINH, None, "How long?", "t", {}))
    with pytest.raises(BadInput):
        db.write(lambda tx: set_feedback(tx, LINH, ack.reply_id, "up"))


def test_a_verdict_goes_with_its_conversation(db, answered):
    judge(db, answered)
    db.write(lambda tx: conversations.delete_conversation(tx, LINH, answered.conversation_id))
    assert db.rows("SELECT reply_id FROM feedback") == []
