"""Jobs that were given up."""

import pytest
from desk import WARRANTY, Desk

from maisale.errors import NotFound
from maisale.library import dead_letters
from maisale.store import documents, jobs


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
