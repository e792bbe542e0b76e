"""The door of /metrics: a key of its own, which opens nothing else."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from conftest import LINH
from maisale.access import gate
from maisale.access.limits import Limits
from maisale.api import metrics
from maisale.ops.metrics import exposition
from maisale.store import documents, jobs, ledger

KEY = "a-key-that-prometheus-has"


class NoFunctions:
    """A surface without anything on it."""


def client(services, key):
    app = FastAPI()
    opened = replace_settings(services, metrics_key=key)
    app.include_router(metrics.router(lambda: SimpleNamespace(services=opened)))
    limits = Limits(5)
    app.add_middleware(gate.Gate, accounts=lambda: services.db, limits=lambda: limits, surface=NoFunctions())
    return TestClient(app)


def replace_settings(services, **changes):
    services.settings = replace(services.settings, **changes)
    return services


def values(services):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(exposition(services).decode())
        for sample in family.samples
    }


def test_without_a_key_of_its_own_the_route_does_not_exist(services):
    http = client(services, "")
    assert {http.get("/metrics", headers=sent).status_code for sent in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {KEY}"})} == {404}


REFUSED = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": f"Bearer {KEY}x"},
    {"Authorization": f"Bearer {KEY[:-1]}"},
    {"Authorization": f"Basic {KEY}"},
    {"Authorization": KEY},
    {"X-API-Key": KEY},
    {"Authorization": "Bearer khoá".encode()},
]


@pytest.mark.parametrize("sent", REFUSED)
def test_anything_but_its_key_is_refused(services, sent):
    answer = client(services, KEY).get("/metrics", headers=sent)
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer") and "maisale_" not in answer.text


def test_its_key_opens_it_by_get_alone(services):
    http = client(services, KEY)
    answer = http.get("/metrics", headers={"Authorization": f"bearer {KEY}"})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert http.post("/metrics", headers={"Authorization": f"Bearer {KEY}"}).status_code == 401


def test_guesses_are_slowed_down_and_the_right_key_is_not(services):
    http = client(services, KEY)
    began = time.monotonic()
    while http.get("/metrics", headers={"Authorization": "Bearer wrong-wrong-wrong"}).elapsed.total_seconds() < 0.1:
        assert time.monotonic() - began < 30
    began = time.monotonic()
    assert http.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_jobs_are_counted_by_lane_and_the_oldest_one_tells_its_age(services):
    for lane in ("people", "bulk", "bulk"):
        services.db.write(lambda tx, lane=lane: jobs.add(tx, "t", "embed_message", "m", lane))
    services.db.write(lambda tx: tx.execute("UPDATE jobs SET created_at = created_at - 100 WHERE lane = 'people'"))
    services.db.write(lambda tx: jobs.add(tx, "t", "embed_message", "dead"))
    services.db.write(lambda tx: tx.execute("UPDATE jobs SET state = 'dead' WHERE subject_id = 'dead'"))
    found = values(services)
    assert (found["maisale_jobs_waiting", "people"], found["maisale_jobs_waiting", "bulk"], found["maisale_dead_letters",]) == (1, 2, 1)
    assert 100 <= found["maisale_jobs_oldest_seconds", "people"] < 200 and found["maisale_jobs_oldest_seconds", "bulk"] < 100


def test_a_job_that_waits_for_its_time_is_not_late(services):
    services.db.write(lambda tx: jobs.add(tx, "t", "embed_message", "m"))
    services.db.write(lambda tx: tx.execute("UPDATE jobs SET next_at = next_at + 60, created_at = created_at - 500"))
    found = values(services)
    assert (found["maisale_jobs_waiting", "people"], found["maisale_jobs_oldest_seconds", "people"]) == (1, 0)


def test_each_stage_tells_how_long_documents_took_to_it(services):
    def rows(tx):
        place = documents.collection_named(tx, LINH, "Knowledge")
        for name, took_s in (("a", 2.0), ("b", 4.0)):
            documents.receive_document(tx, LINH, place, document_id=name, title=name, source=name, media_type="", size=1, content_hash="")
            tx.execute("DELETE FROM stages WHERE document_id = :id", id=name)
            for stage, at in (("received", 0.0), ("read", took_s), ("chunked", took_s)):
                ledger.note(tx, name, stage, reached_at=time.time() - 60 + at)

    services.db.write(rows)
    found = values(services)
    assert found["maisale_stage_documents_last_hour", "read"] == 2
    assert found["maisale_stage_mean_seconds_last_hour", "read"] == pytest.approx(3, abs=0.1)
    assert found["maisale_stage_longest_seconds_last_hour", "read"] == pytest.approx(4, abs=0.1)
    assert ("maisale_stage_documents_last_hour", "received") not in found
