"""A receipt names the backups that still hold what was deleted, and when each goes."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from desk import WARRANTY, Desk

from maisale.library.deletion import remove_document
from maisale.library.folders import sync_folder
from maisale.ops import backup, held, scheduled_backups
from maisale.store import erasures


@pytest.fixture
def desk(services, tmp_path):
    services.settings = replace(services.settings, backup_dir=str(tmp_path / "kept"), backup_keep=3, backup_hours=24)
    return Desk(services, tmp_path)


def holding(desk, receipt):
    services = desk.services
    return held.holding(erasures.get(services.db, receipt), held.known(services.db, services.settings))


def test_a_backup_of_between_holds_it_and_those_of_before_and_after_do_not(desk):
    services = desk.services
    backup.back_up(services.db, services.settings, desk.folder / "before.tar")
    document = desk.add("warranty.md", WARRANTY)
    backup.back_up(services.db, services.settings, desk.folder / "between.tar")
    receipt = remove_document(services, desk.user.scope, document)
    backup.back_up(services.db, services.settings, desk.folder / "after.tar")
    (one,) = holding(desk, receipt)
    assert Path(one.path).name == "between.tar" and one.expires_at is None and one.there


def test_an_earlier_version_of_a_mirrored_document_counts(desk):
    services, folder = desk.services, desk.folder / "papers"
    folder.mkdir()
    (folder / "warranty.md").write_text(WARRANTY)
    sync_folder(services, desk.user.scope, folder, "Papers")
    backup.back_up(services.db, services.settings, desk.folder / "b.tar")
    (folder / "warranty.md").write_text(WARRANTY + " It is renewed.")
    sync_folder(services, desk.user.scope, folder, "Papers")
    (folder / "warranty.md").unlink()
    sync_folder(services, desk.user.scope, folder, "Papers")
    (one,) = erasures.listed(services.db)
    assert [Path(held_by.path).name for held_by in holding(desk, one.id)] == ["b.tar"]


def test_one_that_was_moved_away_is_still_named(desk):
    document = desk.add("warranty.md", WARRANTY)
    backup.back_up(desk.services.db, desk.services.settings, desk.folder / "b.tar")
    receipt = remove_document(desk.services, desk.user.scope, document)
    (desk.folder / "b.tar").rename(desk.folder / "elsewhere.tar")
    (one,) = holding(desk, receipt)
    assert not one.there and one.expires_at is None


def test_one_that_goes_by_itself_expires_when_enough_newer_ones_are_there(desk):
    services = desk.services
    document = desk.add("warranty.md", WARRANTY)
    scheduled_backups.run(services.db, services.settings)
    receipt = remove_document(services, desk.user.scope, document)
    (one,) = holding(desk, receipt)
    made = scheduled_backups.kept(services.settings)[0].stat().st_mtime
    assert one.expires_at == pytest.approx(made + 3 * 24 * 3600)
    services.settings = replace(services.settings, backup_keep=1)
    time.sleep(1.1)  # names are told apart by the second
    scheduled_backups.run(services.db, services.settings)
    assert holding(desk, receipt) == [] and len(erasures.backups(services.db)) == 1


def test_one_that_an_earlier_version_made_is_known_by_its_name(desk):
    document = desk.add("warranty.md", WARRANTY)
    scheduled_backups.run(desk.services.db, desk.services.settings)
    desk.services.db.write(lambda tx: tx.execute("DELETE FROM backups"))
    receipt = remove_document(desk.services, desk.user.scope, document)
    (path,) = scheduled_backups.kept(desk.services.settings)
    (one,) = holding(desk, receipt)
    assert one.path == str(path) and one.expires_at
    os.unlink(path)
    assert holding(desk, receipt) == []
