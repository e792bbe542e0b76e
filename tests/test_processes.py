"""Two apps and two workers, as real processes, on one Postgres and one Redis."""

import contextlib
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from postgres_server import new_database
from redis_server import RedisServer
from running import ADMIN_KEY, HELP, ROOT, RunningApp, free_port
from test_worker import until

from fake_ollama import FakeOllama

pytestmark = pytest.mark.timeout(400)  # six processes on two cores
QUESTION = "How do I make a backup?"
KEY = {"X-API-Key": ADMIN_KEY}


@pytest.fixture(scope="module")
def redis():
    with RedisServer() as running:
        yield running


@pytest.fixture(scope="module")
def ollama():
    with FakeOllama(token_delay_s=0.02, models=("gpt-oss",)) as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory, postgres_server, redis, ollama):
    """The settings that all processes have in common."""
    with new_database(postgres_server) as url:
        folder = tmp_path_factory.mktemp("place")
        yield {
            "DATABASE_URL": url,
            "REDIS_URL": redis.url,
            "FILES_DIR": str(folder / "files"),
            "BACKUP_DIR": "",
            "KNOWLEDGE_DIR": HELP,
            "OLLAMA_HOST": ollama.url,
            "VECTORS": "exact",
            "WORKERS": "0",
        }


@pytest.fixture(scope="module")
def apps(tmp_path_factory, place):
    given = {name: value for name, value in place.items() if name != "OLLAMA_HOST"}
    opened = [RunningApp(tmp_path_factory.mktemp("app"), place["OLLAMA_HOST"], **given) for _ in range(2)]
    for one in opened:
        one.start(wait_s=200)
    yield opened
    for one in opened:
        one.stop()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, apps):
    """The URL of nginx with the file that the help gives, before both apps."""
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    server = re.search(r"```nginx\n(.*?)```", (ROOT / "knowledge/docs/ops.md").read_text("utf-8"), re.DOTALL)[1]
    for written, real in {"7860": port, "7861": apps[0].port, "7862": apps[1].port}.items():
        server = server.replace(f":{written}", f":{real}")
    folder.chmod(0o755)
    top = f"pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; daemon off; user root;"
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"{top}\nevents {{}}\nhttp {{ access_log off; {temporary}\n{server}\n}}\n")
    with subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]) as running:
        until(lambda: not socket.socket().connect_ex(("127.0.0.1", port)), wait_s=30)
        yield f"http://127.0.0.1:{port}"
        running.terminate()


@pytest.fixture(scope="module")
def workers(tmp_path_factory, place, apps):
    """Started after the first app has made the tables and filled the table of jobs."""
    started = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("worker")
        env = {**os.environ, **place, "DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
        with open(folder / "worker.log", "ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "maisale.worker"], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        started.append((process, folder))
    yield started
    for process, _ in started:
        process.kill()
        process.wait()


def call(app, method, path, **sent):
    answer = httpx.request(method, app.url + path, headers=KEY, timeout=60, **sent)
    answer.raise_for_status()
    return answer.json()


def ask(app, text=QUESTION, conversation_id=None):
    to = conversation_id or call(app, "POST", "/v1/conversations", json={})["id"]
    return call(app, "POST", f"/v1/conversations/{to}/messages", json={"text": text})


def deltas(app, reply_id, enough=10**9):
    """The pieces of an answer as an app sends them, up to so many."""
    found = []
    with httpx.stream("GET", f"{app.url}/v1/replies/{reply_id}/events", headers=KEY, timeout=60) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:") and "text" in (data := json.loads(line[5:])) and "state" not in data:
                found.append(data["text"])
            if len(found) >= enough:
                break
    return found


def ended(app, reply_id):
    found = []
    until(lambda: found.append(call(app, "GET", f"/v1/replies/{reply_id}")) or found[-1]["state"] not in ("waiting", "running"), wait_s=120)
    return found[-1]


def leads(folder):
    """Whether the worker of this data folder has the lock of all workers: while it has, it has that of its folder."""
    with contextlib.suppress(FileNotFoundError), open(folder / "scheduler.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_two_workers_do_every_job_and_one_of_them_leads(apps, workers, redis):
    def stages():
        return {one["stage"] for one in call(apps[0], "GET", "/v1/documents")}

    until(lambda: stages() == {"complete"}, wait_s=240)
    until(lambda: sum(leads(folder) for _, folder in workers) == 1)
    [leader] = [process for process, folder in workers if leads(folder)]
    [heir] = [folder for process, folder in workers if process is not leader]
    leader.kill()
    leader.wait()
    until(lambda: leads(heir) and redis.client().exists("maisale:lock:1:scheduler"), wait_s=90)


def test_an_answer_is_followed_and_stopped_at_the_other_app(apps, ollama):
    here, there = apps
    ollama.answer = lambda messages: "word " * 1500
    reply_id = ask(here)["reply_id"]
    assert len(deltas(there, reply_id, enough=20)) == 20
    stopped = call(there, "POST", f"/v1/replies/{reply_id}/stop")
    assert stopped["state"] == "stopped" and stopped["text"].startswith("word word")
    assert ended(here, reply_id) == ended(there, reply_id)


def test_a_limit_is_one_limit_at_both_apps(place, redis):
    with redis.client() as client:
        assert any(key.startswith(b"maisale:limits:moving-window:1") for key in client.scan_iter())


def test_a_page_opened_at_one_app_is_nobody_elses_at_the_other(apps):
    here, there = apps
    other = re.search(r"msk_\S+", here.command("users", "add", "Linh", "--tenant", "default").stdout)[0]

    def status(app, key):
        with httpx.stream("GET", f"{app.url}/gradio_api/heartbeat/opened-here", headers={"X-API-Key": key}, timeout=60) as answer:
            return answer.status_code

    assert [status(here, ADMIN_KEY), status(there, other), status(there, ADMIN_KEY), status(here, other)] == [200, 404, 200, 404]


def test_a_killed_apps_answers_go_to_the_other_one(apps, ollama):
    here, there = apps
    ollama.answer = lambda messages: "word " * 1500
    first = ask(here)
    second = ask(here, conversation_id=first["conversation_id"])
    deltas(here, first["reply_id"], enough=5)
    here.kill()
    ollama.answer = lambda messages: "As the page says [1]."
    began = time.monotonic()
    assert ended(there, first["reply_id"])["state"] == "interrupted"
    assert ended(there, second["reply_id"])["state"] == "done"
    assert time.monotonic() - began < 60
    here.start(wait_s=200)


def test_redis_may_be_killed_under_both_and_people_are_served(apps, ollama, redis):
    here, there = apps
    ollama.answer = lambda messages: "As the page says [1]."
    redis.kill()
    acks = [ask(app) for app in (here, there, here, there)]
    assert [ended(app, ack["reply_id"])["state"] for app, ack in zip((there, here, there, here), acks)] == ["done"] * 4
    redis.start()
    ollama.answer = lambda messages: "word " * 1500
    reply_id = ask(here)["reply_id"]
    assert len(deltas(there, reply_id, enough=5)) == 5
    assert call(there, "POST", f"/v1/replies/{reply_id}/stop")["state"] == "stopped"


@pytest.mark.long
def test_a_rolling_restart_behind_the_proxy_refuses_no_request(apps, ollama, proxy):
    ollama.answer = lambda messages: "As the page says [1]."
    acks, refused, ended_all = [], [], threading.Event()

    def person(number):
        """Asks again and again, as somebody with a session of their own would; each call is a connection of its own."""
        with httpx.Client(base_url=proxy, headers={**KEY, "Cookie": f"maisale_session=person-{number}"}, timeout=60) as client:
            while not ended_all.is_set():
                answer = client.post("/v1/conversations", json={})
                if answer.status_code < 300:
                    answer = client.post(f"/v1/conversations/{answer.json()['id']}/messages", json={"text": QUESTION})
                if answer.status_code < 300:
                    acks.append(answer.json()["reply_id"])
                else:
                    refused.append((answer.status_code, answer.text[:200]))
                ended_all.wait(1.5)

    with ThreadPoolExecutor(3) as pool:
        people = [pool.submit(person, number) for number in range(3)]
        for app in apps:
            until(lambda: acks, wait_s=60)
            app.stop()
            app.start(wait_s=200)
            acks_before = len(acks)
            until(lambda seen=acks_before: len(acks) > seen + 2, wait_s=60)
        ended_all.set()
        for one in people:
            one.result()
    assert refused == []
    states = {reply_id: ended(apps[0], reply_id)["state"] for reply_id in acks}
    assert set(states.values()) <= {"done", "interrupted"} and len(states) > 8
