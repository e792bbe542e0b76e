"""What DATABASE_URL asks of TLS is done: sslmode=verify-full goes on with a server that the given authority signed, and with no other."""

import threading
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
from authority import Authority

from maisale.backends.postgres import PostgresDatabase
from maisale.errors import Misconfigured

SSL_REQUEST = 8  # bytes, of Postgres' protocol; the answer S begins the handshake


@contextmanager
def encrypted(context, met):
    """The port of a server that speaks as far as the client's first encrypted message; then `met` has its user."""

    class Door(StreamRequestHandler):
        def handle(self):
            self.request.recv(SSL_REQUEST)
            self.request.sendall(b"S")
            with context.wrap_socket(self.request, server_side=True) as inside:
                met.append(inside.recv(1000))

    class Quiet(ThreadingTCPServer):
        def handle_error(self, *_):
            pass  # a client that hangs up is what is tested

    with Quiet(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("authority", "trusted"), [("ours", True), ("other", False)])
def test_only_a_server_of_the_given_authority_learns_who_asks(tmp_path, authority, trusted):
    ours, met = Authority(tmp_path, "ours"), []
    signed_by = ours if authority == "ours" else Authority(tmp_path, authority)
    with encrypted(signed_by.serving(), met) as port:
        url = f"postgresql://linh:secret@127.0.0.1:{port}/shop?sslmode=verify-full&sslrootcert={ours.file}"
        with pytest.raises(Misconfigured, match="closed the connection|server" if trusted else "certificate verify failed") as refused:
            PostgresDatabase(url, [])
    assert [b"linh" in one for one in met] == ([True] if trusted else []) and "secret" not in str(refused.value)
