"""Backups that are made by themselves."""

import os
import time
from dataclasses import replace

import pytest

from maisale.ops import backup, scheduled_backups


@pytest.fixture
def settings(settings, tmp_path):
    return replace(settings, backup_dir=str(tmp_path / "kept"), backup_hours=24, backup_keep=2)


def age(path, hours):
    os.utime(path, (time.time() - hours * 3600,) * 2)


def test_one_is_due_at_first_and_not_again_within_its_time(services):
    assert scheduled_backups.due(services.settings)
    scheduled_backups.run(services.db, services.settings)
    assert not scheduled_backups.due(services.settings)
    (made,) = scheduled_backups.kept(services.settings)
    assert backup.check(made).counts["users"] == 0
    age(made, 25)
    assert scheduled_backups.due(services.settings)


def test_only_the_latest_are_kept_and_nothing_else_is_touched(services, tmp_path):
    (tmp_path / "kept").mkdir()
    for day in range(1, 5):
        (tmp_path / "kept" / f"maisale-2026010{day}-000000.tar").write_text("old")
    (tmp_path / "kept" / "letters.tar").write_text("somebody's own")
    scheduled_backups.run(services.db, services.settings)
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert len(names) == 3 and "letters.tar" in names and "maisale-20260104-000000.tar" in names


def test_none_is_due_without_a_folder(services):
    assert not scheduled_backups.due(replace(services.settings, backup_dir=""))
