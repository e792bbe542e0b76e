"""The database, the same on SQLite and on Postgres."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from maisale.backends.postgres import PostgresDatabase
from maisale.errors import StorageFailed
from maisale.store.schema import AUDIT, primary_keys

pytestmark = pytest.mark.contract


def add(name, value="x"):
    return lambda tx: tx.insert("facts", name=name, value=value, changed_at=0.5)


def names(db):
    return {row["name"] for row in db.rows("SELECT name FROM facts")}


def test_what_was_written_is_read_at_once_here_and_elsewhere(db, opened):
    other = opened()
    db.write(add("one"))
    assert names(db) == names(other) == {"one"}
    assert db.rows("SELECT * FROM facts") == [{"name": "one", "value": "x", "changed_at": 0.5}]


def test_a_write_that_raises_leaves_nothing_and_harms_no_other(db):
    def broken(tx):
        add("half")(tx)
        raise ValueError("no")

    with ThreadPoolExecutor(8) as pool:
        written = [pool.submit(db.write, broken if n % 2 else add(f"n{n}")) for n in range(20)]
    assert [type(one.exception()) for one in written] == [type(None), ValueError] * 10
    assert names(db) == {f"n{n}" for n in range(0, 20, 2)}


def test_a_statement_that_is_refused_leaves_nothing_of_its_write(db):
    def twice(tx):
        add("first")(tx)
        add("first")(tx)

    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        db.write(twice)
    db.write(add("second"))
    assert names(db) == {"second"}


def test_reading_first_and_writing_then_is_one_step_for_all_processes(db, opened):
    db.write(add("count", "0"))
    sides = [db, opened(), opened()]

    def raise_it(tx):
        before = int(tx.rows("SELECT value FROM facts WHERE name = 'count'")[0]["value"])
        tx.execute("UPDATE facts SET value = :value WHERE name = 'count'", value=str(before + 1))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: sides[n % 3].write(raise_it, bulk=bool(n % 2)), range(120)))
    assert db.rows("SELECT value FROM facts WHERE name = 'count'") == [{"value": "120"}]


def test_async_code_waits_for_its_write(db):
    asyncio.run(db.awrite(add("one")))
    assert names(db) == {"one"}


def test_lists_of_any_length_serve_in(db):
    db.write(lambda tx: [add(f"n{n}")(tx) for n in range(5)])
    many = [f"n{n}" for n in range(40_000)]
    assert len(db.rows("SELECT name FROM facts WHERE name IN :names", names=many)) == 5
    assert db.rows("SELECT name FROM facts WHERE name IN :names", names=()) == []
    assert len(db.rows("SELECT name FROM facts WHERE name NOT IN :names", names=["n1"])) == 4
    assert db.write(lambda tx: tx.execute("DELETE FROM facts WHERE name IN :names", names=many[:2])) == 2


def test_texts_come_back_as_they_were(db):
    for text in ("Đường dây nóng", "100 % :name 'x' \\ \"y\"", "日本語 🙂", ""):
        db.write(lambda tx, text=text: tx.execute("DELETE FROM facts"))
        db.write(add("one", text))
        assert db.rows("SELECT value FROM facts WHERE value = :value", value=text) == [{"value": text}]


def test_a_text_that_the_database_does_not_know_is_stored_all_the_same(db):
    db.write(add("one", "before\0after"))
    assert db.rows("SELECT value FROM facts")[0]["value"] in ("before\0after", "before\ufffdafter")


def test_texts_are_ordered_by_their_bytes(db):
    for name in ("a#b", "a$", "a", "B", "đ", "z"):
        db.write(add(name))
    assert [row["name"] for row in db.rows("SELECT name FROM facts ORDER BY name")] == ["B", "a", "a#b", "a$", "z", "đ"]
    assert [row["name"] for row in db.rows("SELECT name FROM facts WHERE name >= :first AND name < :behind", first="a#", behind="a$")] == ["a#b"]


def test_numbers_and_bytes_keep_their_kind(db):
    vector = bytes(range(256))
    of = {"embedder": "e", "tenant_id": "t", "kind": "documents", "collection_id": "c", "document_id": "d", "changed_at": 1.25}
    db.write(lambda tx: [tx.insert("vectors", key=f"k{n}", vector=vector, indexed=n == 1, **of) for n in range(3)])
    (row,) = db.rows("SELECT vector, indexed, changed_at FROM vectors WHERE key = 'k1'")
    assert (bytes(row["vector"]), row["indexed"], row["changed_at"]) == (vector, 1, 1.25)
    (row,) = db.rows("SELECT sum(indexed) AS n, count(*) AS rows, avg(changed_at) AS mean, max(key) AS last FROM vectors")
    assert row == {"n": 1, "rows": 3, "mean": 1.25, "last": "k2"} and type(row["n"]) is int


def test_every_table_has_its_key(db):
    for table, key in primary_keys().items():
        assert db.rows(f"SELECT {', '.join(key)} FROM {table}") == []


def test_rows_of_an_append_only_table_are_neither_changed_nor_removed(db):
    db.append_only(AUDIT)
    db.append_only(AUDIT)  # at the next start
    texts = ("tenant_id", "user_id", "key_id", "address", "door", "action", "subject_kind", "subject_id", "detail", "result", "before_hash", "hash")
    db.write(lambda tx: tx.insert(AUDIT, number=1, at=0.0, **dict.fromkeys(texts, "")))
    for sql in (f"UPDATE {AUDIT} SET action = 'x'", f"DELETE FROM {AUDIT}"):
        with pytest.raises(Exception, match="neither changed nor removed"):
            db.write(lambda tx, sql=sql: tx.execute(sql))
    assert len(db.rows(f"SELECT number FROM {AUDIT}")) == 1


def test_a_copy_is_a_sqlite_database_of_one_moment(db, tmp_path):
    db.write(add("kept", "đ"))
    db.copy_to(tmp_path / "copy.db")
    db.write(add("later"))
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT name, value FROM facts").fetchall() == [("kept", "đ")]
    copy.close()


def test_it_is_whole_and_stays_so_when_it_is_written_anew(db):
    db.write(add("kept"))
    assert db.problems() == []
    db.compact()
    assert names(db) == {"kept"} and db.problems() == [] and db.size() > 1000


def test_after_the_end_nothing_is_taken(db):
    db.close()
    with pytest.raises(StorageFailed, match="closing"):
        db.write(add("late"))


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_connection_that_the_server_cut_is_replaced(db, opened):
    db.write(add("before"))
    assert names(db) == {"before"}
    other = opened()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    for _ in range(3):
        other.rows(cut)
        assert "before" in names(db)
        other.rows(cut)
        db.write(lambda tx: tx.execute("UPDATE facts SET value = 'again'"))
    assert db.rows("SELECT value FROM facts") == [{"value": "again"}]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_server_that_went_away_is_said_in_words(db):
    assert isinstance(db, PostgresDatabase)
    db._url = "postgresql://127.0.0.1:9/none"
    db._drop_writer()
    with pytest.raises(StorageFailed, match="cannot be reached; nothing was stored"):
        db.write(add("one"))


def test_what_is_written_while_it_is_written_anew_is_there_afterwards(db, opened):
    other, stored, ended = opened(), [], threading.Event()

    def write():
        while not ended.is_set():
            name = f"n{len(stored)}"
            other.write(add(name))
            stored.append(name)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        for _ in range(15):
            db.compact()
        ended.set()
        writing.result()
    assert names(db) == set(stored) and stored
