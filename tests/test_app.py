"""The two processes from outside: start, refusal, stop."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import httpx
import pytest
from running import ADMIN_KEY, ROOT, RunningApp, free_port

from maisale.config import from_env
from maisale.errors import Misconfigured
from maisale.life import Life


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with RunningApp(tmp_path_factory.mktemp("app")) as running:
        yield running


def test_importing_the_app_opens_nothing(tmp_path):
    code = "import os, threading, app; assert not os.listdir(os.environ['DATA_DIR']); print(app.app, app.demo)"
    (tmp_path / "data").mkdir()
    environ = {**os.environ, "DATA_DIR": str(tmp_path / "data")}
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=90)
    assert ran.returncode == 0, ran.stderr


def test_the_start_prints_one_line_with_address_and_link(app):
    printed = app.log.read_text().splitlines()
    assert len([line for line in printed if line.startswith("Mai-Sale runs at")]) == 1
    assert f"Sign in: {app.url}/link/" in printed[0]


def test_health_needs_no_key_and_everything_else_does(app):
    assert httpx.get(f"{app.url}/healthz").json()["status"] == "ok"
    assert httpx.get(f"{app.url}/config").status_code == 401
    assert httpx.get(f"{app.url}/config", headers={"X-API-Key": ADMIN_KEY}).status_code == 200


def test_a_second_app_on_the_same_folder_is_refused_in_one_sentence(app):
    second = {**app.environment(), "PORT": str(free_port())}
    ran = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=second, capture_output=True, text=True, timeout=90)
    assert ran.returncode != 0
    assert "Another Mai-Sale already runs" in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "many", "PORT is 'many'"),
        ("OLLAMA_HOST", "http://:bad:", "OLLAMA_HOST is"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL begins with"),
        ("DATA_DIR", "/proc/nothing", "/proc/nothing cannot be written to"),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_one_sentence(tmp_path, name, value, words):
    async def start():
        async with Life(lambda: from_env({"DATA_DIR": str(tmp_path), "WORKERS": "0", name: value}, tmp_path)):
            pass

    with pytest.raises(Misconfigured, match=words):
        asyncio.run(start())


def test_a_taken_port_is_said_in_one_sentence(app, tmp_path):
    life = Life(lambda: from_env({"DATA_DIR": str(tmp_path), "PORT": str(app.port)}, tmp_path))
    with pytest.raises(Misconfigured, match=f"127.0.0.1:{app.port} cannot be used"):
        life.serve(None)


def test_sigterm_ends_both_processes_within_ten_seconds(tmp_path):
    app = RunningApp(tmp_path).start()
    ends = time.monotonic() + 20
    while not (pids := app.worker_pids()) and time.monotonic() < ends:
        time.sleep(0.1)
    began = time.monotonic()
    app.process.send_signal(signal.SIGTERM)
    app.process.wait(15)
    assert pids and time.monotonic() - began < 10
    time.sleep(0.3)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_uvicorn_serves_the_same(tmp_path):
    port = free_port()
    environ = {**os.environ, "DATA_DIR": str(tmp_path), "OLLAMA_HOST": "http://127.0.0.1:9", "WORKERS": "0"}
    process = subprocess.Popen([sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
                break
            except httpx.TransportError:
                time.sleep(0.2)
        assert httpx.get(f"http://127.0.0.1:{port}/", headers={"accept": "text/html"}, follow_redirects=False).status_code == 303
    finally:
        process.terminate()
        process.wait(15)


def test_the_knowledge_folder_is_watched(tmp_path):
    knowledge = tmp_path / "knowledge"
    knowledge.mkdir()
    (knowledge / "first.md").write_text("# First\n\nThe first page.")
    with RunningApp(tmp_path / "app", KNOWLEDGE_DIR=str(knowledge), WATCH_S="1", VECTORS="exact") as app:
        http = httpx.Client(base_url=app.url, headers={"X-API-Key": ADMIN_KEY}, timeout=20)

        def titles(wanted):
            ends = time.monotonic() + 30
            while (found := sorted(one["title"] for one in http.get("/v1/documents").json() if one["searchable"])) != wanted:
                assert time.monotonic() < ends, found
                time.sleep(0.3)

        titles(["first.md"])
        (knowledge / "second.md").write_text("# Second\n\nThe second page.")
        titles(["first.md", "second.md"])
        (knowledge / "first.md").unlink()
        titles(["second.md"])


def test_the_access_log_of_uvicorn_does_not_open_the_door(tmp_path):
    port = free_port()
    log = tmp_path / "uvicorn.log"
    environ = {**os.environ, "DATA_DIR": str(tmp_path / "data"), "WORKERS": "0", "OLLAMA_HOST": "http://127.0.0.1:9"}
    with log.open("wb") as out:
        server = subprocess.Popen([sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)], cwd=ROOT, env=environ, stdout=out, stderr=out)
    try:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            try:
                httpx.get(f"http://127.0.0.1:{port}/link/a-secret-token?lang=vi")
                httpx.get(f"http://127.0.0.1:{port}/v1/search?q=whose+is+0912345678")
                break
            except httpx.TransportError:
                time.sleep(0.2)
    finally:
        server.terminate()
        server.wait(15)
    said = log.read_text()
    assert "/link/…" in said and "a-secret-token" not in said
    assert "/v1/search?…" in said and "0912345678" not in said
