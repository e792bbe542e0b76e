"""Gradio's endpoints on the real page, called wrongly in a thousand ways: no 500, no hang, no traceback. The calls are the same at every run."""

import json
import random
import time
import uuid
from collections import Counter

import httpx
import pytest
from running import ADMIN_KEY, RunningApp

SEED = 20_260
ENDS_WITHIN_S = 10
FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
DEEP = json.loads("[" * 200 + "]" * 200)
VALUES = [None, True, False, 0, -1, 7, 1.5, 1e308, float("nan"), 2**63, "", "x", " \n", "x" * 40_000, "\0", "\ud800", "'; DROP TABLE users; --", "<script>"]
VALUES += ["/etc/passwd", "../../app.py", "{}", "[]", "null", [], [None], [1, "x"], ["/etc/passwd"], {}, {"a": 1}, {"text": 5}, {"text": None, "files": None}]
VALUES += [FILE, {"path": "/etc/passwd"}, [FILE], {"text": "x", "files": [FILE]}, {"text": "x", "files": ["/etc/passwd"]}, {"text": "x", "files": [1]}]
VALUES += [{"files": "x"}, {"do": "delete", "id": 5}, {"do": ["open"]}, DEEP, {"__type__": "update", "value": 1}, {"text": ["x"], "files": []}, "1" * 5000]
NAMED = ["ask", "new_conversation", "list_conversations", "get_conversation", "rename_conversation", "delete_conversation", "search", "list_documents"]
NAMED += ["add_document"]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with RunningApp(tmp_path_factory.mktemp("fuzz"), WORKERS="0", UPLOAD_MB="1") as running:
        yield running


class Caller:
    """Somebody with a key, and how every call of theirs ended."""

    def __init__(self, url, key):
        self.http = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=ENDS_WITHIN_S)
        self.statuses = Counter()
        self.ends = Counter()

    def send(self, method, path, body=None):
        """The answer, looked at."""
        began = time.monotonic()
        content = json.dumps(body).encode() if body is not None else None
        answer = self.http.request(method, f"/gradio_api/{path}", content=content, headers={"content-type": "application/json"})
        sent = f"{method} {path} {str(body)[:300]} -> {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500, sent
        assert "Traceback" not in answer.text and 'File "' not in answer.text, sent
        assert time.monotonic() - began < ENDS_WITHIN_S, sent
        self.statuses[answer.status_code] += 1
        return answer

    def follow(self, path, last, sent):
        """Reads a stream until a line holds one of `last`."""
        began = time.monotonic()
        with self.http.stream("GET", f"/gradio_api/{path}") as answer:
            assert answer.status_code == 200, sent
            for line in answer.iter_lines():
                assert "Traceback" not in line and 'File "' not in line, f"{sent}: {line[:300]}"
                assert time.monotonic() - began < ENDS_WITHIN_S, f"{sent} does not end"
                if ended := next((word for word in last if word in line), None):
                    self.ends[ended] += 1
                    return
        self.ends["closed"] += 1

    def call(self, name, body, v2=False):
        answer = self.send("POST", f"call/{'v2/' if v2 else ''}{name}", body)
        if answer.status_code == 200:
            self.follow(f"call/{name}/{answer.json()['event_id']}", ("event: complete", "event: error"), f"{name} {str(body)[:300]}")

    def join(self, body):
        answer = self.send("POST", "queue/join", body)
        if answer.status_code == 200:
            self.follow(f"queue/data?session_hash={body['session_hash']}", ("process_completed", "close_stream"), str(body)[:300])


@pytest.fixture(scope="module")
def known(app):
    """Two people, with a conversation, a reply and an upload of the first."""
    admin = httpx.Client(base_url=app.url, headers={"X-API-Key": ADMIN_KEY}, timeout=20)
    fresh = httpx.Client(base_url=app.url, headers={"X-API-Key": admin.post("/v1/keys/fresh", json={}).json()["key"]}, timeout=20)
    people = [admin.post("/v1/users", json={"name": name, "tenant": "default"}).json()["user"]["id"] for name in ("linh", "hoa")]
    linh, hoa = (Caller(app.url, fresh.post(f"/v1/users/{one}/keys", json={}).json()["key"]) for one in people)
    conversation = linh.http.post("/v1/conversations", json={"title": "Secret"}).json()["id"]
    reply = linh.http.post(f"/v1/conversations/{conversation}/messages", json={"text": "A secret question"}).json()["reply_id"]
    upload = linh.http.post("/gradio_api/upload", files={"files": ("secret.txt", b"secret")}).json()[0]
    return {"linh": linh, "hoa": hoa, "foreign": [conversation, reply, {"path": upload}, [conversation], json.dumps({"id": conversation})]}


@pytest.fixture
def hoa(known):
    return known["hoa"]


@pytest.fixture
def values(known, request):
    """Picks values; the same ones for a test at every run."""
    chance = random.Random(f"{SEED} {request.node.name}")
    return lambda count: [chance.choice(VALUES + known["foreign"]) for _ in range(count)]


@pytest.mark.parametrize("name", NAMED)
def test_a_named_function_takes_any_values(hoa, values, name):
    count = len(hoa.http.get("/gradio_api/info").json()["named_endpoints"][f"/{name}"]["parameters"])
    for _ in range(8):
        hoa.call(name, {"data": values(count)})
    for size in (0, count + 1, count + 50):
        assert hoa.send("POST", f"call/{name}", {"data": values(size)}).status_code in (404, 422)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_function_takes_any_arguments_by_name(hoa, values, name):
    names = [one["parameter_name"] for one in hoa.http.get("/gradio_api/info").json()["named_endpoints"][f"/{name}"]["parameters"]]
    for _ in range(6):
        hoa.call(name, dict(zip(names, values(len(names)))), v2=True)
    hoa.call(name, {}, v2=True)
    assert hoa.send("POST", f"call/v2/{name}", {"stranger": 1}).status_code == 422
    assert hoa.send("POST", f"call/v2/{name}", {**dict(zip(names, [None] * 9)), "request": {"caller": "linh"}}).status_code == 422


@pytest.mark.parametrize("number", range(36))
def test_a_function_of_the_page_takes_any_values(app, hoa, values, number):
    """By its number, through the queue and directly, as the page itself calls it."""
    functions = hoa.http.get("/config").json()["dependencies"]
    assert len(functions) == 36
    count = len(functions[number]["inputs"]) if number > 8 else [4, 1, 1, 1, 2, 1, 4, 1, 3][number]
    for data in (values(count), values(count), values(count), [None] * count, values(count + 1), []):
        event_data = values(1)[0]
        hoa.join({"fn_index": number, "data": data, "session_hash": uuid.uuid4().hex, "event_data": event_data, "trigger_id": None})
        hoa.send("POST", "run/predict", {"fn_index": number, "data": data, "event_data": event_data})


def test_bodies_of_any_kind_are_refused(hoa, values):
    for path in ("queue/join", "run/predict", "cancel", "reset", "component_server", "call/ask", "call/v2/ask"):
        for body in values(6):
            hoa.send("POST", path, body)
        for field in ("fn_index", "session_hash", "event_id", "data", "trigger_id", "event_data", "component_id", "fn_name", "request", "simple_format"):
            fitting = {"fn_index": 10, "data": ["x"], "session_hash": uuid.uuid4().hex}
            for value in values(2):
                hoa.send("POST", path, {**fitting, field: value})


def test_anothers_sessions_events_and_files_are_missing(known, hoa):
    linh, session = known["linh"], uuid.uuid4().hex
    event = linh.send("POST", "queue/join", {"fn_index": 2, "data": [5], "session_hash": session}).json()["event_id"]
    called = linh.send("POST", "call/list_conversations", {"data": [5]}).json()["event_id"]
    path = known["foreign"][2]["path"]
    mine = uuid.uuid4().hex
    reads = [f"queue/data?session_hash={session}", f"heartbeat/{session}", f"call/list_conversations/{called}", f"file={path}", f"call/v2/ask/{event}"]
    for place in reads:
        assert hoa.send("GET", place).status_code == 404, place
    bodies = [("queue/join", {"fn_index": 2, "data": [5], "session_hash": session}), ("cancel", {"session_hash": session, "fn_index": 2, "event_id": event})]
    bodies += [("cancel", {"session_hash": mine, "fn_index": 2, "event_id": event}), ("reset", {"event_id": called}), ("reset", {"event_id": [called]})]
    bodies += [("component_server", {"session_hash": session, "component_id": 1, "fn_name": "x", "data": []})]
    bodies += [("call/v2/add_document", {"file": {"path": path}}), ("run/predict", {"fn_index": 25, "data": [[{"path": path}]]})]
    for place, body in bodies:
        assert hoa.send("POST", place, body).status_code == 404, place


def test_nothing_of_another_was_changed_or_shown(known, hoa):
    linh, place = known["linh"], f"/v1/conversations/{known['foreign'][0]}"
    assert linh.http.get(place).json()["title"] == "Secret"
    assert hoa.http.get(place).status_code == 404
    assert "secret" not in str(hoa.http.get("/v1/documents").json()).lower() and "passwd" not in str(hoa.http.get("/v1/documents").json())
    print(f"fuzzed: {sum(hoa.statuses.values())} calls, {dict(sorted(hoa.statuses.items()))}; streams: {dict(hoa.ends)}")
