"""Conversations, documents, search and exports below /v1, as a program uses them; and what is refused."""

import json
import re

import pytest
from office import QUESTION, answered, ask, events, open_office, upload


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with open_office(tmp_path_factory.mktemp("rest")) as opened:
        assert upload(opened.linh.http).status_code == 202
        opened.work_off()
        yield opened


@pytest.fixture
def linh(office):
    return office.linh.http


@pytest.fixture(params=["minh", "hoa", "mai", "admin"])
def other(office, request):
    """A colleague, a person of another tenant, the tenant's admin, the instance's admin."""
    return getattr(office, request.param).http


def made(client, title=None):
    return client.post("/v1/conversations", json={"title": title}).json()


# What there is


def test_without_a_key_nothing_is_shown_of_the_interface(office):
    for path in ("/v1/openapi.json", "/v1/docs", "/v1/me", "/v1/conversations"):
        answer = office.anyone().get(path)
        assert answer.status_code == 401 and "paths" not in answer.text
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_document_names_every_route_and_how_to_send_a_key(linh):
    document = linh.get("/v1/openapi.json").json()
    wanted = {"/conversations/{conversation_id}/messages", "/replies/{reply_id}/events", "/documents", "/search", "/users/{user_id}", "/keys", "/tenants"}
    assert wanted <= set(document["paths"])
    assert document["servers"] == [{"url": "/v1"}]
    assert {way["type"] for way in document["components"]["securitySchemes"].values()} == {"apiKey", "http"}
    assert all("summary" in one for methods in document["paths"].values() for one in methods.values())


def test_the_documentation_page_loads_nothing_from_elsewhere(linh):
    page = linh.get("/v1/docs")
    assert page.status_code == 200
    assert not re.findall(r"(?:src|href)=\"(?:https?:|/)", page.text)
    assert all(linh.get(f"/v1/{path}").status_code == 200 for path in re.findall(r'(?:src|href)="([^"]+)"', page.text) + ["openapi.json"])


def test_bearer_is_taken_as_the_header_is(office):
    assert office.anyone(Authorization=f"Bearer {office.linh.key}").get("/v1/me").json()["user"]["name"] == "linh"


# Conversations


def test_a_conversation_is_made_read_renamed_listed_and_deleted(linh):
    one = made(linh, "  Đổi \n trả ")
    assert one["title"] == "Đổi trả"
    assert linh.patch(f"/v1/conversations/{one['id']}", json={"title": "Returns"}).json()["title"] == "Returns"
    assert ("Returns", one["id"]) in {(each["title"], each["id"]) for each in linh.get("/v1/conversations").json()}
    assert linh.get(f"/v1/conversations/{one['id']}").json()["messages"] == []
    assert linh.delete(f"/v1/conversations/{one['id']}").json()["deleted"] == one["id"]
    assert linh.get(f"/v1/conversations/{one['id']}").status_code == 404


def test_a_question_is_durable_when_it_is_acknowledged(office, linh):
    one = made(linh)
    answer = linh.post(f"/v1/conversations/{one['id']}/messages", json={"text": QUESTION})
    assert answer.status_code == 202
    ack = answer.json()
    stored = office.services.db.rows("SELECT id FROM messages WHERE id IN :ids", ids=[ack["message_id"], ack["reply_id"]])
    assert len(stored) == 2 and ack["conversation_id"] == one["id"]


def test_the_answer_cites_its_source_and_stays_in_the_conversation(linh):
    whole = answered(linh)
    assert whole["done"] and "30 days" in whole["text"] and "[1]" in whole["text"]
    assert whole["citations"][0]["title"] == "Returns"
    said = linh.get(f"/v1/conversations/{whole['conversation_id']}").json()["messages"]
    assert [one["sender"] for one in said] == ["user", "assistant"]
    assert said[1]["reply"] == whole == linh.get(f"/v1/replies/{whole['reply_id']}").json()


def test_a_question_may_be_narrowed_to_a_collection_and_to_a_document(linh):
    document = linh.get("/v1/documents").json()[0]
    assert answered(linh, collections=["Knowledge"], documents=[document["id"]])["retrieval"]["only_in"] == ["returns.md"]
    one = made(linh)
    for choice in ({"collections": ["Nowhere"]}, {"documents": ["none"]}):
        ack = linh.post(f"/v1/conversations/{one['id']}/messages", json={"text": QUESTION, **choice}).json()
        end = list(events(linh, ack["reply_id"]))[-1][1]
        assert end["state"] == "failed" and end["error"].startswith("There is no ")


def test_the_last_messages_may_be_read_alone(linh):
    whole = answered(linh)
    answered(linh, conversation_id=whole["conversation_id"])
    last = linh.get(f"/v1/conversations/{whole['conversation_id']}?limit=1").json()["messages"]
    assert [one["sender"] for one in last] == ["assistant"]


def test_a_conversation_is_found_by_what_was_said_and_by_its_title(office, linh):
    said, titled = ask(linh, "Does the fountain need descaling?"), made(linh, "Fountain orders")
    office.work_off()
    found = {one["id"]: one for one in linh.get("/v1/conversations/search", params={"q": "fountain"}).json()}
    assert found[said["conversation_id"]]["message_id"] == said["message_id"] and "fountain" in found[said["conversation_id"]]["excerpt"]
    assert found[titled["id"]]["score"] == 1.0
    assert office.minh.http.get("/v1/conversations/search", params={"q": "fountain"}).json() == []


def test_a_query_of_marks_alone_finds_nothing(linh):
    made(linh, "Anything")
    assert linh.get("/v1/conversations/search", params={"q": "\u0301"}).json() == []


def test_anothers_conversation_looks_like_a_missing_one(linh, other):
    """An admin manages people and does not read what they ask: for them it is missing too."""
    whole = answered(linh)
    place, reply = f"/v1/conversations/{whole['conversation_id']}", f"/v1/replies/{whole['reply_id']}"
    calls = [("GET", place, {}), ("PATCH", place, {"json": {"title": "Mine"}}), ("DELETE", place, {}), ("GET", f"{place}/export?format=json", {})]
    calls += [("POST", f"{place}/messages", {"json": {"text": "Hello?"}}), ("GET", reply, {}), ("GET", f"{reply}/events", {}), ("POST", f"{reply}/stop", {})]
    calls += [("GET", f"/v1/documents?conversation_id={whole['conversation_id']}", {})]
    calls += [("GET", "/v1/search", {"params": {"q": "filter", "conversation_id": whole["conversation_id"]}})]
    for method, path, sent in calls:
        answer, missing = other.request(method, path, **sent), other.request(method, path.replace(whole["conversation_id"], "none"), **sent)
        assert answer.status_code == 404, path
        assert answer.json()["error"] == missing.json()["error"] or "/replies/" in path
    assert linh.get(place).json()["title"] != "Mine"


def test_a_fourth_waiting_question_is_refused_as_busy(office, linh):
    one = made(linh)
    sent = [linh.post(f"/v1/conversations/{one['id']}/messages", json={"text": QUESTION}) for _ in range(12)]
    assert {answer.status_code for answer in sent} <= {202, 409}
    kept = office.services.db.rows("SELECT count(*) AS n FROM messages WHERE conversation_id = :id AND sender = 'user'", id=one["id"])[0]["n"]
    assert kept == sum(answer.status_code == 202 for answer in sent)


# Exports


HOSTILE = ['"; filename="evil.exe', "a\r\nSet-Cookie: x=1", "../../etc/passwd", "Đổi trả 🙂", "…", "x" * 200, "# <script>alert(1)</script>"]


@pytest.mark.parametrize("title", HOSTILE)
def test_no_title_gets_out_of_the_name_of_the_download(linh, title):
    one = made(linh, title)
    for format, ending in (("markdown", "md"), ("json", "json")):
        answer = linh.get(f"/v1/conversations/{one['id']}/export", params={"format": format})
        assert re.fullmatch(rf'attachment; filename="[a-z0-9-]{{1,60}}\.{ending}"', answer.headers["content-disposition"])
        assert "set-cookie" not in answer.headers and answer.headers["x-content-type-options"] == "nosniff"


def test_an_export_as_markdown_lists_the_sources_below_each_answer(linh):
    whole = answered(linh)
    linh.patch(f"/v1/conversations/{whole['conversation_id']}", json={"title": "Returns"})
    text = linh.get(f"/v1/conversations/{whole['conversation_id']}/export").text
    assert text.startswith("# Returns\n\n## Question, ")
    assert f"\n\n{QUESTION}\n\n## Answer, " in text
    assert re.search(r"\n- \[1\] \*\*Returns\*\*[^\n]*: A customer may return a filter within 30 days[^\n]*\n$", text)


def test_an_export_as_json_is_what_the_conversation_is(linh):
    whole = answered(linh)
    answer = linh.get(f"/v1/conversations/{whole['conversation_id']}/export?format=json")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text) == linh.get(f"/v1/conversations/{whole['conversation_id']}").json()


# Documents and search


def test_a_file_becomes_a_document_that_is_found_read_and_removed(office, linh):
    document = upload(linh, "Opening hours of the showroom: 8 to 17.", "hours.md", collection="Handbook", visibility="private").json()
    assert (document["stage"], document["collection"], document["ended"]) == ("received", "Handbook", False)
    office.work_off()
    assert linh.get(f"/v1/documents/{document['id']}").json()["searchable"]
    found = linh.get("/v1/search", params={"q": "showroom hours", "collection": "Handbook"}).json()
    assert found[0]["document_id"] == document["id"] and found[0]["score"] > 0
    assert linh.get(f"/files/{document['id']}").text.startswith("Opening hours")
    assert office.minh.http.get(f"/v1/documents/{document['id']}").status_code == 404
    assert linh.delete(f"/v1/documents/{document['id']}").json()["deleted"] == document["id"]
    assert linh.get(f"/files/{document['id']}").status_code == 404
    assert document["id"] not in {one["document_id"] for one in linh.get("/v1/search", params={"q": "showroom hours"}).json()}


def test_what_was_read_of_a_page_is_text_below_its_headings(office, linh):
    page = "<html><title>Care</title><body><h1>Care</h1><script>alert(1)</script><h2>Oil</h2><p>Oil the table <b>twice</b> a year.</p></body></html>"
    document = upload(linh, page, "care.html", collection="Handbook", visibility="private").json()
    early = linh.get(f"/files/{document['id']}/read")
    assert early.status_code == 404 and "care.html has been read yet" in early.text
    office.work_off()
    answer = linh.get(f"/files/{document['id']}/read")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8" and "sandbox" in answer.headers["content-security-policy"]
    assert re.fullmatch(r"care\.html\n\n# Care > Oil\n\nOil the table \W*twice\W* a year\.\n", answer.text), answer.text
    assert office.minh.http.get(f"/files/{document['id']}/read").status_code == 404
    assert linh.get(f"/files/{document['id']}").text == page
    linh.delete(f"/v1/documents/{document['id']}")


def test_who_reads_a_document_is_said_by_its_collection(office):
    """private: oneself. tenant: the team. public: everybody, and only the instance's admin fills one."""
    readers = {name: getattr(office, name).http for name in ("admin", "linh", "minh", "hoa")}

    def seen(document_id):
        return {name for name, client in readers.items() if client.get(f"/v1/documents/{document_id}").status_code == 200}

    own = upload(readers["linh"], "My notes.", "own.md", collection="Linh's", visibility="private").json()
    team = upload(readers["linh"], "Team notes.", "team.md", collection="Team").json()
    public = upload(readers["admin"], "Public notes.", "public.md", collection="Everybody", visibility="public").json()
    assert (seen(own["id"]), seen(team["id"]), seen(public["id"])) == ({"linh"}, {"linh", "minh"}, {"admin", "linh", "minh", "hoa"})
    listed = {one["name"]: one["visibility"] for one in readers["minh"].get("/v1/collections").json()}
    assert listed["Team"] == "tenant" and listed["Everybody"] == "public" and "Linh's" not in listed


def test_another_changes_a_shared_document_only_as_an_admin(office):
    document = upload(office.linh.http, "Price list.", "prices.md", collection="Team").json()
    for verb, path in (("DELETE", ""), ("POST", "/retry")):
        assert office.minh.http.request(verb, f"/v1/documents/{document['id']}{path}").status_code == 403
        assert office.hoa.http.request(verb, f"/v1/documents/{document['id']}{path}").status_code == 404
    assert office.mai.http.delete(f"/v1/documents/{document['id']}").status_code == 200


def test_a_file_in_a_conversation_goes_with_it(office, linh):
    one = made(linh)
    document = upload(linh, "Quote of spring.", "quote.md", conversation_id=one["id"]).json()
    assert [each["id"] for each in linh.get("/v1/documents", params={"conversation_id": one["id"]}).json()] == [document["id"]]
    assert document["id"] not in {each["id"] for each in linh.get("/v1/documents").json()}
    kept = office.services.settings.files_dir / document["id"]
    assert kept.exists()
    linh.delete(f"/v1/conversations/{one['id']}")
    assert linh.get(f"/v1/documents/{document['id']}").status_code == 404 and not kept.exists()


def test_only_a_failed_document_is_read_again(office, linh):
    good, bad = upload(linh, "Fine.", "fine.md").json(), upload(linh, b"PK\x03\x04 no archive", "broken.docx").json()
    office.work_off()
    assert linh.post(f"/v1/documents/{good['id']}/retry").status_code == 422
    assert linh.get(f"/v1/documents/{bad['id']}").json()["stage"] == "failed"
    assert linh.post(f"/v1/documents/{bad['id']}/retry").json()["stage"] == "received"
    office.work_off()


def test_a_document_tells_its_ledger_and_can_be_cancelled_until_it_is_complete(office, linh):
    document = upload(linh, "Opening hours of the yard.", "yard.md").json()
    assert office.minh.http.post(f"/v1/documents/{document['id']}/cancel").status_code == 403
    assert office.hoa.http.post(f"/v1/documents/{document['id']}/cancel").status_code == 404
    assert linh.post(f"/v1/documents/{document['id']}/cancel").json() == {"cancelled": document["id"], "document": None}
    assert linh.get(f"/v1/documents/{document['id']}").status_code == 404
    again = upload(linh, "Opening hours of the yard.", "yard.md").json()
    office.work_off()
    whole = linh.get(f"/v1/documents/{again['id']}").json()
    assert [one["stage"] for one in whole["stages"]] == ["received", "read", "chunked", "redacted", "searchable", "embedding", "embedded", "complete"]
    assert whole["seconds_left"] is None and linh.post(f"/v1/documents/{again['id']}/cancel").status_code == 422


def test_what_was_given_up_is_seen_and_left_by_whose_it_is(office, linh):
    document = upload(linh, "The yard is wide.", "wide.md", collection="Linh's", visibility="private").json()

    def give_up(tx):
        tx.execute("UPDATE jobs SET state = 'dead', cause = 'It broke.', ended_at = 1 WHERE subject_id = :id", id=document["id"])

    office.services.db.write(give_up)

    def seen(person):
        return {one["about"]: one["id"] for one in person.http.get("/v1/jobs").json()}

    job_id = seen(office.linh)["wide.md"]
    assert seen(office.minh) == seen(office.hoa) == {} and seen(office.mai) == {"a private document": job_id}
    for stranger in (office.minh, office.hoa):
        assert {stranger.http.post(f"/v1/jobs/{job_id}/{verb}").status_code for verb in ("retry", "skip")} == {404}
    assert linh.post(f"/v1/jobs/{job_id}/skip").json() == {"id": job_id, "state": "skipped"} and seen(office.linh) == {}


@pytest.mark.parametrize(
    ("name", "content", "form", "status", "words"),
    [
        ("empty.md", b"", {}, 422, "empty"),
        ("program.exe", b"MZ", {}, 422, "program.exe"),
        ("large.md", b"x" * 1_100_000, {}, 422, "1 MB is the most"),
        ("x" * 300 + ".md", b"x", {}, 422, "1 to 200"),
        ("..", b"x", {}, 422, "unknown kind"),
        ("", b"x", {}, 422, "no file with a name"),
        ("a.md", b"x", {"visibility": "moon"}, 422, "visibility"),
        ("a.md", b"x", {"visibility": "public"}, 403, "only the instance's admin"),
        ("a.md", b"x", {"collection": " \0 "}, 422, "no readable character"),
        ("a.md", b"x", {"collection": "x", "conversation_id": "y"}, 422, "not into both"),
        ("a.md", b"x", {"conversation_id": "none"}, 404, "no such conversation"),
        ("a.md", b"x", {"collection": "Mai-Sale help"}, 422, "own pages"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_and_not_kept(office, linh, name, content, form, status, words):
    kept = set(office.services.settings.files_dir.iterdir())
    answer = upload(linh, content, name, **form)
    assert answer.status_code == status and words in answer.json()["error"]
    assert set(office.services.settings.files_dir.iterdir()) == kept
    assert not list(office.services.settings.data_dir.glob("upload-*"))


# Permissions and bodies


@pytest.mark.parametrize(
    ("permission", "works", "refused"),
    [
        ("read", [("GET", "/v1/conversations"), ("GET", "/v1/search?q=filter"), ("GET", "/v1/documents")], [("POST", "/v1/conversations")]),
        ("chat", [("POST", "/v1/conversations")], [("GET", "/v1/conversations"), ("GET", "/v1/search?q=x"), ("DELETE", "/v1/documents/x")]),
        ("write", [("DELETE", "/v1/documents/x")], [("GET", "/v1/documents"), ("POST", "/v1/conversations"), ("GET", "/v1/users")]),
        ("read", [("GET", "/v1/me")], [("DELETE", "/v1/conversations/x"), ("POST", "/v1/replies/x/stop"), ("POST", "/v1/documents/x/retry")]),
    ],
)
def test_a_key_does_what_it_is_permitted_to(office, permission, works, refused):
    client = office.key_of(office.linh, permissions=[permission])
    assert {client.request(method, path, json={} if method == "POST" else None).status_code for method, path in works} <= {200, 201, 404}
    for method, path in refused:
        answer = client.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code == 403 and "lacks the permission" in answer.json()["error"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 200_000, b'{"title": 1' + b"0" * 5000 + b"}", b'{"title": NaN}', b'{"title": "\\ud800"}', b'{"\\ud800": 1}']
    + [b'{"title": 7}', b'{"title": ["x"]}', b'{"titel": "x"}', b'{"title": ""}', b'{"title": "\\u0000 "}', b'{"title": "' + b"x" * 201 + b'"}'],
    ids=lambda raw: str(raw[:20]),
)
def test_a_body_that_cannot_be_taken_is_answered_in_one_sentence(linh, raw):
    answer = linh.post("/v1/conversations", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"].endswith(".") and len(answer.json()["error"]) < 300 and ".." not in answer.json()["error"]
    assert not re.search(r"Traceback|Value error|<class", answer.text)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", "application/json", "text/plain"])
def test_a_broken_form_is_answered_in_one_sentence(linh, kind):
    answer = linh.post("/v1/documents", content=b"--y\r\njunk", headers={"content-type": kind})
    assert answer.status_code == 422 and not re.search(r"Traceback|Value error|<class", answer.text)


def test_a_wrong_address_or_method_is_answered_in_json(linh):
    assert linh.get("/v1/nothing").json()["kind"] == "NotFound"
    answer = linh.put("/v1/conversations", json={})
    assert (answer.status_code, answer.json()["error"]) == (405, "Method Not Allowed.") and answer.headers["allow"]


JSON = {"content-type": "application/json"}


def pieces(total):
    for _ in range(total // 65_536):
        yield b" " * 65_536


@pytest.mark.parametrize("declared", [True, False])
def test_json_of_more_than_four_mb_is_not_read(office, linh, declared):
    content = b" " * (5 << 20) if declared else pieces(5 << 20)
    answer = linh.post("/v1/conversations", content=content, headers=JSON)
    assert answer.status_code == 413 and "larger than 4 MB" in answer.json()["error"]
    assert linh.post("/v1/conversations", content=b" " * (3 << 20) + b"{}", headers=JSON).status_code == 201


@pytest.mark.parametrize("declared", [True, False])
def test_an_upload_is_not_read_beyond_its_bound(office, linh, declared):
    """UPLOAD_MB is 1 here; a little more is read, so that the library says which file is too large."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\n'
    content = head + b"x" * 3_000_000 if declared else (part for source in ([head], pieces(3_000_000)) for part in source)
    answer = linh.post("/v1/documents", content=content, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413 and "larger than 2 MB" in answer.json()["error"]
    assert not list(office.services.settings.data_dir.glob("upload-*"))


def test_a_folder_that_takes_no_file_refuses_an_upload_in_words(office, linh):
    files = office.services.settings.files_dir
    files.rename(files.with_name("away"))
    files.touch()
    try:
        answer = upload(linh, name="late.md")
    finally:
        files.unlink()
        files.with_name("away").rename(files)
    assert answer.status_code == 507
    assert answer.json()["error"].startswith("late.md could not be kept (Not a directory); nothing was stored.")
