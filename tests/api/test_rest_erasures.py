"""Receipts of deletions, and the deletion of one turn, below /v1."""

import pytest
from office import QUESTION, answered, ask, open_office, upload


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with open_office(tmp_path_factory.mktemp("erasures")) as opened:
        yield opened


@pytest.fixture
def linh(office):
    return office.linh.http


@pytest.fixture
def receipt(office, linh):
    """Of a document that Linh added and deleted."""
    document = upload(linh).json()
    office.work_off()
    answer = linh.delete(f"/v1/documents/{document['id']}")
    assert answer.status_code == 200
    return linh.get(f"/v1/erasures/{answer.json()['erasure_id']}").json()


def test_a_deletion_brings_the_receipt_that_counts_what_went(receipt, linh):
    assert receipt["kind"] == "document" and receipt["state"] == "pending" and receipt["erased_at"] is None
    assert receipt["counts"]["documents"] == receipt["counts"]["files"] == 1 and receipt["counts"]["passages"] >= 1
    assert receipt["due_at"] == pytest.approx(receipt["asked_at"] + 24 * 3600)
    assert linh.get("/v1/erasures").json()[0] == receipt


def test_a_receipt_is_its_owners_and_the_admins(office, receipt):
    path = f"/v1/erasures/{receipt['id']}"
    assert [one.http.get(path).status_code for one in (office.minh, office.hoa, office.mai, office.admin)] == [404, 404, 200, 200]
    assert office.key_of(office.mai, permissions=("read",)).get(path).status_code == 404
    for one, sees in ((office.minh, False), (office.hoa, False), (office.mai, True), (office.admin, True)):
        assert (receipt["id"] in {each["id"] for each in one.http.get("/v1/erasures").json()}) == sees


def test_a_turn_is_deleted_by_its_question_or_its_answer_and_the_others_stay(office, linh):
    first = answered(linh)
    turns = [first] + [answered(linh, f"{QUESTION} {n}", first["conversation_id"]) for n in (2, 3)]
    for message_id in (turns[0]["message_id"], turns[2]["reply_id"]):
        answer = linh.delete(f"/v1/messages/{message_id}")
        assert answer.status_code == 200 and answer.json()["deleted"] == message_id
        assert linh.get(f"/v1/erasures/{answer.json()['erasure_id']}").json()["counts"]["messages"] == 2
    left = [one["id"] for one in linh.get(f"/v1/conversations/{first['conversation_id']}").json()["messages"]]
    assert left == [turns[1]["message_id"], turns[1]["reply_id"]]
    assert linh.delete(f"/v1/messages/{turns[0]['message_id']}").status_code == 404


def test_anothers_turn_looks_like_a_missing_one(office, linh):
    mine = answered(linh)
    for other in (office.minh, office.hoa, office.mai, office.admin):
        assert other.http.delete(f"/v1/messages/{mine['message_id']}").status_code == 404
    assert office.key_of(office.linh, permissions=("read",)).delete(f"/v1/messages/{mine['message_id']}").status_code == 403
    assert linh.get(f"/v1/replies/{mine['reply_id']}").status_code == 200


def test_people_and_teams_leave_one_receipt_each(office):
    gone, fresh = office.hire("sales", "an"), office.fresh()
    ask(gone.http)
    answer = fresh.delete(f"/v1/users/{gone.user.id}").json()
    receipt = fresh.get(f"/v1/erasures/{answer['erasure_id']}").json()
    assert receipt["kind"] == "user" and receipt["counts"]["conversations"] == 1 and receipt["counts"]["users"] == 1
    assert office.mai.http.get(f"/v1/erasures/{receipt['id']}").status_code == 200
