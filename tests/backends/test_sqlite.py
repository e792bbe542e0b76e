import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from maisale.backends.sqlite import LOG_BYTES, SQLiteDatabase
from maisale.errors import Misconfigured, StorageFailed
from maisale.store.schema import MIGRATIONS


def add(name):
    return lambda tx: tx.insert("facts", name=name, value="1", changed_at=0)


def names(db):
    return {row["name"] for row in db.rows("SELECT name FROM facts")}


def test_a_write_is_seen_once_it_was_answered(db):
    db.write(add("one"))
    assert names(db) == {"one"}


def test_a_failed_write_leaves_nothing_and_spares_the_others(db):
    def half(tx):
        add("half")(tx)
        raise ValueError("changed my mind")

    with ThreadPoolExecutor(20) as pool:
        good = [pool.submit(db.write, add(f"n{i}")) for i in range(50)]
        bad = pool.submit(db.write, half)
    assert all(write.exception() is None for write in good)
    assert isinstance(bad.exception(), ValueError)
    assert names(db) == {f"n{i}" for i in range(50)}


def test_people_go_before_bulk(db):
    order = []
    gate = threading.Event()
    with ThreadPoolExecutor(130) as pool:
        pool.submit(db.write, lambda tx: gate.wait(5))
        while not db._writer.in_transaction:
            pass
        bulk = [pool.submit(db.write, lambda tx: order.append("bulk"), bulk=True) for _ in range(100)]
        while len(db._writes._bulk) < 100:
            pass
        person = pool.submit(db.write, lambda tx: order.append("person"))
        while not db._writes._people:
            pass
        gate.set()
        [write.result() for write in [*bulk, person]]
    assert order[0] == "person" and len(order) == 101


def test_a_list_serves_in(db):
    for name in "abc":
        db.write(add(name))
    assert len(db.rows("SELECT name FROM facts WHERE name IN :names", names=["a", "c", "x"])) == 2


def test_two_processes_share_the_file(db, tmp_path):
    other = SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS, checkpoints=False)
    other.write(add("theirs"))
    db.write(add("ours"))
    assert names(db) == names(other) == {"ours", "theirs"}
    other.close()


def test_what_was_written_survives_a_new_opening(db, tmp_path):
    db.write(add("kept"))
    again = SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS)
    assert names(again) == {"kept"}
    again.close()


def test_a_full_disk_is_said_in_words_and_passes(db):
    pages = db._writer.execute("PRAGMA page_count").fetchone()[0]
    db._writer.execute(f"PRAGMA max_page_count = {pages}")
    big = lambda tx: tx.insert("facts", name="big", value="x" * 10_000_000, changed_at=0)  # noqa: E731
    with pytest.raises(StorageFailed, match="is full; nothing was stored"):
        db.write(big)
    db._writer.execute("PRAGMA max_page_count = 1073741823")
    db.write(add("later"))
    assert names(db) == {"later"}


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be opened"):
        SQLiteDatabase(tmp_path / "file" / "sqlite.db", MIGRATIONS)


def test_readers_cannot_write(db):
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.rows("DELETE FROM facts")


@pytest.mark.parametrize("bulk", [False, True])
def test_closing_ends_after_the_waiting_writes(tmp_path, bulk):
    opened = SQLiteDatabase(tmp_path / "other.db", MIGRATIONS)
    writes = [opened._writes.enqueue(add(f"n{i}"), bulk) for i in range(300)]
    opened.close()
    assert all(write.exception(timeout=1) is None for write in writes)


def test_data_of_an_older_version_is_copied_before_it_is_changed(tmp_path):
    path = tmp_path / "sqlite.db"
    old = SQLiteDatabase(path, MIGRATIONS[:1])
    old.write(add("kept"))
    old.close()
    SQLiteDatabase(path, MIGRATIONS[:2]).close()
    SQLiteDatabase(path, MIGRATIONS).close()
    (copy,) = tmp_path.glob("sqlite.db.before-*")
    assert copy.name == f"sqlite.db.before-{MIGRATIONS[2][0]}"
    assert sqlite3.connect(copy).execute("SELECT name FROM facts").fetchall() == [("kept",)]


def test_a_new_folder_and_a_current_one_are_not_copied(tmp_path):
    for _ in range(2):
        SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS).close()
    assert list(tmp_path.glob("*.before-*")) == []


def test_a_migration_that_fails_leaves_the_data_as_it_was(tmp_path):
    path = tmp_path / "sqlite.db"
    SQLiteDatabase(path, MIGRATIONS).close()
    with pytest.raises(Misconfigured):
        SQLiteDatabase(path, [*MIGRATIONS, ("999_broken", ["CREATE TABLE half (id TEXT)", "CREATE NONSENSE"])])
    again = SQLiteDatabase(path, MIGRATIONS)
    assert not again.rows("SELECT name FROM sqlite_master WHERE name = 'half'")
    again.close()


def test_a_log_that_another_process_made_long_is_shortened_while_nobody_writes_here(tmp_path):
    app = SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS)
    worker = SQLiteDatabase(tmp_path / "sqlite.db", MIGRATIONS, checkpoints=False)
    worker.write(lambda tx: tx.execute("CREATE TABLE pages (page)"))
    while (tmp_path / "sqlite.db-wal").stat().st_size <= LOG_BYTES:
        worker.write(lambda tx: tx.execute("INSERT INTO pages VALUES (zeroblob(1000000))"))
    ends = time.monotonic() + 60
    while (tmp_path / "sqlite.db-wal").stat().st_size and time.monotonic() < ends:
        time.sleep(0.05)
    assert not (tmp_path / "sqlite.db-wal").stat().st_size
    assert app.rows("SELECT count(*) AS n FROM pages")[0]["n"] > 15
    worker.close()
    app.close()
