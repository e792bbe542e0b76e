"""Several Ollama servers as one: what each has settles what it is asked for, and one that goes away is stood in for."""

import threading
from dataclasses import replace

import pytest

from fake_ollama import FakeOllama
from maisale.errors import ModelUnavailable
from tests.backends.test_ollama import answer, until, watched

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def both():
    with FakeOllama() as server:
        yield server


@pytest.fixture
def writer():
    with FakeOllama(("gpt-oss",)) as server:
        yield server


@pytest.fixture
def reader():
    with FakeOllama(("bge-m3",)) as server:
        yield server


def urls(models):
    return [model.url for model in models]


def embed(server, text="a b"):
    return server.embedder().vectors([text])


def ask(server, text="a b"):
    return server.embedder().query_vector([(text, 1.0)], {}.get)


def test_what_each_has_is_learned_and_nothing_is_missing_that_another_has(writer, reader):
    with watched(writer, reader) as server:
        until(lambda: server.status.generation and server.status.embedding)
        assert (server.status.missing, server.status.cause, server.status.url) == ((), "", writer.url)
        assert [(one.generation, one.embedding) for one in server.status.servers] == [("gpt-oss", None), (None, "bge-m3")]
        assert urls(server.chat_models()) == [writer.url]
        embed(server), ask(server)
    assert not writer.asked("embed") and len(reader.asked("embed")) == 2


def test_vectors_are_made_where_no_answers_are_written(both, reader):
    with watched(both, reader) as server:
        until(lambda: all(one.reachable for one in server.status.servers))
        embed(server), ask(server)
        assert not both.asked("embed")
        reader.stop()
        embed(server), ask(server)
        assert len(both.asked("embed")) == 2


def test_answers_are_written_best_where_no_vectors_are_made(both, writer):
    with watched(both, writer) as server:
        until(lambda: len(server.chat_models()) == 2)
        assert urls(server.chat_models()) == [writer.url, both.url]


def test_no_question_waits_behind_documents(reader):
    # So slow that all are under way at once, however the threads are started.
    with FakeOllama(("bge-m3",), embed_s=0.5) as second, FakeOllama(("bge-m3",), embed_s=0.5) as third, watched(reader, second, third) as server:
        until(lambda: all(one.embedding for one in server.status.servers))
        bulk = [threading.Thread(target=embed, args=(server, f"bulk {number}")) for number in range(8)]
        for thread in bulk:
            thread.start()
        ask(server, "question")
        for thread in bulk:
            thread.join()
        assert [body["input"] for body in reader.asked("embed")] == [["question"]]
        shares = sorted(len(one.asked("embed")) for one in (second, third))
        assert sum(shares) == 8 and shares[0] >= 3


def test_a_server_that_goes_is_noticed_and_one_that_comes_back_too(both):
    with FakeOllama() as other, watched(both, other) as server:
        until(lambda: len(server.chat_models()) == 2)
        embedder, since = server.embedder(), server.status.well_since
        both.stop()
        until(lambda: urls(server.chat_models()) == [other.url])
        assert server.status.reachable and server.status.url == other.url and both.url in server.status.cause
        both.start()
        until(lambda: len(server.chat_models()) == 2)
        assert server.embedder() is embedder and server.status.well_since == since and server.status.cause == ""


def test_a_server_that_hangs_delays_no_look_at_the_others(both):
    with FakeOllama() as hanging:
        hanging.fail_next("tags", times=1000, silence_s=60)
        with watched(hanging, both) as server:
            until(lambda: server.chat_models(), wait_s=2)
            assert server.status.checked_at and urls(server.chat_models()) == [both.url]


def test_vectors_come_from_another_server_when_one_fails(reader):
    with FakeOllama(("bge-m3",)) as other, watched(reader, other, every_s=60) as server:
        until(lambda: all(one.embedding for one in server.status.servers))
        other.fail_next("embed", status=503, error="server busy")
        assert embed(server).shape == (1, 1024)
        reader.stop()
        assert ask(server).shape == (1024,)
        other.stop()
        with pytest.raises(ModelUnavailable):
            embed(server)
        assert server.embedder() is None and not server.status.reachable


def test_a_model_that_is_missing_everywhere_is_missing(reader):
    with watched(reader, NOWHERE) as server:
        until(lambda: all(one.checked_at for one in server.status.servers))
        assert server.status.missing == ("gpt-oss",) and "gpt-oss" in server.status.cause and NOWHERE in server.status.cause


def test_another_version_of_the_embedding_model_makes_no_vectors(reader):
    with FakeOllama(("bge-m3",)) as other:
        known = other.models.pop("bge-m3:latest")
        other.models["bge-m3:latest"] = replace(known, name="bge-m3:latest", context_length=4096)
        with watched(reader, other) as server:
            until(lambda: all(one.checked_at for one in server.status.servers))
            assert [one.embedding for one in server.status.servers] == ["bge-m3", None] and "another version" in server.status.cause
            embed(server), ask(server)
        assert not other.asked("embed")


def test_no_server_loads_a_model_twice(both):
    with FakeOllama() as other, watched(both, other) as server:
        until(lambda: len(server.chat_models()) == 2)
        for _ in range(2):
            for chat in server.chat_models():
                assert answer(chat)[2] is None
            embed(server), ask(server)
    assert (both.reloads, other.reloads) == (0, 0) and (both.loads, other.loads) == (2, 2)
