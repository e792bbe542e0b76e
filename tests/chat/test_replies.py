import asyncio
from dataclasses import replace

import pytest
from answering import QUESTION, WARRANTY, add_passages, last, wait_for

from conftest import HOA, LINH, MINH
from fake_ollama import FakeOllama
from maisale.chat.replies import Replies
from maisale.errors import BadInput, Busy, NotFound
from maisale.services import open_services
from maisale.store import conversations, documents


def run(services, body):
    """`body(replies)` in an event loop of its own."""

    async def whole():
        replies = Replies(services)
        try:
            return await body(replies)
        finally:
            await replies.close()

    return asyncio.run(whole())


@pytest.fixture
def ollama():
    with FakeOllama(token_delay_s=0.02) as server:
        yield server


@pytest.fixture
def with_model(settings, ollama):
    opened = open_services(replace(settings, ollama_urls=(ollama.url,)), "cli")
    wait_for(opened.models.chat_models)
    add_passages(opened, LINH, WARRANTY)
    yield opened
    opened.close()


def test_without_a_model_the_answer_is_a_quotation(services):
    add_passages(services, LINH, WARRANTY)

    async def body(replies):
        return await last(replies, LINH, (await replies.ask(LINH, QUESTION)).reply_id)

    reply = run(services, body)
    assert reply.state == "done" and "24 months from the date of purchase. [1]" in reply.text
    assert reply.citations[0].document_id == "d1" and reply.citations[0].cited
    assert reply.trace.path == "knowledge" and reply.trace.searched == ("Policies",)


def test_an_answer_is_found_again_as_it_was(services):
    add_passages(services, LINH, WARRANTY)

    async def body(replies):
        return await last(replies, LINH, (await replies.ask(LINH, QUESTION)).reply_id)

    reply = run(services, body)
    assert conversations.get_reply(services.db, LINH, reply.id) == reply


def test_a_model_streams_its_answer_with_sources(with_model):
    async def body(replies):
        ack = await replies.ask(LINH, QUESTION)
        return [reply async for reply in replies.tail(LINH, ack.reply_id)]

    snapshots = run(with_model, body)
    texts = [reply.text for reply in snapshots]
    assert len(set(texts)) > 3 and all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:]))
    assert snapshots[-1].state == "done" and "[1]" in texts[-1] and snapshots[-1].model == "gpt-oss"
    assert [reply.ended for reply in snapshots].count(True) == 1


def test_stop_keeps_what_was_written_and_closes_the_models_request(with_model, ollama):
    ollama.answer = lambda messages: "word " * 400

    async def body(replies):
        ack = await replies.ask(LINH, QUESTION)
        async for reply in replies.tail(LINH, ack.reply_id):
            if len(reply.text) > 20:
                break
        stopped = await replies.stop(LINH, ack.reply_id)
        again = await replies.stop(LINH, ack.reply_id)
        return stopped, again

    stopped, again = run(with_model, body)
    assert stopped.state == "stopped" and 20 < len(stopped.text) < 1900 and stopped.trace is not None
    assert again == stopped
    wait_for(lambda: ollama.cancels)


def test_a_reader_that_leaves_does_not_stop_the_reply(with_model):
    async def body(replies):
        ack = await replies.ask(LINH, QUESTION)
        async for _ in replies.tail(LINH, ack.reply_id):
            break
        return await last(replies, LINH, ack.reply_id)

    assert run(with_model, body).state == "done"


def test_a_model_that_breaks_off_leaves_its_words_and_a_cause(with_model, ollama):
    ollama.fail_next("/api/chat", after=3, then="cut")

    async def body(replies):
        return await last(replies, LINH, (await replies.ask(LINH, QUESTION)).reply_id)

    reply = run(with_model, body)
    assert reply.state == "failed" and reply.text and reply.cause


def test_a_model_that_says_nothing_is_replaced_by_a_quotation(with_model, ollama):
    ollama.fail_next("/api/chat", status=500, error="out of memory")

    async def body(replies):
        return await last(replies, LINH, (await replies.ask(LINH, QUESTION)).reply_id)

    reply = run(with_model, body)
    assert reply.state == "done" and "24 months" in reply.text and reply.trace.notes


def test_questions_of_a_conversation_are_answered_in_turn(with_model):
    async def body(replies):
        first = await replies.ask(LINH, QUESTION)
        others = [await replies.ask(LINH, QUESTION, first.conversation_id) for _ in range(3)]
        with pytest.raises(Busy):
            await replies.ask(LINH, QUESTION, first.conversation_id)
        return [(await last(replies, LINH, ack.reply_id)).state for ack in [first, *others]]

    assert run(with_model, body) == ["done"] * 4


@pytest.mark.parametrize("stranger", [MINH, HOA])
def test_a_stranger_neither_follows_nor_stops(with_model, stranger):
    async def body(replies):
        ack = await replies.ask(LINH, QUESTION)
        with pytest.raises(NotFound):
            await last(replies, stranger, ack.reply_id)
        with pytest.raises(NotFound):
            await replies.stop(stranger, ack.reply_id)
        with pytest.raises(NotFound):
            await replies.ask(stranger, QUESTION, ack.conversation_id)
        return await last(replies, LINH, ack.reply_id)

    assert run(with_model, body).state == "done"


def test_after_a_crash_a_begun_reply_is_interrupted_and_a_waiting_one_is_answered(services):
    add_passages(services, LINH, WARRANTY)
    begun, _ = services.db.write(lambda tx: conversations.accept_question(tx, LINH, None, QUESTION, "t", {}))
    waiting, _ = services.db.write(lambda tx: conversations.accept_question(tx, LINH, None, QUESTION, "t", {}))
    half = replace(conversations.get_reply(services.db, LINH, begun.reply_id), state="running", text="The RO-9 is")
    services.db.write(lambda tx: conversations.save_reply(tx, LINH, half))

    async def body(replies):
        await replies.recover()
        return await last(replies, LINH, begun.reply_id), await last(replies, LINH, waiting.reply_id)

    interrupted, answered = run(services, body)
    assert (interrupted.state, interrupted.text) == ("interrupted", "The RO-9 is")
    assert answered.state == "done" and "24 months" in answered.text


def test_closing_interrupts_what_runs_and_leaves_what_waits(with_model, ollama):
    ollama.answer = lambda messages: "word " * 400

    async def body(replies):
        first = await replies.ask(LINH, QUESTION)
        second = await replies.ask(LINH, QUESTION, first.conversation_id)
        async for reply in replies.tail(LINH, first.reply_id):
            if reply.text:
                break
        return first, second

    first, second = run(with_model, body)
    states = [conversations.get_reply(with_model.db, LINH, ack.reply_id).state for ack in (first, second)]
    assert states == ["interrupted", "waiting"]


def test_asking_again_is_a_new_turn(services):
    async def body(replies):
        ack = await replies.ask(LINH, QUESTION)
        await last(replies, LINH, ack.reply_id)
        again = await replies.ask_again(LINH, ack.reply_id)
        await last(replies, LINH, again.reply_id)
        return ack

    ack = run(services, body)
    texts = [message.text for message in conversations.messages(services.db, LINH, ack.conversation_id)]
    assert texts[0] == texts[2] == QUESTION


OLD = "# Warranty until 2019\n\nThe RO-9 water purifier is under warranty for 12 months."


def ask_of_two(services, text, **choice):
    """The stored question and the last state of its answer, where two documents answer; the second stands in a collection of its own."""
    add_passages(services, LINH, WARRANTY)
    add_passages(services, LINH, OLD, "old.md", "d2", "archive/old.md", "Archive")

    async def body(replies):
        ack = await replies.ask(LINH, text, **choice)
        return ack, await last(replies, LINH, ack.reply_id)

    ack, reply = run(services, body)
    return conversations.get_message(services.db, LINH, ack.message_id), reply


def test_a_named_document_alone_is_searched_and_the_question_stays_as_typed(services):
    question, reply = ask_of_two(services, f"{QUESTION} @old")
    assert {one.document_id for one in reply.citations} == {"d2"} and reply.trace.only_in == ("old.md",)
    assert question.text == f"{QUESTION} @old" and question.metadata == {"documents": ["d2"], "words": QUESTION}
    assert reply.trace.question == QUESTION and reply.trace.searched == ("Archive",)


def test_asking_again_asks_the_same_document(services):
    _, reply = ask_of_two(services, f"@old {QUESTION}")

    async def body(replies):
        return await last(replies, LINH, (await replies.ask_again(LINH, reply.id)).reply_id)

    assert {one.document_id for one in run(services, body).citations} == {"d2"}


def test_a_chosen_document_is_searched_wherever_it_stands(services):
    _, reply = ask_of_two(services, QUESTION, documents=("d2",))
    assert {one.document_id for one in reply.citations} == {"d2"} and reply.trace.searched == ("Archive",)


def test_a_name_never_widens_what_was_chosen(services):
    question, reply = ask_of_two(services, f"{QUESTION} @linh", collections=("Policies",))
    assert {one.document_id for one in reply.citations} == {"d1"} and "documents" not in question.metadata
    for choice in ({"collections": ("Policies",)}, {"documents": ("d1",)}):
        with pytest.raises(BadInput, match="No document is named 'old.md'"):
            run(services, lambda replies, choice=choice: replies.ask(LINH, "@old.md says what?", **choice))


@pytest.mark.parametrize("stranger", [MINH, HOA])
def test_a_document_that_a_person_may_not_read_cannot_be_named(services, stranger):
    def work(tx):
        home = documents.collection_named(tx, LINH, "Mine", "private")
        documents.receive_document(tx, LINH, home, document_id="d1", title="salary.md", source="salary.md", media_type="", size=1, content_hash="x")

    services.db.write(work)
    assert [one.id for one in documents.document_names(services.db, LINH)] == ["d1"]
    with pytest.raises(BadInput, match="No document is named 'salary.md'"):
        run(services, lambda replies: replies.ask(stranger, "@salary.md says what?"))
    assert conversations.list_conversations(services.db, stranger) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n\t ", "is empty"),
        ("x" * 1_000_000, "1,000,000 characters"),
        (b"bytes", "A question is text"),
        (None, "A question is text"),
        ("\x00\x01\x02\x03", "not readable text"),
        ("\ud800\ud800", "not readable text"),
    ],
)
def test_what_is_no_question_is_refused_in_words_and_not_stored(services, text, words):
    async def body(replies):
        with pytest.raises(BadInput, match=words):
            await replies.ask(LINH, text)

    run(services, body)
    assert conversations.list_conversations(services.db, LINH) == []
