"""Keys, sessions and links: what opens the door, and what no longer does."""

import sqlite3
import time

import pytest

from maisale.access import keys, people, sessions
from maisale.config import Settings
from maisale.errors import BadInput, NotAllowed, NotFound


@pytest.fixture
def admin(db):
    return people.make_first_admin(db, Settings(admin_key="the admin's own key"))


@pytest.fixture
def linh(db, admin):
    """(user, the text of the first key)"""
    return people.add_user(db, "sales", "linh")


def test_the_first_start_makes_one_admin(db, admin):
    assert (admin.tenant, admin.name, admin.role) == ("default", "admin", "instance_admin")
    assert people.make_first_admin(db, Settings()).id == admin.id


def test_a_key_opens_the_door_as_its_person(db, linh):
    user, key = linh
    caller = keys.caller_of_key(db, key)
    assert caller.user == user
    assert caller.permissions == ("chat", "read", "write")


@pytest.mark.parametrize("wrong", ["", "msk_", "msk_0123456789abcdef_" + "x" * 43, "nonsense", "ká\udcff", "x" * 100_000])
def test_a_wrong_key_opens_nothing(db, linh, wrong):
    assert keys.caller_of_key(db, wrong) is None


def test_a_key_with_another_secret_opens_nothing(db, linh):
    assert keys.caller_of_key(db, linh[1][:-1] + ("A" if linh[1][-1] != "A" else "B")) is None


def test_no_secret_is_stored(db, linh, tmp_path):
    session, link = sessions.sign_in(db, linh[1]), sessions.make_sign_in_link(db)
    dump = "\n".join(sqlite3.connect(tmp_path / "sqlite.db").iterdump())
    for secret in (linh[1].split("_", 2)[2], session, link, "the admin's own key"):
        assert secret not in dump


def test_a_person_has_several_keys_with_names_and_permissions(db, linh):
    key, text = keys.issue_key(db, linh[0], "reports", ["read"])
    assert [one.name for one in keys.list_keys(db, linh[0])] == ["reports", "first key"]
    assert keys.caller_of_key(db, text).permissions == ("read",)
    with pytest.raises(NotAllowed, match="permission 'write'"):
        keys.require(keys.caller_of_key(db, text), "write")


def test_a_revoked_key_opens_nothing_and_the_others_still_do(db, linh):
    user, first = linh
    key, second = keys.issue_key(db, user)
    keys.revoke_key(db, key.id)
    assert keys.caller_of_key(db, second) is None
    assert keys.caller_of_key(db, first) is not None
    with pytest.raises(NotFound):
        keys.revoke_key(db, key.id)


def test_an_expired_key_opens_nothing(db, linh):
    key, text = keys.issue_key(db, linh[0], lasts_s=0.05)
    assert keys.caller_of_key(db, text)
    time.sleep(0.06)
    assert keys.caller_of_key(db, text) is None


def test_a_members_key_cannot_be_an_admins(db, linh):
    with pytest.raises(NotAllowed, match="member"):
        keys.issue_key(db, linh[0], permissions=["read", "admin"])


@pytest.mark.parametrize("permissions", [[], ["read", "fly"]])
def test_permissions_are_words_we_know(db, linh, permissions):
    with pytest.raises(BadInput):
        keys.issue_key(db, linh[0], permissions=permissions)


@pytest.mark.parametrize("name", ["", " linh", "a\nb", "x" * 81, "a\udcff"])
def test_a_strange_name_is_refused_in_words(db, admin, name):
    with pytest.raises(BadInput, match="takes 1 to 80 characters"):
        people.add_user(db, "sales", name)


def test_a_name_is_taken_once_in_a_tenant(db, linh):
    with pytest.raises(BadInput, match="already"):
        people.add_user(db, "sales", "linh")
    assert people.add_user(db, "support", "linh")[0].tenant_id != linh[0].tenant_id


def test_the_admin_key_of_the_settings_acts_as_admin(db, admin):
    caller = keys.caller_of_key(db, "the admin's own key")
    assert caller.user == admin
    assert "admin" in caller.permissions


def test_another_admin_key_in_the_settings_ends_the_old_one_and_its_sessions(db, admin):
    session = sessions.sign_in(db, "the admin's own key")
    people.make_first_admin(db, Settings(admin_key="a new one"))
    assert keys.caller_of_key(db, "the admin's own key") is None
    assert sessions.caller_of_session(db, session) is None
    assert keys.caller_of_key(db, "a new one").user == admin


def test_without_an_admin_key_in_the_settings_none_opens(db, admin):
    people.make_first_admin(db, Settings())
    assert keys.caller_of_key(db, "the admin's own key") is None
    assert keys.caller_of_key(db, "") is None


def test_a_session_is_the_person_and_ends_with_its_key(db, linh):
    user, text = linh
    session = sessions.sign_in(db, text)
    assert sessions.caller_of_session(db, session).user == user
    keys.revoke_key(db, text)
    assert sessions.caller_of_session(db, session) is None


def test_signing_out_ends_this_session_only(db, linh):
    here, there = sessions.sign_in(db, linh[1]), sessions.sign_in(db, linh[1])
    sessions.sign_out(db, here)
    assert sessions.caller_of_session(db, here) is None
    assert sessions.caller_of_session(db, there)


def test_a_session_ends_after_twelve_hours(db, linh):
    session = sessions.sign_in(db, linh[1])
    db.write(lambda tx: tx.execute("UPDATE sessions SET expires_at = expires_at - :hours", hours=12 * 3600))
    assert sessions.caller_of_session(db, session) is None


def test_a_link_signs_in_once(db, admin):
    token = sessions.make_sign_in_link(db)
    assert sessions.open_link(db, token)
    assert sessions.caller_of_session(db, sessions.use_link(db, token)[0]).user == admin
    assert sessions.use_link(db, token) is None
    assert not sessions.open_link(db, token)


def test_a_link_ends_after_ten_minutes(db, admin):
    token = sessions.make_sign_in_link(db)
    db.write(lambda tx: tx.execute("UPDATE links SET expires_at = expires_at - 600"))
    assert sessions.use_link(db, token) is None


def test_a_link_may_be_made_for_anyone(db, linh):
    session, _ = sessions.use_link(db, sessions.make_sign_in_link(db, linh[0]))
    assert sessions.caller_of_session(db, session).permissions == ("chat", "read", "write")


def test_whether_somebody_signed_in_is_known(db, admin):
    token = sessions.make_sign_in_link(db)
    assert not sessions.somebody_signed_in(db)
    session, _ = sessions.use_link(db, token)
    sessions.sign_out(db, session)
    assert sessions.somebody_signed_in(db)


def test_a_revoked_admin_key_stays_revoked_until_another_is_set(db):
    people.make_first_admin(db, Settings(admin_key="the admin's own key"))
    keys.revoke_key(db, "admin")
    people.make_first_admin(db, Settings(admin_key="the admin's own key"))
    assert keys.caller_of_key(db, "the admin's own key") is None
    people.make_first_admin(db, Settings(admin_key="the admin's next key"))
    assert keys.caller_of_key(db, "the admin's next key")
