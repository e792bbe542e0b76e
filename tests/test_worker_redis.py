"""The worker with its queue in a real Redis: rung, not rung, and while Redis is gone or hangs."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from redis_server import RedisServer
from test_worker import CONSUMER, ROOT, complete, receive, until

from maisale.child import worker_lives
from maisale.services import open_services
from maisale.tasks import SWEEP_S


@pytest.fixture
def server():
    with RedisServer() as running:
        yield running


@pytest.fixture
def services(settings, server):
    opened = open_services(replace(settings, redis_url=server.url, vectors="exact"), "cli")
    yield opened
    opened.close()


@pytest.fixture
def worker(services, tmp_path):
    given = services.settings
    env = {**os.environ, "DATA_DIR": str(given.data_dir), "OLLAMA_HOST": given.ollama_urls[0], "PYTHONPATH": str(ROOT)}
    env |= {"WORKERS": "0", "VECTORS": "exact", "REDIS_URL": given.redis_url}
    with open(tmp_path / "worker.log", "ab") as log:
        process = subprocess.Popen(CONSUMER, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    until(lambda: worker_lives(services.settings), wait_s=90)
    yield process
    process.terminate()
    assert process.wait(15) == 0
    assert "Traceback" not in (tmp_path / "worker.log").read_text()


def ring(services, number):
    [row] = services.db.rows("SELECT id FROM jobs WHERE subject_id = :id AND state = 'pending'", id=f"doc{number}")
    services.wake(row["id"])


def test_a_ring_is_heard_at_once_and_huey_is_not_asked_to_remember(services, server, worker):
    receive(services, 2)
    until(lambda: complete(services) == 2)  # found by the sweep
    receive(services, 1, first=2)
    began = time.monotonic()
    ring(services, 2)
    until(lambda: complete(services) == 3)
    assert time.monotonic() - began < SWEEP_S / 2
    assert services.bell.waiting() == 0
    assert not (services.settings.data_dir / "huey.db").exists()


@pytest.mark.parametrize("end", ["kill", "hang"])
def test_while_redis_is_away_the_sweep_finds_the_jobs_and_rings_are_heard_again_after_it(services, server, worker, end):
    receive(services, 1)
    until(lambda: complete(services) == 1)
    getattr(server, end)()
    receive(services, 2, first=1)
    began = time.monotonic()
    ring(services, 1)
    assert time.monotonic() - began < 0.1  # whoever asked does not wait for Redis
    until(lambda: complete(services) == 3)
    if end == "kill":
        server.start()
    else:
        server.go_on()
    until(lambda: not services.shared.away)
    receive(services, 1, first=3)
    ring(services, 3)
    until(lambda: complete(services) == 4)


def test_a_worker_starts_without_redis(services, server, tmp_path):
    server.kill()
    receive(services, 1)
    env = {**os.environ, "DATA_DIR": str(services.settings.data_dir), "OLLAMA_HOST": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    env |= {"WORKERS": "1", "VECTORS": "exact", "REDIS_URL": server.url}
    with open(tmp_path / "worker.log", "ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "maisale.worker"], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stderr=log)
    until(lambda: complete(services) == 1, wait_s=90)
    process.terminate()
    assert process.wait(15) == 0
    told = (tmp_path / "worker.log").read_text()
    assert told.count("Redis does not answer") == told.count("Redis does not take rings") == 1 and "Traceback" not in told
