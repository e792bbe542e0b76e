"""Backup while work goes on, and restore into an empty folder."""

import sqlite3
import tarfile
import threading
from dataclasses import replace

import pytest
from desk import QUESTION, WARRANTY, Desk

from maisale.access import keys, people, sessions
from maisale.errors import BadInput, StorageFailed
from maisale.ops import backup
from maisale.ops.backup import BrokenBackup
from maisale.services import open_services


@pytest.fixture
def desk(services, tmp_path):
    made = Desk(services, tmp_path)
    made.document = made.add("warranty.md", WARRANTY)
    return made


@pytest.fixture
def made(desk, tmp_path):
    """A backup of one document, and its manifest."""
    target = tmp_path / "backups" / "one.tar"
    return target, backup.back_up(desk.services.db, desk.services.settings, target)


@pytest.fixture
def empty(settings, tmp_path):
    return replace(settings, data_dir=tmp_path / "restored")


def test_a_backup_holds_the_rows_and_the_files(made, desk):
    target, manifest = made
    assert manifest.counts["documents"] == 1 and manifest.counts["chunks"] == 1 and manifest.missing == []
    assert set(manifest.members) == {"sqlite.db", f"files/{desk.document}"}
    assert backup.check(target) == manifest


def test_what_was_restored_answers_like_before(made, desk, empty):
    backup.restore(made[0], empty)
    services = open_services(empty, "cli")
    try:
        again = Desk.__new__(Desk)
        again.services, again.user = services, desk.user
        assert again.sources(again.ask(QUESTION)) == [desk.document]
        assert (empty.files_dir / desk.document).read_text("utf-8") == WARRANTY
    finally:
        services.close()


def test_the_worker_is_to_build_the_index_anew(made, empty):
    backup.restore(made[0], empty)
    rows = sqlite3.connect(empty.sqlite_path).execute("SELECT indexed FROM vectors").fetchall()
    assert rows == [(0,)]


def test_keys_come_back_and_sessions_do_not(desk, tmp_path, empty):
    user, key = people.add_user(desk.services.db, "shop", "Hoa")
    session = sessions.sign_in(desk.services.db, key)
    link = sessions.make_invitation(desk.services.db, user)
    backup.back_up(desk.services.db, desk.services.settings, tmp_path / "b.tar")
    backup.restore(tmp_path / "b.tar", empty)
    services = open_services(empty, "cli")
    try:
        assert keys.caller_of_key(services.db, key).user == user
        assert sessions.caller_of_session(services.db, session) is None and sessions.open_link(services.db, link) is None
    finally:
        services.close()


def test_writes_go_on_beside_a_backup_and_it_is_of_one_moment(desk, tmp_path):
    db, stop, written = desk.services.db, threading.Event(), []

    def write():
        while not stop.is_set():  # a tenant and its person, always together
            name = f"t{len(written)}"
            written.append(people.add_user(db, name, name))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 5:
            pass
        before = len(written)
        manifest = backup.back_up(db, desk.services.settings, tmp_path / "b.tar")
        after = len(written)
    finally:
        stop.set()
        writer.join()
    assert before <= manifest.counts["users"] - 1 <= after + 1
    assert manifest.counts["tenants"] == manifest.counts["users"]


def test_a_file_that_is_gone_is_named(desk, tmp_path):
    (desk.services.settings.files_dir / desk.document).unlink()
    manifest = backup.back_up(desk.services.db, desk.services.settings, tmp_path / "b.tar")
    assert manifest.missing == ["warranty.md"]
    assert backup.check(tmp_path / "b.tar").missing == ["warranty.md"]


def test_an_existing_file_is_never_overwritten(made, desk):
    before = made[0].read_bytes()
    with pytest.raises(BadInput, match="exists already"):
        backup.back_up(desk.services.db, desk.services.settings, made[0])
    assert made[0].read_bytes() == before


def test_a_backup_that_cannot_be_written_leaves_nothing(desk):
    with pytest.raises(StorageFailed, match="could not be written"):
        backup.back_up(desk.services.db, desk.services.settings, desk.folder / "warranty.md" / "b.tar")


def test_a_folder_with_a_database_is_left_alone(made, desk):
    with pytest.raises(BadInput, match="exists already"):
        backup.restore(made[0], desk.services.settings)
    assert desk.services.db.rows("SELECT count(*) AS n FROM documents") == [{"n": 1}]


def cut(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]


def other(_):
    return b"not a backup at all" * 100


@pytest.mark.parametrize("spoil", [cut, flipped, other, lambda _: b""])
def test_a_spoiled_backup_is_refused_and_nothing_is_there(made, empty, spoil):
    made[0].write_bytes(spoil(made[0].read_bytes()))
    for use in (lambda: backup.check(made[0]), lambda: backup.restore(made[0], empty)):
        with pytest.raises(BrokenBackup):
            use()
    assert not empty.sqlite_path.exists() and list(empty.data_dir.glob("*")) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "files/../../evil", "other.txt"])
def test_a_backup_writes_nowhere_else(empty, tmp_path, name):
    crafted = tmp_path / "crafted.tar"
    with tarfile.open(crafted, "w") as tar:
        (tmp_path / "x").write_text("x")
        tar.add(tmp_path / "x", arcname=name)
    with pytest.raises(BrokenBackup, match="holds"):
        backup.restore(crafted, empty)


def test_a_link_in_a_backup_is_refused(empty, tmp_path):
    crafted = tmp_path / "crafted.tar"
    entry = tarfile.TarInfo("sqlite.db")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(crafted, "w") as tar:
        tar.addfile(entry)
    with pytest.raises(BrokenBackup, match="holds"):
        backup.restore(crafted, empty)


def test_a_missing_backup_is_said(empty, tmp_path):
    with pytest.raises(BadInput, match="There is no file"):
        backup.restore(tmp_path / "nothing.tar", empty)
