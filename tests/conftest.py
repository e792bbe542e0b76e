"""Real parts for every test: a SQLite file in tmp_path, services over it, two tenants with people."""

import pytest

from maisale.backends.sqlite import SQLiteDatabase
from maisale.records import Scope
from maisale.store.schema import MIGRATIONS

LINH = Scope("tenant-a", "linh")
MINH = Scope("tenant-a", "minh")  # the same tenant
HOA = Scope("tenant-b", "hoa")  # another one


@pytest.fixture
def db(tmp_path):
    opened = SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS)
    yield opened
    opened.close()
