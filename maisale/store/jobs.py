"""The memory of background work: what is to be done, who has it, how often it was tried. Huey only rings the bell.

A job is claimed with a lease. Its end, a wrong answer (an attempt), a service that is away (none) and a process that died over it (a crash)
are told apart, so that neither a pause of the model server nor an unlucky kill uses up the attempts of good work. What a job does is
library/indexing.py's to say.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maisale.contracts import Database, Transaction
from maisale.records import PUBLIC_TENANT, Job, Scope

LANES = ("people", "bulk")  # in the order of who goes first
ATTEMPTS = 3  # wrong answers until a job is dead
CRASHES = 6  # processes that may die over a job until it is dead; the others that ran beside it go on later, apart from it
LEASE_S = 120.0  # what is longer at work is kept by `keep`; without a worker beside it, a new one takes over at once all the same
FIRST_BACKOFF_S = 4.0  # doubled with each attempt
LONGEST_BACKOFF_S = 300.0
AWAY_S = 5.0  # until a job whose service is away is tried again
PAUSE_S = 300.0  # the same while the service is known to be away; `hurry` ends it
FURTHEST_S = 900.0  # ahead of now no job is put: what is due later, or leased for longer, was written before the clock was set back

PRUNED_S = 7 * 86400.0  # how long an ended job is kept that nobody has to look at
OF_DOCUMENTS = ("read_document", "embed_document")
SMALL = 10  # passages of a document that is embedded together with others
SMALL_BYTES = 16_384  # of a file that is read together with others, and
PLAIN = (".md", ".markdown", ".txt", ".text", ".rst", ".log")  # the endings of its name: such files are read in proportion to their length

_JOB = "id, kind, subject_id, lane, state, attempts, cause, tenant_id, payload, ended_at"
_COME = f"(next_at <= :now OR next_at > :now + {FURTHEST_S})"
_LAPSED = f"state = 'running' AND (lease_until < :now OR lease_until > :now + {FURTHEST_S})"
_PLAIN = " OR ".join(f"lower(d.title) LIKE '%{ending}'" for ending in PLAIN)
_SMALL = {"embed_document": f"d.chunks <= {SMALL}", "read_document": f"d.size <= {SMALL_BYTES} AND ({_PLAIN})"}
_DUE = f"((state = 'pending' AND {_COME}) OR ({_LAPSED} AND crashes < {CRASHES - 1}))"


def add(tx: Transaction, tenant_id: str, kind: str, subject_id: str, lane: str = "people", payload: Any = None) -> str:
    """A pending job in the caller's transaction: it exists exactly when the thing it is for does. Returns its id."""
    job_id, now = str(uuid.uuid4()), time.time()
    tx.insert(
        "jobs",
        id=job_id,
        kind=kind,
        subject_id=subject_id,
        tenant_id=tenant_id,
        lane=lane,
        state="pending",
        next_at=now,
        created_at=now,
        payload="" if payload is None else json.dumps(payload),
    )
    return job_id


def due(db: Database, limit: int, lanes: Sequence[str] = LANES) -> list[str]:
    """Ids of jobs that may be claimed now: people's before bulk, the longest waiting first."""
    found: list[str] = []
    sql = f"SELECT id FROM jobs WHERE state IN ('pending', 'running') AND lane = :lane AND {_DUE} ORDER BY next_at LIMIT :limit"
    for lane in lanes:
        if len(found) < limit:
            found += [row["id"] for row in db.rows(sql, lane=lane, now=time.time(), limit=limit - len(found))]
    return found


def claim(db: Database, job_id: str, lanes: Sequence[str] = LANES, lease_s: float = LEASE_S) -> Job | None:
    """The job, running and ours for `lease_s`; None when another has it, it ended, it is not due yet or it stands in another lane.

    A job found running past its lease lost its process: that is a crash and no attempt.
    """
    now = time.time()
    sql = f"SELECT 1 FROM jobs WHERE id = :id AND lane IN :lanes AND {_DUE}"
    if not db.rows(sql, id=job_id, lanes=list(lanes), now=now):
        return None  # most rings are late; they need no write

    def take(tx: Transaction) -> list[dict[str, Any]]:
        return tx.rows(
            f"""UPDATE jobs SET attempts = attempts + CASE WHEN state = 'running' THEN 0 ELSE 1 END,
                crashes = crashes + CASE WHEN state = 'running' THEN 1 ELSE 0 END, state = 'running', lease_until = :lease
                WHERE id = :id AND {_DUE} RETURNING {_JOB}""",
            id=job_id,
            now=now,
            lease=now + lease_s,
        )

    rows = db.write(take)
    return _job(rows[0]) if rows else None


def small(db: Database, job: Job) -> bool:
    """Whether the job is about a document that can be done together with others."""
    return bool(db.rows(f"SELECT 1 FROM documents AS d WHERE d.id = :id AND {_SMALL[job.kind]}", id=job.subject_id))


def crashed(db: Database, job: Job) -> bool:
    """Whether a process died over it: whatever it was, no other job is to be near when it is tried again."""
    return bool(db.rows("SELECT 1 FROM jobs WHERE id = :id AND crashes > 0", id=job.id))


def claim_alike(db: Database, job: Job, limit: int, lease_s: float = LEASE_S) -> list[Job]:
    """Others of the same kind and lane that have never been tried, as `claim` gives them: what can be done together. Of documents: small ones."""
    now = time.time()
    fresh = f"""kind = :kind AND lane = :lane AND payload = '' AND state = 'pending' AND attempts = 0 AND crashes = 0 AND {_COME}"""
    if job.kind in OF_DOCUMENTS:
        fresh += f" AND EXISTS (SELECT 1 FROM documents AS d WHERE d.id = subject_id AND {_SMALL[job.kind]})"
    values = {"kind": job.kind, "lane": job.lane, "now": now}
    if not db.rows(f"SELECT 1 FROM jobs WHERE {fresh} LIMIT 1", **values):
        return []
    sql = f"""UPDATE jobs SET attempts = 1, state = 'running', lease_until = :lease
              WHERE id IN (SELECT id FROM jobs WHERE {fresh} ORDER BY next_at LIMIT :limit) AND state = 'pending' RETURNING {_JOB}"""
    return [_job(row) for row in db.write(lambda tx: tx.rows(sql, lease=now + lease_s, limit=limit, **values), bulk=job.lane == "bulk")]


def renew(tx: Transaction, job: Job, lease_s: float = LEASE_S) -> bool:
    """Between the steps of long work: it is still alive. False: somebody cancelled it, and nothing more of it may be stored."""
    return bool(tx.execute("UPDATE jobs SET lease_until = :lease WHERE id = :id AND state = 'running'", lease=time.time() + lease_s, id=job.id))


def keep(tx: Transaction, job_ids: Sequence[str], lease_s: float = LEASE_S) -> int:
    """For jobs that are still being done and would lapse before half of a lease has passed: they stay ours. Returns how many."""
    sql = "UPDATE jobs SET lease_until = :lease WHERE id IN :ids AND state = 'running' AND lease_until < :soon"
    return tx.execute(sql, lease=time.time() + lease_s, ids=list(job_ids), soon=time.time() + lease_s / 2)


def left_alone(db: Database) -> bool:
    """Whether something is due while nobody, on any machine, does anything. Between two jobs that is so for a moment."""
    works = "state = 'running' AND lease_until >= :now"
    sql = f"SELECT 1 FROM jobs WHERE state = 'pending' AND {_COME} AND NOT EXISTS (SELECT 1 FROM jobs WHERE {works}) LIMIT 1"
    return bool(db.rows(sql, now=time.time()))


def wanted(db: Database, job: Job) -> bool:
    """Whether the job is still to be done: it was not cancelled, nor its subject deleted."""
    return bool(db.rows("SELECT 1 FROM jobs WHERE id = :id AND state = 'running'", id=job.id))


def open_of(tx: Transaction, document_id: str) -> bool:
    """Whether a document is being read or embedded, or is to be. An embedder that is built beside does not count."""
    sql = "SELECT 1 FROM jobs WHERE subject_id = :id AND state IN ('pending', 'running') AND kind IN :kinds AND payload = '' LIMIT 1"
    return bool(tx.rows(sql, id=document_id, kinds=list(OF_DOCUMENTS)))


def cancel(tx: Transaction, document_id: str) -> None:
    """Whoever reads or embeds the document finds its job gone at the next step."""
    sql = "DELETE FROM jobs WHERE subject_id = :id AND state IN ('pending', 'running') AND kind IN :kinds AND payload = ''"
    tx.execute(sql, id=document_id, kinds=list(OF_DOCUMENTS))


def finish(tx: Transaction, job: Job) -> None:
    tx.execute("UPDATE jobs SET state = 'done', cause = '', ended_at = :now WHERE id = :id AND state = 'running'", now=time.time(), id=job.id)


def fail(tx: Transaction, job: Job, cause: str) -> bool:
    """After a wrong answer: the job waits longer each time, and is dead after the last attempt. Returns whether it is dead."""
    dead = job.attempts >= ATTEMPTS
    tx.execute(
        "UPDATE jobs SET state = :state, cause = :cause, next_at = :next, ended_at = :ended WHERE id = :id AND state = 'running'",
        id=job.id,
        state="dead" if dead else "pending",
        cause=cause,
        next=time.time() + backoff_s(job.attempts),
        ended=time.time() if dead else None,
    )
    return dead


def give_up(tx: Transaction, job: Job, cause: str) -> None:
    """It went wrong in a way that another try does not mend: dead at once."""
    sql = "UPDATE jobs SET state = 'dead', cause = :cause, ended_at = :now WHERE id = :id AND state = 'running'"
    tx.execute(sql, cause=cause, now=time.time(), id=job.id)


def put_back(tx: Transaction, job: Job, cause: str, wait_s: float = AWAY_S) -> None:
    """A service is away: the attempt does not count, and the job is tried again a little later."""
    tx.execute(
        "UPDATE jobs SET state = 'pending', attempts = attempts - 1, cause = :cause, next_at = :next WHERE id = :id AND state = 'running'",
        id=job.id,
        cause=cause,
        next=time.time() + wait_s * random.uniform(1, 1.5),
    )


def hurry(db: Database, kinds: Sequence[str], beyond_s: float = 0.0) -> None:
    """The service that jobs of these kinds waited for is back. beyond_s: only those that would wait longer than this."""
    late = "state = 'pending' AND attempts = 0 AND next_at > :after AND kind IN :kinds"
    now = time.time()
    values = {"after": now + beyond_s, "kinds": list(kinds)}
    if db.rows(f"SELECT 1 FROM jobs WHERE {late} LIMIT 1", **values):
        db.write(lambda tx: tx.execute(f"UPDATE jobs SET next_at = :now WHERE {late}", now=now, **values))


def forget(tx: Transaction, subject_ids: Sequence[str]) -> int:
    """Removes the jobs of what is deleted, for the causes of ended ones name files; returns how many went. Those that empty the index stay."""
    sql = "DELETE FROM jobs WHERE subject_id IN :ids AND (state IN ('done', 'dead', 'skipped') OR kind <> 'remove_vectors')"
    return tx.execute(sql, ids=list(subject_ids))


def forget_ended(tx: Transaction, subject_id: str) -> None:
    """Of a document that is read again: what became of it before is no longer of interest."""
    tx.execute("DELETE FROM jobs WHERE subject_id = :id AND state IN ('done', 'dead', 'skipped')", id=subject_id)


def forget_tenant(tx: Transaction, tenant_id: str) -> int:
    """Removes the ended jobs of a tenant that is deleted; returns how many went."""
    return tx.execute("DELETE FROM jobs WHERE tenant_id = :id AND state IN ('done', 'dead', 'skipped')", id=tenant_id)


def forget_removals(tx: Transaction, waiting_too: bool = False) -> None:
    """Removes the ended jobs that took deleted passages out of the index, for they name their keys. waiting_too: the index itself is emptied."""
    states = ["done", "skipped", "dead", "pending"] if waiting_too else ["done", "skipped"]
    tx.execute("DELETE FROM jobs WHERE kind = 'remove_vectors' AND state IN :states", states=states)


def prune(tx: Transaction, limit: int, older_than_s: float = PRUNED_S) -> int:
    """Removes up to `limit` jobs that ended well, or were skipped, so long ago; dead letters stay. Returns how many went."""
    old = "SELECT id FROM jobs WHERE state IN ('done', 'skipped') AND ended_at < :before LIMIT :limit"
    return tx.execute(f"DELETE FROM jobs WHERE id IN ({old})", before=time.time() - older_than_s, limit=limit)


def backoff_s(attempts: int) -> float:
    """Seconds until the next try; with jitter, so that jobs that failed together do not come back together."""
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempts - 1)) * random.uniform(0.75, 1.25)


def take_over(tx: Transaction) -> int:
    """For a worker that has just become the only one: what an earlier one left running may be claimed. Returns how many.

    Jobs that crashed before come back one after the other, so that the one that kills the process is found alone.
    """
    left = tx.rows("SELECT id, crashes FROM jobs WHERE state = 'running'")
    for row in left:
        wait_s = row["crashes"] * random.uniform(0, 4)
        tx.execute("UPDATE jobs SET lease_until = :until WHERE id = :id", until=time.time() + wait_s - 0.001, id=row["id"])
    return len(left)


_CRASHED = f"{_LAPSED} AND crashes >= :most"


def to_bury(db: Database) -> bool:
    """Whether processes died too often over some job."""
    return bool(db.rows(f"SELECT 1 FROM jobs WHERE {_CRASHED} LIMIT 1", now=time.time(), most=CRASHES - 1))


def bury(tx: Transaction) -> list[Job]:
    """The jobs over which processes died too often, now dead. The caller tells their subjects in the same transaction."""
    rows = tx.rows(
        f"UPDATE jobs SET state = 'dead', ended_at = :now, cause = :cause WHERE {_CRASHED} RETURNING {_JOB}",
        now=time.time(),
        most=CRASHES - 1,
        cause=f"The worker ended {CRASHES} times while it was doing this.",
    )
    return [_job(row) for row in rows]


def dead(db: Database, tenant_id: str | None = None, limit: int = 1000) -> list[Job]:
    """The dead letters, of one tenant or of all, the latest first; each names its cause."""
    sql = f"SELECT {_JOB} FROM jobs WHERE state = 'dead' AND coalesce(:tenant, tenant_id) = tenant_id ORDER BY ended_at DESC LIMIT :limit"
    return [_job(row) for row in db.rows(sql, tenant=tenant_id, limit=limit)]


def dead_of(db: Database, scope: Scope, limit: int = 1000) -> list[Job]:
    """The dead letters about a person's own documents and messages, the latest first."""
    own = """(EXISTS (SELECT 1 FROM documents AS d WHERE d.id = subject_id AND d.owner_id = :user)
              OR EXISTS (SELECT 1 FROM messages AS m WHERE m.id = subject_id AND m.user_id = :user AND m.tenant_id = :tenant))"""
    sql = f"""SELECT {_JOB} FROM jobs WHERE state = 'dead' AND tenant_id IN :tenants AND {own} ORDER BY ended_at DESC LIMIT :limit"""
    tenants = [scope.tenant_id, PUBLIC_TENANT]
    return [_job(row) for row in db.rows(sql, user=scope.user_id, tenant=scope.tenant_id, tenants=tenants, limit=limit)]


def revive(tx: Transaction, job_id: str) -> bool:
    """A dead letter is tried again from the beginning. Returns whether there was one."""
    sql = """UPDATE jobs SET state = 'pending', attempts = 0, crashes = 0, cause = '', next_at = :now, ended_at = NULL
             WHERE id = :id AND state = 'dead'"""
    return bool(tx.execute(sql, now=time.time(), id=job_id))


def skip(tx: Transaction, job_id: str) -> bool:
    """A dead letter is left as it is and listed no more. Returns whether there was one."""
    return bool(tx.execute("UPDATE jobs SET state = 'skipped' WHERE id = :id AND state = 'dead'", id=job_id))


def get(source: Database | Transaction, job_id: str) -> Job | None:
    rows = source.rows(f"SELECT {_JOB} FROM jobs WHERE id = :id", id=job_id)
    return _job(rows[0]) if rows else None


def queue_of_documents(db: Database, limit: int = 1000) -> list[dict[str, Any]]:
    """The documents that are read and embedded, or wait for it, in the order in which that is done, those that are at it first.

    Each has subject_id, kind, state, next_at and renewed_at of its job; chunks and embedded of the document; began_at and counted, since when and
    from how many passages it is embedded.
    """
    sql = """SELECT j.subject_id, j.kind, j.state, j.next_at, j.lease_until - :lease AS renewed_at, d.chunks, s.reached_at AS began_at, s.counted,
             (SELECT count(DISTINCT v.key) FROM vectors AS v WHERE v.document_id = d.id AND v.indexed = 1) AS embedded
             FROM jobs AS j JOIN documents AS d ON d.id = j.subject_id LEFT JOIN stages AS s ON s.document_id = d.id AND s.stage = 'embedding'
             WHERE j.state IN ('running', 'pending') AND j.kind IN :kinds AND j.payload = ''
             ORDER BY j.state DESC, CASE WHEN j.lane = 'people' THEN 0 ELSE 1 END, j.next_at LIMIT :limit"""
    return db.rows(sql, lease=LEASE_S, kinds=list(OF_DOCUMENTS), limit=limit)


def open_with(db: Database, payload: Any) -> int:
    """How many jobs with this payload have not ended."""
    sql = "SELECT count(*) AS n FROM jobs WHERE state IN ('pending', 'running') AND payload = :payload"
    return db.rows(sql, payload=json.dumps(payload))[0]["n"]


def counts(db: Database) -> dict[str, int]:
    """How many jobs are pending, running, done and dead."""
    found = {row["state"]: row["n"] for row in db.rows("SELECT state, count(*) AS n FROM jobs GROUP BY state")}
    return {state: found.get(state, 0) for state in ("pending", "running", "done", "dead")}


@dataclass(frozen=True, slots=True)
class Lane:
    waiting: int = 0
    running: int = 0
    oldest_s: float = 0.0  # how long the oldest one has waited that may be done now


def lanes(db: Database) -> dict[str, Lane]:
    """What waits and runs in each lane, over everybody."""
    now = time.time()
    sql = """SELECT lane, sum(CASE WHEN state = 'pending' THEN 1 ELSE 0 END) AS waiting, sum(CASE WHEN state = 'running' THEN 1 ELSE 0 END) AS running,
             min(CASE WHEN state = 'pending' AND next_at <= :now THEN created_at END) AS oldest
             FROM jobs WHERE state IN ('pending', 'running') GROUP BY lane"""
    found = {row["lane"]: Lane(row["waiting"], row["running"], max(0.0, now - (row["oldest"] or now))) for row in db.rows(sql, now=now)}
    return {lane: found.get(lane, Lane()) for lane in LANES}


def _job(row: dict[str, Any]) -> Job:
    return Job(**{**row, "payload": json.loads(row["payload"]) if row["payload"] else None})
