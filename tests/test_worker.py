"""The worker as a real process: rung or not it does every job, and neither SIGTERM nor kill -9 loses one."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fake_ollama import FakeOllama
from maisale.backends.index_socket import WorkerIndex
from maisale.child import WorkerProcess, environment, worker_lives
from maisale.config import Settings, from_env
from maisale.errors import MaiSaleError
from maisale.library.deletion import remove_document
from maisale.ops import erasing
from maisale.records import Scope, SearchFilter
from maisale.store import chunks, documents, erasures, jobs
from maisale.worker import _typed

ROOT = Path(__file__).parents[1]
LINH = Scope("tenant-a", "linh")
CONSUMER = [str(Path(sys.executable).with_name("huey_consumer")), "maisale.worker.huey"]
TEXT = "# Filter {n}\n\nThe filter of purifier {n} lasts {n} months."


def until(condition, wait_s=30.0):
    ends = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)


def receive(services, number, first=0):
    """Documents with their jobs, without a ring."""

    def rows(tx):
        place = documents.collection_named(tx, LINH, "Knowledge")
        for n in range(first, first + number):
            name = f"f{n}.md"
            documents.receive_document(tx, LINH, place, document_id=f"doc{n}", title=name, source=name, media_type="", size=1, content_hash="")
            jobs.add(tx, LINH.tenant_id, "read_document", f"doc{n}", "bulk")
        return place

    for n in range(first, first + number):
        (services.settings.files_dir / f"doc{n}").write_text(TEXT.format(n=n), "utf-8")
    return services.db.write(rows)


def complete(services):
    return documents.stage_counts(services.db).get("complete", 0)


@pytest.fixture
def start(services, tmp_path):
    """Starts a worker on the services' folder; all are ended at the end."""
    started = []

    def begin(command=CONSUMER):
        given = services.settings
        env = {**os.environ, "DATA_DIR": str(given.data_dir), "OLLAMA_HOST": given.ollama_urls[0], "PYTHONPATH": str(ROOT), "WORKERS": "0"}
        with open(tmp_path / "worker.log", "ab") as log:
            started.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return started[-1]

    yield begin
    for one in started:
        if one.poll() is None:
            one.kill()
        one.wait()


def test_the_worker_takes_what_was_deleted_out_of_its_index_when_asked_and_by_itself(services, start):
    start()
    until(lambda: worker_lives(services.settings))
    receive(services, 4)
    until(lambda: complete(services) == 4)
    index = WorkerIndex(services.settings, wait_s=5)

    def in_the_index(name):
        return any(name.encode() in path.read_bytes() for path in services.settings.chroma_dir.rglob("*") if path.is_file())

    until(lambda: in_the_index("doc0#"))
    receipt = remove_document(services, LINH, "doc0")
    assert [one.id for one in erasing.erase(services)] == [receipt] and not in_the_index("doc0#")
    until(lambda: not index.health()["state"])
    receipt = remove_document(services, LINH, "doc1")
    services.db.write(lambda tx: tx.execute("UPDATE erasures SET asked_at = asked_at - 23 * 3600, since = 0 WHERE id = :id", id=receipt))
    until(lambda: erasures.get(services.db, receipt).state == "erased")
    until(lambda: not index.health()["state"])
    assert not in_the_index("doc1#") and in_the_index("doc2#") and in_the_index("doc3#")


def test_the_bare_command_does_all_jobs_hears_the_bell_and_ends_at_sigterm(services, start, tmp_path):
    worker = start()
    until(lambda: worker_lives(services.settings))
    place = receive(services, 5)
    until(lambda: complete(services) == 5)
    vector = services.builtin.vectors(["filter of purifier 3"])[0]
    index = WorkerIndex(services.settings, wait_s=5)
    until(lambda: not index.health()["state"])
    hits = index.nearest("hash-1024", "documents", SearchFilter((LINH.tenant_id,), (place,)), vector, 3)
    assert hits[0].key == "doc3#chunk_0"
    receive(services, 1, first=5)
    began = time.monotonic()
    services.wake(services.db.rows("SELECT id FROM jobs WHERE subject_id = 'doc5'")[0]["id"])
    until(lambda: not documents.stage_counts(services.db).get("received"))
    assert time.monotonic() - began < 2.0  # a poll of 0.3 s, on a busy machine
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert not (services.settings.chroma_dir / "not_closed").exists()
    log = (tmp_path / "worker.log").read_text()
    assert "4 thread" in log and "Traceback" not in log


def test_kill_9_in_the_middle_of_work_loses_no_job_and_doubles_no_chunk(services, start):
    number = 40
    worker = start()
    receive(services, number)
    until(lambda: complete(services) >= 3)
    worker.kill()
    worker.wait()
    start()
    until(lambda: complete(services) == number)
    found = [row["key"] for row in services.db.rows("SELECT key FROM chunks")]
    assert len(found) == len(set(found)) == number
    assert services.db.rows("SELECT count(*) AS n FROM vectors WHERE indexed = 1")[0]["n"] == number
    until(lambda: not unhealthy(services))
    index = WorkerIndex(services.settings, wait_s=5)
    place = services.db.rows("SELECT id FROM collections")[0]["id"]
    for row in chunks.vectors_of(services.db, "hash-1024", found):
        assert index.nearest("hash-1024", "documents", SearchFilter((LINH.tenant_id,), (place,)), row.vector, 1)[0].key == row.key
    assert jobs.counts(services.db)["dead"] == 0


def test_job_slots_and_embedder_calls_hold_over_all_processes(services, tmp_path):
    """A second worker on the same folder waits and ends: the limits of one are those of all."""
    with FakeOllama(embed_s=0.05) as ollama:
        env = {**os.environ, "DATA_DIR": str(services.settings.data_dir), "OLLAMA_HOST": ollama.url, "PYTHONPATH": str(ROOT)}
        env |= {"WORKERS": "3", "EMBED_CONCURRENCY": "2", "VECTORS": "exact"}
        receive(services, 40)
        with open(tmp_path / "worker.log", "ab") as log:
            command = [sys.executable, "-m", "maisale.worker"]
            workers = [subprocess.Popen(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stderr=log) for _ in range(2)]
        running = []

        def seen():
            sql = "SELECT count(*) AS n FROM jobs WHERE state = 'running' AND kind = 'embed_document'"  # of small files one slot reads several at once
            running.append(services.db.rows(sql)[0]["n"])
            return complete(services) == 40

        until(seen)
        until(lambda: any(one.poll() is not None for one in workers))
        assert sorted(one.poll() is None for one in workers) == [False, True]
        for one in workers:
            one.terminate()
            one.wait(15)
    assert ollama.most_open["/api/embed"] == 2
    assert max(running) == 2  # bulk never takes the last of three
    assert "Another worker already runs" in (tmp_path / "worker.log").read_text()


def unhealthy(services):
    try:
        return WorkerIndex(services.settings).health()["state"]
    except MaiSaleError as problem:
        return str(problem)


def test_the_child_ends_when_its_parent_is_killed(settings, tmp_path):
    script = f"""
import time
from dataclasses import replace
from pathlib import Path
from maisale.child import WorkerProcess
from maisale.config import Settings
worker = WorkerProcess(Settings(data_dir=Path({str(settings.data_dir)!r}), ollama_urls=("http://127.0.0.1:9",)))
worker.start()
print(worker.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    parent.stdout.readline()
    until(lambda: worker_lives(settings))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not worker_lives(settings), wait_s=12)


def test_a_child_that_dies_is_started_again_and_stop_ends_it(settings):
    worker = WorkerProcess(settings)
    worker.start()
    until(lambda: worker_lives(settings))
    first = worker.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: worker.alive and worker.pid != first and worker_lives(settings))
    worker.stop()
    assert not worker.alive and not worker_lives(settings)


def test_bad_settings_end_the_bare_command_with_one_sentence(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "WORKERS": "many", "DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(CONSUMER, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "WORKERS is 'many'" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_importing_the_worker_opens_nothing_and_loads_no_page(tmp_path):
    code = "import sys, maisale.worker; print([name for name in ('gradio', 'chromadb', 'langgraph', 'fastapi') if name in sys.modules])"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (["maisale.worker.huey"], {}),
        (["maisale.worker.huey", "-w", "1"], {"workers": 1}),
        (["-w", "8", "-m", "2.0", "-v", "maisale.worker.huey"], {"workers": 8, "max_delay": 2.0}),
    ],
)
def test_only_what_was_typed_changes_our_defaults(typed, found):
    assert _typed(["/anywhere/huey_consumer", *typed]) == found
    assert _typed(["/anywhere/maisale", *typed]) == {}


def test_the_settings_of_the_app_are_those_of_its_child(tmp_path, monkeypatch):
    monkeypatch.setenv("X_API_KEY_ADMIN", "secret")
    given = Settings(data_dir=tmp_path, chroma_path=str(tmp_path / "c"), embedding_model="nomic", vectors="exact", workers=2, admin_key="secret")
    assert from_env(environment(given), tmp_path) == replace(given, admin_key="")


def test_an_index_that_cannot_be_opened_at_first_is_opened_later_and_everything_becomes_complete(services, start):
    in_the_way = services.settings.data_dir / "index.key.new"
    in_the_way.mkdir()
    start()
    receive(services, 2)
    until(lambda: documents.stage_counts(services.db).get("searchable", 0) == 2)
    assert not complete(services)
    in_the_way.rmdir()
    until(lambda: complete(services) == 2)
    assert WorkerIndex(services.settings, wait_s=5).health()["state"] == ""
