"""Keys, people and tenants below /v1: who may make, see, replace and remove what, and what is left of somebody who is deleted."""

import re
import time

import pytest
from office import QUESTION, answered, ask, open_office, upload

from maisale.access import keys
from maisale.access.gate import COOKIE


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with open_office(tmp_path_factory.mktemp("people")) as opened:
        yield opened


def issue(client, **wanted):
    answer = client.post("/v1/keys", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()


def rows_with(db, *ids):
    """{table: how many of its rows hold one of these ids anywhere}."""
    tables = [row["name"] for row in db.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {table: [str(tuple(row.values())) for row in db.rows(f'SELECT * FROM "{table}"')] for table in tables}
    counted = {table: sum(any(one in row for one in ids) for row in rows) for table, rows in found.items()}
    return {table: count for table, count in counted.items() if count}


# One's own keys


def test_a_key_is_named_limited_and_shown_once(office):
    client = office.hire("sales", "one").http
    made = issue(client, name="reports", permissions=["read"], days=1)
    assert re.fullmatch(r"msk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", made["key"]) and made["key"].split("_")[1] == made["id"]
    assert made["permissions"] == ["read"] and 86_390 < made["expires_at"] - time.time() < 86_400
    listed = client.get("/v1/keys")
    assert [one["name"] for one in listed.json()] == ["reports", "first key"]
    assert made["key"].split("_", 2)[2] not in listed.text and "hash" not in listed.text
    office.with_key(made["key"]).get("/v1/me")
    ends = time.monotonic() + 5
    while not client.get("/v1/keys").json()[0]["last_used_at"] and time.monotonic() < ends:
        time.sleep(0.02)
    assert client.get("/v1/keys").json()[0]["last_used_at"]


def test_a_key_gives_no_more_and_no_longer_than_it_has(office):
    client = office.key_of(office.linh, permissions=["chat", "read"], lasts_s=100)
    assert client.post("/v1/keys", json={"permissions": ["write"]}).status_code == 403
    assert office.mai.http.post("/v1/keys", json={"permissions": ["admin"]}).status_code == 201
    assert office.linh.http.post("/v1/keys", json={"permissions": ["admin"]}).status_code == 403
    for wanted in ({}, {"days": 30}):
        made = issue(client, **wanted)
        assert made["permissions"] == ["chat", "read"] and made["expires_at"] <= time.time() + 100


def test_a_key_is_rotated_without_a_pause_and_the_old_one_ends(office):
    client = office.hire("sales", "two").http
    old = issue(client, name="robot", permissions=["read"])
    new = office.with_key(old["key"]).post(f"/v1/keys/{old['id']}/rotate", json={"overlap_s": 0.5}).json()
    assert (new["name"], new["permissions"], new["expires_at"]) == ("robot", ["read"], None)
    assert [office.with_key(key).get("/v1/me").status_code for key in (old["key"], new["key"])] == [200, 200]
    time.sleep(0.5)
    assert [office.with_key(key).get("/v1/me").status_code for key in (old["key"], new["key"])] == [401, 200]


def test_a_short_key_is_not_made_long_by_rotating_another(office):
    client = office.key_of(office.linh, lasts_s=100)
    forever = issue(office.linh.http, name="forever")
    made = client.post(f"/v1/keys/{forever['id']}/rotate", json={}).json()
    assert made["expires_at"] <= time.time() + 100


def test_a_key_rotates_and_revokes_nothing_that_may_do_more(office):
    linh = office.hire("sales", "three")
    reader, own = office.key_of(linh, permissions=["read"]), issue(linh.http, permissions=["read"])
    for method, path in (("POST", "/rotate"), ("DELETE", "")):
        answer = reader.request(method, f"/v1/keys/{linh.key.split('_')[1]}{path}", json={} if method == "POST" else None)
        assert answer.status_code == 403 and "lacks the permission 'chat'" in answer.json()["error"]
    assert reader.delete(f"/v1/keys/{own['id']}").status_code == 200
    mine = reader.get("/v1/me").json()["key_id"]
    assert reader.delete(f"/v1/keys/{mine}").status_code == 200 and reader.get("/v1/me").status_code == 401


def test_a_revoked_key_is_refused_at_the_next_request_with_its_sessions(office):
    linh = office.hire("sales", "four")
    made = issue(linh.http)
    browser = office.browser(made["key"])
    assert linh.http.delete(f"/v1/keys/{made['id']}").json() == {"deleted": made["id"]}
    assert office.with_key(made["key"]).get("/v1/me").status_code == browser.get("/v1/me").status_code == 401
    assert linh.http.post(f"/v1/keys/{made['id']}/rotate", json={}).status_code == 422
    assert linh.http.delete(f"/v1/keys/{made['id']}").status_code == 404


def test_the_key_of_the_settings_is_neither_rotated_nor_revoked_here(office):
    other = office.hire("default", "second admin", "instance_admin")
    for client in (office.admin.http, other.http, office.fresh()):
        for method, path in (("POST", "/rotate"), ("DELETE", "")):
            answer = client.request(method, f"/v1/keys/admin{path}", json={} if method == "POST" else None)
            assert answer.status_code in (403, 422), answer.text
    assert office.admin.http.get("/v1/me").status_code == 200


def test_anothers_key_looks_like_a_missing_one(office):
    made = issue(office.linh.http)
    for client in (office.minh.http, office.hoa.http):
        for method, path in (("DELETE", ""), ("POST", "/rotate")):
            answer, missing = (client.request(method, f"/v1/keys/{key}{path}", json={} if path else None) for key in (made["id"], "none"))
            assert answer.status_code == 404 and answer.json() == missing.json()


# Fresh keys


def cannot_be_undone(office, tenant_id, user_id, key_id):
    yield "DELETE", f"/v1/users/{user_id}", None
    yield "DELETE", f"/v1/tenants/{tenant_id}", None
    yield "POST", f"/v1/users/{user_id}/keys", {}
    yield "POST", f"/v1/users/{user_id}/invitation", None
    yield "POST", f"/v1/keys/{key_id}/rotate", {}


def test_what_cannot_be_undone_needs_a_fresh_key(office):
    """Neither X_API_KEY_ADMIN itself, nor another key of its person however short, nor a session."""
    tenant = office.admin.http.post("/v1/tenants", json={"name": "short"}).json()
    person = office.hire("short", "somebody")
    short = issue(office.admin.http, permissions=["admin"], days=0.005)
    from_fresh = issue(office.fresh(), permissions=["admin", "read"])
    clients = [office.admin.http, office.with_key(short["key"]), office.with_key(from_fresh["key"]), office.browser(office.admin.key)]
    clients += [office.browser(issue_fresh(office))]
    for client in clients:
        for method, path, body in cannot_be_undone(office, tenant["id"], person.user.id, person.key.split("_")[1]):
            answer = client.request(method, path, json=body)
            assert answer.status_code == 403 and "fresh key" in answer.json()["error"], path
    assert person.http.get("/v1/me").status_code == 200


def issue_fresh(office, **wanted):
    return office.admin.http.post("/v1/keys/fresh", json=wanted).json()["key"]


def test_a_fresh_key_is_minted_by_the_settings_key_only_and_lives_for_minutes(office):
    made = office.admin.http.post("/v1/keys/fresh", json={}).json()
    assert made["fresh"] and 890 < made["expires_at"] - time.time() <= 900
    assert office.with_key(made["key"]).get("/v1/me").json()["fresh"]
    other = office.hire("default", "third admin", "instance_admin")
    for client in (other.http, office.mai.http, office.linh.http, office.with_key(made["key"]), office.browser(office.admin.key)):
        assert client.post("/v1/keys/fresh", json={}).status_code == 403
    for lasts_s in (901, 0, -1):
        assert office.admin.http.post("/v1/keys/fresh", json={"lasts_s": lasts_s}).status_code == 422
    assert office.with_key(made["key"]).post(f"/v1/keys/{made['id']}/rotate", json={}).status_code == 422


def test_a_fresh_key_ends(office):
    client = office.with_key(issue_fresh(office, lasts_s=0.3))
    assert client.get("/v1/me").status_code == 200
    time.sleep(0.3)
    assert client.get("/v1/me").status_code == 401


def test_a_fresh_key_issues_one_for_another(office):
    made = office.fresh().post(f"/v1/users/{office.linh.user.id}/keys", json={"name": "for linh", "days": 1}).json()
    assert office.with_key(made["key"]).get("/v1/me").json()["user"]["name"] == "linh" and not made["fresh"]
    assert office.fresh().post(f"/v1/users/{office.linh.user.id}/keys", json={"permissions": ["admin"]}).status_code == 403


def test_typing_the_key_again_makes_this_session_fresh_for_fifteen_minutes(office):
    admin = office.hire("sales", "another admin", "tenant_admin")
    colleague = office.hire("sales", "leaving")
    browser, elsewhere = office.browser(admin.key), office.browser(admin.key)
    for typed in ("wrong", office.linh.key, office.mai.key, issue(admin.http, permissions=["read"])["key"]):
        assert browser.post("/v1/session/fresh", json={"key": typed}).status_code == 403
    assert browser.delete(f"/v1/users/{colleague.user.id}").status_code == 403
    assert browser.post("/v1/session/fresh", json={"key": admin.key}).json()["fresh"]
    assert elsewhere.delete(f"/v1/users/{colleague.user.id}").status_code == 403
    office.services.db.write(lambda tx: tx.execute("UPDATE sessions SET fresh_until = fresh_until - 900"))
    assert browser.delete(f"/v1/users/{colleague.user.id}").status_code == 403
    browser.post("/v1/session/fresh", json={"key": admin.key})
    assert browser.delete(f"/v1/users/{colleague.user.id}").status_code == 200
    assert admin.http.post("/v1/session/fresh", json={"key": admin.key}).status_code == 403  # a program has no session


# Roles


def test_a_member_manages_nobody(office):
    calls = [("GET", "/v1/users", None), ("POST", "/v1/users", {"name": "x"}), ("GET", "/v1/tenants", None), ("POST", "/v1/tenants", {"name": "x"})]
    calls += [(method, f"/v1/users/{office.minh.user.id}{path}", body) for method, path, body in (("GET", "", None), ("GET", "/keys", None))]
    calls += [("PATCH", f"/v1/users/{office.linh.user.id}", {"role": "instance_admin"}), ("DELETE", f"/v1/users/{office.minh.user.id}", None)]
    for method, path, body in calls:
        assert office.linh.http.request(method, path, json=body).status_code == 403, path


def test_an_admins_key_without_the_permission_admin_manages_nobody(office):
    client = office.key_of(office.mai, permissions=["chat", "read", "write"])
    assert client.get("/v1/users").status_code == 403
    assert client.post("/v1/users", json={"name": "x"}).status_code == 403


def test_a_tenants_admin_manages_that_tenant_and_no_other(office):
    client = office.mai.http
    assert {one["tenant"] for one in client.get("/v1/users").json()} == {"sales"}
    assert [one["name"] for one in client.get("/v1/tenants").json()] == ["sales"]
    hoa = f"/v1/users/{office.hoa.user.id}"
    calls = [("GET", hoa, None), ("PATCH", hoa, {"role": "member"}), ("DELETE", hoa, None), ("GET", f"{hoa}/keys", None)]
    calls += [("POST", f"{hoa}/keys", {}), ("POST", f"{hoa}/invitation", None), ("POST", "/v1/users", {"name": "x", "tenant": "support"})]
    for method, path, body in calls:
        assert client.request(method, path, json=body).status_code == 404, path
    assert client.post("/v1/tenants", json={"name": "mine"}).status_code == 403
    assert client.delete(f"/v1/tenants/{office.mai.user.tenant_id}").status_code == 403
    assert client.post("/v1/users", json={"name": "boss", "role": "instance_admin"}).status_code == 403
    assert client.patch(f"/v1/users/{office.linh.user.id}", json={"role": "instance_admin"}).status_code == 403
    assert client.patch(f"/v1/users/{office.mai.user.id}", json={"role": "member"}).status_code == 422


def test_a_tenants_admin_chooses_what_becomes_of_personal_data_there(office):
    address = f"/v1/tenants/{office.mai.user.tenant_id}"
    chosen = office.mai.http.patch(address, json={"model_sees_originals": False}).json()
    assert (chosen["name"], chosen["redact"], chosen["model_sees_originals"]) == ("sales", True, False)
    assert office.mai.http.patch(address, json={"redact": False, "model_sees_originals": True}).json()["redact"] is False
    assert office.linh.http.patch(address, json={"redact": True}).status_code == 403
    assert office.mai.http.patch(f"/v1/tenants/{office.hoa.user.tenant_id}", json={"redact": False}).status_code == 404
    assert office.admin.http.patch(address, json={"redact": True}).json()["redact"] is True
    office.work_off()


def test_a_tenants_admin_does_not_touch_an_instances_admin_of_the_same_tenant(office):
    boss = office.hire("sales", "boss", "instance_admin")
    browser = office.browser(office.mai.key)
    browser.post("/v1/session/fresh", json={"key": office.mai.key})
    place = f"/v1/users/{boss.user.id}"
    for method, path, body in (("PATCH", "", {"role": "member"}), ("DELETE", "", None), ("POST", "/keys", {}), ("POST", "/invitation", None)):
        assert browser.request(method, place + path, json=body).status_code == 403, path
    assert browser.delete(f"/v1/keys/{boss.key.split('_')[1]}").status_code == 404


def test_an_admin_revokes_a_members_key_and_sees_its_name_only(office):
    linh = office.hire("sales", "five")
    made = issue(linh.http, name="lost")
    seen = office.mai.http.get(f"/v1/users/{linh.user.id}/keys")
    assert [one["name"] for one in seen.json()] == ["lost", "first key"] and made["key"].split("_", 2)[2] not in seen.text
    assert office.mai.http.delete(f"/v1/keys/{made['id']}").status_code == 200
    assert office.with_key(made["key"]).get("/v1/me").status_code == 401


def test_another_role_counts_from_the_next_request_on(office):
    person = office.hire("sales", "six")
    assert office.mai.http.patch(f"/v1/users/{person.user.id}", json={"role": "tenant_admin"}).json()["role"] == "tenant_admin"
    assert person.http.get("/v1/users").status_code == 403  # a member's key lacks the permission admin
    admin = office.hire("sales", "seven", "tenant_admin")
    assert admin.http.get("/v1/users").status_code == 200
    office.mai.http.patch(f"/v1/users/{admin.user.id}", json={"role": "member"})
    assert admin.http.get("/v1/users").status_code == 403
    assert admin.http.post("/v1/keys", json={"permissions": ["admin"]}).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [({"name": ""}, 422), ({"name": " x"}, 422), ({"name": "a\nb"}, 422), ({"name": "x" * 81}, 422), ({"name": "linh"}, 422), ({"name": 5}, 422)]
    + [({}, 422), ({"name": "x", "role": "king"}, 422), ({"name": "x", "tenant": "nowhere"}, 404), ({"name": "x", "admin": True}, 422)],
)
def test_a_strange_colleague_is_refused_in_words(office, body, status):
    answer = office.mai.http.post("/v1/users", json=body)
    assert answer.status_code == status and answer.json()["error"].endswith(".")


# Invitations


def invite(office, name, **more):
    answer = office.mai.http.post("/v1/users", json={"name": name, **more})
    assert answer.status_code == 201 and answer.json()["link"].startswith(f"{office.url}/link/")
    return answer.json()


def accept(office, link):
    return office.anyone(**{"Sec-Fetch-Site": "same-origin"}).post(link)


def key_in(page):
    return re.findall(r"msk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", page.text)


def test_an_invitation_makes_the_first_key_once_and_signs_in(office):
    made = invite(office, "an")
    assert office.mai.http.get(f"/v1/users/{made['user']['id']}/keys").json() == []
    looked = office.anyone().get(made["link"])  # a mail program looks at it
    assert looked.status_code == 200 and not key_in(looked)
    answer = accept(office, made["link"])
    [key] = key_in(answer)
    me = office.with_key(key).get("/v1/me").json()
    assert (me["user"]["name"], me["permissions"], me["expires_at"]) == ("an", ["chat", "read", "write"], None)
    assert office.anyone(Cookie=f"{COOKIE}={answer.cookies[COOKIE]}").get("/v1/me").json()["user"]["name"] == "an"
    for again in (accept(office, made["link"]), office.anyone().get(made["link"])):
        assert again.status_code == 410 and not key_in(again)


def test_another_site_does_not_use_an_invitation_up(office):
    made = invite(office, "binh")
    assert office.anyone(Origin="https://elsewhere.example").post(made["link"]).status_code == 403
    assert office.anyone().post(made["link"]).status_code == 403
    assert key_in(accept(office, made["link"]))


def test_an_invitation_ends_after_three_days(office):
    kept, late = invite(office, "chi"), invite(office, "dung")
    sql = "UPDATE links SET expires_at = expires_at - :s WHERE user_id = :id"
    office.services.db.write(lambda tx: tx.execute(sql, s=71.9 * 3600, id=kept["user"]["id"]))
    office.services.db.write(lambda tx: tx.execute(sql, s=72 * 3600, id=late["user"]["id"]))
    assert accept(office, late["link"]).status_code == 410
    assert key_in(accept(office, kept["link"]))


def test_a_second_invitation_ends_the_first_and_replaces_a_lost_key(office):
    first = invite(office, "em")
    fresh = office.fresh()
    second = fresh.post(f"/v1/users/{first['user']['id']}/invitation").json()
    assert accept(office, first["link"]).status_code == 410
    [lost] = key_in(accept(office, second["link"]))
    third = fresh.post(f"/v1/users/{first['user']['id']}/invitation").json()
    [found] = key_in(accept(office, third["link"]))
    assert found != lost and office.with_key(found).get("/v1/me").json()["user"]["name"] == "em"


def test_an_invited_admin_gets_an_admins_key(office):
    [key] = key_in(accept(office, invite(office, "giang", role="tenant_admin")["link"]))
    assert office.with_key(key).get("/v1/users").status_code == 200


# Deletion


def test_of_a_deleted_person_nothing_is_left_but_what_the_team_reads(office):
    person, heir = office.hire("sales", "leaver"), office.mai
    shared = upload(person.http, "The gizmo costs 5.", "gizmo.md", collection="Prices").json()
    private = upload(person.http, "My gizmo notes.", "notes.md", collection="Mine", visibility="private").json()
    whole = answered(person.http, "What does the gizmo cost?")
    dropped = upload(person.http, "A quote.", "quote.md", conversation_id=whole["conversation_id"]).json()
    browser = office.browser(person.key)
    office.work_off()
    gone = (person.user.id, whole["conversation_id"], whole["message_id"], whole["reply_id"], private["id"], dropped["id"])
    before = rows_with(office.services.db, *gone)
    assert {"users", "keys", "sessions", "conversations", "messages", "replies", "documents", "chunks", "vectors", "jobs"} <= set(before)

    session = office.browser(heir.key)
    session.post("/v1/session/fresh", json={"key": heir.key})
    assert session.delete(f"/v1/users/{person.user.id}").json()["deleted"] == person.user.id
    office.work_off()

    # What is left are done jobs that took vectors out of the index, by id, until the compaction; the receipt; and the audit log.
    assert set(rows_with(office.services.db, *gone)) <= {"jobs", "erasures", "audit"}
    assert {row["kind"] for row in office.services.db.rows("SELECT kind FROM jobs WHERE subject_id IN :ids", ids=list(gone))} <= {"remove_vectors"}
    assert person.http.get("/v1/me").status_code == browser.get("/v1/me").status_code == 401
    kept = {path.name for path in office.services.settings.files_dir.iterdir()}
    assert shared["id"] in kept and not kept & {private["id"], dropped["id"]}
    assert office.linh.http.get("/v1/search", params={"q": "gizmo"}).json()[0]["document_id"] == shared["id"]
    assert heir.http.delete(f"/v1/documents/{shared['id']}").status_code == 200


def test_a_person_is_deleted_while_an_answer_waits(office):
    person = office.hire("sales", "hasty")
    for _ in range(4):
        ask(person.http, QUESTION)
    assert office.fresh().delete(f"/v1/users/{person.user.id}").status_code == 200
    left = rows_with(office.services.db, person.user.id)
    assert left.keys() == {"audit", "erasures"} and left["erasures"] == 1  # the receipt names whom it is about


def test_of_a_deleted_tenant_nothing_is_left(office):
    tenant = office.admin.http.post("/v1/tenants", json={"name": "closing"}).json()
    people = [office.hire("closing", "one"), office.hire("closing", "two", "tenant_admin")]
    documents = [upload(one.http, f"The closing price of {one.user.name}.", f"{one.user.name}.md").json() for one in people]
    answered(people[0].http, "What is the closing price?")
    invited = office.admin.http.post("/v1/users", json={"name": "three", "tenant": "closing"}).json()
    office.work_off()
    gone = (tenant["id"], *(one.user.id for one in people), invited["user"]["id"], *(one["id"] for one in documents))
    assert {"tenants", "users", "keys", "links", "collections", "documents", "chunks"} <= set(rows_with(office.services.db, *gone))
    assert office.fresh().delete(f"/v1/tenants/{tenant['id']}").json()["deleted"] == tenant["id"]
    office.work_off()
    assert set(rows_with(office.services.db, *gone)) <= {"jobs", "erasures", "audit"}
    kinds = office.services.db.rows("SELECT DISTINCT kind FROM jobs WHERE tenant_id = :id", id=tenant["id"])
    assert {row["kind"] for row in kinds} <= {"remove_vectors"}
    assert not {path.name for path in office.services.settings.files_dir.iterdir()} & {one["id"] for one in documents}
    assert people[0].http.get("/v1/me").status_code == 401
    assert accept(office, invited["link"]).status_code == 410
    assert "closing" not in {one["name"] for one in office.admin.http.get("/v1/tenants").json()}


def test_a_public_document_outlives_the_tenant_of_who_added_it(office):
    tenant = office.admin.http.post("/v1/tenants", json={"name": "publisher"}).json()
    author = office.hire("publisher", "author", "instance_admin")
    document = upload(author.http, "A public notice about fountains.", "notice.md", collection="Notices", visibility="public").json()
    office.work_off()
    assert office.fresh().delete(f"/v1/tenants/{tenant['id']}").status_code == 200
    assert office.hoa.http.get(f"/v1/documents/{document['id']}").json()["title"] == "notice.md"
    assert rows_with(office.services.db, author.user.id).keys() == {"audit"}
    assert office.admin.http.delete(f"/v1/documents/{document['id']}").status_code == 200


def test_who_holds_the_instance_together_stays(office):
    fresh = office.fresh()
    other = office.hire("default", "fourth admin", "instance_admin")
    browser = office.browser(other.key)
    browser.post("/v1/session/fresh", json={"key": other.key})
    for client in (fresh, browser):
        assert client.delete(f"/v1/users/{office.admin.user.id}").status_code == 422
        assert client.delete(f"/v1/tenants/{office.admin.user.tenant_id}").status_code == 422
        assert client.patch(f"/v1/users/{office.admin.user.id}", json={"role": "member"}).status_code == 422
    assert browser.delete(f"/v1/users/{other.user.id}").status_code == 422
    assert fresh.delete("/v1/users/none").status_code == fresh.delete("/v1/tenants/none").status_code == 404


def test_a_name_is_used_again_after_a_deletion(office):
    person = office.hire("sales", "again")
    assert office.fresh().delete(f"/v1/users/{person.user.id}").status_code == 200
    assert invite(office, "again")["user"]["id"] != person.user.id
    assert keys.caller_of_key(office.services.db, person.key) is None
