"""The page that says how an instance is."""

import py_compile
import sys
from dataclasses import replace

import gradio
import pytest
from authority import Authority
from desk import Desk
from redis_server import RedisServer

from fake_ollama import FakeOllama
from maisale.library.deletion import remove_document
from maisale.ops import doctor
from maisale.services import open_services
from maisale.store import jobs


def said(services):
    return {one.about: one for one in doctor.examine(services)}


def test_a_resting_folder_has_nothing_wrong(services):
    found = said(services)
    assert not [one for one in found.values() if one.state == doctor.WRONG]
    assert found["App"].words == "does not run" and "python app.py" in found["App"].todo


def test_a_start_that_compiles_all_of_gradio_each_time_is_to_be_looked_at(services, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    found = said(services)["Start"]
    assert found.state == doctor.LOOK and "PYTHONDONTWRITEBYTECODE" in found.todo and "compileall" in found.todo
    py_compile.compile(gradio.__file__)
    assert "Start" not in said(services)


def test_a_running_app_is_seen(services, settings):
    app = open_services(settings, "app")
    try:
        assert said(services)["App"].state == doctor.OK
        assert said(services)["Worker"].state == doctor.WRONG
    finally:
        app.close()


def test_a_redis_that_does_not_answer_is_said_and_one_that_does(settings):
    with RedisServer() as server:
        opened = open_services(replace(settings, redis_url=server.url), "cli")
        assert said(opened)["Redis"].state == doctor.OK
        opened.close()
    opened = open_services(replace(settings, redis_url=server.url), "cli")
    found = said(opened)["Redis"]
    assert found.state == doctor.WRONG and "Redis does not answer" in found.words and "REDIS_URL" in found.todo
    opened.close()


def test_failed_documents_and_given_up_jobs_are_named_with_their_cause(services, tmp_path):
    desk = Desk(services, tmp_path)
    document = desk.add("torn.pdf", "%PDF-1.4 torn")
    services.db.write(lambda tx: jobs.add(tx, "t", "embed_document", document))
    services.db.write(lambda tx: tx.execute("UPDATE jobs SET state = 'dead', cause = 'bge-m3 refused it' WHERE state = 'pending'"))
    found = said(services)
    assert "torn.pdf is cut off" in found["Failed"].words
    assert found["Given up"].state == doctor.WRONG and "bge-m3 refused it" in found["Given up"].words


def test_a_deletion_that_is_overdue_is_wrong(services, tmp_path):
    desk = Desk(services, tmp_path)
    assert "Deletions" not in said(services)
    remove_document(services, desk.user.scope, desk.add("note.md", "The filter lasts six months."))
    assert said(services)["Deletions"].state == doctor.OK
    services.db.write(lambda tx: tx.execute("UPDATE erasures SET asked_at = asked_at - 90000"))
    assert said(services)["Deletions"].state == doctor.WRONG


def test_without_a_model_server_it_says_what_to_start(services):
    found = said(services)
    assert "ollama serve" in found["Ollama"].todo and found["Ollama"].state == found["Answers"].state == doctor.LOOK


def test_every_model_server_is_named_with_its_state(settings):
    with FakeOllama(("bge-m3",)) as reading:
        opened = open_services(replace(settings, ollama_urls=(reading.url, "http://127.0.0.1:9")), "cli")
        found = [one for one in doctor.examine(opened) if one.about in ("Ollama", "Models")]
        opened.close()
    assert [one.state for one in found] == [doctor.OK, doctor.LOOK, doctor.LOOK]
    assert [one.words for one in found] == [
        f"{reading.url} answers with bge-m3",
        "Ollama at http://127.0.0.1:9 cannot be reached",
        "gpt-oss is on no server that answers",
    ]


ADDRESSES = [("0.0.0.0", "", doctor.LOOK), ("0.0.0.0", "https://chat.example", doctor.OK), ("127.0.0.1", "", doctor.OK)]


@pytest.mark.parametrize(("host", "public", "state"), ADDRESSES)
def test_an_open_address_without_encryption_is_to_be_looked_at(services, host, public, state):
    object.__setattr__(services.settings, "host", host)
    object.__setattr__(services.settings, "public_url", public)
    assert said(services)["Address"].state == state


ENDS = [(90, doctor.OK, "ends in 90 days"), (5, doctor.LOOK, "ends in 5 days"), (-1, doctor.WRONG, "out of date")]


@pytest.mark.parametrize(("days", "state", "words"), ENDS)
def test_a_certificate_is_to_be_renewed_in_time(services, tmp_path, days, state, words):
    assert "Certificate" not in said(services)
    cert, key = Authority(tmp_path).sign("app", days=days)
    for name, value in {"tls_cert": cert, "tls_key": key, "host": "0.0.0.0"}.items():
        object.__setattr__(services.settings, name, value)
    found = said(services)
    assert (found["Certificate"].state, found["Certificate"].words, found["Address"].state) == (state, words, doctor.OK)


def test_it_says_what_leaves_the_machine(services):
    assert said(services)["Leaves this machine"].words == "nothing"
    object.__setattr__(services.settings, "ollama_urls", ("http://gpu.lan:11434",))
    assert said(services)["Leaves this machine"].words == "questions and documents, to gpu.lan"
