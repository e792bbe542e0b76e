"""The nine named functions, called as people call them: gradio_client and plain HTTP, through the door, on real services."""

import contextlib
import time
import uuid
from types import SimpleNamespace

import pytest
from door import Person, build_app, gr, serving
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from maisale.access import keys, people
from maisale.api.endpoints import declare
from maisale.chat.replies import Replies
from maisale.config import Settings
from maisale.errors import Overloaded
from maisale.records import Chunk, Scope
from maisale.services import open_services
from maisale.store import chunks, documents

ENDPOINTS = ["ask", "new_conversation", "list_conversations", "get_conversation", "rename_conversation", "delete_conversation"]
ENDPOINTS += ["search", "list_documents", "add_document"]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The running server and its people linh and hoa, of two tenants; linh's tenant has one indexed document."""
    folder = tmp_path_factory.mktemp("api")
    small = {"ollama_urls": ("http://127.0.0.1:9",), "vectors": "exact", "upload_mb": 1, "rate_limit": 1000}
    settings = Settings(data_dir=folder / "data", admin_key="the admin's own key", **small)
    services = open_services(settings, "app")
    people.make_first_admin(services.db, settings)
    life = SimpleNamespace(replies=None)

    def running():
        if life.replies is None:
            raise Overloaded("Mai-Sale is starting. Try again in a moment.")
        return life.replies

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        life.replies = Replies(services)
        yield
        await life.replies.close()

    with gr.Blocks() as page:
        declare(running)
    known = {name: people.add_user(services.db, tenant, name) for name, tenant in (("linh", "sales"), ("hoa", "support"))}
    index(services, known["linh"][0].scope, "returns.md", "A customer may return a filter within 30 days with the receipt.")
    with serving(build_app(page, services.db, settings, lifespan)) as url:
        yield SimpleNamespace(url=url, services=services, **{name: Person(url, *made) for name, made in known.items()})
    services.close()


def index(services, scope: Scope, name: str, text: str) -> None:
    """One document of one passage, found by words."""

    def work(tx):
        document_id, place = str(uuid.uuid4()), documents.collection_named(tx, scope, "Handbook")
        documents.receive_document(
            tx, scope, place, document_id=document_id, title=name, source=name, media_type="text/markdown", size=len(text), content_hash=name
        )
        made = [Chunk(f"{document_id}#chunk_0", scope.tenant_id, place, name, text, 0, 20, time.time(), document_id=document_id)]
        chunks.insert_chunks(tx, scope.user_id, made)
        services.words.add(tx, made)
        documents.set_stage(tx, document_id, "searchable")

    services.db.write(work)


def client_of(person: Person) -> Client:
    return Client(person.url, headers={"X-API-Key": person.key}, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def linh(api):
    return client_of(api.linh)


@pytest.fixture(scope="module")
def hoa(api):
    return client_of(api.hoa)


def test_exactly_these_functions_are_described_with_the_header_to_send(api):
    named = api.linh.http.get("/gradio_api/info").json()["named_endpoints"]
    assert list(named) == [f"/{name}" for name in ENDPOINTS]
    assert all("X-API-Key" in one["description"] and len(one["description"]) > 150 for one in named.values())


def test_ask_streams_from_the_stored_question_to_the_cited_answer(linh):
    parts = list(linh.submit("Within how many days may a customer return a filter?", api_name="/ask"))
    first, last = parts[0], parts[-1]
    assert first["state"] == "waiting" and first["retrieval"] is None and not first["done"]
    assert {part["reply_id"] for part in parts} == {last["reply_id"]}
    assert last["done"] and "30 days" in last["text"] and "[1]" in last["text"]
    assert last["citations"][0]["title"] == "returns.md"
    assert last["retrieval"]["found_in"] == "knowledge"


def test_a_question_can_go_on_in_its_conversation(linh):
    first = linh.predict("May a customer return a filter?", api_name="/ask")
    again = linh.predict("Within how many days?", first["conversation_id"], api_name="/ask")
    said = linh.predict(first["conversation_id"], api_name="/get_conversation")["messages"]
    assert [one["sender"] for one in said] == ["user", "assistant"] * 2
    assert said[-1]["reply"] == again


def test_the_first_part_comes_before_anything_is_searched(api):
    began = time.monotonic()
    job = client_of(api.linh).submit("Is it quick?", api_name="/ask")
    first = next(iter(job))
    assert not first["done"]
    assert api.services.db.rows("SELECT id FROM messages WHERE id = :id", id=first["message_id"])
    assert time.monotonic() - began < 5


def test_leaving_the_stream_does_not_stop_the_answer(linh):
    job = linh.submit("What does the receipt do for a return?", api_name="/ask")
    conversation_id = next(iter(job))["conversation_id"]
    job.cancel()
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        last = linh.predict(conversation_id, api_name="/get_conversation")["messages"][-1]
        if last["reply"]["done"]:
            break
        time.sleep(0.05)
    assert last["reply"]["state"] == "done" and last["text"]


def test_conversations_are_made_renamed_listed_and_deleted(linh):
    made = linh.predict("Đổi trả", api_name="/new_conversation")
    linh.predict(made["id"], "Returns", api_name="/rename_conversation")
    assert ("Returns", made["id"]) in {(one["title"], one["id"]) for one in linh.predict(api_name="/list_conversations")}
    gone = linh.predict(made["id"], api_name="/delete_conversation")
    assert gone.keys() == {"deleted", "erasure_id"} and gone["deleted"] == made["id"]
    assert made["id"] not in {one["id"] for one in linh.predict(api_name="/list_conversations")}


def test_search_shows_passages_with_scores_and_no_answer(linh):
    found = linh.predict("return a filter", api_name="/search")
    assert found[0]["title"] == "returns.md" and "30 days" in found[0]["text"]
    assert found[0]["score"] >= found[-1]["score"]
    assert len(linh.predict("return a filter", 1, api_name="/search")) == 1


def test_an_uploaded_file_becomes_a_document(linh, tmp_path):
    path = tmp_path / "warranty.md"
    path.write_text("# Warranty\n\nTwo years on every purifier.")
    document = linh.predict(handle_file(str(path)), "Handbook", api_name="/add_document")
    assert (document["title"], document["collection"], document["ended"]) == ("warranty.md", "Handbook", False)
    assert document["id"] in {one["id"] for one in linh.predict(api_name="/list_documents")}


def test_a_file_can_be_private_to_a_conversation(linh, tmp_path):
    path = tmp_path / "quote.md"
    path.write_text("Price list of spring.")
    conversation = linh.predict(api_name="/new_conversation")
    document = linh.predict(handle_file(str(path)), None, conversation["id"], api_name="/add_document")
    assert document["conversation_id"] == conversation["id"]
    assert [one["id"] for one in linh.predict(conversation["id"], api_name="/list_documents")] == [document["id"]]
    assert document["id"] not in {one["id"] for one in linh.predict(api_name="/list_documents")}


def test_curl_uploads_first_and_names_the_path(api):
    path = api.linh.upload(b"Opening hours: 8 to 17.", "hours.txt")
    event = api.linh.http.post("/gradio_api/call/v2/add_document", json={"file": {"path": path}}).json()["event_id"]
    assert api.linh.read("add_document", event)[-1][0]["title"] == "hours.txt"


@pytest.mark.parametrize("name", ["get_conversation", "rename_conversation", "delete_conversation", "list_documents"])
def test_anothers_conversation_looks_like_a_missing_one(linh, hoa, name):
    made = linh.predict("Secret", api_name="/new_conversation")
    rest = ["Mine now"] if name == "rename_conversation" else []
    with pytest.raises(AppError, match="no such conversation") as refused:
        hoa.predict(made["id"], *rest, api_name=f"/{name}")
    assert refused.value.title == "NotFound"
    assert linh.predict(made["id"], api_name="/get_conversation")["title"] == "Secret"


def test_another_tenant_neither_finds_nor_asks(linh, hoa):
    made = linh.predict(api_name="/new_conversation")
    assert hoa.predict("return a filter", api_name="/search") == []
    assert hoa.predict(api_name="/list_documents") == []
    for call in ({"api_name": "/search", "conversation_id": made["id"]}, {"api_name": "/search", "collections": ["Handbook"]}):
        with pytest.raises(AppError, match="no"):
            hoa.predict("return a filter", **call)
    with pytest.raises(AppError, match="no such conversation"):
        hoa.predict("return a filter", made["id"], api_name="/ask")


@pytest.mark.parametrize(("permission", "works", "refused"), [("read", "list_documents", "new_conversation"), ("chat", "new_conversation", "list_documents")])
def test_a_key_does_what_it_is_permitted_to(api, permission, works, refused):
    _, text = keys.issue_key(api.services.db, api.linh.user, permissions=[permission])
    client = Client(api.url, headers={"X-API-Key": text}, verbose=False, analytics_enabled=False)
    client.predict(api_name=f"/{works}")
    with pytest.raises(AppError, match="lacks the permission"):
        client.predict(api_name=f"/{refused}")


BAD = [
    ("ask", {"question": ""}, "question is empty"),
    ("ask", {"question": "   \n"}, "question is empty"),
    ("ask", {"question": None}, "A question is text"),
    ("ask", {"question": 7}, "A question is text"),
    ("ask", {"question": {"a": 1}}, "A question is text"),
    ("ask", {"question": "x" * 1_000_000}, "32,000 is the most"),
    ("ask", {"question": "\0\1\2binary\ufffd\ufffd"}, "not readable text"),
    ("ask", {"question": "x", "conversation_id": "none"}, "no such conversation"),
    ("ask", {"question": "x", "conversation_id": 5}, "conversation_id is a text; this is a number"),
    ("ask", {"question": "x", "collections": "Handbook"}, "collections is a list of texts"),
    ("ask", {"question": "x", "documents": [None]}, "documents is a list of texts"),
    ("ask", {"question": "x", "collections": ["a"] * 51}, "50 is the most"),
    ("new_conversation", {"title": ["x"]}, "title is a text; this is a list"),
    ("new_conversation", {"title": "x" * 201}, "200 is the most"),
    ("new_conversation", {"title": "a\nb"}, "on one line"),
    ("list_conversations", {"limit": 0}, "whole number from 1 to 1000"),
    ("list_conversations", {"limit": True}, "whole number"),
    ("list_conversations", {"limit": "many"}, "this is a text"),
    ("get_conversation", {"conversation_id": ""}, "conversation_id is missing"),
    ("get_conversation", {"conversation_id": "x" * 101}, "100 is the most"),
    ("get_conversation", {"conversation_id": "'; DROP TABLE messages; --"}, "no such conversation"),
    ("rename_conversation", {"conversation_id": "x", "title": "  "}, "title is empty"),
    ("rename_conversation", {"conversation_id": "x", "title": "y"}, "no such conversation"),
    ("delete_conversation", {"conversation_id": None}, "conversation_id is missing"),
    ("search", {"query": ""}, "empty"),
    ("search", {"query": "x", "limit": 51}, "from 1 to 50"),
    ("search", {"query": "x", "collections": ["Nowhere"]}, "no collection named"),
    ("list_documents", {"conversation_id": "none"}, "no such conversation"),
    ("add_document", {"file": None}, "uploaded file"),
    ("add_document", {"file": "report.pdf"}, "uploaded file"),
    ("add_document", {"file": {}}, "uploaded file"),
    ("add_document", {"file": [1]}, "uploaded file"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_argument_gets_one_clear_sentence(api, name, arguments, words):
    event = api.linh.http.post(f"/gradio_api/call/v2/{name}", json=arguments).json()["event_id"]
    answer = api.linh.read(name, event)[-1]
    assert words in answer["error"]
    assert "Traceback" not in str(answer) and len(answer["error"]) < 300


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [(b"", "empty.md", "empty"), (b"x" * 1_100_000, "large.md", "MB"), (b"MZ\0\0", "program.exe", "program.exe"), (b"x", "x" * 300 + ".md", "characters")],
)
def test_a_file_that_cannot_be_taken_is_refused_and_not_kept(api, content, name, words):
    before = len(api.linh.http.get("/healthz").json())  # the server answers
    path = api.linh.upload(content, "upload.bin")
    event = api.linh.http.post("/gradio_api/call/v2/add_document", json={"file": {"path": path, "orig_name": name}}).json()["event_id"]
    assert words in api.linh.read("add_document", event)[-1]["error"]
    assert before and name not in {one["title"] for one in client_of(api.linh).predict(api_name="/list_documents")}
