"""OpenAI's own client against /v1: chat, models and embeddings, and what it is told when something is refused."""

import base64
import json
import threading

import numpy as np
import openai
import pytest
from office import NOWHERE, QUESTION, open_office, upload, wait_for

from fake_ollama import FakeOllama

LONG = "Two words, một câu. " * 300  # with 20 ms a token some seconds long
NEVER = "What is the gate code of the warehouse in Huế?"


@pytest.fixture(scope="module")
def ollama():
    with FakeOllama(("gpt-oss",), token_delay_s=0.02) as server:
        yield server


@pytest.fixture(scope="module")
def office(tmp_path_factory, ollama):
    with open_office(tmp_path_factory.mktemp("openai"), ollama.url) as opened:
        wait_for(opened.services.models.chat_models)
        upload(opened.linh.http, collection="Shop rules")
        upload(opened.linh.http, "# Delivery\n\nA filter is delivered to the customer by courier.", "delivery.md")
        upload(opened.hoa.http, "# Prices\n\nThe filter costs 350.000 ₫.", "prices.md", collection="Support only")
        opened.work_off()
        yield opened


@pytest.fixture(scope="module")
def quoting(tmp_path_factory):
    """Without a model: answers are quotations."""
    with open_office(tmp_path_factory.mktemp("quoting"), NOWHERE) as opened:
        upload(opened.linh.http)
        opened.work_off()
        yield opened


def client(person, **more):
    return openai.OpenAI(base_url=f"{person.url}/v1", api_key=person.key, max_retries=0, timeout=30, **more)


@pytest.fixture
def linh(office):
    with client(office.linh) as opened:
        yield opened


@pytest.fixture
def answering(ollama):
    """What the model says next is the test's."""
    before = ollama.answer
    yield lambda text: setattr(ollama, "answer", lambda messages: text)
    ollama.answer = before


def said(*texts):
    """Messages by turns, the user's first."""
    return [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(texts)]


def stored(office):
    return office.services.db.rows("SELECT (SELECT count(*) FROM conversations) AS conversations, (SELECT count(*) FROM messages) AS messages")


def test_an_answer_cites_its_sources_as_links_and_in_a_field(linh, office):
    found = linh.chat.completions.create(model="mai-sale", messages=said(QUESTION))
    (source,) = [one for one in found.citations if one["number"] == 1]
    assert found.choices[0].finish_reason == "stop" and found.choices[0].message.role == "assistant"
    assert f"[[1]]({source['url']})" in found.choices[0].message.content
    assert "30 days" in source["text"] and source["cited"] and source["title"]
    assert source["url"] == f"{office.url}/files/{source['document_id']}"
    assert "30 days" in office.linh.http.get(source["url"]).text and office.hoa.http.get(source["url"]).status_code == 404
    assert found.model == "mai-sale" and found.written_by == "gpt-oss"
    assert found.usage.prompt_tokens > 5 and found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_a_stream_adds_up_to_the_same_answer(linh):
    whole = linh.chat.completions.create(model="mai-sale", messages=said(QUESTION))
    chunks = list(linh.chat.completions.create(model="mai-sale", messages=said(QUESTION), stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content and len(chunks) > 4
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[-2].choices[0].finish_reason == "stop"
    assert [one["key"] for one in chunks[-2].citations] == [one["key"] for one in whole.citations]
    assert chunks[-1].usage == whole.usage and chunks[-1].choices == [] and {chunk.usage for chunk in chunks[:-1]} == {None}
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_stream_ends_as_openai_says(office):
    with office.linh.http.stream("POST", "/v1/chat/completions", json={"model": "mai-sale", "messages": said(QUESTION), "stream": True}) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]" and all("usage" not in json.loads(line[6:]) for line in lines[:-1])


def test_nothing_of_it_is_stored(linh, office):
    before = stored(office)
    linh.chat.completions.create(model="mai-sale", messages=said("My code is 4711.", "Noted.", QUESTION))
    list(linh.chat.completions.create(model="mai-sale", messages=said(QUESTION), stream=True))
    assert stored(office) == before


def test_the_model_reads_the_history_that_was_sent(linh, ollama):
    linh.chat.completions.create(model="mai-sale", messages=said("We speak of the shop in Vinh.", "Of Vinh [[1]](http://x/files/1).", QUESTION))
    read = ollama.asked("chat")[-1]["messages"]
    assert [one["role"] for one in read] == ["system", "user", "assistant", "user"]
    assert read[1]["content"] == "We speak of the shop in Vinh." and read[2]["content"] == "Of Vinh."
    assert QUESTION in read[3]["content"]


def test_what_was_said_in_the_messages_answers_and_no_stored_conversation_does(quoting):
    asked = quoting.linh.http.post("/v1/conversations", json={}).json()["id"]
    quoting.linh.http.post(f"/v1/conversations/{asked}/messages", json={"text": "The gate code of the warehouse in Huế is 9999."})
    with client(quoting.linh) as linh:
        told = said("The gate code of the warehouse in Huế is 4711.", "I will keep it in mind.", NEVER)
        answer = linh.chat.completions.create(model="mai-sale", messages=told)
        alone = linh.chat.completions.create(model="mai-sale", messages=said(NEVER))
    assert "4711" in answer.choices[0].message.content and "9999" not in answer.choices[0].message.content
    assert answer.citations[0]["title"] == "This conversation" and answer.citations[0]["url"] is None
    assert "9999" not in alone.choices[0].message.content and "4711" not in alone.choices[0].message.content


def test_a_follow_up_leans_on_the_messages_before_it(quoting):
    with client(quoting.linh) as linh:
        found = linh.chat.completions.create(model="mai-sale", messages=said("May a customer return a filter?", "Yes.", "And within how many days?"))
    assert "30 days" in found.choices[0].message.content


def test_a_system_message_gives_no_orders(linh, ollama):
    order = {"role": "system", "content": "Speak like a pirate."}
    linh.chat.completions.create(model="mai-sale", messages=[order, *said(QUESTION)])
    assert "pirate" not in json.dumps(ollama.asked("chat")[-1]["messages"])


def test_text_in_parts_is_read(linh):
    parts = [{"type": "text", "text": "Within how many days"}, {"type": "text", "text": "may a customer return a filter?"}]
    found = linh.chat.completions.create(model="mai-sale", messages=[{"role": "user", "content": parts}])
    assert found.citations


def test_a_mention_narrows_the_answer_to_its_document(linh):
    found = linh.chat.completions.create(model="mai-sale", messages=said(f"@delivery.md {QUESTION}"))
    assert ["courier" in one["text"] for one in found.citations] == [True]
    with pytest.raises(openai.BadRequestError, match="nothing.md"):
        linh.chat.completions.create(model="mai-sale", messages=said("@nothing.md what is it?"))


def test_the_models_are_everything_each_collection_and_the_embedder(linh, office):
    names = [one.id for one in linh.models.list()]
    assert names[0] == "mai-sale" and {"mai-sale/Shop rules", "hash-1024"} <= set(names) and "mai-sale/Support only" not in names
    assert linh.models.retrieve("mai-sale/Shop rules").id == "mai-sale/Shop rules"
    found = linh.chat.completions.create(model="mai-sale/Shop rules", messages=said(QUESTION))
    assert found.model == "mai-sale/Shop rules" and found.citations
    with client(office.hoa) as hoa:
        own = hoa.chat.completions.create(model="mai-sale/Support only", messages=said(QUESTION))
    assert {one["title"] for one in own.citations} == {"Prices"}


@pytest.mark.parametrize("name", ["gpt-4o", "mai-sale/Support only", "mai-sale/", "Shop rules", "hash-1024"])
def test_an_unknown_model_is_refused_in_words(linh, name):
    with pytest.raises(openai.NotFoundError, match="There is no model") as refused:
        linh.chat.completions.create(model=name, messages=said(QUESTION))
    assert refused.value.code == "model_not_found" and refused.value.type == "invalid_request_error"


ASKED = {"model": "mai-sale", "messages": said(QUESTION)}
IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}}]
REFUSED = {
    "no messages": ({**ASKED, "messages": []}, "messages"),
    "no question": ({**ASKED, "messages": said("Hello", "Good day")}, "last message"),
    "only orders": ({**ASKED, "messages": [{"role": "system", "content": "Be brief."}]}, "last message"),
    "an empty question": ({**ASKED, "messages": said(" ")}, "empty"),
    "an image": ({**ASKED, "messages": [{"role": "user", "content": IMAGE}]}, "image_url"),
    "several answers": ({**ASKED, "n": 2}, "n: one answer"),
    "an object": ({**ASKED, "response_format": {"type": "json_object"}}, "response_format"),
    "a number": ({**ASKED, "messages": [{"role": "user", "content": 7}]}, "content"),
    "no model": ({"messages": said(QUESTION)}, "model"),
    "a long question": ({**ASKED, "messages": said("x" * 40_000)}, "32,000"),
}


@pytest.mark.parametrize("body, words", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_in_their_shape(office, body, words):
    answer = office.linh.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400 and set(answer.json()) == {"error"}
    refused = answer.json()["error"]
    assert refused["type"] == "invalid_request_error" and refused["code"] == "invalid_value" and words in refused["message"]


def test_a_wrong_key_is_refused_in_their_words(office):
    with pytest.raises(openai.AuthenticationError, match="needs a key") as refused:
        openai.OpenAI(base_url=f"{office.url}/v1", api_key="sk-of-somewhere-else", max_retries=0).models.list()
    assert refused.value.code == "invalid_api_key"


@pytest.mark.parametrize("permission, works", [("read", ["models", "embeddings"]), ("chat", ["chat"]), ("write", [])])
def test_a_key_does_what_it_may(office, permission, works):
    http = office.key_of(office.linh, permissions=(permission,))
    answers = {
        "models": http.get("/v1/models"),
        "chat": http.post("/v1/chat/completions", json=ASKED),
        "embeddings": http.post("/v1/embeddings", json={"model": "mai-sale", "input": "x"}),
    }
    assert [name for name, answer in answers.items() if answer.status_code == 200] == works
    refused = [answer for answer in answers.values() if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {403} and {answer.json()["error"]["type"] for answer in refused} == {"permission_error"}


def test_who_asks_too_fast_is_told_when_to_come_again(tmp_path):
    with open_office(tmp_path, rate_limit=2) as office, client(office.linh) as linh, pytest.raises(openai.RateLimitError) as refused:
        for _ in range(20):
            linh.chat.completions.create(model="mai-sale", messages=said(QUESTION))
    assert refused.value.code == "rate_limit_exceeded" and int(refused.value.response.headers["retry-after"]) >= 1


def test_a_closed_stream_closes_the_models_request(linh, ollama, answering):
    answering(LONG)
    before = len(ollama.cancels)
    stream = linh.chat.completions.create(model="mai-sale", messages=said(QUESTION), stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    wait_for(lambda: len(ollama.cancels) > before)
    assert ollama.cancels[-1].path == "/api/chat" and ollama.cancels[-1].sent < 300


def test_who_gives_up_waiting_closes_the_models_request_too(office, ollama, answering):
    answering(LONG)
    before = len(ollama.cancels)
    with client(office.linh).with_options(timeout=4) as hasty, pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model="mai-sale", messages=said(QUESTION))
    wait_for(lambda: len(ollama.cancels) > before)


def test_a_model_that_breaks_off_is_said(linh, ollama):
    ollama.fail_next("/api/chat", after=3, then="cut")
    with pytest.raises(openai.APIError, match="broke off|Ollama"):
        list(linh.chat.completions.create(model="mai-sale", messages=said(QUESTION), stream=True))
    ollama.fail_next("/api/chat", after=3, then="cut")
    with pytest.raises(openai.InternalServerError) as refused:
        linh.chat.completions.create(model="mai-sale", messages=said(QUESTION))
    assert refused.value.status_code == 502 and refused.value.code == "model_failed"


def test_a_model_that_says_nothing_is_replaced_by_a_quotation(linh, ollama):
    ollama.fail_next("/api/chat", status=500, error="out of memory")
    found = linh.chat.completions.create(model="mai-sale", messages=said(QUESTION))
    assert found.written_by == "quotations" and "30 days" in found.choices[0].message.content


def test_marks_in_code_are_no_links(linh, answering):
    answering("It says so [1]. In code: `a[1]` and\n\n```\nb[1]\n```\n")
    found = linh.chat.completions.create(model="mai-sale", messages=said(QUESTION))
    text = found.choices[0].message.content
    assert text.count("[[1]](") == 1 and "`a[1]`" in text and "\nb[1]\n" in text


def test_many_ask_at_once_and_each_gets_an_answer_of_their_own(office, ollama, answering):
    ollama.answer = lambda messages: messages[-1]["content"].rsplit("Question: ", 1)[1] + " [1]"
    heard = {}

    def ask(number):
        with client(office.linh) as one:
            found = one.chat.completions.create(model="mai-sale", messages=said(f"{QUESTION} Number {number}"))
            heard[number] = found.choices[0].message.content

    people = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for one in people:
        one.start()
    for one in people:
        one.join(30)
    assert {number: f"Number {number} " in text for number, text in heard.items()} == dict.fromkeys(range(6), True)


def test_an_embedder_reads_placeholders_in_the_place_of_personal_data(linh):
    number, other, placeholder = (
        linh.embeddings.create(model="hash-1024", input=text).data[0].embedding for text in ("call 0912 345 678", "call 0987654321", "call ‹phone›")
    )
    assert number == other == placeholder


def test_vectors_are_the_embedders_in_both_encodings(linh, office):
    texts = ["A filter is returned.", "Bộ lọc", "a" * 5000]
    plain = linh.embeddings.create(model="hash-1024", input=texts, encoding_format="float")
    packed = linh.embeddings.create(model="mai-sale", input=texts)  # the client asks for base64 and unpacks it
    expected = office.services.builtin.vectors(texts)
    for found in (plain, packed):
        assert found.model == "hash-1024" and [one.index for one in found.data] == [0, 1, 2] and found.usage.total_tokens > 5
        assert np.allclose([one.embedding for one in found.data], expected, atol=1e-6)
    raw = office.linh.http.post("/v1/embeddings", json={"model": "mai-sale", "input": texts[0], "encoding_format": "base64"}).json()
    assert np.array_equal(np.frombuffer(base64.b64decode(raw["data"][0]["embedding"]), "<f4"), expected[0])
    assert len(linh.embeddings.create(model="mai-sale", input="x", dimensions=1024).data[0].embedding) == 1024


NOT_EMBEDDED = {
    "other dimensions": ({"input": "x", "dimensions": 256}, 400, "1024"),
    "another model": ({"input": "x", "model": "text-embedding-3-small"}, 404, "hash-1024"),
    "token numbers": ({"input": [1, 2, 3]}, 400, "not token numbers"),
    "nothing": ({"input": []}, 400, "send a text"),
    "a number": ({"input": 7}, 400, "send a text"),
    "a long text": ({"input": ["x", "x" * 40_000]}, 400, "32,000"),
    "an empty text": ({"input": ["x", " "]}, 400, "text 2 of 2"),
    "too many": ({"input": ["x"] * 257}, 400, "256"),
}


@pytest.mark.parametrize("body, status, words", NOT_EMBEDDED.values(), ids=NOT_EMBEDDED)
def test_what_cannot_be_embedded_is_refused_in_words(office, body, status, words):
    answer = office.linh.http.post("/v1/embeddings", json={"model": "mai-sale", **body})
    assert answer.status_code == status and words in answer.json()["error"]["message"]
