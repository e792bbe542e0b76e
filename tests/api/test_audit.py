"""What the audit log holds of what people do over HTTP: one row an act with who, what, from where and how it ended; refusals too; and who may read it."""

import json
from types import SimpleNamespace

import pytest
from office import ask, open_office, upload, wait_for

from maisale.access import people, sessions
from maisale.api.v1.audit import NOTED
from maisale.store import audit, jobs


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with open_office(tmp_path_factory.mktemp("audit")) as opened:
        yield opened


class Log:
    """The rows since it was made, oldest first."""

    def __init__(self, db):
        self.db = db
        self.forget()

    def forget(self):
        self.begin = audit.head(self.db).number

    def rows(self):
        return [one for one in reversed(audit.entries(self.db, limit=1000)) if one.number > self.begin]


@pytest.fixture
def log(office):
    return Log(office.services.db)


@pytest.fixture
def things(office, log):
    """Of linh: a conversation, a message, a document, a receipt, a key, a job that was given up; a person and a tenant to be deleted."""
    db = office.services.db
    conversation = office.linh.http.post("/v1/conversations", json={"title": "A talk"}).json()["id"]
    document = upload(office.linh.http, f"# Hours\n\nOpen at {audit.head(db).number}.", f"hours-{audit.head(db).number}.md").json()["id"]
    failed = upload(office.linh.http, f"Failed {audit.head(db).number}.", f"failed-{audit.head(db).number}.md").json()["id"]
    db.write(lambda tx: tx.execute("UPDATE documents SET stage = 'failed', cause = 'broken' WHERE id = :id", id=failed))
    message = ask(office.linh.http)["message_id"]
    gone = upload(office.linh.http, f"Gone {audit.head(db).number}.", f"gone-{audit.head(db).number}.md").json()["id"]
    erasure = office.linh.http.delete(f"/v1/documents/{gone}").json()["erasure_id"]
    key = office.linh.http.post("/v1/keys", json={"name": "robot"}).json()["id"]
    job = db.write(lambda tx: jobs.add(tx, office.linh.user.tenant_id, "embed_document", document))
    db.write(lambda tx: tx.execute("UPDATE jobs SET state = 'dead', cause = 'broken' WHERE id = :id", id=job))
    extra = office.hire("spare", f"temp {audit.head(db).number}")
    log.forget()
    return SimpleNamespace(
        **{"conversation": conversation, "document": document, "failed": failed, "key": key, "job": job, "message": message, "erasure": erasure},
        **{"user": extra.user.id, "tenant": extra.user.tenant_id, "linh": office.linh.user.id},
    )


# who, method, path, what is sent, actions, kind and name of the last one's subject
DONE = [
    ("linh", "POST", "/v1/keys", {"json": {}}, ["key_issue"], "key", None),
    ("linh", "DELETE", "/v1/messages/{message}", {}, ["message_delete"], "message", "message"),
    ("mai", "GET", "/v1/erasures", {}, ["erasures_read"], "", None),
    ("mai", "GET", "/v1/erasures/{erasure}", {}, ["erasures_read"], "erasure", "erasure"),
    ("linh", "POST", "/v1/keys/{key}/rotate", {"json": {}}, ["key_rotate"], "key", "key"),
    ("linh", "DELETE", "/v1/keys/{key}", {}, ["key_revoke"], "key", "key"),
    ("mai", "DELETE", "/v1/keys/{key}", {}, ["key_revoke"], "key", "key"),
    ("admin", "POST", "/v1/keys/fresh", {"json": {}}, ["key_fresh"], "key", None),
    ("fresh", "POST", "/v1/users/{linh}/keys", {"json": {}}, ["key_issue"], "key", None),
    ("fresh", "POST", "/v1/users/{linh}/invitation", {}, ["invitation_make"], "user", "linh"),
    ("admin", "POST", "/v1/users", {"json": {"name": "New", "tenant": "spare"}}, ["user_add", "invitation_make"], "user", None),
    ("admin", "PATCH", "/v1/users/{user}", {"json": {"role": "tenant_admin"}}, ["user_role"], "user", "user"),
    ("fresh", "DELETE", "/v1/users/{user}", {}, ["key_revoke", "user_delete"], "user", "user"),
    ("admin", "POST", "/v1/tenants", {"json": {"name": "another"}}, ["tenant_add"], "tenant", None),
    ("admin", "PATCH", "/v1/tenants/{tenant}", {"json": {"redact": False}}, ["privacy_choose"], "tenant", "tenant"),
    ("linh", "POST", "/v1/documents", {"files": {"file": ("a.md", b"A new one.")}}, ["document_add"], "document", None),
    (
        "linh",
        "POST",
        "/v1/documents",
        {"files": {"file": ("b.md", b"B.")}, "data": {"collection": "Plans", "visibility": "private"}},
        ["collection_add", "document_add"],
        "document",
        None,
    ),
    ("linh", "DELETE", "/v1/documents/{document}", {}, ["document_delete"], "document", "document"),
    ("mai", "DELETE", "/v1/documents/{document}", {}, ["document_delete"], "document", "document"),
    ("linh", "POST", "/v1/documents/{document}/cancel", {}, ["document_cancel"], "document", "document"),
    ("linh", "POST", "/v1/documents/{failed}/retry", {}, ["document_retry"], "document", "failed"),
    ("linh", "POST", "/v1/jobs/{job}/retry", {}, ["job_retry"], "job", "job"),
    ("linh", "POST", "/v1/jobs/{job}/skip", {}, ["job_skip"], "job", "job"),
    ("linh", "DELETE", "/v1/conversations/{conversation}", {}, ["conversation_delete"], "conversation", "conversation"),
    ("linh", "GET", "/v1/conversations/{conversation}/export", {}, ["conversation_export"], "conversation", "conversation"),
    ("linh", "GET", "/v1/conversations/{conversation}/export?format=json", {}, ["conversation_export"], "conversation", "conversation"),
    ("mai", "GET", "/v1/users", {}, ["users_read"], "", None),
    ("mai", "GET", "/v1/users/{linh}", {}, ["users_read"], "user", "linh"),
    ("mai", "GET", "/v1/users/{linh}/keys", {}, ["keys_read"], "user", "linh"),
    ("admin", "GET", "/v1/tenants", {}, ["tenants_read"], "", None),
    ("mai", "GET", "/v1/jobs", {}, ["jobs_read"], "", None),
    ("mai", "GET", "/v1/audit", {}, ["audit_read"], "", None),
]


def call(office, things, who, method, path, sent):
    if who == "fresh":
        client, user = office.fresh(), office.admin.user
    else:
        client, user = getattr(office, who).http, getattr(office, who).user
    return client.headers["X-API-Key"], user, lambda: client.request(method, path.format(**vars(things)), **sent)


@pytest.mark.parametrize("who, method, path, sent, actions, kind, subject", DONE, ids=[f"{one[0]} {one[1]} {one[2]}" for one in DONE])
def test_what_is_done_leaves_its_rows(office, things, log, who, method, path, sent, actions, kind, subject):
    key, user, send = call(office, things, who, method, path, sent)
    log.forget()
    answer = send()
    assert answer.status_code < 300, answer.text
    found = log.rows()
    assert [row.action for row in found] == actions
    for row in found:
        assert (row.user_id, row.door, row.address, row.result) == (user.id, "api", "127.0.0.1", "done")
        assert row.key_id == (key.split("_")[1] if key.startswith("msk_") else "admin")
    assert found[-1].subject_kind == kind and found[-1].subject_id == (getattr(things, subject) if subject else found[-1].subject_id)


def test_a_row_belongs_to_the_tenant_that_the_act_concerns(office, things, log):
    office.admin.http.patch(f"/v1/users/{things.user}", json={"role": "tenant_admin"})
    (row,) = log.rows()
    assert (row.tenant_id, row.user_id, row.detail) == (things.tenant, office.admin.user.id, "tenant_admin")


def test_a_deleted_team_leaves_the_rows_of_its_people(office, things, log):
    fresh = office.fresh()
    assert fresh.delete(f"/v1/tenants/{things.tenant}").status_code == 200
    assert [row.action for row in log.rows()][-2:] == ["user_delete", "tenant_delete"]
    assert "user_add" in [row.action for row in audit.entries(office.services.db, things.tenant)]


# who, method, path and what is sent: every call is refused
REFUSED = [
    ("minh", "GET", "/v1/conversations/{conversation}/export", {}),
    ("minh", "DELETE", "/v1/conversations/{conversation}", {}),
    ("minh", "DELETE", "/v1/messages/{message}", {}),
    ("minh", "GET", "/v1/erasures/{erasure}", {}),
    ("minh", "POST", "/v1/documents", {"files": {"file": ("a.md", b"A.")}, "data": {"visibility": "public"}}),
    ("reader", "POST", "/v1/documents", {"files": {"file": ("a.md", b"A.")}}),
    ("minh", "DELETE", "/v1/documents/{document}", {}),
    ("hoa", "DELETE", "/v1/documents/{document}", {}),
    ("reader", "DELETE", "/v1/documents/{document}", {}),
    ("minh", "POST", "/v1/documents/{document}/retry", {}),
    ("minh", "POST", "/v1/documents/{document}/cancel", {}),
    ("hoa", "POST", "/v1/jobs/{job}/retry", {}),
    ("hoa", "POST", "/v1/jobs/{job}/skip", {}),
    ("linh", "POST", "/v1/keys", {"json": {"permissions": ["admin"]}}),
    ("mai", "POST", "/v1/keys/fresh", {"json": {}}),
    ("mai", "POST", "/v1/session/fresh", {"json": {"key": "typed wrongly"}}),
    ("minh", "POST", "/v1/keys/{key}/rotate", {"json": {}}),
    ("minh", "DELETE", "/v1/keys/{key}", {}),
    ("minh", "GET", "/v1/users", {}),
    ("minh", "POST", "/v1/users", {"json": {"name": "X"}}),
    ("mai", "GET", "/v1/users/{user}", {}),
    ("mai", "PATCH", "/v1/users/{user}", {"json": {"role": "member"}}),
    ("mai", "DELETE", "/v1/users/{linh}", {}),
    ("mai", "POST", "/v1/users/{linh}/invitation", {}),
    ("mai", "GET", "/v1/users/{user}/keys", {}),
    ("mai", "POST", "/v1/users/{linh}/keys", {"json": {}}),
    ("minh", "GET", "/v1/tenants", {}),
    ("mai", "POST", "/v1/tenants", {"json": {"name": "x"}}),
    ("mai", "PATCH", "/v1/tenants/{tenant}", {"json": {"redact": False}}),
    ("mai", "DELETE", "/v1/tenants/{tenant}", {}),
    ("minh", "GET", "/v1/audit", {}),
]


@pytest.mark.parametrize("who, method, path, sent", REFUSED, ids=[f"{one[0]} {one[1]} {one[2]}" for one in REFUSED])
def test_what_is_refused_leaves_one_row(office, things, log, who, method, path, sent):
    person = office.minh if who == "reader" else getattr(office, who)
    client = office.key_of(person, permissions=["read"]) if who == "reader" else person.http
    log.forget()
    answer = client.request(method, path.format(**vars(things)), **sent)
    assert answer.status_code in (403, 404), answer.text
    (row,) = log.rows()
    assert row.result == f"refused: {answer.json()['kind']}" and row.door == "api"
    assert (row.user_id, row.tenant_id) == (person.user.id, person.user.tenant_id)
    named = [getattr(things, name) for name in vars(things) if f"{{{name}}}" in path]
    assert [row.subject_id] == (named or [""])


def test_every_noted_call_is_done_or_refused_above():
    called = {(one[1], one[2].partition("?")[0].partition("{")[0]) for one in REFUSED}
    assert {(method, f"/v1{path.partition('{')[0]}") for method, path in NOTED} == called
    assert {action for action, _, _ in NOTED.values()} <= set(audit.ACTIONS)


def test_what_cannot_be_taken_is_no_refusal(office, things, log):
    assert office.linh.http.post("/v1/keys", json={"permissions": ["fly"]}).status_code == 422
    assert office.linh.http.post("/v1/keys/admin/rotate", json={"overlap_s": -1}).status_code == 422
    assert log.rows() == []


def test_asking_reading_and_searching_leave_no_row(office, things, log):
    ask(office.linh.http)
    for path in ("conversations", f"conversations/{things.conversation}", "documents", f"documents/{things.document}", "search?q=hours", "keys", "erasures"):
        assert office.linh.http.get(f"/v1/{path}").status_code == 200
    assert log.rows() == []


# Signing in


def test_signing_in_and_out_is_noted_with_key_and_address(office, log):
    browser = office.browser(office.linh.key)
    assert browser.post("/logout").status_code == 303
    key_id = office.linh.key.split("_")[1]
    assert [(row.action, row.user_id, row.key_id, row.address, row.door) for row in log.rows()] == [
        (action, office.linh.user.id, key_id, "127.0.0.1", "page") for action in ("sign_in", "sign_out")
    ]


def test_a_wrong_key_is_noted_without_its_text(office, log):
    page = office.anyone(**{"Sec-Fetch-Site": "same-origin"})
    wrong = "msk_0123456789abcdef_" + "w" * 43
    assert page.post("/login", data={"key": wrong}).status_code == 401
    assert office.with_key("my password").get("/v1/me").status_code == 401
    first, second = log.rows()
    assert (first.action, first.result, first.subject_id, first.door) == ("sign_in", "refused: NotSignedIn", "0123456789abcdef", "page")
    assert (second.subject_id, second.door, second.user_id) == ("admin", "api", "") and "password" not in str(second)


def test_a_crowd_of_wrong_keys_does_not_fill_the_log(office, log):
    with open_office_of_its_own(office) as (client, own):
        for _ in range(13):
            client.post("/link/none")
        assert len([row for row in own.rows() if row.result.startswith("refused")]) == 10


class open_office_of_its_own:  # counts of wrong keys are of a server's life
    def __init__(self, office):
        self.folder = office.services.settings.data_dir.parent / "own"

    def __enter__(self):
        self.opened = open_office(self.folder)
        own = self.opened.__enter__()
        return own.anyone(**{"Sec-Fetch-Site": "same-origin"}), Log(own.services.db)

    def __exit__(self, *problem):
        return self.opened.__exit__(*problem)


def test_links_are_noted_when_they_are_made_and_used(office, things, log):
    db, page = office.services.db, office.anyone(**{"Sec-Fetch-Site": "same-origin"})
    for token in (sessions.make_sign_in_link(db, office.linh.user), sessions.make_invitation(db, office.linh.user)):
        assert page.post(f"/link/{token}").status_code in (200, 303)
    assert [(row.action, row.door) for row in log.rows()] == [
        ("link_make", "server"), ("invitation_make", "server"), ("sign_in", "page"), ("invitation_use", "page")
    ]  # fmt: skip
    assert {row.user_id for row in log.rows()[2:]} == {office.linh.user.id}


def test_the_key_typed_again_is_noted(office, log):
    browser = office.browser(office.mai.key)
    log.forget()
    assert browser.post("/v1/session/fresh", json={"key": office.mai.key}).status_code == 200
    assert [(row.action, row.user_id) for row in log.rows()] == [("key_retype", office.mai.user.id)]


# The named functions


def test_named_functions_note_what_they_do_and_refuse(office, things, log):
    def event(person, name, *values):
        said = person.call(name, *values).json()["event_id"]
        with person.http.stream("GET", f"/gradio_api/call/{name}/{said}") as answer:
            answer.read()

    event(office.hoa, "delete_conversation", things.conversation)
    event(office.linh, "delete_conversation", things.conversation)
    path = office.linh.upload(b"from a program", "program.md")
    event(office.linh, "add_document", {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "program.md"}, None, None)
    found = wait_for(lambda: len(log.rows()) >= 3 and log.rows())
    assert [(row.action, row.result, row.user_id, row.door, row.address) for row in found] == [
        ("conversation_delete", "refused: NotFound", office.hoa.user.id, "api", "127.0.0.1"),
        ("conversation_delete", "done", office.linh.user.id, "api", "127.0.0.1"),
        ("document_add", "done", office.linh.user.id, "api", "127.0.0.1"),
    ]


# Reading


def test_an_admin_reads_the_own_team_s_rows_and_no_other(office, things):
    office.hoa.http.delete(f"/v1/documents/{things.document}")  # refused, and noted in the other tenant
    told = office.mai.http.get("/v1/audit", params={"limit": 1000}).json()
    assert {one["tenant_id"] for one in told} == {office.mai.user.tenant_id}
    other = office.hire("support", "head of support", "tenant_admin")
    assert office.linh.user.id not in str(other.http.get("/v1/audit", params={"limit": 1000, "user": office.linh.user.id}).json())
    everything = office.admin.http.get("/v1/audit", params={"limit": 1000}).json()
    assert {office.mai.user.tenant_id, office.hoa.user.tenant_id} <= {one["tenant_id"] for one in everything}


def test_the_log_is_read_in_pages_and_by_what_is_looked_for(office, things):
    def read(**wanted):
        return office.admin.http.get("/v1/audit", params=wanted).json()

    first = read(limit=3)
    second = read(limit=3, before=first[-1]["number"])
    assert [one["number"] for one in first + second] == sorted({one["number"] for one in first + second}, reverse=True) and len(second) == 3
    assert {one["action"] for one in read(action="key_issue")} == {"key_issue"}
    assert {one["user_id"] for one in read(user=office.linh.user.id)} == {office.linh.user.id}
    middle = read(limit=1000)[5]["at"]
    assert min(one["at"] for one in read(since=middle)) >= middle > max(one["at"] for one in read(until=middle))
    assert office.admin.http.get("/v1/audit", params={"action": "fly"}).status_code == 422


def test_the_rows_hold_nothing_that_anybody_wrote(office, things):
    db, mark = office.services.db, "zqxjkvbn"
    linh = office.hire(f"{mark}-tenant", f"{mark}-person")
    made = linh.http.post("/v1/keys", json={"name": f"{mark}-key"}).json()
    conversation = ask(linh.http, f"What is {mark}?")["conversation_id"]
    linh.http.patch(f"/v1/conversations/{conversation}", json={"title": f"{mark}-title"})
    upload(linh.http, f"The {mark} text.", f"{mark}.md", collection=f"{mark}-collection")
    linh.http.get(f"/v1/conversations/{conversation}/export")
    linh.http.delete(f"/v1/documents/{mark}")
    linh.http.delete(f"/v1/conversations/{mark}")
    linh.http.delete(f"/v1/keys/{made['key']}")
    office.with_key(mark).get("/v1/me")
    link = sessions.make_invitation(db, linh.user)
    told = json.dumps(db.rows("SELECT * FROM audit"))
    assert "conversation_export" in told
    for secret in (mark, made["key"], made["key"].split("_", 2)[2], linh.key.split("_", 2)[2], link, "an admin key of the tests"):
        assert secret not in told


def test_a_hundred_files_are_a_hundred_rows_of_one_chain(office, log):
    for number in range(100):
        assert upload(office.linh.http, f"File {number}.", f"bulk-{number}.md").status_code == 202
    assert [row.action for row in log.rows()] == ["document_add"] * 100
    assert audit.first_break(office.services.db)[1] == ""


def test_the_first_admin_and_the_key_of_the_settings_are_noted(office):
    db = office.services.db
    begun = [(row.action, row.door) for row in reversed(audit.entries(db, limit=10_000))][:3]
    assert begun == [("tenant_add", "server"), ("user_add", "server"), ("key_issue", "server")]
    before = audit.head(db)
    people.make_first_admin(db, office.services.settings)  # another start
    assert audit.head(db) == before
