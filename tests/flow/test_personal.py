"""Numbers and addresses in questions: they find their documents in any spelling, and reach a model as the tenant chose."""

from dataclasses import replace

import numpy as np
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from maisale.flow.graph import decide
from maisale.records import Chunk, Scope, SearchFilter
from maisale.redaction import plain, searched
from maisale.store import privacy
from maisale.store.chunks import insert_chunks, save_vectors

LINH = Scope("tenant-a", "linh")
PEOPLE = {
    "anna": ("Suppliers", "Anna of Hải Phòng delivers the cartridges. Her phone is 0912 345 678, her e-mail anna@example.com."),
    "minh": ("Customers", "Minh bought two purifiers. Phone 0987 654 321, MST 0100109106, CMND 024567891."),
    "orders": ("Orders", "Order 0935111222 was packed on Monday and left the depot on Tuesday."),
}


@pytest.fixture
def people(library):
    """The library, and people in it as the worker would index them."""
    key = privacy.key(library.services.db)
    add = library.add

    def redacted_add(name, text, title="", **more):
        add(name, text, title, searched=searched(title, "", text, key)[0], **more)

    library.services.db.write(lambda tx: tx.insert("tenants", id="tenant-a", name="A", created_at=0.0))
    for name, (title, text) in PEOPLE.items():
        redacted_add(name, text, title)
    library.redacted_add = redacted_add
    return library


def first(decision):
    return decision.citations[0].key.split("#")[0] if decision.citations else None


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("0912345678", "anna"),
        ("whose number is +84 912 345 678?", "anna"),
        ("Số 0912.345.678 là của ai?", "anna"),
        ("who is Anna@Example.com?", "anna"),
        ("0987-654-321", "minh"),
        ("0100109106 là công ty nào?", "minh"),
        ("ai co so 024567891", "minh"),
        ("what became of 0935111222?", "orders"),
        ("order 0935111222", "orders"),
    ],
)
def test_exact_digits_in_any_spelling_find_their_document(people, question, document):
    decision = people.ask(question)
    assert decision.outcome != "abstain" and first(decision) == document


def test_the_answer_quotes_the_original(people):
    decision = people.ask("whose number is +84 912 345 678?")
    assert "0912 345 678" in decision.text.replace("\\", "") and "‹" not in decision.text
    assert "0912 345 678" in decision.citations[0].text and decision.trace.question == "whose number is +84 912 345 678?"


@pytest.mark.parametrize("question", ["whose number is 0912 345 679?", "who is anna@example.org?", "0100109107 là công ty nào?"])
def test_another_number_is_answered_by_none_of_them(people, question):
    decision = people.ask(question)
    assert decision.outcome != "answer"
    assert all("zp" not in note for note in decision.trace.notes)


def test_the_kind_is_still_a_word_to_search_for(people):
    assert first(people.ask("What is the phone and the e-mail of Anna?")) == "anna"


def test_another_tenants_index_knows_nothing(people):
    elsewhere = SearchFilter(("tenant-b",), ("policies",))
    asked = privacy.as_searched(people.services.db, people.services.words, elsewhere.tenants, ["0912345678"])
    assert asked == ["0912345678"]
    decision = decide(people.services, "0912345678", Scope("tenant-b", "hoa"), elsewhere, "")
    assert decision.outcome == "abstain" and decision.citations == ()


class Notes:
    """The built-in embedder, which notes what it was asked."""

    def __init__(self, inner):
        self._inner, self.name, self.dimensions, self.asked = inner, inner.name, inner.dimensions, []

    def query_vector(self, parts, weight_of):
        self.asked += [text for text, _ in parts]
        return self._inner.query_vector(parts, weight_of)


def test_the_embedder_reads_placeholders_unless_the_tenant_chose_otherwise(people):
    people.services.builtin = embedder = Notes(people.services.builtin)
    turns = [HumanMessage("My address is linh@example.com"), AIMessage("Noted.")]
    people.ask("whose number is 0912345678, or 0935000000?", history=turns)
    assert embedder.asked == ["whose number is ‹phone›, or ‹phone›?", "My address is ‹email›"]
    embedder.asked.clear()
    people.services.db.write(lambda tx: privacy.choose(tx, "tenant-a", redact=False, model_sees_originals=True))
    people.ask("0935000000?")
    assert embedder.asked == ["0935000000?"]


def prompt_of(people, question, **more):
    decision = people.ask(question, model_name="gpt-oss", context_tokens=8000, **more)
    return "\n".join(message.text for message in decision.prompt)


def test_the_model_sees_originals_by_default(people):
    prompt = prompt_of(people, "whose number is 0912345678?", history=[HumanMessage("I am linh@example.com"), AIMessage("Hello.")])
    assert "0912 345 678" in prompt and "Question: whose number is 0912345678?" in prompt and "linh@example.com" in prompt


@pytest.mark.parametrize("redact", [True, False])
def test_the_model_sees_placeholders_when_the_tenant_chose_so(people, redact):
    people.services.db.write(lambda tx: privacy.choose(tx, "tenant-a", redact=redact, model_sees_originals=False))
    people.redacted_add("file", "Contact 0911 222 333 for the keys of the depot.", "Depot", place="call 0911222333.md · page 1")
    turns = [HumanMessage("I am linh@example.com"), AIMessage("Hello, linh@example.com.")]
    for question in ("whose number is 0912345678?", "whom to call for the keys of the depot?"):
        prompt = prompt_of(people, question, history=turns)
        assert not any(one in prompt for one in ("0912", "345 678", "0911", "222 333", "anna@", "linh@", "zp"))
        assert "‹phone›" in prompt and "I am ‹email›" in prompt
        assert prompt == plain(prompt)


def test_this_conversation_answers_only_with_the_same_number(people):
    said = "The courier of Monday can be called at 0911 222 333."
    people.redacted_add("talk1", said, "Talk", collection="talk", message_id="talk1", conversation_id="talk")
    same = people.ask("Who is called at 0911222333?", history=[HumanMessage(said)])
    assert same.trace.path == "history" and first(same) == "talk1"
    other = people.ask("Who is called at 0911222334?", history=[HumanMessage(said)])
    assert other.trace.path == "knowledge" and other.trace.coverage == 0


def test_a_conversation_that_its_client_keeps_answers_for_its_numbers(people):
    turns = [HumanMessage("The courier Tam of depot nine has the number 0911 222 333."), AIMessage("Noted.")]
    decision = people.ask("Which courier of depot nine has the number 0911222333?", history=turns, said_is_source=True)
    assert decision.trace.path == "history" and decision.outcome == "answer"


def test_a_redacted_passage_keeps_its_vector_of_the_placeholders(people):
    rows = people.services.db.rows("SELECT vector FROM vectors WHERE key = 'anna#chunk_0'")
    title, text = PEOPLE["anna"]
    wanted = people.services.builtin.vectors([plain(f"{title}\n{text}")])[0]
    assert np.allclose(np.frombuffer(rows[0]["vector"], np.float32), wanted, atol=1e-6)


def test_a_vector_of_a_text_that_was_redacted_meanwhile_is_not_kept(people):
    chunk = Chunk("depot#chunk_0", "tenant-a", "policies", "x", "Call 0911 222 333.", 0, 9, 0.0, document_id="depot")
    people.services.db.write(lambda tx: insert_chunks(tx, LINH.user_id, [replace(chunk, searched="x\x1f\x1fCall ‹phone›.")]))
    vector = people.services.builtin.vectors(["Call 0911 222 333."])[0]
    people.services.db.write(lambda tx: save_vectors(tx, "hash-1024", [(chunk, vector)]))
    assert people.services.db.rows("SELECT key FROM vectors WHERE key = :key", key=chunk.key) == []
