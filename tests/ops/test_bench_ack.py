"""`bench ack` with a few people, as people run it: on an instance of its own and on a running one. How fast is not asked here."""

import json
import sqlite3

import pytest
from running import ADMIN_KEY, HELP, RunningApp

from maisale.cli import main

FEW = ("bench", "ack", "--users", "20", "--seconds", "3", "--rounds", "3", "--json")


def run(capsys, *words):
    code = main(words)
    out, err = capsys.readouterr()
    return code, out.strip(), err.strip()


def test_a_crowd_is_acknowledged_and_answered(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "untouched"))
    code, out, err = run(capsys, *FEW)
    found = json.loads(out.splitlines()[-1])
    assert (code, found["errors"], found["lost"]) == (0, 0, 0)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["max_ms"] and found["per_second"] > 0
    assert found["loads"]["burst"]["accepted"] == 60 and found["loads"]["thinking"]["accepted"] >= 20
    assert "RATE_LIMIT is 1000" in err and not (tmp_path / "untouched").exists()


@pytest.mark.long
def test_a_running_instance_is_measured_and_left_as_it_was(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("X_API_KEY_ADMIN", ADMIN_KEY)
    with RunningApp(tmp_path, KNOWLEDGE_DIR=HELP) as app:
        app.wait_until_indexed()
        code, out, _ = run(capsys, "bench", "ack", "--users", "3", "--seconds", "1", "--rounds", "2", "--url", app.url)
        db = sqlite3.connect(tmp_path / "data" / "sqlite.db", timeout=30)
        left = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("tenants", "users", "conversations", "messages")]
        db.close()
    assert code == 0 and json.loads(out.splitlines()[-1])["loads"]["burst"]["accepted"] == 6
    assert left == [1, 1, 0, 0]


def test_what_cannot_be_measured_is_said_in_a_sentence(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("X_API_KEY_ADMIN", raising=False)
    for words, sentence in (((), "set X_API_KEY_ADMIN"), ((ADMIN_KEY,), "does not answer")):
        if words:
            monkeypatch.setenv("X_API_KEY_ADMIN", *words)
        code, out, err = run(capsys, *FEW, "--url", "http://127.0.0.1:9")
        assert code == 1 and not out and sentence in err and len(err.splitlines()) == 1


def test_the_address_is_checked_before_anything_is_sent(capsys, monkeypatch):
    monkeypatch.setenv("X_API_KEY_ADMIN", ADMIN_KEY)
    code, _, err = run(capsys, *FEW, "--url", "localhost:7860")
    assert code == 1 and "looks like http://127.0.0.1:7860" in err
