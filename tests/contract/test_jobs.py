"""The table of jobs: one owner at a time, attempts counted, nothing forgotten."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from maisale.store import jobs

pytestmark = pytest.mark.contract


def add(db, kind="read_document", lane="people", payload=None):
    return db.write(lambda tx: jobs.add(tx, "tenant-a", kind, "subject", lane, payload))


def make_due(db, job_id):
    db.write(lambda tx: tx.execute("UPDATE jobs SET next_at = 0 WHERE id = :id", id=job_id))


def row(db, job_id):
    return db.rows("SELECT * FROM jobs WHERE id = :id", id=job_id)[0]


def test_a_job_has_one_owner(db):
    job_id = add(db, payload={"keys": ["a"]})
    job = jobs.claim(db, job_id)
    assert (job.kind, job.tenant_id, job.attempts, job.payload) == ("read_document", "tenant-a", 1, {"keys": ["a"]})
    assert jobs.claim(db, job_id) is None


def test_a_finished_job_is_never_claimed_again(db):
    job = jobs.claim(db, add(db))
    db.write(lambda tx: jobs.finish(tx, job))
    assert jobs.claim(db, job.id) is None and jobs.due(db, 9) == []


def test_what_is_due_while_nobody_works_is_left_alone(db):
    assert not jobs.left_alone(db)
    waiting = add(db)
    assert jobs.left_alone(db)
    others = jobs.claim(db, add(db, lane="bulk"))
    assert not jobs.left_alone(db)
    db.write(lambda tx: tx.execute("UPDATE jobs SET lease_until = 1 WHERE id = :id", id=others.id))
    assert jobs.left_alone(db)
    db.write(lambda tx: tx.execute("UPDATE jobs SET next_at = :later WHERE id = :id", later=time.time() + 60, id=waiting))
    assert not jobs.left_alone(db)


def test_a_job_over_which_a_process_died_is_known(db):
    job_id = add(db)
    assert not jobs.crashed(db, jobs.claim(db, job_id, lease_s=-1))
    assert jobs.crashed(db, jobs.claim(db, job_id))


def test_a_job_whose_lease_lapsed_is_claimed_by_another_and_costs_no_attempt(db):
    job_id = add(db)
    jobs.claim(db, job_id, lease_s=-1)
    assert jobs.due(db, 9) == [job_id]
    assert jobs.claim(db, job_id).attempts == 1
    assert row(db, job_id)["crashes"] == 1


def test_wrong_answers_wait_longer_each_time_and_the_third_is_the_last(db):
    job_id, waits = add(db), []
    for attempt in (1, 2, 3):
        job = jobs.claim(db, job_id)
        dead = db.write(lambda tx, job=job: jobs.fail(tx, job, "The model said nothing."))
        waits.append(row(db, job_id)["next_at"] - time.time())
        assert dead == (attempt == 3)
        make_due(db, job_id)
    assert 2 < waits[0] < waits[1] < 11
    assert [(job.id, job.cause) for job in jobs.dead(db)] == [(job_id, "The model said nothing.")]
    assert jobs.claim(db, job_id) is None


def test_a_job_that_failed_is_not_due_before_its_time(db):
    job = jobs.claim(db, add(db))
    db.write(lambda tx: jobs.fail(tx, job, "cause"))
    assert jobs.claim(db, job.id) is None and jobs.due(db, 9) == []


def test_a_service_that_is_away_costs_no_attempt(db):
    job_id = add(db)
    for _ in range(5):
        job = jobs.claim(db, job_id)
        db.write(lambda tx, job=job: jobs.put_back(tx, job, "Ollama is away.", wait_s=0))
    assert (row(db, job_id)["state"], row(db, job_id)["attempts"]) == ("pending", 0)


def test_jobs_that_waited_for_a_service_go_on_when_it_is_back(db):
    waiting, other = jobs.claim(db, add(db, "embed_message")), jobs.claim(db, add(db, "read_document"))
    db.write(lambda tx: [jobs.put_back(tx, job, "away", wait_s=300) for job in (waiting, other)])
    jobs.hurry(db, ["embed_message"])
    assert jobs.due(db, 9) == [waiting.id]


def test_people_go_before_bulk(db):
    bulk, people = add(db, lane="bulk"), add(db)
    assert jobs.due(db, 9) == [people, bulk]
    assert jobs.due(db, 1) == [people]
    assert jobs.claim(db, bulk, lanes=("people",)) is None


def test_a_new_worker_takes_over_at_once(db):
    job_id = add(db)
    jobs.claim(db, job_id)
    assert jobs.due(db, 9) == []
    assert db.write(jobs.take_over) == 1
    assert jobs.due(db, 9) == [job_id]


def test_a_job_that_kills_its_workers_is_buried(db):
    job_id = add(db)
    jobs.claim(db, job_id)
    for _ in range(jobs.CRASHES - 1):
        assert not jobs.to_bury(db)
        db.write(lambda tx: tx.execute("UPDATE jobs SET lease_until = 0"))
        jobs.claim(db, job_id)
    db.write(lambda tx: tx.execute("UPDATE jobs SET lease_until = 0"))
    assert jobs.to_bury(db) and jobs.claim(db, job_id) is None
    assert [job.id for job in db.write(jobs.bury)] == [job_id]
    assert jobs.counts(db)["dead"] == 1


def test_a_dead_letter_can_be_tried_again(db):
    job_id = add(db)
    db.write(lambda tx: tx.execute("UPDATE jobs SET state = 'dead', attempts = 3"))
    assert db.write(lambda tx: jobs.revive(tx, job_id))
    assert jobs.claim(db, job_id).attempts == 1


def test_a_job_that_was_rolled_back_does_not_exist(db):
    def work(tx):
        jobs.add(tx, "tenant-a", "read_document", "subject")
        raise ValueError

    with pytest.raises(ValueError):
        db.write(work)
    assert jobs.counts(db) == {"pending": 0, "running": 0, "done": 0, "dead": 0}


def test_what_ended_long_ago_goes_and_dead_letters_stay(db):
    done, skipped, dead, young, waiting = (jobs.claim(db, add(db)) for _ in range(5))
    db.write(lambda tx: [jobs.finish(tx, done), jobs.finish(tx, young), *(jobs.give_up(tx, one, "cause") for one in (dead, skipped))])
    db.write(lambda tx: (jobs.skip(tx, skipped.id), tx.execute("UPDATE jobs SET ended_at = 5 WHERE id <> :id AND ended_at > 0", id=young.id)))
    assert db.write(lambda tx: jobs.prune(tx, 1)) == 1 and db.write(lambda tx: jobs.prune(tx, 9)) == 1
    assert {one["id"] for one in db.rows("SELECT id FROM jobs")} == {dead.id, young.id, waiting.id}


def test_a_cancelled_job_is_not_wanted_and_nothing_of_it_is_written_down(db):
    job = jobs.claim(db, add(db, "embed_document"))
    db.write(lambda tx: jobs.cancel(tx, "subject"))
    assert not jobs.wanted(db, job) and not db.write(lambda tx: jobs.renew(tx, job))
    db.write(lambda tx: (jobs.put_back(tx, job, "cause"), jobs.fail(tx, job, "cause"), jobs.finish(tx, job)))
    assert db.rows("SELECT id FROM jobs") == []


def test_what_empties_the_index_outlives_its_document(db):
    read, remove = add(db), add(db, "remove_vectors")
    db.write(lambda tx: jobs.forget(tx, ["subject"]))
    assert [row["id"] for row in db.rows("SELECT id FROM jobs")] == [remove] and read != remove


@pytest.mark.parametrize("state, column", [("pending", "next_at"), ("running", "lease_until")])
def test_a_job_of_a_clock_that_was_a_day_ahead_does_not_wait_a_day(db, state, column):
    job_id = add(db)
    if state == "running":
        jobs.claim(db, job_id)
    db.write(lambda tx: tx.execute(f"UPDATE jobs SET {column} = :tomorrow WHERE id = :id", id=job_id, tomorrow=time.time() + 86_400))
    assert jobs.due(db, 9) == [job_id]
    assert jobs.claim(db, job_id).id == job_id


def test_a_job_that_is_long_at_work_is_kept(db):
    job_id = db.write(lambda tx: jobs.add(tx, "t", "read_document", "d"))
    jobs.claim(db, job_id, lease_s=1)
    assert db.write(lambda tx: jobs.keep(tx, [job_id])) == 1
    assert db.write(lambda tx: jobs.keep(tx, [job_id])) == 0  # it has long enough
    db.write(lambda tx: tx.execute("UPDATE jobs SET state = 'done'"))
    assert db.write(lambda tx: jobs.keep(tx, [job_id])) == 0


def test_many_that_claim_at_once_never_get_the_same_job(opened):
    sides = [opened() for _ in range(3)]
    ids = [sides[0].write(lambda tx: jobs.add(tx, "t", "read_document", "d")) for _ in range(30)]
    got = []

    def claim_all(side):
        got.extend(job.id for job_id in ids if (job := jobs.claim(side, job_id)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(claim_all, sides * 2))
    assert sorted(got) == sorted(ids)
