"""The fake Ollama answers as Ollama does: exchanges from Ollama's published API documentation, and its error texts, replayed against it."""

import json
import time

import httpx
import pytest

from fake_ollama import FakeOllama

SKY = [{"role": "user", "content": "why is the sky blue?"}]
HELLO = {"role": "assistant", "content": "Hello! How are you today?"}
DETAILS = {"format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "13B", "quantization_level": "Q4_0"}
COUNTS = {"total_duration": 5191566416, "load_duration": 2154458, "prompt_eval_count": 26}
COUNTS |= {"prompt_eval_duration": 383809000, "eval_count": 298, "eval_duration": 4799921000}

# name, path, request (None: GET), documented lines of the answer; values are examples, names and types are the promise
DOCUMENTED = [
    ("version", "/api/version", None, [{"version": "0.5.1"}]),
    ("tags", "/api/tags", None, [{"models": [
        {"name": "llama3:latest", "modified_at": "2023-12-07T09:32:18.757212583-08:00", "size": 3825819519, "digest": "fe93", "details": DETAILS}]}]),
    ("show", "/api/show", {"model": "llama3.2"}, [
        {"modelfile": "FROM", "parameters": "num_keep 24", "template": "{{ .System }}", "details": DETAILS,
         "model_info": {"general.architecture": "llama", "llama.context_length": 8192, "llama.embedding_length": 4096, "tokenizer.ggml.tokens": []}}]),
    ("embed one", "/api/embed", {"model": "all-minilm", "input": "Why is the sky blue?"},
     [{"model": "all-minilm", "embeddings": [[0.010071029]], "total_duration": 14143917, "load_duration": 1019500, "prompt_eval_count": 8}]),
    ("embed two", "/api/embed", {"model": "all-minilm", "input": ["Why is the sky blue?", "Why is the grass green?"]},
     [{"model": "all-minilm", "embeddings": [[0.010071029], [-0.0098027075]]}]),
    ("chat, streamed", "/api/chat", {"model": "llama3.2", "messages": SKY}, [
        {"model": "llama3.2", "created_at": "2023-08-04T08:52:19Z", "message": {"role": "assistant", "content": "The"}, "done": False},
        {"model": "llama3.2", "created_at": "2023-08-04T19:22:45Z", "done": True, **COUNTS}]),
    ("chat, whole", "/api/chat", {"model": "llama3.2", "messages": SKY, "stream": False},
     [{"model": "llama3.2", "created_at": "2023-12-12T14:13:43Z", "message": HELLO, "done": True, **COUNTS}]),
    ("load", "/api/chat", {"model": "llama3.2", "messages": []},
     [{"model": "llama3.2", "created_at": "2024-09-12T21:17:29Z", "message": {"role": "assistant", "content": ""}, "done_reason": "load", "done": True}]),
    ("pull", "/api/pull", {"model": "llama3.2"}, [{"status": "pulling manifest"}, {"status": "success"}]),
    ("pull, whole", "/api/pull", {"model": "llama3.2", "stream": False}, [{"status": "success"}]),
]  # fmt: skip

# path, request body, status and the exact text
REFUSED = [
    ("/api/chat", {}, 400, "model is required"),
    ("/api/chat", {"model": "x"}, 404, "model 'x' not found"),
    ("/api/chat", {"model": "x y"}, 400, "invalid model name"),
    ("/api/chat", {"model": 1}, 400, "json: cannot unmarshal number into Go struct field ChatRequest.model of type string"),
    ("/api/chat", {"model": "bge-m3", "messages": SKY}, 400, '"bge-m3" does not support chat'),
    ("/api/chat", {"model": "llama3.2", "messages": SKY, "think": "low"}, 400, '"llama3.2" does not support thinking'),
    ("/api/chat", {"model": "llama3.2", "messages": SKY, "options": {"num_ctx": "4096"}}, 500, 'option "num_ctx" must be of type integer'),
    ("/api/chat", {"model": "llama3.2", "messages": SKY, "keep_alive": "300"}, 400, 'time: missing unit in duration "300"'),
    ("/api/chat", {"model": "llama3.2", "messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400,
     "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"),
    ("/api/embed", {}, 404, "model '' not found"),
    ("/api/embed", {"model": "x", "input": "a"}, 404, 'model "x" not found, try pulling it first'),
    ("/api/embed", {"model": "x", "input": [1]}, 400, "invalid input type"),
    ("/api/embeddings", {"model": "x"}, 404, 'model "x" not found, try pulling it first'),
    ("/api/show", {"model": "x"}, 404, "model 'x:latest' not found"),
    ("/api/show", {}, 400, "model is required"),
]  # fmt: skip


@pytest.fixture
def ollama():
    with FakeOllama(("gpt-oss", "bge-m3", "llama3.2", "all-minilm"), strict=False) as server:
        yield server


def same_shape(documented, answered, where="answer"):
    """Every documented name is there with the documented type."""
    assert type(documented) is type(answered), where
    if isinstance(documented, dict):
        for name, value in documented.items():
            assert name in answered, f"{where}.{name}"
            same_shape(value, answered[name], f"{where}.{name}")
    elif isinstance(documented, list) and documented:
        assert answered, where
        same_shape(documented[0], answered[0], f"{where}[0]")


@pytest.mark.parametrize(("path", "request_body", "documented"), [row[1:] for row in DOCUMENTED], ids=[row[0] for row in DOCUMENTED])
def test_documented_exchanges_look_the_same(ollama, path, request_body, documented):
    answer = httpx.get(ollama.url + path) if request_body is None else httpx.post(ollama.url + path, json=request_body)
    lines = [json.loads(line) for line in answer.text.split("\n") if line]
    assert answer.status_code == 200
    same_shape(documented[0], lines[0])
    same_shape(documented[-1], lines[-1])
    assert len(lines) >= len(documented)


@pytest.mark.parametrize(("path", "body", "status", "text"), REFUSED)
def test_refusals_have_ollamas_words(ollama, path, body, status, text):
    answer = httpx.post(ollama.url + path, json=body)
    assert (answer.status_code, answer.json()) == (status, {"error": text})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_other_paths_verbs_hosts_and_bodies_are_refused(ollama):
    assert (httpx.get(ollama.url + "/nothing").text, httpx.post(ollama.url + "/api/tags").text) == ("404 page not found", "405 method not allowed")
    assert httpx.get(ollama.url).text == "Ollama is running"
    assert httpx.get(ollama.url + "/api/tags", headers={"Host": "example.com"}).status_code == 403
    assert httpx.post(ollama.url + "/api/chat").json() == {"error": "missing request body"}
    assert httpx.post(ollama.url + "/api/chat", content="{").status_code == 400


def test_a_stream_is_ndjson_with_gos_escapes_and_without_zero_counters(ollama):
    ollama.fail_next("chat", chunks=[{"content": "<b> & \u2028"}], final={"eval_count": 0})
    answer = httpx.post(ollama.url + "/api/chat", json={"model": "llama3.2", "messages": SKY})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert r"\u003cb\u003e \u0026 \u2028" in answer.text
    assert "load_duration" not in json.loads(answer.text.split("\n")[0])


def test_vectors_of_texts_that_share_words_are_near(ollama):
    texts = ["Trả hàng trong 30 ngày", "tra hang trong 30 ngay", "the sky is blue"]
    one, same, other = httpx.post(ollama.url + "/api/embed", json={"model": "bge-m3", "input": texts}).json()["embeddings"]
    assert len(one) == 1024 and sum(a * a for a in one) == pytest.approx(1)
    assert sum(a * b for a, b in zip(one, same, strict=True)) == pytest.approx(1)
    assert abs(sum(a * b for a, b in zip(one, other, strict=True))) < 0.3


def test_a_long_prompt_loses_old_messages_first_and_then_its_middle(ollama):
    said = (("system", "Use the passages only. Rules."), ("user", "old " * 200), ("user", "Q " * 100))
    rules, old, last = ({"role": role, "content": text} for role, text in said)
    options = {"num_ctx": 256}
    httpx.post(ollama.url + "/api/chat", json={"model": "llama3.2", "messages": [rules, old, last], "options": options})
    assert "Rules." in ollama.prompts[-1] and "old" not in ollama.prompts[-1]
    long = {"role": "user", "content": "word " * 1000 + "end"}
    lines = httpx.post(ollama.url + "/api/chat", json={"model": "llama3.2", "messages": [rules, long], "options": options}).text.split("\n")
    assert ollama.prompts[-1].endswith("end") and "Rules." not in ollama.prompts[-1]
    assert json.loads(lines[-2])["prompt_eval_count"] == 256 - (256 - 4) // 2


def test_changed_runner_options_reload_the_model(ollama):
    for num_ctx in (4096, 4096, 8192):
        httpx.post(ollama.url + "/api/chat", json={"model": "llama3.2", "messages": SKY, "options": {"num_ctx": num_ctx}})
    assert (ollama.loads, ollama.reloads) == (2, 1)
    assert any("reloaded" in violation for violation in ollama.violations)


def test_a_full_queue_of_loads_is_refused():
    with FakeOllama(max_queue=0, strict=False) as ollama:
        answer = httpx.post(ollama.url + "/api/embed", json={"model": "bge-m3", "input": "a"})
    assert (answer.status_code, answer.json()["error"]) == (503, "server busy, please try again.  maximum pending requests exceeded")


def test_a_model_unloads_when_its_time_is_over(ollama):
    for _ in range(2):
        httpx.post(ollama.url + "/api/embed", json={"model": "bge-m3", "input": "a", "keep_alive": "1ms"})
        time.sleep(0.01)
    assert ollama.loads == 2 and httpx.get(ollama.url + "/api/ps").json() == {"models": []}


def test_harmful_requests_fail_the_test():
    with pytest.raises(AssertionError, match="without num_ctx"), FakeOllama() as ollama:
        httpx.post(ollama.url + "/api/chat", json={"model": "gpt-oss", "messages": SKY})


@pytest.mark.parametrize(("version", "status"), [("0.24.0", 500), ("0.33.0", 200)])
def test_a_text_that_gives_nan_does_as_its_version_does(version, status):
    with FakeOllama(version=version) as ollama:
        ollama.poison("boom")
        answer = httpx.post(ollama.url + "/api/embed", json={"model": "bge-m3", "input": ["good", "boom"]})
    assert answer.status_code == status
    if status == 200:
        assert not any(answer.json()["embeddings"][1])
