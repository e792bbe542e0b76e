from dataclasses import replace

import pytest

from conftest import HOA, LINH, MINH
from maisale.errors import Busy, NotFound
from maisale.records import Candidate, Chunk, Citation, Trace
from maisale.store import conversations

pytestmark = pytest.mark.contract


def ask(db, scope=LINH, conversation_id=None, text="How long is the warranty?"):
    return db.write(lambda tx: conversations.accept_question(tx, scope, conversation_id, text, "Warranty", {}))[0]


def test_a_question_makes_a_conversation_with_a_title_and_an_empty_reply(db):
    ack = ask(db)
    [conversation] = conversations.list_conversations(db, LINH)
    question, reply = conversations.messages(db, LINH, ack.conversation_id)
    assert (conversation.title, question.text, question.sender) == ("Warranty", "How long is the warranty?", "user")
    assert (reply.sender, reply.text, reply.reply.state) == ("assistant", "", "waiting")


def test_an_accepted_question_has_its_job(db):
    ack = ask(db)
    assert [job["kind"] for job in db.rows("SELECT kind FROM jobs WHERE subject_id = :id", id=ack.message_id)] == ["embed_message"]


@pytest.mark.parametrize("stranger", [MINH, HOA])
def test_a_stranger_sees_nothing(db, stranger):
    ack = ask(db)
    assert conversations.list_conversations(db, stranger) == []
    with pytest.raises(NotFound):
        conversations.messages(db, stranger, ack.conversation_id)
    with pytest.raises(NotFound):
        conversations.get_reply(db, stranger, ack.reply_id)
    with pytest.raises(NotFound):
        db.write(lambda tx: conversations.rename_conversation(tx, stranger, ack.conversation_id, "mine"))
    with pytest.raises(NotFound):
        db.write(lambda tx: conversations.delete_conversation(tx, stranger, ack.conversation_id))
    with pytest.raises(NotFound):
        ask(db, stranger, ack.conversation_id)


def test_the_fifth_open_question_is_refused_and_not_stored(db):
    ack = ask(db)
    for _ in range(3):
        ask(db, conversation_id=ack.conversation_id)
    with pytest.raises(Busy):
        ask(db, conversation_id=ack.conversation_id)
    assert len(conversations.messages(db, LINH, ack.conversation_id)) == 8


def test_a_renamed_conversation_keeps_its_name(db):
    ack = ask(db)
    db.write(lambda tx: conversations.rename_conversation(tx, LINH, ack.conversation_id, "Mine"))
    ask(db, conversation_id=ack.conversation_id)
    assert conversations.get_conversation(db, LINH, ack.conversation_id).title == "Mine"


def test_a_reply_comes_back_as_it_was_stored(db):
    ack = ask(db)
    chunk = Chunk("d#chunk_0", "tenant-a", "c", "Warranty policy", "", 0, 9, 1.0, document_id="d", place="page 3")
    trace = Trace("How long?", "en", "knowledge", 0.38, 0.6, "answer", 0.7, 0.4, (Candidate(chunk, 0.9, number=1),), notes=("cut",), searched=("Policies",))
    citation = Citation(1, chunk.key, "Warranty policy", "page 3", "24 months", 0.9, "strong", "d", highlights=("24 months",), cited=True)
    reply = replace(conversations.get_reply(db, LINH, ack.reply_id), state="done", text="24 months [1]", citations=(citation,), trace=trace)
    job_id = db.write(lambda tx: conversations.save_reply(tx, LINH, reply))
    assert conversations.get_reply(db, LINH, ack.reply_id) == reply
    assert job_id is not None


def test_deleting_a_conversation_takes_its_messages_along(db):
    ack = ask(db)
    db.write(lambda tx: conversations.delete_conversation(tx, LINH, ack.conversation_id))
    assert db.rows("SELECT id FROM messages") == db.rows("SELECT id FROM replies") == []


def test_the_turns_before_a_question_are_few_and_lack_what_comes_later(db):
    first, _ = db.write(lambda tx: conversations.accept_question(tx, LINH, None, "one", "t", {}))
    asked = [first] + [db.write(lambda tx, n=n: conversations.accept_question(tx, LINH, first.conversation_id, f"q{n}", "t", {}))[0] for n in range(3)]
    before, question = conversations.turns_before(db, LINH, asked[2].message_id, 3)
    assert question.text == "q1"
    assert [message.id for message in before] == [asked[0].reply_id, asked[1].message_id, asked[1].reply_id]
    with pytest.raises(NotFound):
        conversations.turns_before(db, MINH, asked[2].message_id, 3)
