"""Real parts for every test: a database of its own, services over it, two tenants with people.

The database is a SQLite file in tmp_path; with TEST_POSTGRES_URL it is a new one on that server, and pytest -m contract has both.
"""

import os
from pathlib import Path

import certifi
import pytest
import wordfreq  # noqa: F401 - early, as app.py does: its import reads the source of all that stands above it
from postgres_server import a_server, new_database

from maisale.backends.postgres import PostgresDatabase
from maisale.backends.sqlite import SQLiteDatabase
from maisale.config import Settings
from maisale.records import Scope
from maisale.services import open_services
from maisale.store.schema import MIGRATIONS

LINH = Scope("tenant-a", "linh")
MINH = Scope("tenant-a", "minh")  # the same tenant
HOA = Scope("tenant-b", "hoa")  # another one
ON_POSTGRES = os.environ.get("TEST_POSTGRES_URL", "")


def pytest_collection_modifyitems(config, items):
    """On several processes, files of this folder go first: they start apps, and the longest is not to be left alone at the end."""
    if config.getoption("numprocesses", None):
        items.sort(key=lambda item: item.path.parent != config.rootpath / "tests")


@pytest.fixture(scope="session", autouse=True)
def one_authority(tmp_path_factory):
    """httpx reads Mozilla's whole list of authorities for each client, 20 ms of the processor; nothing here asks a public host."""
    one, end, _ = Path(certifi.where()).read_text("ascii").partition("-----END CERTIFICATE-----\n")
    file = tmp_path_factory.mktemp("authority") / "one.pem"
    file.write_text(one + end, "ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certifi, "where", lambda: str(file))
        yield


@pytest.fixture(scope="session")
def postgres_server():
    """The URL of a server with pgvector."""
    with a_server(ON_POSTGRES) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server):
    """Of a database of its own."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
def db(tmp_path, request):
    if ON_POSTGRES:
        opened = PostgresDatabase(request.getfixturevalue("postgres_url"), MIGRATIONS)
    else:
        opened = SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS)
    yield opened
    opened.close()


@pytest.fixture
def settings(tmp_path, request):
    """Of a folder of its own; no model server answers at the discard port."""
    url = request.getfixturevalue("postgres_url") if ON_POSTGRES else ""
    return Settings(data_dir=tmp_path / "data", knowledge_dir=tmp_path / "knowledge", ollama_urls=("http://127.0.0.1:9",), database_url=url)


@pytest.fixture
def services(settings):
    opened = open_services(settings, "cli")
    yield opened
    opened.close()
