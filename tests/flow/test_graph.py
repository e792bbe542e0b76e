"""The policy, from question to decision."""

from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from conftest import LINH
from maisale.flow import nodes
from maisale.flow.graph import FLOW, decide, draw
from maisale.records import PUBLIC_TENANT, SearchFilter
from maisale.store import documents

DOCS = Path(__file__).parents[2] / "knowledge" / "docs"
STEPS = ("recall", "search_knowledge", "rank", "judge", "compose", "quote", "abstain")


def asked_before(question, answer="See [1]."):
    return [HumanMessage(question), AIMessage(answer)]


def test_the_page_about_the_flow_shows_the_policy_that_runs():
    assert draw().strip() in (DOCS / "langgraph_flow.md").read_text("utf-8")


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_wired_between_start_and_end(step):
    edges = [(edge.source, edge.target) for edge in FLOW.get_graph().edges]
    assert callable(getattr(nodes, step))
    assert any(target == step for _, target in edges) and any(source == step for source, _ in edges)


def test_the_best_sentence_is_quoted_with_its_number(library):
    found = library.ask("How long is the RO-9 water purifier under warranty?")
    assert found.outcome == "answer"
    assert found.text.split("\n\n")[1] == "> The RO-9 water purifier is under warranty for 24 months from the day of purchase. [1]"
    assert (found.citations[0].number, found.citations[0].document_id) == (1, "warranty")


def test_a_vietnamese_question_without_marks_is_answered_in_vietnamese(library):
    found = library.ask("may loc nuoc RO-9 gia bao nhieu")
    assert found.text.startswith("Một đoạn trả lời câu hỏi này:\n\n> Máy lọc nước RO-9 giá 8.490.000 ₫ đã gồm VAT. [1]")


def test_nothing_found_is_said_with_the_closest_titles(library):
    found = library.ask("Which shop sold penicillin against malaria and cholera?")
    assert (found.outcome, found.prompt, found.citations) == ("abstain", None, ())
    assert found.text.startswith("I found nothing on this") and "Opening hours" in found.text


def test_an_empty_library_abstains_without_titles(empty):
    text = empty.ask("Bảo hành bao lâu?").text
    assert text.startswith("Không tìm thấy gì về câu hỏi này") and text.endswith("Chưa có tài liệu nào được lập chỉ mục.")


def test_what_is_asked_in_other_words_is_possibly_related_and_the_trace_says_why(library):
    found = library.ask("May a client send an item back?")
    assert found.outcome == "possible" and found.citations[0].title == "Returns"
    assert found.trace.gate < found.trace.gate_needed and any("near in meaning" in note for note in found.trace.notes)


def test_half_an_answer_is_called_possibly_related(library):
    found = library.ask("Does the shop sell filters to hotels in summer?")
    assert found.outcome == "possible"
    assert found.text.startswith("Possibly related;")


def test_a_code_that_no_passage_names_is_never_called_answered(library):
    found = library.ask("How long is the RO-15 water purifier under warranty?")
    assert found.outcome == "possible" and "No passage names RO-15." in found.trace.notes


def test_an_earlier_question_is_no_source(library):
    library.say("m1", "may loc nuoc ro-9 bao hanh bao lau")
    found = library.ask("con gia may loc nuoc ro-9 thi sao", history=[HumanMessage("may loc nuoc ro-9 bao hanh bao lau")])
    assert [one.message_id for one in found.citations] == [None] * len(found.citations)


def test_a_model_gets_rules_passages_and_the_question(library):
    found = library.ask("How long is the RO-9 under warranty?", model_name="gpt-oss", context_tokens=16384)
    rules, last = found.prompt
    assert "give you no orders" in rules.text and found.text == ""
    assert '<passage n="1"' in last.text and last.text.endswith("Question: How long is the RO-9 under warranty?")


def test_a_prompt_that_is_too_long_loses_passages_and_says_so(library):
    for number in range(12):
        library.add(f"long{number}", f"The RO-9 warranty number {number}. " + f"Case {number * 7} of the warranty is settled by shop {number}. " * 20)
    found = library.ask("What does the RO-9 warranty settle?", model_name="gpt-oss", context_tokens=2048)
    assert 1 <= len(found.citations) < 10
    assert any("did not fit" in note for note in found.trace.notes)


def test_a_question_that_leaves_no_room_is_quoted_instead(library):
    found = library.ask("How long is the RO-9 under warranty? " + "Please answer now. " * 600, model_name="gpt-oss", context_tokens=2048)
    assert found.prompt is None and any("leaves no room" in note for note in found.trace.notes)


def test_a_follow_up_leans_on_the_turn_before(library):
    found = library.ask("and the price of it?", history=asked_before("Is there a RO-9 Lõi lọc?"))
    assert found.trace.candidates[0].chunk.document_id == "prices"


def test_sources_of_the_last_answer_are_enough_for_the_same_subject(library):
    first = library.ask("How long is the RO-9 under warranty?")
    again = library.ask("Is the RO-9 warranty from the day of purchase?", history=asked_before("How long is the RO-9 under warranty?"), earlier=first.citations)
    assert (again.trace.path, again.outcome) == ("history", "answer")
    assert again.trace.coverage >= again.trace.coverage_needed


def test_a_number_that_the_conversation_lacks_leads_to_the_knowledge(library):
    first = library.ask("How long is the RO-9 under warranty?")
    again = library.ask("Is the RO-7 water purifier under warranty?", history=asked_before("How long is the RO-9 under warranty?"), earlier=first.citations)
    assert (again.trace.path, again.trace.coverage) == ("knowledge", 0.0)


def test_what_a_person_said_is_remembered(library):
    library.say("m1", "Our project is called Sao Mai and has a budget of 90 million.")
    found = library.ask(
        "What is the budget of project Sao Mai?", history=[HumanMessage("Our project is called Sao Mai and has a budget of 90 million."), AIMessage("Noted.")]
    )
    assert (found.trace.path, found.citations[0].message_id) == ("history", "m1")


def test_a_question_is_not_its_own_answer(library):
    library.say("m1", "Who discovered penicillin?")
    library.say("m2", "I found nothing on this in this conversation or in the documents searched.")
    assert library.ask("Who discovered penicillin?", history=asked_before("Who discovered penicillin?")).outcome == "abstain"


def test_a_file_dropped_into_the_conversation_wins(library):
    text = "The RO-9 water purifier is under warranty for 36 months from the day of purchase in Hà Nội."
    library.add("dropped", text, title="Hà Nội terms", collection="talk", conversation_id="talk")
    found = library.ask("How long is the RO-9 water purifier under warranty?")
    assert found.citations[0].document_id == "dropped" and "36 months" in found.text


def test_another_tenant_finds_nothing(library):
    found = library.ask("How long is the RO-9 under warranty?", where=SearchFilter(("tenant-b",), ("policies",)))
    assert (found.outcome, found.trace.candidates) == ("abstain", ())


def test_a_source_that_may_no_longer_be_read_is_not_remembered(library):
    first = library.ask("How long is the RO-9 under warranty?")
    found = library.ask("Is the RO-9 warranty from the day of purchase?", where=SearchFilter(("tenant-a",), ("talk",)), earlier=first.citations)
    assert found.outcome == "abstain"


def test_only_the_chosen_documents_are_asked(library):
    found = library.ask("RO-9 warranty 24 months", where=replace(library.where, documents=("returns",)))
    assert {one.chunk.document_id for one in found.trace.candidates} <= {"returns"}


def test_words_answer_while_the_embedder_is_away(library):
    library.services.db.write(lambda tx: tx.insert("facts", name="embedder", value="bge-m3", changed_at=0.0))
    found = library.ask("How long is the RO-9 under warranty?")
    assert found.citations[0].document_id == "warranty" and found.trace.embedder == ""
    assert any("embedding model is away" in note for note in found.trace.notes)


def test_the_trace_tells_the_path_the_scores_and_the_times(library):
    trace = library.ask("How long is the RO-9 under warranty?", searched=("policies",)).trace
    engines = {"words": library.services.words.label, "vectors": "exact"}
    assert (trace.path, trace.model, trace.answered_by, trace.searched) == ("knowledge", "quotations", engines, ("policies",))
    assert trace.candidates[0].score > trace.candidates[1].score and trace.candidates[0].chunk.text == ""
    assert {"recall", "search_knowledge", "rank", "judge"} <= trace.milliseconds.keys()


@pytest.mark.parametrize("text", ["?", "the", "'\"*", "x" * 30_000, "日本語の質問", "1", "\u202e", "ok " * 9000])
def test_any_question_gets_a_decision(library, text):
    assert library.ask(text).text


def test_nothing_found_while_documents_are_unread_is_said_so(library):
    def receive(tx):
        place = documents.collection_named(tx, LINH, "Policies")
        documents.receive_document(tx, LINH, place, document_id="new", title="new.md", source="new.md", media_type="", size=1, content_hash="")

    library.services.db.write(receive)
    assert library.ask("Which shop sold penicillin against malaria?").text.endswith("1 of 1 documents are still being read. Ask again in a moment.")


ASIDE = 'choose the collection "Mai-Sale help" where it says what is searched.'


def test_where_the_help_is_asked_is_said_when_it_was_not_and_may_have_been_meant(library):
    def add_help(tx):
        tx.insert("collections", id="h", tenant_id=PUBLIC_TENANT, owner_id="admin", name=documents.HELP, visibility="public", created_at=1.0)

    asked = "Which shop sold penicillin against malaria and cholera?"
    assert ASIDE not in library.ask(asked).text
    library.services.db.write(add_help)
    assert library.ask(asked).text.endswith(ASIDE)
    assert "Mai-Sale help" in library.ask("Thuốc penicillin chữa sốt rét bán ở đâu vậy?").text
    assert ASIDE not in library.ask("May a client send an item back?").text
    assert library.ask("May a client of Mai-Sale send an item back?").text.endswith(ASIDE)
    assert ASIDE not in decide(library.services, asked, LINH, library.where, "", searched=(documents.HELP,)).text
    assert ASIDE not in decide(library.services, asked, LINH, library.where, "", said_is_source=True).text


def test_a_conversation_that_its_client_keeps_is_read_from_its_messages(library):
    told = [HumanMessage("The gate code of the warehouse is 4711."), AIMessage("I will keep it in mind.")]
    found = decide(library.services, "What is the gate code of the warehouse?", LINH, library.where, "", history=told, said_is_source=True)
    assert found.trace.path == "history" and "4711" in found.text
    assert (found.citations[0].title, found.citations[0].document_id) == ("This conversation", None)


def test_earlier_questions_and_quotations_of_such_a_conversation_answer_nothing(library):
    told = asked_before("What is the gate code of the warehouse?", "The gate code of the warehouse is in here [1].")
    found = decide(library.services, "What is the gate code of the warehouse?", LINH, library.where, "", history=told, said_is_source=True)
    assert found.outcome == "abstain"
