"""When the worker takes what was deleted out of the files by itself."""

from desk import WARRANTY, Desk

from maisale.library.deletion import remove_document
from maisale.ops import erasing
from maisale.store import erasures


def test_it_is_due_in_a_quiet_hour_and_at_the_latest_before_the_day_is_over(services, tmp_path):
    desk = Desk(services, tmp_path)
    db, settings, hour = desk.services.db, desk.services.settings, 3600.0
    assert not erasing.due(db, settings)
    receipt = remove_document(desk.services, desk.user.scope, desk.add("seals.md", WARRANTY))
    asked = erasures.get(db, receipt).asked_at
    assert not erasing.due(db, settings, asked + 60) and erasing.due(db, settings, asked + 1.1 * hour)
    busy = asked + 1.1 * hour  # somebody asks right before that
    db.write(lambda tx: tx.execute("UPDATE conversations SET updated_at = :now", now=busy - 1))
    desk.ask("Hello?")
    db.write(lambda tx: tx.execute("UPDATE conversations SET updated_at = :now", now=busy - 1))
    assert not erasing.due(db, settings, busy)
    db.write(lambda tx: tx.execute("UPDATE conversations SET updated_at = :now", now=asked + 22 * hour))
    assert erasing.due(db, settings, asked + 22 * hour)
