"""Every test here runs once for each back end, on real ones."""

import pytest
from postgres_server import new_database

from maisale.backends.postgres import PostgresDatabase
from maisale.backends.sqlite import SQLiteDatabase
from maisale.store.schema import MIGRATIONS


@pytest.fixture(scope="session")
def migrated(postgres_server):
    """The URL of a database whose tables are made, to copy."""
    with new_database(postgres_server) as url:
        PostgresDatabase(url, MIGRATIONS).close()
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'sqlite.db'}"
        return
    with new_database(request.getfixturevalue("postgres_server"), request.getfixturevalue("migrated")) as url:
        yield url


@pytest.fixture
def opened(database_url, tmp_path):
    """Opens the test's database once more, as another process does; all are closed at the end."""
    made = []

    def another():
        postgres = database_url.startswith("postgresql")
        made.append(PostgresDatabase(database_url, MIGRATIONS) if postgres else SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS))
        return made[-1]

    yield another
    for one in made:
        one.close()


@pytest.fixture
def db(opened):
    return opened()
