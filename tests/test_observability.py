"""A running instance with metrics, logs as JSON and spans: what an operator sees of it, and that none of it holds what people wrote, or a key."""

import json
import re
from pathlib import Path

import httpx
import pytest
from fake_collector import FakeCollector
from gradio_client import Client
from prometheus_client.parser import text_string_to_metric_families
from running import ADMIN_KEY, RunningApp
from test_no_traces import NOTHING_WAITS, PLANTED, SAYS, ask, held, wait_for

from fake_ollama import FakeOllama

METRICS_KEY = "a-key-for-prometheus-alone"
TOKEN = "Basic dGhlLWNvbGxlY3Rvcg"
OURS = "d644638eca1c47ba9a72c9a423c41c39"  # the id of a request that its proxy gave
DASHBOARD = Path(__file__).parents[1] / "maisale" / "ops" / "grafana.json"
NAMES = re.compile(r"\b(?:maisale|process)_[a-z_]+")
LABELS = {"door", "state", "lane", "stage", "le"}
ATTRIBUTES = {
    "http.request.method", "http.response.status_code", "maisale.door", "maisale.request_id", "maisale.model", "maisale.kind", "maisale.lane",
    "maisale.jobs", "maisale.attempt",
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """(metrics, log, collector) of an instance that was asked, given documents and met failures, all with planted identifiers."""
    folder = tmp_path_factory.mktemp("observed")
    told = {"METRICS_KEY": METRICS_KEY, "LOG_FORMAT": "json", "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization={TOKEN.replace(' ', '%20')}"}
    with FakeCollector(TOKEN) as collector, FakeOllama() as ollama:
        told["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        with RunningApp(folder, ollama=ollama.url, KNOWLEDGE_DIR=str(folder / "knowledge"), **told) as app:
            http = httpx.Client(base_url=app.url, headers={"X-API-Key": ADMIN_KEY}, timeout=60)
            lines = "\n\n".join(SAYS[kind].format(what) for kind, what in PLANTED)
            assert http.post("/v1/documents", files={"file": ("notes.md", f"# Notes\n\n{lines}\n".encode())}).status_code == 202
            wait_for(folder, NOTHING_WAITS, 0)
            kind, what = PLANTED[0]
            http.get(f"/v1/replies/{ask(http, f'{SAYS[kind].format(what)} là của ai?')}/events")
            Client(app.url, headers={"X-API-Key": ADMIN_KEY}, verbose=False).predict(f"{what} thuộc về ai?", api_name="/ask")
            ollama.fail_next("chat", status=500, error=f"the prompt holds {what}")
            talk = http.post("/v1/conversations", json={}).json()["id"]
            sent = {"json": {"text": f"Ai có số {PLANTED[1][1]}?"}, "headers": {"X-Request-Id": OURS}}
            answer = http.post(f"/v1/conversations/{talk}/messages", **sent)
            assert answer.headers["x-request-id"] == OURS
            http.get(f"/v1/replies/{answer.json()['reply_id']}/events")
            for _, what in PLANTED[:10]:
                assert what not in http.get("/v1/search", params={"q": what}, headers={"X-Request-Id": what.encode()}).headers["x-request-id"]
            wait_for(folder, NOTHING_WAITS, 0)
            collector.wait_for("request", "reply", "decide", "recall", "search_knowledge", "rank", "judge", "model", "job")
            metrics = httpx.get(f"{app.url}/metrics", headers={"Authorization": f"Bearer {METRICS_KEY}"})
            for sent in ({"X-API-Key": ADMIN_KEY}, {"Authorization": f"Bearer {ADMIN_KEY}"}, {}):
                assert httpx.get(f"{app.url}/metrics", headers=sent).status_code == 401
            assert httpx.get(f"{app.url}/v1/me", headers={"Authorization": f"Bearer {METRICS_KEY}"}).status_code == 401
    return metrics.text, app.log.read_text(), collector


def samples(seen):
    return [sample for family in text_string_to_metric_families(seen[0]) for sample in family.samples]


def test_every_metric_of_the_dashboard_is_exported(seen):
    dashboard = json.loads(DASHBOARD.read_text())
    asked = {name for panel in dashboard["panels"] for target in panel["targets"] for name in NAMES.findall(target["expr"])}
    exported = {sample.name for sample in samples(seen)}
    assert len(asked) > 15 and asked - exported == set()
    assert {name for name in exported if name.startswith("maisale") and not name.endswith(("_sum", "_count"))} - asked == set()


def test_labels_are_doors_states_lanes_and_stages_alone(seen):
    assert {label for sample in samples(seen) for label in sample.labels} == LABELS


def test_what_happened_was_counted(seen):
    found = {(sample.name, *sample.labels.values()): sample.value for sample in samples(seen)}
    assert (found["maisale_ack_seconds_count", "api"], found["maisale_ack_seconds_count", "page"]) == (2, 1)
    assert found["maisale_replies_total", "done"] == 3
    assert found["maisale_retrieval_seconds_count",] >= 3 and found["maisale_first_token_seconds_count",] == 2
    assert found["maisale_documents", "complete"] == 1 and found["maisale_stage_documents_last_hour", "complete"] == 1
    assert found["maisale_worker_up",] == 1 and found["maisale_model_server_up",] == 1
    assert 0 < found["maisale_ack_seconds_sum", "page"] < 60


def test_every_line_of_the_log_is_an_object_and_names_its_request(seen):
    lines = [json.loads(line) for line in seen[1].splitlines() if line.startswith("{")]
    others = [line for line in seen[1].splitlines() if line and not line.startswith("{")]
    assert [line for line in others if not line.startswith("Mai-Sale runs at")] == []
    (failed,) = [line for line in lines if line["logger"] == "maisale.chat.replies"]
    assert failed["request_id"] == OURS and "a quotation instead" in failed["message"] and failed["process"] == "app"


def test_spans_hang_together_from_the_request_to_the_model(seen):
    spans = seen[2].wait_for("request")
    by_id = {span.span_id: span for group in spans.values() for span in group}
    above = {(span.name, by_id[span.parent_span_id].name) for span in by_id.values() if span.parent_span_id}
    steps = {(step, "decide") for step in ("recall", "search_knowledge", "rank", "judge")}
    assert above == {("reply", "request"), ("decide", "reply"), ("model", "reply"), *steps}
    assert {process for process, span in seen[2].spans if span.name == "job"} == {"worker"}
    for span in by_id.values():
        assert span.start_time_unix_nano <= span.end_time_unix_nano
    for step in spans["rank"]:
        decide = by_id[step.parent_span_id]
        assert decide.start_time_unix_nano - 50_000_000 <= step.start_time_unix_nano and step.end_time_unix_nano <= decide.end_time_unix_nano + 1_000_000
    assert seen[2].refused == 0


def test_spans_carry_kinds_and_numbers_and_no_event(seen):
    spans = [span for _, span in seen[2].spans]
    assert {one.key for span in spans for one in span.attributes} == ATTRIBUTES
    assert [event for span in spans for event in span.events] == []
    assert {one.value.string_value for span in spans for one in span.attributes if one.key == "maisale.request_id"} >= {OURS}


@pytest.mark.parametrize("where", ["metrics", "log", "spans"])
def test_neither_identifiers_nor_keys_are_in_any_of_it(seen, where):
    text = {"metrics": seen[0], "log": seen[1], "spans": seen[2].raw.decode("latin-1")}[where]
    assert text and [what for kind, what in PLANTED if held(text, kind, what)] == []
    assert [key for key in (ADMIN_KEY, METRICS_KEY, TOKEN.split()[1], TOKEN) if key in text] == []
