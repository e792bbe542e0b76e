"""The door from outside. Each hole that Gradio 6.31 has by itself is tried here."""

import threading
import time
import uuid

import httpx
import pytest
from gradio import processing_utils
from gradio.context import LocalContext
from gradio.exceptions import InvalidPathError
from gradio_client import Client

from maisale.access import gate, keys, sessions

HTML = {"accept": "text/html,application/xhtml+xml"}


def browser(door, person, **headers):
    """A client that is signed in by cookie and sends what our own page would."""
    client = httpx.Client(base_url=door.url, headers={"Origin": door.url, **headers}, timeout=20)
    assert client.post("/login", data={"key": person.key}, headers={"Origin": door.url}).status_code == 303
    return client


# Who comes in


@pytest.mark.parametrize("header", [lambda key: {"X-API-Key": key}, lambda key: {"Authorization": f"Bearer {key}"}])
def test_a_key_opens_the_door(door, linh, header):
    assert door.anyone.get("/gradio_api/info", headers=header(linh.key)).status_code == 200


def test_gradio_client_calls_with_a_key(door, linh):
    client = Client(door.url, headers={"X-API-Key": linh.key}, verbose=False)
    assert client.predict("hello", api_name="/whoami") == "hello linh!"
    assert list(client.submit(3, api_name="/count")) == [0, 1, 2]


def test_a_person_without_a_key_is_shown_the_sign_in_page(door):
    answer = door.anyone.get("/", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_program_without_a_key_is_told_what_to_send(door):
    answer = door.anyone.get("/config")
    assert answer.status_code == 401
    assert "X-API-Key" in answer.json()["error"]
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/config", "/config/", "/", "/gradio_api/info"])
def test_the_page_and_its_functions_are_not_shown_without_a_key(door, path):
    answer = door.anyone.get(path, headers=HTML)
    assert "whoami" not in answer.text
    assert answer.status_code in (303, 401)


def test_a_wrong_key_is_refused_even_with_a_valid_cookie(door, linh):
    assert browser(door, linh).get("/config", headers={"X-API-Key": linh.key[:-2]}).status_code == 401


def test_without_a_key_only_the_open_table_answers(door):
    """Every path of Gradio's own specification and some of its hidden ones."""
    shown = door.linh.http.get("/gradio_api/openapi.json").json()["paths"]
    hidden = ["user", "token", "app_id", "startup-events", "cancel", "reset", "queue/join", "queue/status", "upload", "component_server"]
    hidden += ["heartbeat/x", "stream/x", "stream/x/close", "file=x", "deep_link", "runs"]
    paths = [*shown, *(f"/gradio_api/{one}" for one in hidden), "/monitoring", "/monitoring/summary", "/openapi.json", "/docs", "/svelte/x", "/v1/x"]
    answers = {(method, path): door.anyone.request(method, path).status_code for path in paths for method in ("GET", "POST")}
    assert {key: status for key, status in answers.items() if status != 401} == {}


@pytest.mark.parametrize("path", ["/login", "/healthz", "/theme.css", "/robots.txt", "/manifest.json"])
def test_the_open_table_answers_without_a_key(door, path):
    assert gate.is_open("GET", path)
    assert door.anyone.get(path).status_code == 200


def test_a_proxys_prefix_does_not_get_past_the_tables():
    scope = {"path": "/team/gradio_api/file=/etc/passwd", "root_path": "/team"}
    assert gate.route_path(scope) == "/gradio_api/file=/etc/passwd"
    assert not gate.is_open("GET", "/team/../login")


# Gradio's routes that nobody needs


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/monitoring"),
        ("GET", "/monitoring/summary"),
        ("GET", "/gradio_api/deep_link?session_hash=x"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:1/"),
        ("GET", "/gradio_api/startup-events"),
        ("GET", "/gradio_api/custom_component/x/client/x/x"),
        ("GET", "/gradio_api/stream/x/1/1/playlist.m3u8"),
        ("POST", "/gradio_api/stream/x"),
        ("POST", "/gradio_api/stream/x/close"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/gradio_api/process_recording"),
        ("DELETE", "/gradio_api/queue/join"),
        ("GET", "/openapi.json"),
        ("GET", "/x/gradio_api/info"),
    ],
)
def test_routes_without_a_use_do_not_exist(linh, method, path):
    assert linh.http.request(method, path).status_code == 404


def test_no_other_site_is_named_in_cors_headers(door, linh):
    answer = linh.http.get("/config", headers={"Origin": "https://elsewhere.example", "Host": "maisale.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


# Files


@pytest.mark.parametrize(
    "value",
    [
        {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        {"path": "/etc/passwd"},
        {"path": "http://127.0.0.1:9/x", "meta": {"_type": "gradio.FileData"}},
        [{"deep": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]}],
        {"path": ["/etc/passwd"]},
    ],
)
@pytest.mark.parametrize("name", ["whoami", "size_of"])
def test_a_file_of_the_host_cannot_be_named_in_a_call(door, linh, name, value):
    values = [value, "!"] if name == "whoami" else [value]
    number = door.numbers[name]
    assert linh.call(name, *values).status_code == 404
    assert linh.join(number, *values).status_code == 404
    assert linh.http.post(f"/gradio_api/run/{name}", json={"fn_index": number, "data": values}).status_code == 404
    assert linh.http.post(f"/gradio_api/call/v2/{name}", json={"document": value} if name == "size_of" else {"greeting": value}).status_code == 404


def test_gradio_itself_refuses_a_file_of_the_host_too(door):
    """Were the gate's scan to miss one: `has_launched` has to be set on a mounted page."""
    LocalContext.blocks.set(door.page)
    with pytest.raises(InvalidPathError):
        processing_utils._check_allowed("/etc/passwd", check_in_upload_folder=True)


def test_ones_own_upload_can_be_used_and_read_back(linh):
    path = linh.upload(b"seven b")
    event = linh.call("size_of", {"path": path, "meta": {"_type": "gradio.FileData"}}).json()["event_id"]
    assert linh.read("size_of", event) == [[7]]
    assert linh.http.get(f"/gradio_api/file={path}").content == b"seven b"


def test_anothers_upload_can_neither_be_read_nor_used(linh, other):
    path = linh.upload(uuid.uuid4().bytes)
    for route in ("file=", "file/"):
        assert other.http.get(f"/gradio_api/{route}{path}").status_code == 404
    assert other.call("size_of", {"path": path}).status_code == 404
    assert other.call("size_of", {"path": path, "meta": {"_type": "gradio.FileData"}}).status_code == 404


def test_two_people_with_the_same_file_both_own_it(linh, other):
    text = uuid.uuid4().bytes
    assert linh.upload(text) == (path := other.upload(text))
    assert linh.http.get(f"/gradio_api/file={path}").status_code == 200
    assert other.http.get(f"/gradio_api/file={path}").status_code == 200


@pytest.mark.parametrize("path", ["/etc/passwd", "//etc/passwd", "app.py", "/proc/self/environ", "http://127.0.0.1:9/"])
def test_files_of_the_host_are_not_served(linh, path):
    assert linh.http.get(f"/gradio_api/file={path}").status_code == 404


def test_anothers_upload_progress_is_not_shown(linh, other):
    upload = uuid.uuid4().hex
    linh.http.post(f"/gradio_api/upload?upload_id={upload}", files={"files": ("secret name.txt", b"x")})
    assert other.http.get(f"/gradio_api/upload_progress?upload_id={upload}").status_code == 404


# Events and sessions


def test_anothers_event_cannot_be_read(linh, other):
    event = linh.call("count", 2).json()["event_id"]
    assert other.http.get(f"/gradio_api/call/count/{event}").status_code == 404
    assert other.http.get(f"/gradio_api/call/v2/count/{event}").status_code == 404
    assert linh.read("count", event)[-1] == [1]


def test_anothers_session_cannot_be_joined_or_listened_to(door, linh, other):
    session = uuid.uuid4().hex
    assert linh.join(door.numbers["whoami"], "hello", "!", session=session).status_code == 200
    assert other.join(door.numbers["whoami"], "hello", "!", session=session).status_code == 404
    for path in (f"/gradio_api/queue/data?session_hash={session}", f"/gradio_api/heartbeat/{session}"):
        assert other.http.get(path).status_code == 404
    assert other.http.post("/gradio_api/component_server", json={"session_hash": session, "component_id": 1, "fn_name": "x", "data": 1}).status_code == 404


def test_another_can_neither_cancel_nor_reset_a_call(door, linh, other):
    session = uuid.uuid4().hex
    event = linh.join(door.numbers["wait_silently"], 2, session=session).json()["event_id"]
    for body in (
        {"session_hash": session, "fn_index": door.numbers["wait_silently"], "event_id": event},
        {"session_hash": uuid.uuid4().hex, "fn_index": 1, "event_id": event},
    ):
        assert other.http.post("/gradio_api/cancel", json=body).status_code == 404
    assert other.http.post("/gradio_api/reset", json={"event_id": event}).status_code == 404
    assert linh.http.post("/gradio_api/reset", json={"event_id": event}).status_code == 200
    assert linh.http.post("/gradio_api/cancel", json={"session_hash": session, "fn_index": 1, "event_id": event}).status_code == 200


def test_a_stream_that_was_read_to_its_end_is_gone(linh):
    event = linh.call("count", 1).json()["event_id"]
    linh.read("count", event)
    assert linh.http.get(f"/gradio_api/call/count/{event}").status_code == 404


# Calls


def test_a_hidden_function_is_not_called_by_name(linh):
    assert linh.call("hidden", "x").status_code == 404
    assert linh.http.post("/gradio_api/call/v2/hidden", json={"word": "x"}).status_code == 404
    assert linh.http.post("/gradio_api/run/hidden", json={"data": ["x"]}).status_code == 404


def test_a_hidden_function_called_by_number_knows_its_caller(door, other):
    answer = other.http.post("/gradio_api/run/predict", json={"fn_index": door.numbers["hidden"], "data": ["x"]})
    assert answer.json()["data"] == [other.user.name]
    assert door.anyone.post("/gradio_api/run/predict", json={"fn_index": door.numbers["hidden"], "data": ["x"]}).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("call/nothing", {"data": []}, 404, "There is no function 'nothing'"),
        ("call/v2/nothing", {}, 404, "There is no function"),
        ("call/whoami", {"data": ["x"]}, 422, "with 2 values: greeting, mark; 1 values came"),
        ("call/whoami", {"data": "x"}, 422, "no list came"),
        ("call/whoami", {}, 422, "no list came"),
        ("call/whoami", [], 422, "JSON object"),
        ("call/v2/whoami", {}, 422, "whoami needs greeting"),
        ("call/v2/whoami", {"greeting": "x", "extra": 1}, 422, "not 'extra'"),
        ("queue/join", {"fn_index": 99_999, "data": [], "session_hash": "mine"}, 404, "no function of this number"),
        ("queue/join", {"fn_index": "1", "data": []}, 404, "no function of this number"),
        ("queue/join", {"data": []}, 404, "no function of this number"),
        ("queue/join", {"fn_index": 1, "data": None, "session_hash": "mine"}, 422, "come as a list"),
        ("queue/join", {"fn_index": 1, "data": [], "session_hash": {}}, 404, "no such session"),
        ("queue/join", {"fn_index": 1, "data": ["x", 1], "session_hash": "mine"}, 422, "as many values as it has inputs, 1; 2 came"),
        ("run/predict", {"fn_index": 1, "data": []}, 422, "as many values as it has inputs, 1; 0 came"),
        ("run/whoami", {"data": ["x"]}, 404, "call/v2"),
        ("cancel", {"session_hash": "mine", "fn_index": 1, "event_id": "none"}, 404, "no such event"),
    ],
)
def test_a_bad_call_is_answered_in_words(linh, path, body, status, words):
    answer = linh.http.post(f"/gradio_api/{path}", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]


HALF_A_CHARACTER = b'{"data": ["\\ud800", "!"]}'


@pytest.mark.parametrize("raw", [HALF_A_CHARACTER, b"", b"{", b"\xff\xfe\x00", b"[" * 200_000, b"null", b'"x"'])
def test_a_body_that_is_not_a_call_is_refused(linh, raw):
    assert linh.http.post("/gradio_api/call/whoami", content=raw, headers={"content-type": "application/json"}).status_code == 422


def test_a_call_with_millions_of_values_is_too_large(linh):
    raw = b'{"data": [' + b'"x",' * 1_100_000 + b'"x"]}'
    assert linh.http.post("/gradio_api/call/whoami", content=raw, headers={"content-type": "application/json"}).status_code == 413


def test_an_error_in_words_is_no_server_error(door, linh):
    answer = linh.http.post("/gradio_api/run/predict", json={"fn_index": door.numbers["complain"], "data": ["Shouting"]})
    assert (answer.status_code, answer.json()["error"]) == (422, "Shouting is not allowed")


def test_values_that_a_function_breaks_on_are_refused_in_words(door, linh):
    answer = linh.http.post("/gradio_api/run/predict", json={"fn_index": door.numbers["size_of"], "data": [5]})
    assert (answer.status_code, answer.json()["error"]) == (422, "These values cannot be taken by this function. The server's log says more.")


# The browser


def test_a_signed_in_browser_gets_the_page(door, linh):
    answer = browser(door, linh).get("/", headers=HTML)
    assert answer.status_code == 200
    assert "gradio" in answer.text


def test_the_cookie_is_kept_from_scripts_and_other_sites(door, linh):
    answer = door.anyone.post("/login", data={"key": linh.key}, headers={"Sec-Fetch-Site": "same-origin"})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "max-age=43200" in cookie
    assert linh.key not in answer.headers["set-cookie"]
    door.anyone.cookies.clear()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
    ],
)
def test_another_site_cannot_use_a_persons_cookie(door, linh, headers, status):
    assert browser(door, linh).post("/gradio_api/call/whoami", json={"data": ["x", "!"]}, headers=headers).status_code == status


def test_a_wrong_key_is_refused_and_not_sent_back(door):
    answer = door.anyone.post("/login", data={"key": "msk_wrong_key"}, headers={"Origin": door.url})
    assert answer.status_code == 401
    assert "not valid" in answer.text
    assert "msk_wrong_key" not in answer.text


@pytest.mark.parametrize(("data", "status"), [({}, 422), ({"key": "  "}, 422), ({"key": "x" * 1_000_000}, 401), ({"other": "x"}, 422)])
def test_a_strange_sign_in_form_is_refused(door, data, status):
    assert door.anyone.post("/login", data=data, headers={"Origin": door.url}).status_code == status


def test_another_site_cannot_sign_a_person_in(door, linh):
    answer = door.anyone.post("/login", data={"key": linh.key}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_sign_in_page_speaks_vietnamese(door):
    assert "lang=vi" in door.anyone.get("/login", headers={"accept-language": "vi-VN,vi;q=0.9"}).text
    answer = door.anyone.post("/login?lang=vi", data={"key": "x"}, headers={"Origin": door.url})
    assert "không hợp lệ" in answer.text
    door.anyone.cookies.clear()


def test_a_link_is_not_used_up_by_looking_at_it(door):
    token = sessions.make_sign_in_link(door.db)
    client = httpx.Client(base_url=door.url, headers={"Origin": door.url})
    for _ in range(2):
        assert client.get(f"/link/{token}").status_code == 200
    assert client.post(f"/link/{token}").status_code == 303
    assert client.get("/config").status_code == 200
    assert client.post(f"/link/{token}").status_code == 410
    assert client.get(f"/link/{token}").status_code == 410


def test_signing_out_ends_the_session(door, linh):
    client = browser(door, linh)
    secret = client.cookies[gate.COOKIE]
    assert client.post("/logout").status_code == 303
    assert client.get("/config").status_code == 401
    assert door.anyone.get("/config", headers={"Cookie": f"{gate.COOKIE}={secret}"}).status_code == 401


# Revocation


def test_a_revoked_key_is_refused_at_once_with_its_sessions(door, linh):
    key, text = keys.issue_key(door.db, linh.user)
    signed_in = httpx.Client(base_url=door.url, headers={"Origin": door.url})
    signed_in.post("/login", data={"key": text})
    assert signed_in.get("/config").status_code == 200
    keys.revoke_key(door.db, key.id)
    assert door.anyone.get("/config", headers={"X-API-Key": text}).status_code == 401
    assert signed_in.get("/config").status_code == 401


@pytest.mark.parametrize("name", ["count", "wait_silently"])
def test_an_open_stream_is_cut_when_its_key_is_revoked(door, linh, name):
    key, text = keys.issue_key(door.db, linh.user)
    client = httpx.Client(base_url=door.url, headers={"X-API-Key": text}, timeout=30)
    event = client.post(f"/gradio_api/call/{name}", json={"data": [100]}).json()["event_id"]
    began = time.monotonic()
    threading.Timer(0.5, keys.revoke_key, (door.db, key.id)).start()
    with client.stream("GET", f"/gradio_api/call/{name}/{event}") as answer:
        for _ in answer.iter_lines():
            pass
    assert time.monotonic() - began < 5.5


def test_the_last_use_of_a_key_is_noted(door, linh):
    key, text = keys.issue_key(door.db, linh.user)
    door.anyone.get("/config", headers={"X-API-Key": text})
    ends = time.monotonic() + 5
    while time.monotonic() < ends and not any(one.id == key.id and one.last_used_at for one in keys.list_keys(door.db, linh.user)):
        time.sleep(0.02)
    assert any(one.id == key.id and one.last_used_at for one in keys.list_keys(door.db, linh.user))
