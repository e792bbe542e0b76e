"""Why not my document: read from the trace where it says so, else found out anew."""

import pytest
from desk import WARRANTY, Desk

from maisale.chat.explain import explain
from maisale.errors import NotFound
from maisale.records import Scope


@pytest.fixture
def desk(services, tmp_path):
    services.vectors = None  # exact search: no worker runs here
    return Desk(services, tmp_path)


def test_a_source_is_named_with_its_rank_and_scores(desk):
    warranty = desk.add("warranty.md", WARRANTY)
    found = desk.explain(desk.ask(), warranty)
    assert (found.verdict, found.rank, found.today, found.best.number) == ("used", 1, False, 1)
    assert found.best.score > 0.3


def test_a_question_is_as_good_as_its_answer(desk):
    warranty = desk.add("warranty.md", WARRANTY)
    ack = desk.ask()
    assert explain(desk.services, desk.user.scope, ack.message_id, warranty).verdict == "used"


def test_a_weaker_candidate_is_below_the_cut(desk):
    desk.add("warranty.md", WARRANTY)
    other = desk.add("hours.md", "# Hours\n\nThe shop opens at eight. A warranty card is given with each product that is sold there.")
    found = desk.explain(desk.ask(), other)
    assert (found.verdict, found.rank) == ("below_cut", 2) and found.best.score < found.last_used


def test_what_was_not_read_yet_is_not_indexed(desk):
    desk.add("warranty.md", WARRANTY)
    ack = desk.ask()
    waiting = desk.add("new.md", WARRANTY + " Filters too.", read=False)
    assert (desk.explain(ack, waiting).verdict, desk.explain(ack, waiting).cause) == ("not_indexed", "received")


def test_what_failed_says_why(desk):
    desk.add("warranty.md", WARRANTY)
    ack = desk.ask()
    failed = desk.add("scan.pdf", "not a pdf at all")
    found = desk.explain(ack, failed)
    assert found.verdict == "not_indexed" and "scan.pdf" in found.cause


def test_another_collection_than_the_chosen_one_was_filtered(desk):
    desk.add("warranty.md", WARRANTY, collection="Policies")
    other = desk.add("more.md", WARRANTY + " And more.", collection="Drafts")
    assert desk.explain(desk.ask(collections=("Policies",)), other).verdict == "filtered"


def test_another_document_than_the_chosen_one_was_filtered(desk):
    warranty = desk.add("warranty.md", WARRANTY)
    other = desk.add("more.md", WARRANTY + " And more.")
    assert desk.explain(desk.ask(documents=(warranty,)), other).verdict == "filtered"


def test_what_came_later_is_ranked_today(desk):
    desk.add("warranty.md", WARRANTY)
    ack = desk.ask()
    later = desk.add("better.md", "# RO-9 warranty\n\nThe RO-9 purifier is under warranty for 36 months since May.")
    found = desk.explain(ack, later)
    assert (found.verdict, found.today) == ("later", True) and found.best.score > 0


def test_the_last_of_forty_is_ranked_again_and_says_so(desk, tmp_path):
    for number in range(60):
        desk.add(f"w{number}.md", f"# Warranty {number}\n\nThe RO-9 purifier number {number} is under warranty for {number} months, how long so ever.")
    far = desk.add("party.md", "# Party\n\nThe party of the warranty team is in June and lasts long.")
    found = desk.explain(desk.ask(), far)
    assert (found.verdict, found.today, found.rank) == ("behind", True, None)
    assert 0 < found.best.score < found.last_used


def test_below_the_judges_threshold_the_gate_is_named(desk):
    hours = desk.add("hours.md", "# Hours\n\nThe shop opens at eight.")
    found = desk.explain(desk.ask("Who won the football cup in Rio?"), hours)
    assert found.verdict == "below_gate" and found.gate < found.gate_needed


@pytest.mark.parametrize("who", ["a colleague", "another tenant"])
def test_nobody_else_is_told_anything(desk, who):
    warranty = desk.add("warranty.md", WARRANTY)
    ack = desk.ask()
    tenant = desk.user.tenant_id if who == "a colleague" else "elsewhere"
    with pytest.raises(NotFound):
        explain(desk.services, Scope(tenant, "somebody"), ack.reply_id, warranty)


def test_a_document_of_somebody_else_is_not_there(desk):
    desk.add("warranty.md", WARRANTY)
    ack = desk.ask()
    with pytest.raises(NotFound):
        desk.explain(ack, "no-such-document")
