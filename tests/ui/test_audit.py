"""The audit log on the people page, and what the page's own functions leave in it."""

import gradio as gr
import pytest
from signed_in import Browser, person

from maisale.library.documents import add_document
from maisale.store import audit, conversations, erasures
from maisale.ui import scene
from maisale.ui.chat import Chat
from maisale.ui.scene import WorkerWatch
from maisale.ui.shelf import Shelf


@pytest.fixture
def since(services):
    """Runs something and gives the rows that it left, oldest first."""

    def run(act):
        begin = audit.head(services.db).number
        act()
        return [one for one in reversed(audit.entries(services.db, limit=1000)) if one.number > begin]

    return run


def brief(rows):
    return [(row.action, row.result) for row in rows]


ACCOUNT = [
    ({"do": "make_key", "name": "robot", "permissions": "read"}, "key_issue"),
    ({"do": "rotate", "id": "own"}, "key_rotate"),
    ({"do": "revoke", "id": "own"}, "key_revoke"),
]


@pytest.mark.parametrize("sent, action", ACCOUNT)
def test_what_is_done_with_one_s_keys_is_one_row(linh, since, sent, action):
    sent = {**sent, "id": linh.key.id if "id" in sent else ""}
    (row,) = since(lambda: linh.on("account", **sent))
    assert (row.action, row.result, row.user_id, row.door, row.address) == (action, "done", linh.user.id, "page", "10.0.0.7")
    assert row.key_id == linh.key.id


def test_an_admin_who_opens_the_account_page_looks_at_receipts_and_a_member_at_the_own_ones(services, lan, linh, since):
    assert brief(since(lambda: lan.on("account", do="show"))) == [("erasures_read", "done")]
    assert since(lambda: linh.on("account", do="show")) == []


def test_the_account_page_that_is_not_opened_yet_holds_no_other_s_receipts(services, lan, linh):
    services.db.write(lambda tx: erasures.begin(tx, linh.user.scope, "document", "gone"))
    assert "Deletions" not in scene.account_for(services, scene.reader(lan.request())) and "Deletions" in lan.on("account", do="show")


PEOPLE = [
    ("lan", {"do": "show"}, ["users_read"]),
    ("lan", {"do": "step", "step": "new"}, ["users_read"]),
    ("lan", {"do": "step", "step": "person", "id": "linh"}, ["keys_read"]),
    ("lan", {"do": "new", "name": "An", "role": "member"}, ["user_add", "invitation_make"]),
    ("lan", {"do": "role", "id": "linh", "role": "tenant_admin"}, ["user_role"]),
    ("lan", {"do": "revoke", "id": "linh", "key_id": "linh's"}, ["key_revoke"]),
    ("lan", {"do": "invite", "id": "linh"}, ["invitation_make"]),
    ("lan", {"do": "delete", "id": "linh"}, ["key_revoke", "user_delete"]),
    ("root", {"do": "add_team", "name": "Third"}, ["tenant_add"]),
    ("root", {"do": "delete_team", "id": "linh's team"}, ["key_revoke"] * 2 + ["user_delete"] * 2 + ["tenant_delete"]),
    ("lan", {"do": "privacy", "id": "linh's team", "redact": "off"}, ["privacy_choose"]),
    ("lan", {"do": "step", "step": "audit"}, ["audit_read"]),
    ("lan", {"do": "audit", "action": "key_issue"}, ["audit_read"]),
]


@pytest.mark.parametrize("who, sent, actions", PEOPLE, ids=[f"{one[0]} {one[1]['do']} {one[1].get('step', '')}" for one in PEOPLE])
def test_what_an_admin_does_on_the_people_page_leaves_its_rows(root, lan, linh, since, who, sent, actions):
    browser = {"root": root, "lan": lan}[who]
    browser.type_again()
    ids = {"linh": linh.user.id, "linh's": linh.key.id, "linh's team": linh.user.tenant_id}
    found = since(lambda: browser.on("people", **{name: ids.get(value, value) for name, value in sent.items()}))
    assert brief(found) == [(action, "done") for action in actions]
    assert {(row.user_id, row.door) for row in found} == {(browser.user.id, "page")}


@pytest.mark.parametrize(
    "sent, action",
    [
        ({"do": "role", "id": "hoa", "role": "tenant_admin"}, "user_role"),
        ({"do": "revoke", "id": "hoa", "key_id": "hoa's"}, "key_revoke"),
        ({"do": "invite", "id": "linh"}, "invitation_make"),
        ({"do": "delete", "id": "linh"}, "user_delete"),
        ({"do": "add_team", "name": "Third"}, "tenant_add"),
        ({"do": "fresh", "key": "wrong"}, "key_retype"),
    ],
)
def test_what_an_admin_is_refused_is_noted(services, lan, linh, hoa, since, sent, action):
    ids = {"linh": linh.user.id, "hoa": hoa.user.id, "hoa's": hoa.key.id}
    found = since(lambda: lan.on("people", **{name: ids.get(value, value) for name, value in sent.items()}))
    refused = [row for row in found if row.result != "done"]
    assert [row.action for row in refused] == [action] and refused[0].tenant_id == lan.user.tenant_id and "wrong" not in str(refused)


def test_a_member_who_calls_the_people_page_is_noted(linh, since):
    assert brief(since(lambda: linh.on("people", do="show"))) == [("users_read", "refused: NotAllowed")]


def on_shelf(browser, **sent):
    return browser.calls(lambda replies: Shelf(lambda: replies, WorkerWatch()).page_acts(browser.request(), gr.EventData(None, sent)))


def test_the_documents_page_notes_what_is_done_and_refused(services, linh, hoa, lan, tmp_path, since):
    (tmp_path / "a.md").write_text("A text.")
    document = add_document(services, linh.caller.scope, tmp_path / "a.md", "a.md")
    found = since(lambda: on_shelf(hoa, do="remove", id=document.id))
    assert brief(found) == [("document_delete", "refused: NotFound")] and found[0].subject_id == document.id
    found = since(lambda: on_shelf(linh, do="remove", id=document.id))
    assert brief(found) == [("document_delete", "done")] and (found[0].user_id, found[0].door) == (linh.user.id, "page")
    assert since(lambda: on_shelf(linh, do="show")) == []
    assert since(lambda: on_shelf(lan, do="show")) == []
    assert brief(since(lambda: on_shelf(lan, do="letters", letters="1"))) == [("jobs_read", "done")]


def test_an_upload_on_the_page_is_a_row_a_file(linh, tmp_path, since):
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"The text of {name}.")
    paths = [str(tmp_path / name) for name in ("a.md", "b.md")]
    found = since(lambda: linh.calls(lambda replies: Shelf(lambda: replies, WorkerWatch()).add(paths, linh.request())))
    assert [row.action for row in found] == ["collection_add", "document_add", "document_add"] and {row.door for row in found} == {"page"}


def test_a_conversation_deleted_in_the_sidebar_is_noted(services, linh, hoa, since):
    made = services.db.write(lambda tx: conversations.new_conversation(tx, linh.caller.scope, "A talk"))

    def delete(browser):
        event = gr.EventData(None, {"do": "delete", "id": made.id})
        return browser.calls(lambda replies: Chat(lambda: replies, WorkerWatch()).rail_acts("", "", browser.request(), event))

    assert brief(since(lambda: delete(hoa))) == [("conversation_delete", "refused: NotFound")]
    assert brief(since(lambda: delete(linh))) == [("conversation_delete", "done")]


# What is shown


def test_the_log_is_opened_and_names_people_in_both_languages(services, lan, linh):
    lan.on("people", do="role", id=linh.user.id, role="tenant_admin")
    assert "Changed a role" not in lan.on("people", do="show")
    shown = lan.on("people", do="step", step="audit")
    assert "<b>Changed a role</b><small>Lan · Linh · tenant_admin · page, 10.0.0.7</small>" in shown
    assert "Đổi vai trò" in Browser(services, lan.user, language="vi").on("people", do="step", step="audit")


def test_the_log_shows_only_what_is_looked_for(lan, linh):
    lan.on("people", do="role", id=linh.user.id, role="tenant_admin")
    shown = lan.on("people", do="audit", action="key_issue")
    assert "<b>Made a key</b>" in shown and "<b>Changed a role</b>" not in shown and '<option value="key_issue" selected>' in shown
    assert "<b>Changed a role</b>" in lan.on("people", do="audit", action="<script>")


def test_another_team_s_admin_sees_nothing_of_it(services, lan, linh, root):
    other = Browser(services, person(services, "Other", "Tâm", "tenant_admin"))
    lan.on("people", do="role", id=linh.user.id, role="tenant_admin")
    shown = other.on("people", do="step", step="audit")
    assert "<b>Made a key</b>" in shown and "<b>Changed a role</b>" not in shown and linh.user.id not in shown and lan.user.id not in shown
    assert "<b>Changed a role</b>" in root.on("people", do="step", step="audit")


def test_the_log_is_not_opened_without_the_right_to(services, linh):
    assert "Only admins manage people." in linh.on("people", do="step", step="audit")
