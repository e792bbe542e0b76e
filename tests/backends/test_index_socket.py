"""The worker's index over its socket: in time or not at all, and nothing that is sent brings the server down."""

import contextlib
import socket
import stat
import struct
import threading
import time

import numpy as np
import pytest

from maisale.backends.index_socket import IndexServer, WorkerIndex, address
from maisale.config import Settings
from maisale.errors import IndexUnavailable
from maisale.records import Hit, SearchFilter

WHERE = SearchFilter(("t",), ("a",), ("d",))
VECTOR = np.array([1, 0, 0], np.float32)


class OneHit:
    """An index that answers with the filter it was asked for, after `wait_s`."""

    label, state = "Chroma", ""

    def __init__(self, wait_s=0.0):
        self.wait_s = wait_s

    def nearest(self, embedder, kind, where, vector, limit):
        time.sleep(self.wait_s)
        if embedder == "away":
            raise IndexUnavailable("It is being filled.")
        if embedder == "broken":
            raise RuntimeError("a bug")
        return [Hit("/".join([embedder, kind, *where.tenants, *where.collections, *where.documents]), float(vector[0]))]


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path)


@pytest.fixture
def server(settings):
    made = IndexServer(settings, OneHit())
    yield made
    made.close()


@pytest.fixture
def client(settings):
    made = WorkerIndex(settings, wait_s=1.0)  # generous: only the test of lateness is about time
    yield made
    made.close()


def ask(client, embedder="e"):
    return client.nearest(embedder, "documents", WHERE, VECTOR, 3)


def test_the_question_arrives_whole_and_the_answer_too(server, client):
    assert ask(client) == [Hit("e/documents/t/a/d", 1.0)]
    assert client.health() == {"label": "Chroma", "state": ""}


def test_without_a_worker_it_says_so_at_once(client):
    began = time.monotonic()
    with pytest.raises(IndexUnavailable, match="cannot be reached"):
        ask(client)
    assert time.monotonic() - began < 0.1


def test_an_answer_that_comes_late_is_not_waited_for(settings):
    server, client = IndexServer(settings, OneHit(wait_s=0.5)), WorkerIndex(settings)
    began = time.monotonic()
    with pytest.raises(IndexUnavailable, match="in 100 ms"):
        ask(client)
    assert time.monotonic() - began < 0.3
    server.close()


def test_a_worker_that_stands_still_is_not_waited_for(settings, server):
    with socket.socket(socket.AF_UNIX) as mute:
        server.close()
        mute.bind(str(address(settings)))
        mute.listen(1)
        with pytest.raises(IndexUnavailable, match="in 100 ms"):
            ask(WorkerIndex(settings))


def test_after_a_restart_of_the_worker_it_answers_again(settings, server, client):
    ask(client)
    server.close()
    with pytest.raises(IndexUnavailable):
        ask(client)
    again = IndexServer(settings, OneHit())
    assert ask(client)
    again.close()


@pytest.mark.parametrize(("embedder", "words"), [("away", "being filled"), ("broken", "failed to answer")])
def test_what_the_index_cannot_do_reaches_the_caller_in_words(server, client, embedder, words):
    with pytest.raises(IndexUnavailable, match=words):
        ask(client, embedder)
    assert ask(client)


@pytest.mark.parametrize("frame", [b"", b"\x00", b"not json\n", b"{}\n", b'{"what":"nearest"}\n', b'{"what":"nearest","where":3}\nxyz', b"[1]\n"])
def test_a_malformed_question_is_answered_and_harms_nobody(server, client, frame):
    ask(client)
    with client._idle[0].dup() as raw:
        raw.sendall(struct.pack(">I", len(frame)) + frame)
        assert not frame or b"malformed" in raw.recv(1000)
    client.close()
    assert ask(client)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff\xff\xff", struct.pack(">I", 64) + b"x" * 64])
def test_a_stranger_without_the_key_gets_no_answer(settings, server, client, said):
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(address(settings)))
        stranger.settimeout(2)
        assert len(stranger.recv(100)) == 36  # the challenge
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    assert ask(client)


def test_only_its_user_may_use_the_socket_and_the_key(settings, server):
    assert stat.S_IMODE(address(settings).stat().st_mode) == 0o600
    assert stat.S_IMODE((settings.data_dir / "index.key").stat().st_mode) == 0o600


def test_many_threads_get_their_own_answers(server, client):
    wrong = []

    def repeat(name):
        wrong.extend(answer for _ in range(30) if (answer := ask(client, name)[0].key) != f"{name}/documents/t/a/d")

    threads = [threading.Thread(target=repeat, args=(f"e{number}",)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert wrong == []


def test_a_long_path_of_the_data_folder_does_not_matter(tmp_path):
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    server = IndexServer(Settings(data_dir=deep), OneHit())
    assert ask(WorkerIndex(Settings(data_dir=deep), wait_s=1.0))
    server.close()
    assert not address(Settings(data_dir=deep)).exists()
