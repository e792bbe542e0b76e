"""The audit log as a table: rows are only added, and whatever is done to them from outside is found."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from maisale.errors import StorageFailed
from maisale.ops import audit_chain
from maisale.records import Scope, Way
from maisale.store import audit

ROOT = Path(__file__).parents[2]
LINH = Scope("tenant-a", "linh", Way("api", "10.0.0.7", "0123456789abcdef"))


def noted(db, count=1):
    for number in range(count):
        db.write(lambda tx, number=number: audit.note(tx, LINH, "document_add", "document", f"doc-{number}"))


@pytest.fixture
def log(services):
    """A database whose log has ten rows, and a connection of somebody who goes around the triggers."""
    noted(services.db, 10)
    outside = sqlite3.connect(services.settings.sqlite_path, isolation_level=None)
    for name in ("change", "removal", "replacement"):
        outside.execute(f"DROP TRIGGER audit_no_{name}")
    yield services, outside
    outside.close()


def test_a_row_tells_who_did_what_when_and_from_where(services):
    noted(services.db)
    (row,) = audit.entries(services.db)
    assert (row.number, row.tenant_id, row.user_id, row.key_id, row.address) == (1, "tenant-a", "linh", "0123456789abcdef", "10.0.0.7")
    assert (row.door, row.action, row.subject_kind, row.subject_id, row.result) == ("api", "document_add", "document", "doc-0", "done")


def test_an_act_that_is_not_done_leaves_no_row(services):
    def fails(tx):
        audit.note(tx, LINH, "document_add", "document", "doc")
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError):
        services.db.write(fails)
    noted(services.db)
    assert [row.number for row in audit.entries(services.db)] == [1] and audit.first_break(services.db) == (1, "")


def test_an_action_that_nobody_can_name_is_not_noted(services):
    with pytest.raises(ValueError, match="no action"):
        services.db.write(lambda tx: audit.note(tx, LINH, "something"))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET user_id = 'minh' WHERE number = 1",
        "DELETE FROM audit",
        "REPLACE INTO audit SELECT 1, 0, tenant_id, 'minh', '', '', '', action, '', '', '', result, before_hash, hash FROM audit WHERE number = 1",
    ],
)
def test_sql_changes_and_removes_no_row(services, sql):
    noted(services.db, 2)
    with pytest.raises((StorageFailed, sqlite3.Error, psycopg.Error), match="neither changed nor removed"):
        services.db.write(lambda tx: tx.execute(sql))
    assert len(audit.entries(services.db)) == 2 and audit.first_break(services.db) == (2, "")


def test_an_untouched_log_is_as_it_was_written(log):
    services, _ = log
    assert audit.first_break(services.db) == (10, "")



SWAPPED = [f"UPDATE audit SET number = {to} WHERE number = {number}" for number, to in ((4, 40), (5, 4), (40, 5))]
ADDED = ["INSERT INTO audit SELECT 11, at, tenant_id, user_id, key_id, address, door, action, '', '', '', result, hash, 'x' FROM audit WHERE number = 10"]


@pytest.mark.parametrize(
    "statements, rows, words",
    [
        (["UPDATE audit SET user_id = 'minh' WHERE number = 4"], 3, "Row 4 was changed."),
        (["UPDATE audit SET at = at - 1 WHERE number = 1"], 0, "Row 1 was changed."),
        (["UPDATE audit SET result = 'refused' WHERE number = 10"], 9, "Row 10 was changed."),
        (["UPDATE audit SET hash = before_hash WHERE number = 4"], 3, "Row 4 was changed."),
        (["DELETE FROM audit WHERE number = 4"], 3, "Row 4 is missing: it was removed."),
        (["DELETE FROM audit WHERE number IN (1, 2)"], 0, "Row 1 is missing: rows 1 to 2 were removed."),
        (["DELETE FROM audit WHERE number > 7"], 7, "Row 8 is missing: rows 8 to 10 were cut off the end."),
        (["DELETE FROM audit"], 0, "Row 1 is missing: rows 1 to 10 were cut off the end."),
        (SWAPPED, 3, "Row 4 does not follow the row before it: one of the two was changed or put there."),
        (ADDED, 10, "Row 11 was changed."),
    ],
)  # fmt: skip
def test_whatever_is_done_to_the_rows_is_found(log, statements, rows, words):
    services, outside = log
    for sql in statements:
        outside.execute(sql)
    assert audit.first_break(services.db) == (rows, words)


def test_later_rows_do_not_close_the_gap_that_a_cut_left(log):
    services, outside = log
    outside.execute("DELETE FROM audit WHERE number > 7")
    noted(services.db, 2)
    assert audit.first_break(services.db) == (7, "Row 8 is missing: rows 8 to 10 were removed.")


def written_anew(outside, upto):
    """Rows and head as whoever may write to the whole database can leave them."""
    outside.execute("DELETE FROM audit WHERE number > ?", (upto,))
    digest = outside.execute("SELECT hash FROM audit WHERE number = ?", (upto,)).fetchone()[0]
    outside.execute("UPDATE facts SET value = ? WHERE name = 'audit_head'", (f"{upto} {digest}",))


def test_the_witness_tells_of_an_end_that_was_cut_from_the_whole_database(log):
    services, outside = log
    audit_chain.keep_witness(services.db, services.settings)
    written_anew(outside, 7)
    found = audit_chain.check(services.db, services.settings)
    assert audit.first_break(services.db) == (7, "") and found.problem == "Row 10 is missing: audit.head says that the log had got there."
    noted(services.db, 5)
    audit_chain.keep_witness(services.db, services.settings)  # does not go along with it
    assert "Row 10 is not the one that audit.head tells of" in audit_chain.check(services.db, services.settings).problem


def test_the_witness_follows_the_log(log):
    services, _ = log
    for _ in range(3):
        audit_chain.keep_witness(services.db, services.settings)
        noted(services.db)
    assert audit_chain.witness_path(services.settings).read_text().startswith("12 ")
    assert (audit_chain.check(services.db, services.settings).rows, audit_chain.check(services.db, services.settings).problem) == (13, "")


APPENDS = """
import sys
from pathlib import Path
from maisale.backends.sqlite import SQLiteDatabase
from maisale.records import Scope, Way
from maisale.store import audit
from maisale.store.schema import MIGRATIONS

db = SQLiteDatabase(Path(sys.argv[1]), MIGRATIONS)
by = Scope("tenant-a", sys.argv[2], Way("cli", "me"))
for number in range(200):
    db.write(lambda tx: audit.note(tx, by, "document_add", "document", str(number)))
db.close()
"""


def test_processes_that_write_at_once_keep_one_chain(services):
    command = [sys.executable, "-c", APPENDS, str(services.settings.sqlite_path)]
    running = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("one", "two", "three")]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert audit.first_break(services.db) == (600, "")
    assert {row.user_id for row in audit.entries(services.db, limit=600)} == {"one", "two", "three"}
