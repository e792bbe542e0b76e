"""The handlers of the account page and the people page, called as Gradio calls them, over real services."""

import json
import re
import time

import pytest
from signed_in import Browser, person

from maisale.access import keys, sessions
from maisale.errors import NotFound
from maisale.metrics import ACK_BOUNDS_S
from maisale.store import accounts, facts

SECRET = re.compile(r"msk_[0-9a-f]{16}_[\w-]{43}|http://\S+/link/[\w-]+")


def users(services):
    return {user.name: user.role for user in accounts.list_users(services.db)}


# One's own keys


def test_a_made_key_is_shown_once_and_opens(services, linh):
    shown = linh.on("account", do="make_key", name=" reports  script ", permissions="read", days="7")
    found = keys.caller_of_key(services.db, SECRET.search(shown)[0])
    assert found.user.name == "Linh" and found.permissions == ("read",) and 6.9 < (found.expires_at - time.time()) / 86400 <= 7
    assert "New key: reports script" in shown and "shown only this once" in shown
    assert not SECRET.search(linh.on("account", do="show"))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"permissions": ""}, "Choose at least one thing that the key may do."),
        ({"permissions": "read", "days": "0"}, "The days are a whole number from 1 to 3650, or nothing."),
        ({"permissions": "read", "days": "²"}, "The days are a whole number"),
        ({"permissions": "admin"}, "lacks the permission &#x27;admin&#x27;"),
        ({"permissions": "fly"}, "There is no permission &#x27;fly&#x27;"),
        ({"permissions": "read", "name": ""}, None),
    ],
)
def test_a_key_that_cannot_be_made_says_why_and_keeps_what_was_typed(services, linh, sent, words):
    shown = linh.on("account", do="make_key", **{"name": "report <s>", **sent})
    if words is None:
        assert "New key: key" in shown
        return
    assert words in shown and 'value="report &lt;s&gt;"' in shown and len(keys.list_keys(services.db, linh.user)) == 1


def test_the_form_offers_no_more_than_the_own_key_may_do(services):
    reader = Browser(services, person(services, "Mai Water", "Minh", "tenant_admin"), ("read",))
    form = reader.on("account", do="step", step="make_key")
    assert 'value="read"' in form and 'value="chat"' not in form and 'value="admin"' not in form


def test_a_rotated_key_goes_on_for_an_hour_beside_the_new_one(services, linh):
    shown = linh.on("account", do="rotate", id=linh.key.id)
    assert keys.caller_of_key(services.db, SECRET.search(shown)[0]) and "The old one goes on until" in shown
    assert 3500 < keys.caller_of_key(services.db, linh.text).expires_at - time.time() <= 3600


def test_revoking_is_asked_first_and_says_that_it_signs_out(services, linh):
    asked = linh.on("account", do="step", step="revoke", id=linh.key.id)
    assert "It opened this session: revoking it signs you out here." in asked and 'data-do="revoke"' in asked
    gone = linh.on("account", do="revoke", id=linh.key.id)
    assert "data-gone" in gone and keys.caller_of_key(services.db, linh.text) is None and linh.caller is None


def test_another_key_goes_without_the_session(services, linh):
    other, text = keys.issue_key(services.db, linh.user, "other")
    assert "The key other is revoked." in linh.on("account", do="revoke", id=other.id)
    assert keys.caller_of_key(services.db, text) is None and linh.caller and "other" not in linh.on("account", do="show")


@pytest.mark.parametrize("do", ["rotate", "revoke"])
def test_somebody_else_s_key_looks_like_a_missing_one(services, linh, lan, do):
    for browser in (linh, lan):
        victim = Browser(services, person(services, "Mai Water", f"Victim of {browser.user.name}", "tenant_admin"))
        assert "There is no such key" in browser.on("account", do=do, id=victim.key.id)
        assert keys.caller_of_key(services.db, victim.text)


def test_a_key_that_ended_meanwhile_says_so_in_its_row(services, lan, linh):
    keys.revoke_key(services.db, linh.key.id)
    assert "it was revoked before" in lan.on("people", do="revoke", id=linh.user.id, key_id=linh.key.id)


# The key typed again


@pytest.mark.parametrize("typed", ["wrong", "", "another's"])
def test_a_wrong_key_typed_again_is_refused_and_never_echoed(services, lan, linh, typed):
    text = linh.text if typed == "another's" else typed
    shown = lan.on("people", do="fresh", key=text, step="delete", id=linh.user.id)
    assert "This is not a valid key of yours with the permission admin." in shown and not SECRET.search(shown) and not lan.caller.fresh


def test_the_account_page_says_until_when_the_typed_key_counts(lan, linh):
    assert 'data-act="fresh"' in lan.on("account", do="show") and 'data-act="fresh"' not in linh.on("account", do="show")
    shown = lan.on("account", do="fresh", key=lan.text, step="fresh")
    assert "Until " in shown and 'data-act="fresh"' not in shown and "Until " in lan.on("account", do="show")


# People


ACTS = ("show", "new", "role", "revoke", "invite", "delete", "add_team", "delete_team", "fresh", "privacy")


def test_a_member_is_refused_by_the_function_itself(services, linh, lan):
    before = users(services)
    for do in ACTS:
        shown = linh.on("people", do=do, id=lan.user.id, key_id=lan.key.id, name="Eve", role="instance_admin", key=linh.text)
        assert "Only admins manage people." in shown and "Lan" not in shown and users(services) == before and lan.caller, do


def test_an_admin_s_key_without_the_permission_manages_nobody(services, linh):
    weak = Browser(services, person(services, "Mai Water", "Minh", "tenant_admin"), ("chat", "read"))
    for do in ACTS:
        shown = weak.on("people", do=do, id=linh.user.id, key_id=linh.key.id, name="Eve", role="member", key=weak.text)
        assert "Only admins manage people." in shown and "Eve" not in users(services) and linh.caller, do


def test_another_team_s_people_can_be_neither_seen_nor_changed(services, lan, hoa):
    lan.type_again()
    for do in ("step", "role", "revoke", "invite", "delete"):
        shown = lan.on("people", do=do, step="person", id=hoa.user.id, key_id=hoa.key.id, role="tenant_admin")
        assert "Hoa" not in shown and users(services)["Hoa"] == "member" and hoa.caller, do


def test_an_admin_of_the_team_does_not_manage_one_of_the_instance(services, lan):
    chief = person(services, "Mai Water", "Chief", "instance_admin")
    assert "an admin of the instance" in lan.on("people", do="role", id=chief.id, role="member") and users(services)["Chief"] == "instance_admin"
    assert 'value="instance_admin"' not in lan.on("people", do="step", step="new")


def test_an_invitation_is_shown_once_and_opens(services, lan):
    shown = lan.on("people", do="new", name="Nguyễn An", role="member")
    link = SECRET.search(shown)[0]
    assert link.startswith("http://mai.test/link/") and "works once, within 72 hours" in shown
    assert sessions.open_link(services.db, link.rpartition("/")[2]) == "invite"
    assert "Nguyễn An" in lan.on("people", do="show") and not SECRET.search(lan.on("people", do="show"))


def test_a_taken_name_is_told_in_the_page_s_language(services, linh):
    admin = Browser(services, person(services, "Mai Water", "Lan", "tenant_admin"), language="vi")
    shown = admin.on("people", do="new", name="Linh", role="member")
    assert "Nhóm Mai Water đã có người tên Linh." in shown and 'value="Linh"' in shown


def test_a_role_is_changed_at_once(services, lan, linh):
    assert "Linh is now team admin." in lan.on("people", do="role", id=linh.user.id, role="tenant_admin")
    assert users(services)["Linh"] == "tenant_admin"


def test_a_person_s_key_is_listed_and_revoked(services, lan, linh):
    assert "first key" in lan.on("people", do="step", step="person", id=linh.user.id)
    assert "The key first key is revoked." in lan.on("people", do="revoke", id=linh.user.id, key_id=linh.key.id)
    assert linh.caller is None


@pytest.mark.parametrize("do", ["invite", "delete"])
def test_without_a_fresh_key_the_page_asks_for_it_there(services, lan, linh, do):
    shown = lan.on("people", do=do, id=linh.user.id)
    assert f'data-act="fresh" data-step="{do}"' in shown and "This needs your key typed again." in shown
    assert linh.caller and not SECRET.search(shown)
    assert f'data-do="{do}"' in lan.type_again(step=do, id=linh.user.id)


def test_a_person_is_deleted_once_the_key_was_typed_again(services, lan, linh):
    asked = lan.type_again(step="delete", id=linh.user.id)
    assert "keys and sessions of Linh" in asked and "What stays: the documents that the team reads." in asked
    assert "Linh is deleted." in lan.on("people", do="delete", id=linh.user.id)
    with pytest.raises(NotFound):
        accounts.get_user(services.db, linh.user.id)


def test_a_lost_key_is_replaced_by_a_new_invitation(services, lan, linh):
    first = SECRET.search(lan.on("people", do="new", name="Minh", role="member"))[0]
    minh = accounts.find_user(services.db, "Mai Water", "Minh")
    lan.type_again()
    second = SECRET.search(lan.on("people", do="invite", id=minh.id))[0]
    assert [sessions.open_link(services.db, link.rpartition("/")[2]) for link in (first, second)] == [None, "invite"]


def test_nobody_deletes_themselves(services, lan):
    lan.type_again()
    assert "Nobody deletes themselves" in lan.on("people", do="delete", id=lan.user.id) and lan.caller


# Teams


def test_the_instance_s_admin_adds_a_team_invites_into_it_and_deletes_it(services, root):
    form = root.on("people", do="add_team", name="Hải Phòng")
    assert "The team Hải Phòng is there." in form and '<option value="Hải Phòng" selected>' in form
    assert SECRET.search(root.on("people", do="new", name="An", role="tenant_admin", tenant="Hải Phòng"))
    team = accounts.find_tenant(services.db, "Hải Phòng")
    assert 'data-act="fresh"' in root.on("people", do="delete_team", id=team) and "An" in users(services)
    assert "with 1 person" in root.type_again(step="delete_team", id=team)
    assert "The team Hải Phòng is deleted." in root.on("people", do="delete_team", id=team) and "An" not in users(services)


def test_a_team_s_admin_sees_and_changes_no_teams(services, lan, hoa):
    lan.type_again()
    assert "Add a team" not in lan.on("people", do="show")
    assert "Only an admin of the instance" in lan.on("people", do="add_team", name="New")
    assert "Only an admin of the instance" in lan.on("people", do="delete_team", id=hoa.user.tenant_id) and hoa.caller


def test_the_server_s_admin_alone_sees_how_soon_questions_are_acknowledged(services, root, lan):
    assert "No question came within the last hour" in root.on("people", do="show") and "data-acks" not in lan.on("people", do="show")
    slots = [0] * (len(ACK_BOUNDS_S) + 1)
    slots[3] = 20
    minutes = {int(time.time() // 60): slots}
    services.db.write(lambda tx: facts.set_fact(tx, "acks one", json.dumps(minutes)))
    assert "were acknowledged within 20 ms, of 20. The goal is 200 ms." in root.on("people", do="show")
    minutes = {int(time.time() // 60): [*slots[:-1], 20]}
    services.db.write(lambda tx: facts.set_fact(tx, "acks one", json.dumps(minutes)))
    assert "within 5000 ms only, of 40" in root.on("people", do="show")


# Personal data


def test_a_team_s_admin_chooses_what_becomes_of_personal_data(services, lan, hoa):
    shown = lan.on("people", do="show")
    assert shown.count('data-act="privacy"') == 1 and '<option value="on" selected>replaced by placeholders' in shown
    shown = lan.on("people", do="privacy", id=lan.user.tenant_id, redact="off", model_sees_originals="off")
    assert "The choice for Mai Water is kept. The indexes are made anew in the background." in shown
    assert '<option value="off" selected>as it is' in shown and '<option value="off" selected>placeholders' in shown
    assert [job["kind"] for job in services.db.rows("SELECT kind FROM jobs")] == ["redact_tenant"]
    assert "There is no such tenant." in lan.on("people", do="privacy", id=hoa.user.tenant_id, redact="off", model_sees_originals="off")
    assert accounts.get_tenant(services.db, hoa.user.tenant_id).redact


def test_acts_count_as_work_and_looking_does_not(services):
    admin = Browser(services, person(services, "Mai Water", "Lan", "tenant_admin"), per_second=1)
    admin.on("people", do="new", name="An", role="member")
    shown = admin.on("people", do="new", name="Bình", role="member")
    assert "That was faster than allowed, so this one was not taken." in shown and 'value="Bình"' in shown and "Bình" not in users(services)
    assert "An" in admin.on("people", do="show")
