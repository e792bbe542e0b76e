"""Backups that are made by themselves."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from maisale.ops import backup, scheduled_backups

ROOT = Path(__file__).parents[2]


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


def test_what_a_killed_worker_left_is_removed_and_nothing_else(services, tmp_path):
    scheduled_backups.run(services.db, services.settings)
    folder = tmp_path / "kept"
    (folder / "maisale-20260101-000000.tar.4711.part").write_text("half")
    (folder / ".maisale-20260101-000000.tar-x1y2").mkdir()
    (folder / ".maisale-20260101-000000.tar-x1y2" / "sqlite.db").write_text("a copy")
    (folder / "letters.tar.part").write_text("somebody's own")
    assert scheduled_backups.sweep(services.settings) == 2
    assert sorted(path.name for path in folder.iterdir()) == sorted([scheduled_backups.kept(services.settings)[0].name, "letters.tar.part"])
    assert scheduled_backups.sweep(replace(services.settings, backup_dir="")) == 0


def test_a_new_worker_finds_what_a_kill_left_of_a_backup(services, tmp_path):
    """Really killed while it writes."""
    script = f"""
import os
from pathlib import Path
from maisale.config import Settings
from maisale.ops import backup, scheduled_backups
from maisale.services import open_services
backup._write = lambda *_: os.kill(os.getpid(), 9)
data, kept = Path({str(services.settings.data_dir)!r}), {str(tmp_path / "kept")!r}
services = open_services(Settings(data_dir=data, backup_dir=kept, ollama_urls=("http://127.0.0.1:9",)), "cli")
scheduled_backups.run(services.db, services.settings)
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60)
    assert len(list((tmp_path / "kept").iterdir())) == 2
    assert scheduled_backups.sweep(services.settings) == 2 and not list((tmp_path / "kept").iterdir())
