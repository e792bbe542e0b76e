"""The isolation probe against the real server, from outside."""

import asyncio
import json
from types import SimpleNamespace

import httpx
import pytest
from running import ADMIN_KEY, RunningApp

from fake_ollama import FakeOllama
from maisale.api.listing import everything
from maisale.ops import probe as probing
from maisale.ops.probe import Report, probe
from maisale.ops.probe_calls import Call, expected
from maisale.ops.probe_table import CALLS, calls_of
from maisale.ops.probe_wire import Caller

ADMIN = {"X-API-Key": ADMIN_KEY}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """With a model that writes for minutes when it is asked to, so that an answer is being written while others call."""
    with FakeOllama(("gpt-oss",), answer=at_length, token_delay_s=0.05) as ollama:
        ollama.models["gpt-oss:latest"].slot = asyncio.Semaphore(50)
        with RunningApp(tmp_path_factory.mktemp("probe"), ollama.url, GENERATE_CONCURRENCY="50") as running:
            yield running


def at_length(messages) -> str:
    return " ".join(["It opens the door [1]."] * 4000) if "at length" in messages[-1]["content"] else "It is so [1]."


@pytest.mark.timeout(300)
def test_nobody_sees_anothers_things(app):
    ran = app.command("probe", app.url, "--json", timeout=280)
    report = json.loads(ran.stdout)
    assert report["findings"] == [] and ran.returncode == 0, ran.stderr
    assert report["notes"] == []
    called = {one["route"] for one in report["counts"]}
    listed = httpx.get(f"{app.url}/v1/routes", headers=ADMIN).json()
    assert called >= {f"{one['method']} {one['path']}" for one in listed["routes"]} | {f"fn {one['name']}" for one in listed["functions"]}


def test_the_probe_leaves_nobody_behind(app):
    assert not probe(app.url, ADMIN_KEY, "^GET /v1/me$").findings
    assert {one["name"] for one in httpx.get(f"{app.url}/v1/tenants", headers=ADMIN).json()} == {"default"}


def test_the_table_is_printed_with_its_sums(app):
    ran = app.command("probe", app.url, "--only", "^GET /v1/conversations$")
    lines = ran.stdout.splitlines()
    assert lines[0].split()[:3] == ["anonymous", "expired", "revoked"]
    assert any(line.startswith("GET /v1/conversations") for line in lines) and any(line.startswith("all ") for line in lines)
    assert "0 findings" in lines[-1]


@pytest.mark.parametrize("only", ["^GET /v1/new$", "^fn new_function$"])
def test_what_the_table_does_not_know_is_a_finding(only):
    report, one = Report(), probing.Probe("http://127.0.0.1:9", ADMIN_KEY)
    one._routes, one._functions = [("GET", "/v1/new"), ("GET", "/v1/me")], [probing.Function(0, "new_function", True, ())]
    one._unknown(report, only)
    assert [(found.route, "table does not" in found.seen) for found in report.findings] == [(only[1:-1], True)]


def test_a_server_with_another_admin_key_is_not_probed(app):
    ran = app.command("probe", app.url.replace("127.0.0.1", "localhost"), "--only", "^$")
    assert ran.returncode == 0, ran.stderr
    app.settings["X_API_KEY_ADMIN"] = "another key of sufficient length"
    ran = app.command("probe", app.url)
    app.settings["X_API_KEY_ADMIN"] = ADMIN_KEY
    assert ran.returncode == 1 and "X_API_KEY_ADMIN has to be the server's own" in ran.stderr


def test_no_route_is_listed_for_anybody_but_the_instances_admin(app):
    assert httpx.get(f"{app.url}/v1/routes").status_code == 401
    listed = httpx.get(f"{app.url}/v1/routes", headers=ADMIN).json()
    paths = {(one["method"], one["path"]) for one in listed["routes"]}
    assert {("GET", "/v1/routes"), ("GET", "/files/{document_id}"), ("POST", "/gradio_api/queue/join"), ("POST", "/login")} <= paths
    assert {"ask": True, "rail_acts": False}.items() <= {one["name"]: one["public"] for one in listed["functions"]}.items()


def test_a_mount_that_cannot_be_looked_into_is_listed_itself():
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route, WebSocketRoute

    async def answer(*_):
        pass

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/dark", answer)
    app.mount("/inner", Starlette(routes=[Route("/x", answer, methods=["PUT"]), Mount("/deep", Starlette(routes=[WebSocketRoute("/w", answer)]))]))
    found = everything(app, SimpleNamespace(fns={})).routes
    assert set(found) == {("ANY", "/dark"), ("PUT", "/inner/x"), ("WEBSOCKET", "/inner/deep/w")}


def test_every_line_of_the_table_is_refused_to_nobody_unless_it_is_open():
    nobody = Caller("anonymous", "dead")
    closed = [call for call in CALLS if call.needs != "open"]
    assert len(closed) > 100 and {expected(call, nobody) for call in closed} == {401}


def test_a_slash_at_the_end_is_the_same_route():
    assert calls_of("POST", "/gradio_api/reset/") == calls_of("POST", "/gradio_api/reset")
    assert isinstance(calls_of("POST", "/login/")[0], Call) and calls_of("POST", "/login/")[0].needs == "anyone"
    assert calls_of("GET", "/v1/nothing") == []
