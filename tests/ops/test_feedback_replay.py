"""Judged questions asked again, on a data folder that has changed since, and as people start it."""

import asyncio
import json

import pytest

from maisale.chat.feedback import judge_reply
from maisale.chat.replies import Replies
from maisale.cli import main
from maisale.library.deletion import delete_conversation, remove_document
from maisale.library.documents import add_document
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.ops.feedback_replay import replay, totals
from maisale.services import open_services
from maisale.store import accounts, jobs
from maisale.store.feedback import list_feedback

WARRANTY = "# Warranty\n\nThe purifier is under warranty for 24 months from the date of purchase.\n"
BETTER = "# RO-9 warranty period\n\nHow long is the RO-9 purifier under warranty? The RO-9 purifier is under warranty for 36 months.\n"
QUESTION = "How long is the RO-9 purifier under warranty?"


@pytest.fixture
def linh(services):
    return services.db.write(lambda tx: accounts.add_user(tx, "default", "Linh"))


def add(services, user, folder, name, text):
    path = folder / name
    path.write_text(text, "utf-8")
    document = add_document(services, user.scope, path, name)
    indexing = Indexing(services, Embedders(services))
    for job_id in jobs.due(services.db, 10):
        indexing.do(jobs.claim(services.db, job_id))
    return document


def judged(services, user, verdict, question=QUESTION):
    """A question of its own conversation, answered and judged."""

    async def story():
        replies = Replies(services)
        ack = await replies.ask(user.scope, question)
        async for _ in replies.tail(user.scope, ack.reply_id):
            pass
        await judge_reply(services, user.scope, ack.reply_id, verdict, "why")
        await replies.close()
        return ack

    return asyncio.run(story())


def replayed(services, user):
    return [replay(services, user.tenant_id, one) for one in list_feedback(services.db, user.tenant_id)]


@pytest.mark.parametrize("verdict", ["up", "down"])
def test_without_a_change_the_same_passages_come_again(services, linh, tmp_path, verdict):
    add(services, linh, tmp_path, "warranty.md", WARRANTY)
    judged(services, linh, verdict)
    [found] = replayed(services, linh)
    assert (found.state, found.ranks, found.still_chosen, found.still_first) == ("same", ((1, 1),), True, True)


@pytest.mark.parametrize("verdict", ["up", "down"])
def test_a_better_passage_changes_what_comes_first(services, linh, tmp_path, verdict):
    add(services, linh, tmp_path, "warranty.md", WARRANTY)
    judged(services, linh, verdict)
    add(services, linh, tmp_path, "better.md", BETTER)
    [found] = replayed(services, linh)
    assert found.state == "changed" and not found.still_first


def test_an_answer_whose_document_was_deleted_is_gone(services, linh, tmp_path):
    document = add(services, linh, tmp_path, "warranty.md", WARRANTY)
    judged(services, linh, "up")
    remove_document(services, linh.scope, document.id)
    assert totals(replayed(services, linh)) == {"up": {"same": 0, "changed": 0, "gone": 1}, "down": {"same": 0, "changed": 0, "gone": 0}}


def test_an_answer_that_found_nothing_is_the_same_until_something_is_found(services, linh, tmp_path):
    judged(services, linh, "down")
    assert replayed(services, linh)[0].state == "same"
    add(services, linh, tmp_path, "warranty.md", WARRANTY)
    assert replayed(services, linh)[0].state == "changed"


def test_a_conversation_that_goes_between_reading_and_asking_is_gone(services, linh, tmp_path):
    add(services, linh, tmp_path, "warranty.md", WARRANTY)
    ack = judged(services, linh, "up")
    [one] = list_feedback(services.db, linh.tenant_id)
    delete_conversation(services, linh.scope, ack.conversation_id)
    assert replay(services, linh.tenant_id, one).state == "gone"


def test_asking_again_writes_nothing(services, linh, tmp_path):
    add(services, linh, tmp_path, "warranty.md", WARRANTY)
    judged(services, linh, "up")
    before = [services.db.rows(f"SELECT count(*) AS n FROM {table}") for table in ("messages", "replies", "jobs", "feedback", "facts")]
    replayed(services, linh)
    assert [services.db.rows(f"SELECT count(*) AS n FROM {table}") for table in ("messages", "replies", "jobs", "feedback", "facts")] == before


def test_the_command_prints_a_line_a_question_and_the_totals(settings, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    services = open_services(settings, "cli")
    linh = services.db.write(lambda tx: accounts.add_user(tx, "shop", "Linh"))
    add(services, linh, tmp_path, "warranty.md", WARRANTY)
    judged(services, linh, "up")
    judged(services, linh, "down", "Who may fly to Saturn?")
    services.close()

    assert main(["eval", "--from-feedback", "--tenant", "shop"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["down", "same", "-", *"Who may fly to Saturn?".split()]
    assert lines[1].split() == ["up", "same", "1", "->", "1", *QUESTION.split()]
    assert lines[2:] == ["up    1 same, 0 changed, 0 gone", "down  1 same, 0 changed, 0 gone"]

    assert main(["eval", "--from-feedback", "--tenant", "shop", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["up"] == {"same": 1, "changed": 0, "gone": 0} and found["questions"][0]["comment"] == "why"

    assert main(["eval", "--from-feedback", "--tenant", "nobody"]) == 1
    assert "There is no tenant named 'nobody'." in capsys.readouterr().err
