"""Jobs that were given up."""

import pytest
from desk import WARRANTY, Desk
from hand import LINH, TEXT, Ollama, Worker

from maisale.errors import NotFound
from maisale.library import dead_letters
from maisale.library.dead_letters import EVERY_TENANT
from maisale.records import Scope
from maisale.store import conversations, documents, facts, jobs


@pytest.fixture
def dead(services, tmp_path):
    """A document whose reading was given up, and the id of that job."""
    desk = Desk(services, tmp_path)
    document = desk.add("warranty.md", WARRANTY, read=False)
    (job_id,) = jobs.due(services.db, 1)
    for _ in range(jobs.ATTEMPTS):
        services.db.write(lambda tx: tx.execute("UPDATE jobs SET next_at = 0"))
        job = jobs.claim(services.db, job_id)
        services.db.write(lambda tx, job=job: jobs.fail(tx, job, "the reader met an error"))
    services.db.write(lambda tx: documents.set_stage(tx, document, "failed", cause="the reader met an error"))
    desk.document, desk.job_id = document, job_id
    return desk


def test_it_is_listed_with_its_document_and_cause(services, dead):
    (one,) = dead_letters.listed(services)
    assert (one.about, one.job.cause) == ("warranty.md", "the reader met an error")
    assert dead_letters.listed(services, "another tenant") == []


def test_it_is_tried_again_from_the_beginning(services, dead):
    dead_letters.retry(services, dead.job_id)
    assert dead_letters.listed(services) == []
    job = jobs.claim(services.db, dead.job_id)
    assert job.attempts == 1 and documents.document_row(services.db, dead.document)["stage"] == "received"


def test_a_skipped_one_stays_as_it_is_and_is_listed_no_more(services, dead):
    dead_letters.skip(services, dead.job_id)
    assert dead_letters.listed(services) == []
    assert documents.document_row(services.db, dead.document)["stage"] == "failed"


@pytest.mark.parametrize("verb", [dead_letters.retry, dead_letters.skip])
def test_what_was_not_given_up_is_left_alone(services, verb):
    with pytest.raises(NotFound):
        verb(services, "no such job")


@pytest.fixture
def poisoned(services):
    """A worker whose model gives no vector for one passage of `doc`, nor for one message."""
    services.vectors = None
    worker = Worker(services)
    services.models = Ollama()
    services.db.write(lambda tx: facts.set_fact(tx, facts.EMBEDDER, "bge-m3"))
    worker.receive(TEXT + "\n\n# Bad\n\nThis is poison.")
    services.db.write(lambda tx: conversations.accept_question(tx, LINH, None, "More poison.", "title", {}))
    worker.work()
    return worker


def test_its_owner_sees_the_text_that_was_not_taken(services, poisoned):
    by_kind = {one.job.kind: one for one in dead_letters.visible(services, LINH)}
    assert "This is poison." in by_kind["embed_document"].text and "returned" not in by_kind["embed_document"].text
    assert by_kind["embed_message"].text == "More poison."


def test_a_colleague_sees_nothing_of_it_and_an_admin_no_private_text(services, poisoned):
    minh = Scope(LINH.tenant_id, "minh")
    assert dead_letters.visible(services, minh) == [] and dead_letters.visible(services, minh, "tenant-b") == []
    for managed in (LINH.tenant_id, EVERY_TENANT):
        seen = {one.job.kind: one for one in dead_letters.visible(services, minh, managed)}
        assert seen["embed_document"].about == "help.md" and "poison" in seen["embed_document"].text  # the team reads it
        assert (seen["embed_message"].about, seen["embed_message"].text) == ("a message", "")
    services.db.write(lambda tx: tx.execute("UPDATE collections SET visibility = 'private'"))
    assert {(one.about, one.text) for one in dead_letters.visible(services, minh, LINH.tenant_id)} == {("a message", ""), ("a private document", "")}


def test_who_does_not_see_it_cannot_act_on_it(services, poisoned):
    (job_id, _) = [one.job.id for one in dead_letters.visible(services, LINH)]
    with pytest.raises(NotFound):
        dead_letters.check_visible(services, Scope(LINH.tenant_id, "minh"), "", job_id)
    with pytest.raises(NotFound):
        dead_letters.check_visible(services, Scope("tenant-b", "hoa"), "tenant-b", job_id)
    assert dead_letters.check_visible(services, LINH, "", job_id) == job_id


def test_tried_again_after_the_model_was_mended_it_is_complete(services, poisoned):
    services.models.refused = "nothing"
    for one in dead_letters.visible(services, LINH):
        dead_letters.retry(services, one.job.id)
    poisoned.work()
    assert dead_letters.visible(services, LINH) == [] and poisoned.document().stage == "complete" and poisoned.document().cause == ""
