"""Ollama over HTTPS: certificates that are trusted, and what is said of those that are not."""

import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
from authority import Authority

from fake_ollama import FakeOllama
from maisale.backends.ollama import OllamaServers
from maisale.config import Settings
from maisale.errors import ModelUnavailable
from maisale.ui.panels import Condition, banners
from tests.backends.test_ollama import ANSWER, answer, until


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path)


@contextmanager
def watched(server, **settings):
    opened = OllamaServers(Settings(ollama_urls=(server if isinstance(server, str) else server.url,), **settings), every_s=0.05)
    opened.start()
    try:
        until(lambda: opened.status.checked_at)
        yield opened
    finally:
        opened.close()


def told(status, language="en"):
    return banners(Condition(status, "gpt-oss", "bge-m3", embedder_away=False, worker_away=False, indexed=0, documents=0), language)


def test_with_its_authority_everything_is_asked_over_tls(ca):
    with FakeOllama(tls=ca.serving()) as ollama, watched(ollama, ollama_ca=ca.file) as server:
        assert server.status.generation == "gpt-oss" and ollama.url.startswith("https://")
        assert answer(server.chat_models()[0])[0] == ANSWER
        assert server.embedder().vectors(["a"]).shape == (1, 1024) and server.embedder().query_vector([("a", 1.0)], {}.get).shape == (1024,)


def test_a_client_certificate_is_shown_to_who_asks_for_one(ca, tmp_path):
    ours = Authority(tmp_path, "ours")
    cert, key = ours.sign("client", "mai-sale")
    with FakeOllama(tls=ca.serving(clients=ours)) as ollama, watched(ollama, ollama_ca=ca.file, ollama_cert=cert, ollama_key=key) as server:
        assert answer(server.chat_models()[0])[0] == ANSWER


# what the server has, what is set, the trouble, and words of the sentence
REFUSED = [
    ({}, {}, "untrusted", "is not trusted. Name the file of the authority that signed it in OLLAMA_CA."),
    ({}, {"ollama_ca": "other"}, "untrusted", "is not trusted"),
    ({"days": -1}, {"ollama_ca": "ca"}, "expired", "is out of date"),
    ({"days": 120}, {"ollama_ca": "ca"}, "expired", "a clock is wrong"),
    ({"identities": ("gpu.lan",)}, {"ollama_ca": "ca"}, "other_name", "made out to another name"),
]


@pytest.mark.parametrize(("served", "given", "trouble", "words"), REFUSED)
def test_what_is_wrong_with_a_certificate_is_said_and_never_called_an_absence(ca, tmp_path, served, given, trouble, words):
    files = {"ca": ca.file, "other": Authority(tmp_path, "other").file}
    settings = {name: files[file] for name, file in given.items()}
    context = ca.serving("server", *served.get("identities", ()), days=served.get("days", 30))
    with FakeOllama(tls=context) as ollama, watched(ollama, **settings) as server:
        status = server.status
    assert not status.reachable and status.servers[0].trouble == trouble
    assert words in status.cause and ollama.url in status.cause and "ollama serve" not in status.cause
    shown = told(status)
    assert ollama.url in shown and "ollama pull" not in shown and "does not answer" not in shown
    assert "không trả lời" not in told(status, "vi") and ollama.url in told(status, "vi")


@contextmanager
def demanding(context):
    """A server of the standard library: unlike one of asyncio it says which certificate it wants before it hangs up, as those in front of Ollama do."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        yield f"https://127.0.0.1:{port}"


@contextmanager
def serving(server):
    """Its port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("shown", [False, True])
def test_a_client_certificate_that_is_missing_or_unknown_is_said(ca, tmp_path, shown):
    cert, key = Authority(tmp_path, "other").sign("stranger", "mai-sale")
    ours = {"ollama_cert": cert, "ollama_key": key} if shown else {}
    with demanding(ca.serving(clients=ca)) as url, watched(url, ollama_ca=ca.file, **ours) as server:
        assert server.status.servers[0].trouble == "wants_ours" and "OLLAMA_CERT and OLLAMA_KEY" in server.status.cause
        assert f"{url} asks for a client certificate" in told(server.status)


def test_the_banner_says_that_a_certificate_is_not_trusted(ca):
    with FakeOllama(tls=ca.serving()) as ollama, watched(ollama) as server:
        assert f"The certificate of {ollama.url} is not trusted." in told(server.status) and "Answers are quotations" in told(server.status)
        assert f"Chứng chỉ của {ollama.url} không được tin cậy." in told(server.status, "vi")


def test_a_server_without_tls_is_told_from_one_that_is_away():
    class Plain(StreamRequestHandler):
        def handle(self):
            self.request.recv(1)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with serving(ThreadingTCPServer(("127.0.0.1", 0), Plain)) as port, watched(f"https://127.0.0.1:{port}") as server:
        assert server.status.servers[0].trouble == "no_tls" and "http://" in server.status.cause


def test_a_certificate_that_ends_between_two_looks_is_said_by_the_call_that_meets_it(ca):
    with FakeOllama(tls=ca.serving()) as ollama:
        server = OllamaServers(Settings(ollama_urls=(ollama.url,), ollama_ca=ca.file), every_s=60)
        server.start()
        until(lambda: server.chat_models())
        chat, embedder = server.chat_models()[0], server.embedder()
        ollama.stop()
        ollama.tls = ca.serving("old", days=-1)
        ollama.start()
        _, _, problem = answer(chat)
        assert isinstance(problem, ModelUnavailable) and "is out of date" in str(problem)
        assert server.status.servers[0].trouble == "expired" and server.chat_models() == []
        with pytest.raises(ModelUnavailable, match="No Ollama has bge-m3"):
            embedder.vectors(["a"])
        server.close()


def test_a_proxy_that_asks_for_a_certificate_in_words_is_understood(ca):
    with FakeOllama(tls=ca.serving()) as ollama:
        ollama.fail_next("tags", times=1000, status=400, error=b"<html><h1>400 Bad Request</h1>No required SSL certificate was sent</html>")
        with watched(ollama, ollama_ca=ca.file) as server:
            assert server.status.servers[0].trouble == "wants_ours"
