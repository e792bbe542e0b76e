"""The real app from outside: headers of every answer, doors closed to other sites, limits, and refusals that tell nothing of the inside."""

import json
import re
import socket
import sqlite3
import time
import zipfile
from io import BytesIO

import httpx
import pytest
from running import ADMIN_KEY, RunningApp

ELSEWHERE = "https://elsewhere.example"
MCP = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
MCP_ACCEPT = {"Accept": "application/json, text/event-stream"}
# What an answer may never tell: folders, SQL, classes, tracebacks, versions of what it is made with.
INSIDE = re.compile(
    r"Traceback|File \"|/home/|/root/|/work/|/usr/|/tmp/|site-packages|sqlite3?\.|SELECT |INSERT |no such table"
    r"|\b[A-Z]\w*(?:Error|Exception)\b|0x[0-9a-f]{6,}|(?i:uvicorn|starlette|fastapi|pydantic|python/?\d)",
)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with RunningApp(tmp_path_factory.mktemp("hardening"), UPLOAD_MB="1", VECTORS="exact") as running:
        yield running


@pytest.fixture(scope="module")
def key(app):
    with httpx.Client(base_url=app.url, headers={"X-API-Key": ADMIN_KEY}, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def browser(app):
    """Signed in by cookie, sending what our own page would."""
    with httpx.Client(base_url=app.url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=30) as client:
        assert client.post("/login", data={"key": ADMIN_KEY}).status_code == 303
        yield client


def document(key, name="note.md", text="# Note\n\nThe ferry leaves at ten."):
    return key.post("/v1/documents", files={"file": (name, text)}).json()


# Headers

KINDS = {
    "page": lambda key: key.get("/", headers={"Accept": "text/html"}),
    "sign-in": lambda key: httpx.get(f"{key.base_url}/login"),
    "used link": lambda key: httpx.get(f"{key.base_url}/link/none"),
    "no key": lambda key: httpx.get(f"{key.base_url}/v1/me"),
    "to the sign-in": lambda key: httpx.get(f"{key.base_url}/", headers={"Accept": "text/html"}),
    "health": lambda key: httpx.get(f"{key.base_url}/healthz"),
    "rest": lambda key: key.get("/v1/me"),
    "docs": lambda key: key.get("/v1/docs"),
    "no route": lambda key: key.get("/v1/nothing"),
    "not understood": lambda key: key.post("/v1/conversations", content=b"{"),
    "config": lambda key: key.get("/config"),
    "asset": lambda key: key.get("/theme.css"),
    "file": lambda key: key.get(f"/files/{document(key)['id']}"),
    "openai": lambda key: key.get("/v1/models"),
    "mcp": lambda key: key.post("/mcp", json=MCP, headers=MCP_ACCEPT),
    "too long": lambda key: key.get("/v1/me", params={"q": "x" * 9000}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_bears_each_header_once(key, kind):
    headers = KINDS[kind](key).headers
    for name in ("content-security-policy", "x-content-type-options", "referrer-policy", "permissions-policy", "cross-origin-opener-policy"):
        assert len(headers.get_list(name)) == 1, name
    assert "frame-ancestors 'none'" in headers["content-security-policy"] and "server" not in headers
    assert kind == "asset" or "no-store" in headers["cache-control"]


def test_an_answer_that_streams_bears_them_too(key):
    talk = key.post("/v1/conversations", json={}).json()["id"]
    reply = key.post(f"/v1/conversations/{talk}/messages", json={"text": "How do I sign in?"}).json()["reply_id"]
    with key.stream("GET", f"/v1/replies/{reply}/events") as answer:
        assert "sandbox" in answer.headers["content-security-policy"] and "no-store" in answer.headers["cache-control"]


def test_the_sign_in_page_runs_no_script_at_all(app):
    policy = httpx.get(f"{app.url}/login").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy and "unsafe" not in policy


def test_a_space_is_framed_by_its_host_and_by_nobody_else(tmp_path):
    with RunningApp(tmp_path, SPACE_ID="team/mai-sale", HOST="127.0.0.1", WORKERS="0") as space:
        headers = httpx.get(f"{space.url}/login").headers
    assert headers["content-security-policy"].endswith("frame-ancestors https://huggingface.co") and "max-age" in headers["strict-transport-security"]


# Addresses


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Gradio-Server", "X-Forwarded-Proto"])
def test_a_client_does_not_choose_the_address_of_the_page(app, key, header):
    value = {"X-Gradio-Server": "http://evil.example"}.get(header, "https" if header.endswith("Proto") else "evil.example")
    for path in ("/", "/config"):
        page = key.get(path, headers={header: value}).text
        assert "evil.example" not in page and app.url.replace("http:", "https:") not in page


@pytest.mark.parametrize("host", ['a"><script>alert(1)</script>', "a'-alert(1)-'", "</script><script>alert(1)//"])
def test_a_strange_host_stays_text(app, key, host):
    answer = key.get("/", headers={"Host": host})
    assert answer.status_code >= 400 or not re.search(r"<script>alert|</script><script>alert", answer.text)


@pytest.mark.parametrize("following", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_signing_in_leads_nowhere_but_to_the_page(app, following):
    with httpx.Client(base_url=app.url, headers={"Sec-Fetch-Site": "same-origin"}) as client:
        answer = client.post("/login", params={"next": following, "lang": "vi"}, data={"key": ADMIN_KEY, "next": following})
        assert answer.headers["location"] == "/" and "evil" not in client.get("/login", params={"next": following}).text


@pytest.mark.parametrize("path", ["//evil.example", "/%2f%2fevil.example", "/\\evil.example", "//evil.example/%2e%2e"])
def test_no_address_redirects_to_another_host(app, key, path):
    for client in (key, httpx.Client(base_url=app.url)):
        answer = client.get(f"{app.url}{path}", headers={"Accept": "text/html"})
        assert answer.headers.get("location", "/login").startswith("/") and not answer.headers.get("location", "/").startswith("//")


# Other sites

DOORS = {
    "rest": ("GET", "/v1/me", None),
    "rest post": ("POST", "/v1/conversations", {}),
    "gradio": ("POST", "/gradio_api/call/list_conversations", {"data": [5]}),
    "page": ("GET", "/", None),
    "openai": ("GET", "/v1/models", None),
    "mcp": ("POST", "/mcp", MCP),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("origin", [ELSEWHERE, "null", "http://localhost:3000"])
def test_another_site_reads_no_answer(key, door, origin):
    method, path, body = DOORS[door]
    simple = key.request(method, path, json=body, headers={"Origin": origin, "Host": "maisale.example", **MCP_ACCEPT})
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x-api-key"}
    for client in (key, httpx.Client(base_url=key.base_url)):
        before = client.request("OPTIONS", path, headers=asked)
        for answer in (simple, before):
            assert not [name for name in answer.headers if name.startswith("access-control-allow-o") or name.endswith("allow-credentials")]
        assert before.status_code >= 400


@pytest.mark.parametrize(
    "origin, host, status",
    [
        (ELSEWHERE, None, 403),
        ("http://rebound.example:7860", "rebound.example:7860", 403),  # a name that was made to point here
        ("null", None, 403),
        (None, None, 200),
    ],
)
def test_mcp_is_not_for_pages_of_other_addresses(key, origin, host, status):
    headers = {**MCP_ACCEPT, **({"Origin": origin} if origin else {}), **({"Host": host} if host else {})}
    assert key.post("/mcp", json=MCP, headers=headers).status_code == status


def test_a_page_of_this_very_address_may_speak_mcp(app, key):
    assert key.post("/mcp", json=MCP, headers={**MCP_ACCEPT, "Origin": app.url}).status_code == 200


# Limits


def said(app, request, more=b""):
    """What comes back for raw bytes; `more` is sent again and again until the server has enough."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=20) as line:
        line.sendall(request)
        try:
            for _ in range(1000 if more else 0):
                line.sendall(more)
            return line.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            return b"cut off"


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nX-A: ", b"GET / HTTP/1.1\r\n"])
def test_a_head_that_does_not_end_is_cut_off(app, begin):
    more = b"X-B: y\r\n" * 1000 if begin.endswith(b"\n") else b"x" * 10_000
    answer = said(app, begin, more)
    assert answer == b"cut off" or answer.split(b" ")[1] in (b"431", b"400")
    assert httpx.get(f"{app.url}/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/v1/me"])
def test_a_long_address_and_many_headers_are_refused_in_words(app, path):
    long = httpx.get(f"{app.url}{path}", params={"q": "x" * 9000})
    many = httpx.get(f"{app.url}{path}", headers=[(f"X-{number}", "y") for number in range(120)])
    assert (long.status_code, many.status_code) == (414, 431) and "8,192" in long.json()["error"] and "100 headers" in many.json()["error"]


BODIES = {
    "rest": ("/v1/conversations", 413),
    "rest question": ("/v1/conversations/none/messages", 413),
    "openai": ("/v1/chat/completions", 413),
    "embeddings": ("/v1/embeddings", 413),
    "gradio": ("/gradio_api/call/ask", 413),
    "by number": ("/gradio_api/queue/join", 413),
    "mcp": ("/mcp", 413),
}


@pytest.mark.parametrize("door", BODIES)
def test_a_body_that_is_too_large_is_refused_at_every_door(key, door):
    path, status = BODIES[door]
    answer = key.post(path, content=(b" " * 100_000 for _ in range(60)), headers={"Content-Type": "application/json", **MCP_ACCEPT})
    assert answer.status_code == status and not INSIDE.search(answer.text)


@pytest.mark.parametrize("door", BODIES)
def test_json_of_great_depth_is_refused_at_every_door(key, door):
    answer = key.post(BODIES[door][0], content=b'{"a":' * 100_000, headers={"Content-Type": "application/json", **MCP_ACCEPT})
    assert answer.status_code in (400, 404, 413, 422) and not INSIDE.search(answer.text)


def test_one_upload_brings_no_more_than_its_files_may_have(browser):
    files = [("files", (f"{number}.md", b"x" * 900_000)) for number in range(50)]
    answer = browser.post("/gradio_api/upload", files=files)
    assert answer.status_code == 413 and "40 MB" in answer.json()["error"]


def test_a_file_that_is_too_large_is_refused_by_both_doors(key, browser):
    rest = key.post("/v1/documents", files={"file": ("a.md", b"x" * 1_500_000)})
    page = browser.post("/gradio_api/upload", files={"files": ("a.md", b"x" * 1_500_000)})
    assert (rest.status_code, page.status_code) == (422, 413) or rest.status_code == page.status_code == 413


# Names


NAMES = (
    *("a\r\nSet-Cookie: x=1.md", 'a"; filename="b.exe', "../../../etc/passwd.md"),
    *("..\\..\\x.md", "Báo giá 🙂.md", "a\u202egpj.md", "\u200bz\u0000.md"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_files_name_reaches_no_header_and_no_folder(app, key, name):
    kept = key.post("/v1/documents", files={"file": (name, f"# A\n\n{name!r}")})
    if kept.status_code != 202:
        assert kept.status_code in (400, 422) and not INSIDE.search(kept.text)
        return
    title = kept.json()["title"]
    assert not re.search(r"[\r\n/\\\u202e\u200b\0]", title)
    answer = key.get(f"/files/{kept.json()['id']}")
    assert answer.status_code == 200 and "set-cookie" not in answer.headers and answer.headers["content-disposition"].count("filename") == 1
    assert not [path for path in (app.folder / "data" / "files").iterdir() if not re.fullmatch(r"[0-9a-f-]{36}|upload-\w+", path.name)]


@pytest.mark.parametrize("ending", ["html", "svg", "xhtml", "md", "json"])
def test_a_document_is_never_active_where_it_is_opened(key, ending):
    kept = key.post("/v1/documents", files={"file": (f"page.{ending}", f'{{"a": "<script>alert(1)</script> {ending}"}}')})
    if kept.status_code == 202:
        headers = key.get(f"/files/{kept.json()['id']}").headers
        assert headers["content-type"].split(";")[0] in ("text/plain", "application/octet-stream")
        assert "sandbox" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name, kind", [("evil.html", "text/html"), ("evil.svg", "image/svg+xml"), ("evil.js", "text/javascript"), ("evil.md", "text/html")])
def test_an_upload_is_never_active_where_gradio_serves_it(browser, name, kind):
    path = browser.post("/gradio_api/upload", files={"files": (name, b"<script>alert(1)</script>", kind)}).json()[0]
    answer = browser.get(f"/gradio_api/file={path}", headers={"Accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and "sandbox" in policy and "sha256" not in policy and answer.headers["x-content-type-options"] == "nosniff"


# Errors

BROKEN = [
    ("GET", "/v1/conversations/%00", None),
    ("GET", "/v1/conversations/'%20OR%201=1--", None),
    ("GET", "/v1/search?q=%00", None),
    ("GET", '/v1/search?q="*)(NEAR/', None),
    ("GET", "/v1/search?q=a&limit=99999999999999999999999", None),
    ("GET", "/files/..%2f..%2fetc%2fpasswd", None),
    ("GET", "/files/%ff%fe", None),
    ("GET", "/gradio_api/file=/etc/passwd", None),
    ("GET", "/gradio_api/file=http://127.0.0.1:9/", None),
    ("GET", "/static/../../../../etc/passwd", None),
    ("GET", "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd", None),
    ("GET", "/assets/..%5c..%5cx", None),
    ("GET", "/link/%0d%0aSet-Cookie:x", None),
    ("POST", "/v1/conversations", b"[1"),
    ("POST", "/v1/conversations", b'{"title": "\\ud800"}'),
    ("POST", "/v1/conversations", b'{"title": 1e999}'),
    ("POST", "/v1/keys", b'{"name": {"$ne": 1}}'),
    ("POST", "/v1/documents", b"no form"),
    ("POST", "/v1/chat/completions", b'{"model": "mai-sale", "messages": [{"role": "user", "content": {"x": 1}}]}'),
    ("POST", "/v1/embeddings", b'{"input": [[1, "x"]]}'),
    ("POST", "/mcp", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ask", "arguments": {"question": 5}}}'),
    ("POST", "/mcp", b'{"jsonrpc": "9", "id": {}, "method": 5}'),
    ("POST", "/mcp", b"nonsense"),
    ("POST", "/gradio_api/call/ask", b'{"data": [{"a": 1}, 5, "x", {}]}'),
    ("POST", "/gradio_api/run/predict", b'{"fn_index": 3, "data": [{}, [], {}, 1]}'),
    ("POST", "/gradio_api/queue/join", b'{"fn_index": 1e99, "data": []}'),
    ("POST", "/gradio_api/upload", b"no form"),
]


@pytest.mark.parametrize("method, path, body", BROKEN)
def test_broken_input_is_refused_without_the_inside(key, method, path, body):
    kind = "multipart/form-data; boundary=x" if "upload" in path or path.endswith("documents") else "application/json"
    answer = key.request(method, path, content=body, headers={"Content-Type": kind, **MCP_ACCEPT})
    assert answer.status_code < 500, answer.text
    assert not INSIDE.search(answer.text) or path.startswith("/static"), answer.text


def test_a_fault_of_our_own_has_an_incident_that_the_log_explains(tmp_path):
    with RunningApp(tmp_path, WORKERS="0") as app:
        key = httpx.Client(base_url=app.url, headers={"X-API-Key": ADMIN_KEY}, timeout=30)
        talk = key.post("/v1/conversations", json={}).json()["id"]
        with sqlite3.connect(app.folder / "data" / "sqlite.db", timeout=30) as db:  # somebody's hands in the database
            db.execute("ALTER TABLE messages RENAME TO gone")
        for path in (f"/v1/conversations/{talk}/messages", f"/v1/conversations/{talk}/export", f"/v1/conversations/{talk}"):
            answer = key.get(path)
            assert answer.status_code >= 400 and not INSIDE.search(answer.text), answer.text
            if answer.status_code == 500:
                found = re.search(r"incident ([0-9a-f]{8})", answer.json()["error"])[1]
                assert f"incident {found}" in app.log.read_text() and "content-security-policy" in answer.headers
                break
        else:
            raise AssertionError("nothing broke")


# Files that grow


def zipped(**entries):
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name.replace("__", "/"), data)
    return made.getvalue()


@pytest.mark.parametrize("ending", ["docx", "xlsx", "pptx"])
def test_an_archive_that_grows_ends_in_words_and_the_next_file_is_read(key, ending):
    bomb = zipped(**{"word__document.xml": b" " * 60_000_000, "nested.zip": zipped(a=b"0" * 1_000_000)})
    assert len(bomb) < 1_000_000
    kept = document(key, f"bomb.{ending}", bomb)
    good = document(key, f"good-{ending}.md", f"# Good\n\nAfter the bomb of {ending}.")
    ends = time.monotonic() + 60
    while not all(key.get(f"/v1/documents/{one['id']}").json()["ended"] for one in (kept, good)) and time.monotonic() < ends:
        time.sleep(0.2)
    told = key.get(f"/v1/documents/{kept['id']}").json()
    assert told["stage"] == "failed" and "unpacks to" in told["cause"] and not INSIDE.search(told["cause"])
    assert key.get(f"/v1/documents/{good['id']}").json()["searchable"]


def test_exports_carry_no_tag(key):
    talk = key.post("/v1/conversations", json={"title": "<script>alert(1)</script>"}).json()["id"]
    text = key.get(f"/v1/conversations/{talk}/export", params={"format": "markdown"}).text
    whole = key.get(f"/v1/conversations/{talk}/export", params={"format": "json"})
    assert "<script" not in text and "&lt;script" in text
    assert json.loads(whole.text) and whole.headers["content-type"].startswith("application/json")
