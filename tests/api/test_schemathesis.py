"""Every operation of the OpenAPI document against the real app, with what Schemathesis makes of it: right, wrong and in sequence."""

import json
import subprocess
import sys
from collections import Counter

import httpx
import pytest
from running import ADMIN_KEY, RunningApp

from maisale.access.gate import COOKIE

EXAMPLES = 25  # of each operation in the fuzzing and the stateful phase
BOUND_S = 180  # a run takes about 30
LEFT_OUT = {
    "ignored_auth": "it sends wrong keys, and each is answered later than the one before; the next test asks every operation without a key",
    "positive_data_acceptance": "some rules are in no schema: a name that is taken, one's own role, the instance's first admin",
    "allow_header_conformance": "Starlette's 405 names the methods of one route, not of all routes at this address",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with RunningApp(tmp_path_factory.mktemp("schemathesis"), WORKERS="0", UPLOAD_MB="1") as running:
        yield running


def signed_in(app, **by):
    """The headers of a browser's session: no operation can end it, while a key that is tried out revokes itself."""
    client = httpx.Client(base_url=app.url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=20)
    answer = client.post("/login", data={"key": ADMIN_KEY}) if by["role"] == "admin" else client.post(member_link(app))
    assert answer.status_code == 303
    if by["role"] == "admin":
        assert client.post("/v1/session/fresh", json={"key": ADMIN_KEY}).json()["fresh"]  # deletions are tried too
    return {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}", "Sec-Fetch-Site": "same-origin"}


def member_link(app):
    assert app.command("users", "add", "linh", "--tenant", "sales").returncode == 0
    return app.command("link", "--user", "linh", "--tenant", "sales").stdout.split()[-1].removeprefix(app.url)


def run(app, headers, folder):
    """(what the run printed, what each of its scenarios recorded)"""
    report = folder / "report.ndjson"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{app.url}/v1/openapi.json", "--exclude-checks", ",".join(LEFT_OUT)]
    command += ["--generation-deterministic", "--max-examples", str(EXAMPLES), "--no-shrink"]
    command += ["--request-timeout", "10", "--report-ndjson-path", str(report), "--no-color", "--output-sanitize", "false"]
    command += ["--generation-with-security-parameters", "false"]  # else it makes up keys, and each wrong one is answered later
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BOUND_S)
    assert report.exists(), ran.stdout + ran.stderr
    events = [json.loads(line).get("ScenarioFinished", {}) for line in report.read_text("utf-8").splitlines()]
    return ran.stdout + ran.stderr, [event["recorder"] for event in events if "interactions" in event.get("recorder", {})]


def failures(scenarios):
    for scenario in scenarios:
        for case, checks in scenario["checks"].items():
            request, response = scenario["interactions"][case]["request"], scenario["interactions"][case]["response"] or {}
            for check in checks:
                if check["status"] != "success":
                    yield f"{check['name']}: {request['method']} {request['uri']} {request.get('body')} -> {response.get('status_code')}"


@pytest.mark.timeout(2 * BOUND_S)
@pytest.mark.parametrize("role", [pytest.param("member", marks=pytest.mark.long), "admin"])
def test_every_operation_keeps_to_its_document(app, tmp_path, role):
    headers = signed_in(app, role=role)
    printed, scenarios = run(app, headers, tmp_path)
    interactions = [one for scenario in scenarios for one in scenario["interactions"].values()]
    statuses = Counter(one["response"]["status_code"] if one["response"] else None for one in interactions)
    document = httpx.get(f"{app.url}/v1/openapi.json", headers=headers).json()
    operations = sum(len(methods) for methods in document["paths"].values())
    print(f"{role}: {operations} operations, {len(interactions)} examples, {dict(sorted(statuses.items(), key=str))}")
    assert list(failures(scenarios)) == [], printed[-3000:]
    assert f"{operations} selected / {operations} total" in printed, printed[-3000:]
    assert f"{len(interactions)} generated, {len(interactions)} passed" in printed, printed[-3000:]
    assert len(interactions) > 20 * operations and None not in statuses
    assert {200, 201, 202, 404, 422} <= set(statuses)
    assert httpx.get(f"{app.url}/v1/me", headers=headers).status_code == 200  # the session held to the end


def test_no_operation_answers_without_a_key(app):
    document = httpx.get(f"{app.url}/v1/openapi.json", headers={"X-API-Key": ADMIN_KEY}).json()
    for path, methods in document["paths"].items():
        for method in methods:
            answer = httpx.request(method, f"{app.url}/v1{path.format_map(Counter())}")
            refused = answer.json()["error"] if "openai" in methods[method]["tags"] else answer.json()
            shape = {"message", "type", "param", "code"} if "openai" in methods[method]["tags"] else {"error", "detail", "kind"}
            assert answer.status_code == 401 and set(refused) == shape, (method, path)


def test_nothing_of_it_left_a_traceback_in_the_log(app):
    assert "Traceback" not in app.log.read_text()
