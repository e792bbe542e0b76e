"""One page: what runs, what waits, what is wrong, and what to do about it. Looks only, and takes seconds; `verify` reads everything."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import cache_from_source, find_spec
from pathlib import Path

from maisale import certificates
from maisale.config import Settings
from maisale.errors import IndexUnavailable, Misconfigured
from maisale.ops import acks, audit_chain, scheduled_backups
from maisale.services import Services, patient_index, process_lives
from maisale.store import documents, erasures, facts, jobs

OK, LOOK, WRONG = "ok", "look", "wrong"
FREE_GB = 1.0  # below it writes will soon be refused
LOG_MB = 500  # of SQLite's write-ahead log; the app keeps it at a few
WAITS_S = 600  # how long a job may wait before somebody should look
SAFE_SQLITE = (3, 51, 3)  # earlier ones can lose a page when the log is reset beside a reader (reported for 3.7 to 3.51.2)
NAMED = 3
MODEL_WAIT_S = 3.0
RENEW_DAYS = 21  # before the end of a certificate; authorities that renew by themselves do it 30 days before


@dataclass(frozen=True, slots=True)
class Finding:
    """state: ok, look or wrong. todo: what to do, for the last two."""

    about: str
    state: str
    words: str
    todo: str = ""


def examine(services: Services) -> list[Finding]:
    """The findings in the order of the page."""
    return [
        *_programs(services),
        *_disk(services.settings),
        *_processes(services.settings),
        *_redis(services),
        *_jobs(services),
        *_documents(services),
        *_index(services),
        *_models(services),
        *_acks(services),
        *_backups(services.settings),
        *_deletions(services),
        *_audit(services),
        *_leaves(services.settings),
        *_door(services.settings),
    ]


def _programs(services: Services) -> Iterator[Finding]:
    yield Finding("Python", OK, sys.version.split()[0])
    gradio = Path(find_spec("gradio").origin)  # without importing it
    if not Path(cache_from_source(gradio)).exists():
        todo = f"Unset PYTHONDONTWRITEBYTECODE where it is set, or run `python -m compileall -q {gradio.parents[1]}` once."
        yield Finding("Start", LOOK, "slow: Python kept no compiled modules of Gradio, so each start compiles it and what it needs", todo)
    if not services.settings.on_postgres and sqlite3.sqlite_version_info < SAFE_SQLITE:
        words = f"{sqlite3.sqlite_version}; before {'.'.join(map(str, SAFE_SQLITE))} a rare fault can damage a database in WAL mode"
        yield Finding("SQLite", LOOK, words, "Use a Python that brings a newer SQLite when you can, and keep backups.")
    else:
        name, version = services.db.about()
        yield Finding(name, OK, version)


def _disk(settings: Settings) -> Iterator[Finding]:
    free_gb = shutil.disk_usage(settings.data_dir).free / 1e9
    size = sum(path.stat().st_size for path in settings.data_dir.rglob("*") if path.is_file())
    words = f"{size / 1e6:,.0f} MB in {settings.data_dir}, {free_gb:,.1f} GB free"
    yield Finding("Disk", OK, words) if free_gb > FREE_GB else Finding("Disk", WRONG, words, "Free some space: writes are refused when it is full.")
    log = settings.sqlite_path.with_name(settings.sqlite_path.name + "-wal")
    log_mb = log.stat().st_size / 1e6 if log.exists() else 0
    if log_mb > LOG_MB:
        shorter = "The app shortens it within seconds, unless another program reads the database all the time."
        if not process_lives(settings, "app"):
            shorter = "Start the app: it moves the log into the database. A worker alone does not."
        yield Finding("Database log", LOOK, f"{log_mb:,.0f} MB", shorter)


def _processes(settings: Settings) -> Iterator[Finding]:
    app, worker = process_lives(settings, "app"), process_lives(settings, "worker")
    yield Finding("App", OK if app else LOOK, "runs" if app else "does not run", "" if app else "Start it: python app.py")
    if worker or not app:
        yield Finding("Worker", OK if worker else LOOK, "runs" if worker else "does not run", "" if worker else "The app starts one, unless WORKERS is 0.")
    else:
        yield Finding("Worker", WRONG, "does not run", "It is started again by itself within 30 s. If not, read the log; with WORKERS=0 start huey_consumer.")


def _redis(services: Services) -> Iterator[Finding]:
    if services.shared.away:
        todo = "Start it, or correct REDIS_URL. Until then each process counts for itself, and jobs begin up to some seconds later."
        yield Finding("Redis", WRONG, services.shared.away, todo)
    elif services.settings.redis_url:
        yield Finding("Redis", OK, "answers")


def _jobs(services: Services) -> Iterator[Finding]:
    counts = jobs.counts(services.db)
    oldest = services.db.rows("SELECT min(created_at) AS at FROM jobs WHERE state = 'pending' AND next_at < :now", now=time.time())[0]["at"]
    waits_s = time.time() - oldest if oldest else 0
    words = f"{counts['pending']} wait, {counts['running']} are being done, {counts['done']} are done"
    if waits_s > WAITS_S:
        yield Finding("Jobs", LOOK, f"{words}; one has waited {waits_s / 60:.0f} minutes", "See whether the worker and the embedding model are there.")
    else:
        yield Finding("Jobs", OK, words)
    if dead := jobs.dead(services.db):
        causes = "; ".join(dict.fromkeys(job.cause for job in dead[:NAMED]))
        todo = "`jobs list` shows them; `jobs retry ID` tries one again, `jobs skip ID` leaves it."
        yield Finding("Given up", WRONG, f"{counts['dead']} jobs, such as: {causes}", todo)


def _documents(services: Services) -> Iterator[Finding]:
    counts = documents.stage_counts(services.db)
    words = ", ".join(f"{n} {stage}" for stage, n in sorted(counts.items())) or "none"
    failed = services.db.rows("SELECT cause FROM documents WHERE stage = 'failed' ORDER BY received_at DESC LIMIT :n", n=NAMED)
    yield Finding("Documents", OK, words)
    if failed:
        named = "; ".join(row["cause"] for row in failed)
        yield Finding("Failed", LOOK, f"{counts['failed']} documents: {named}", "Mend the file and add it again, or remove it on the Documents page.")


def _index(services: Services) -> Iterator[Finding]:
    name = facts.get_fact(services.db, facts.EMBEDDER) or services.builtin.name
    waiting = services.db.rows("SELECT count(*) AS n FROM vectors WHERE embedder = :name AND indexed = 0", name=name)[0]["n"]
    total = services.db.rows("SELECT count(*) AS n FROM vectors WHERE embedder = :name", name=name)[0]["n"]
    words = f"{total - waiting:,} of {total:,} vectors of {name} are in it"
    if services.settings.index == "exact":
        yield Finding("Vector index", OK, f"none is used; {total:,} vectors of {name} are compared one by one")
    elif not process_lives(services.settings, "worker"):
        yield Finding("Vector index", OK, words)
    else:
        try:
            state = patient_index(services.settings, MODEL_WAIT_S).health().get("state", "")
            todo = "It mends itself from the database; until then every vector is compared." if state else ""
            yield Finding("Vector index", LOOK if state else OK, f"{words}{f'; it does not answer: {state}' if state else ''}", todo)
        except IndexUnavailable as problem:
            yield Finding("Vector index", WRONG, str(problem), "Restart the worker. Until then every vector is compared one by one.")


def _models(services: Services) -> Iterator[Finding]:
    ends = time.monotonic() + MODEL_WAIT_S
    while not services.models.status.checked_at and time.monotonic() < ends:
        time.sleep(0.05)
    status = services.models.status
    for one in status.servers:
        has = " and ".join(filter(None, (one.generation, one.embedding))) or "no model of ours"
        if one.reachable:
            yield Finding("Ollama", OK, f"{one.url} answers with {has}")
        else:
            words, _, todo = one.cause.partition(". ")
            yield Finding("Ollama", LOOK, words, f"{todo} OLLAMA_HOST says where it is looked for.")
    if status.missing:
        pulls = " and ".join(f"`ollama pull {model}`" for model in status.missing)
        yield Finding("Models", LOOK, f"{' and '.join(status.missing)} is on no server that answers", f"Run {pulls}.")
    if not status.generation:
        yield Finding("Answers", LOOK, "are quotations: no model writes them", "See what is said of Ollama.")


def _acks(services: Services) -> Iterator[Finding]:
    found = acks.last_hour(services.db)
    if found.p95_s is None:
        yield Finding("Acknowledged", OK, f"no question came within the last hour; the goal is {found.goal_s * 1000:.0f} ms for 95 of 100")
        return
    words = f"95 of 100 questions of the last hour within {found.p95_s * 1000:.0f} ms, of {found.questions:,}; the goal is {found.goal_s * 1000:.0f} ms"
    todo = "" if found.kept else "The disk or the processors are busy: see what else runs there. `bench ack` measures it on an instance of its own."
    yield Finding("Acknowledged", OK if found.kept else LOOK, words, todo)


def _backups(settings: Settings) -> Iterator[Finding]:
    made = scheduled_backups.kept(settings)
    if not settings.backup_dir:
        yield Finding("Backups", LOOK, "none are made by themselves", "Set BACKUP_DIR to a folder on another disk, or run `backup FILE` yourself.")
    elif not made or time.time() - made[0].stat().st_mtime > 2 * settings.backup_hours * 3600:
        age = f"the latest is {made[0].name}" if made else "there is none yet"
        yield Finding("Backups", LOOK, f"{age} in {settings.backup_dir}", "The worker makes them: see whether it runs, and what its log says.")
    else:
        yield Finding("Backups", OK, f"{len(made)} in {settings.backup_dir}, the latest {made[0].name}")


def _deletions(services: Services) -> Iterator[Finding]:
    waiting = erasures.pending(services.db, time.time())
    hours = services.settings.erase_hours
    if waiting and time.time() - waiting[0].asked_at > hours * 3600:
        words = f"{len(waiting)} are in the files still, one for more than {hours} hours"
        yield Finding("Deletions", WRONG, words, "Run `compact` and read what it says; the worker does it by itself: see whether it runs.")
    elif waiting:
        yield Finding("Deletions", OK, f"{len(waiting)} leave the files within {hours} hours")


def _audit(services: Services) -> Iterator[Finding]:
    found = audit_chain.check(services.db, services.settings)
    if found.problem:
        yield Finding("Audit log", WRONG, found.problem, "Somebody changed it from outside. Keep a copy of data/, and compare it with the backups.")
    else:
        yield Finding("Audit log", OK, f"{found.rows:,} rows are as they were written")


def _leaves(settings: Settings) -> Iterator[Finding]:
    gets = {"models": "questions and documents", "index": "passages and vectors", "database": "all that is stored"}
    gets |= {"redis": "answers while they are written", "spans": "times of requests and jobs, without content"}
    told = [f"{gets[kind]}, to {', '.join(hosts)}" for kind, hosts in settings.elsewhere.items()]
    yield Finding("Leaves this machine", OK, "; ".join(told) or "nothing")


def _door(settings: Settings) -> Iterator[Finding]:
    if settings.host not in ("127.0.0.1", "localhost", "::1") and not settings.address.startswith("https://"):
        todo = "Set TLS_CERT and TLS_KEY, put a proxy with HTTPS in front and set PUBLIC_URL, or set HOST to 127.0.0.1."
        yield Finding("Address", LOOK, f"{settings.host}:{settings.port} answers other machines without encryption", todo)
    else:
        yield Finding("Address", OK, settings.address)
    if settings.tls_cert:
        yield _certificate(settings)


def _certificate(settings: Settings) -> Finding:
    try:
        ends_at = certificates.ends_at(settings)
    except Misconfigured as problem:
        return Finding("Certificate", WRONG, str(problem), "Mend it before the next start, which would stop here.")
    days = (ends_at - time.time()) / 86_400
    if days <= 0:
        return Finding("Certificate", WRONG, "out of date", "Renew it, name its files in TLS_CERT and TLS_KEY, and restart.")
    words = f"ends in {days:.0f} days"
    return Finding("Certificate", OK, words) if days > RENEW_DAYS else Finding("Certificate", LOOK, words, "Renew it and restart: files are read at the start.")
