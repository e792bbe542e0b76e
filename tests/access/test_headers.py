"""What every answer bears, and what is taken from a request before Gradio believes it."""

import asyncio
import gzip
import hashlib
from base64 import b64encode

import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

from maisale.access.headers import SPACES, SecurityHeaders
from maisale.config import Settings
from maisale.errors import Overloaded

FORWARDED = [(b"x-forwarded-host", b"evil.example"), (b"x-gradio-server", b"http://evil.example"), (b"x-forwarded-proto", b"https")]


def answered(response, settings=None, path="/", scheme="http", headers=()):
    """(status, headers, body, the request's headers as the application saw them)."""
    sent, seen = [], []

    async def app(scope, receive, send):
        seen.extend(scope["headers"])
        await response(scope, receive, send)

    async def receive():
        await asyncio.Event().wait()  # nothing more comes, and the caller stays

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "scheme": scheme, "query_string": b"", "headers": list(headers)}
    asyncio.run(SecurityHeaders(app, lambda: settings or Settings())(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert len(found) == len(sent[0]["headers"]), "a header came twice"
    return sent[0]["status"], found, b"".join(message["body"] for message in sent[1:]), seen


def hashed(text):
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def two_parts():
    yield b"data: 1\n\n"
    yield b"data: 2\n\n"


KINDS = {
    "json": lambda: JSONResponse({"a": 1}),
    "refusal": lambda: JSONResponse({"error": "no"}, 404),
    "words": lambda: PlainTextResponse("no", 500),
    "file": lambda: Response(b"x", media_type="application/octet-stream"),
    "pdf": lambda: Response(b"%PDF", media_type="application/pdf"),
    "stream": lambda: StreamingResponse(two_parts(), media_type="text/event-stream"),
    "page": lambda: HTMLResponse("<html><style>a{}</style><p>x"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_bears_the_headers(kind):
    _, found, _, _ = answered(KINDS[kind]())
    assert found["x-content-type-options"] == "nosniff" and found["referrer-policy"] == "same-origin"
    assert found["cross-origin-opener-policy"] == found["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in found["permissions-policy"] and found["cache-control"] == "private, no-store"
    assert "frame-ancestors 'none'" in found["content-security-policy"] and "strict-transport-security" not in found


def test_a_stream_is_passed_on_as_it_comes():
    _, _, body, _ = answered(KINDS["stream"]())
    assert body == b"data: 1\n\ndata: 2\n\n"


def test_nothing_loads_or_runs_in_an_answer_that_is_no_page_of_ours():
    policy = answered(KINDS["file"]())[1]["content-security-policy"].split("; ")
    assert {"default-src 'none'", "sandbox", "base-uri 'none'", "form-action 'none'"} <= set(policy)


def test_a_page_runs_its_own_scripts_and_no_other():
    page = "<script src=/a.js></script><script>own()</script><style>a{}</style><script type=module>more()</script >"
    policy = answered(HTMLResponse(page))[1]["content-security-policy"]
    assert f"script-src 'self' {hashed('own()')} {hashed('more()')};" in policy
    assert "'unsafe-eval'" not in policy and "http" not in policy and "object-src 'none'" in policy


def test_the_scripts_of_somebodys_file_do_not_run():
    policy = answered(HTMLResponse("<script>theirs()</script>window.gradio_config"), path="/gradio_api/file=/tmp/x/evil.html")[1]["content-security-policy"]
    assert "script-src" not in policy and "sandbox" in policy and "default-src 'none'" in policy


def test_gradios_page_may_compile_its_components():
    policy = answered(HTMLResponse("<script>window.gradio_config = {};</script>"))[1]["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; script-src 'self' 'unsafe-eval' {hashed('window.gradio_config = {};')};")


def test_a_large_page_is_packed_after_its_scripts_are_known():
    page = "<script>own()</script>" + "x" * 30_000
    asks = [(b"accept", b"text/html,*/*"), (b"accept-encoding", b"gzip, br")]
    _, found, body, seen = answered(HTMLResponse(page), headers=asks)
    assert gzip.decompress(body).decode() == page and int(found["content-length"]) == len(body) < 1000
    assert found["content-encoding"] == "gzip" and hashed("own()") in found["content-security-policy"] and seen == asks[:1]


def test_a_page_without_a_script_runs_none():
    policy = answered(HTMLResponse("<html><style>a{}</style>"))[1]["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src {hashed('a{}')}; ") and "script-src" not in policy


def test_a_space_may_be_framed_by_its_host_alone():
    _, found, _, _ = answered(HTMLResponse("x"), Settings(on_space=True))
    assert found["content-security-policy"].endswith(f"frame-ancestors {SPACES}") and found["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("settings, scheme", [(Settings(), "https"), (Settings(public_url="https://chat.example"), "http")])
def test_https_is_kept_to_where_it_is_spoken(settings, scheme):
    assert answered(KINDS["json"](), settings, scheme=scheme)[1]["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("path", ["/assets/index.js", "/static/fonts/a.woff2", "/theme.css", "/gradio_api/theme.css", "/manifest.json"])
def test_what_is_the_same_for_everybody_may_be_kept_by_the_browser(path):
    assert "cache-control" not in answered(KINDS["file"](), path=path)[1]


def test_an_answers_own_word_about_its_keeping_stays():
    assert answered(JSONResponse({}, headers={"Cache-Control": "no-store"}))[1]["cache-control"] == "no-store"


def test_nobody_makes_gradio_believe_in_another_address():
    _, _, _, seen = answered(KINDS["json"](), headers=[(b"host", b"here"), *FORWARDED])
    assert seen == [(b"host", b"here")]


def test_the_proxy_of_a_space_is_believed():
    _, _, _, seen = answered(KINDS["json"](), Settings(on_space=True), headers=FORWARDED)
    assert seen == FORWARDED


def test_before_the_start_an_answer_is_as_closed_as_any():
    def starting():
        raise Overloaded("starting")

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "query_string": b"", "headers": []}
    asyncio.run(SecurityHeaders(JSONResponse({}, 503), starting)(scope, None, send))
    assert b"frame-ancestors 'none'" in dict(sent[0]["headers"])[b"content-security-policy"]
