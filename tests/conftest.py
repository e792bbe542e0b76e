"""Real parts for every test: a SQLite file in tmp_path, services over it, two tenants with people."""

import pytest

from maisale.backends.sqlite import SQLiteDatabase
from maisale.config import Settings
from maisale.records import Scope
from maisale.services import open_services
from maisale.store.schema import MIGRATIONS

LINH = Scope("tenant-a", "linh")
MINH = Scope("tenant-a", "minh")  # the same tenant
HOA = Scope("tenant-b", "hoa")  # another one


@pytest.fixture
def db(tmp_path):
    opened = SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS)
    yield opened
    opened.close()


@pytest.fixture
def settings(tmp_path):
    """Of a folder of its own; no model server answers at the discard port."""
    return Settings(data_dir=tmp_path / "data", knowledge_dir=tmp_path / "knowledge", ollama_urls=("http://127.0.0.1:9",))


@pytest.fixture
def services(settings):
    opened = open_services(settings, "cli")
    yield opened
    opened.close()
