"""From SQLite to Postgres and back: every row, every answer, and no half of it."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
from desk import QUESTION, WARRANTY, Desk
from postgres_server import new_database

from maisale.backends.postgres import PostgresDatabase
from maisale.config import from_env
from maisale.errors import BadInput, Misconfigured, StorageFailed
from maisale.flow.graph import decide
from maisale.ops import backup, moving, verify
from maisale.services import open_database, open_services
from maisale.store import documents, facts
from maisale.store.schema import MIGRATIONS, primary_keys

RETURNS = "# Đổi trả\n\nMáy lọc nước được đổi trả trong 14 ngày khi còn nguyên hộp.\n"
ASKED = [QUESTION, "may loc nuoc doi tra trong bao nhieu ngay", "How do I get to the moon?"]


@pytest.fixture
def local(tmp_path):
    """SQLite, with what this run of the tests has in the environment left out."""
    return from_env({"DATA_DIR": str(tmp_path / "data"), "OLLAMA_HOST": "http://127.0.0.1:9"})


@pytest.fixture
def remote(local, postgres_server):
    with new_database(postgres_server) as url:
        yield replace(local, database_url=url)


@contextmanager
def desk_of(settings, tmp_path):
    services = open_services(settings, "cli")
    try:
        yield Desk(services, tmp_path)
    finally:
        services.close()


def answers(desk):
    """(text, candidates with their scores) of each question."""
    scope = desk.user.scope
    where, _ = documents.searchable(desk.services.db, scope)
    found = [decide(desk.services, question, scope, where, "no conversation") for question in ASKED]
    return [(one.text, [(each.chunk.key, round(each.score, 4)) for each in one.trace.candidates]) for one in found]


def rows(settings):
    db = open_database(settings)
    try:
        return {table: db.rows(f"SELECT * FROM {table} ORDER BY {', '.join(key)}") for table, key in primary_keys().items() if table not in ("facts", "audit")}
    finally:
        db.close()


@pytest.fixture
def filled(local, tmp_path):
    """Two documents and an answered question; (rows, answers) as they were."""
    with desk_of(local, tmp_path) as desk:
        desk.add("warranty.md", WARRANTY)
        desk.add("returns.md", RETURNS)
        told = answers(desk)
    return rows(local), told


def test_there_and_back_every_row_and_every_answer_is_the_same(local, remote, filled, tmp_path):
    moved = moving.move(local, remote)
    assert moved.rows["documents"] == 2 and moved.passages == moved.rows["chunks"] and moved.compared["vectors"] == moved.rows["vectors"]
    back = replace(local, database_url=f"sqlite:///{tmp_path / 'back.db'}")
    for settings in (remote, back):
        if settings is back:
            moving.move(remote, back)
        with desk_of(settings, tmp_path) as desk:
            assert answers(desk) == filled[1]
            assert verify.verify(desk.services, None).problems == []
        unindexed = {table: [{**row, "indexed": 0} for row in found] if table == "vectors" else found for table, found in filled[0].items()}
        assert rows(settings) == unindexed
    assert rows(local) == filled[0]


def test_a_move_that_broke_off_is_refused_at_the_start_and_run_again(local, remote, filled, tmp_path):
    arriving = open_database(remote)
    arriving.write(lambda tx: (facts.set_fact(tx, facts.MOVING, "yes"), tx.insert("tenants", id="half", name="half", created_at=0.0)))
    arriving.close()
    with pytest.raises(Misconfigured, match="broke off.*Run `move` again"):
        open_services(remote, "cli")
    moving.move(local, remote)
    with desk_of(remote, tmp_path) as desk:
        assert answers(desk) == filled[1] and "half" not in {row["id"] for row in desk.services.db.rows("SELECT id FROM tenants")}


def test_a_database_that_holds_other_data_is_refused_and_left_alone(local, remote, filled, tmp_path):
    with desk_of(remote, tmp_path) as desk:
        desk.add("other.md", RETURNS)
    before = rows(remote)
    with pytest.raises(BadInput, match="holds data already"):
        moving.move(local, remote)
    assert rows(remote) == before


def test_nothing_is_moved_beside_a_running_process_or_onto_itself(local, remote, filled):
    with pytest.raises(BadInput, match="is the one that is used now"):
        moving.move(local, local)
    running = open_services(local, "app")
    try:
        with pytest.raises(BadInput, match="Stop it first"):
            moving.move(local, remote)
    finally:
        running.close()


def test_what_does_not_arrive_as_it_was_sent_is_not_opened(local, remote, filled, monkeypatch):
    insert = moving._copy

    def spoil(origin, arriving, table, key, progress):
        found = insert(origin, arriving, table, key, progress)
        if table == "chunks":
            arriving.write(lambda tx: tx.execute("UPDATE chunks SET text = 'another' WHERE position = 0"))
        return found

    monkeypatch.setattr(moving, "_copy", spoil)
    with pytest.raises(StorageFailed, match="chunks did not arrive as it was sent"):
        moving.move(local, remote)
    with pytest.raises(Misconfigured, match="broke off"):
        open_services(remote, "cli")


def test_a_backup_made_on_postgres_is_restored_on_sqlite(local, remote, filled, tmp_path):
    moving.move(local, remote)
    with desk_of(remote, tmp_path) as desk:
        backup.back_up(desk.services.db, remote, tmp_path / "one.tar")
    restored = replace(local, data_dir=tmp_path / "restored", database_url="")
    backup.restore(tmp_path / "one.tar", restored)
    assert rows(restored)["chunks"] == filled[0]["chunks"]


def test_a_server_that_is_away_is_said_in_words_and_without_its_password():
    with pytest.raises(Misconfigured, match="127.0.0.1:9/maisale cannot be opened") as refused:
        PostgresDatabase("postgresql://mai:secret-word@127.0.0.1:9/maisale", MIGRATIONS)
    assert "secret-word" not in str(refused.value)
