"""How soon questions were acknowledged, as other processes read it."""

import json
import time

from maisale import metrics
from maisale.ops import acks, doctor
from maisale.store import facts

SLOTS = len(metrics.ACK_BOUNDS_S) + 1


def note(services, name, minutes):
    services.db.write(lambda tx: facts.set_fact(tx, f"acks {name}", json.dumps(minutes)))


def row(**at):
    """Counts, with so many at these slots."""
    return [at.get(f"s{slot}", 0) for slot in range(SLOTS)]


def finding(services):
    return {one.about: one for one in doctor.examine(services)}["Acknowledged"]


def test_without_questions_the_goal_is_said(services):
    assert acks.last_hour(services.db) == acks.Acks(0, None)
    assert finding(services).state == doctor.OK and "200 ms" in finding(services).words


def test_lives_and_apps_are_added_up_and_what_is_older_is_not(services):
    minute = int(time.time() // 60)
    note(services, "one", {minute: row(s0=50), minute - 61: row(s14=1000)})
    note(services, "other", {minute - 5: row(s1=50)})
    found = acks.last_hour(services.db, minute * 60)
    assert found.questions == 100 and 0.002 < found.p95_s < 0.005 and found.kept
    assert "95 of 100 questions of the last hour within 5 ms, of 100" in finding(services).words


def test_slow_acknowledgements_are_to_be_looked_at(services):
    note(services, "one", {int(time.time() // 60): row(s9=20, s11=80)})
    assert not acks.last_hour(services.db).kept
    assert finding(services).state == doctor.LOOK and "bench ack" in finding(services).todo


def test_a_life_writes_only_what_changed_and_removes_what_ended_long_ago(services):
    note(services, "ended", {0: row(s0=1)})
    services.db.write(lambda tx: tx.execute("UPDATE facts SET changed_at = :then WHERE name = 'acks ended'", then=time.time() - 3700))
    notes, before = acks.Notes(), acks.last_hour(services.db).questions
    metrics.acknowledged("api", 0.01)
    notes.write(services.db)
    written = services.db.rows("SELECT name, changed_at FROM facts WHERE name LIKE 'acks %'")
    notes.write(services.db)
    assert written == services.db.rows("SELECT name, changed_at FROM facts WHERE name LIKE 'acks %'")
    assert len(written) == 1 and acks.last_hour(services.db).questions > before


def test_a_command_is_not_counted():
    before = metrics.acks.minutes()
    metrics.acknowledged("cli", 9.0)
    assert metrics.acks.minutes() == before
