"""The three tools over MCP, called with the package's own client."""

import asyncio
import contextlib

import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from office import QUESTION, open_office, upload

SECRET = "# Salaries\n\nThe salary of the warehouse manager is 4711 a month."


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with open_office(tmp_path_factory.mktemp("mcp")) as opened:
        upload(opened.linh.http)
        upload(opened.linh.http, SECRET, "salaries.md", collection="Mine", visibility="private")
        opened.work_off()
        yield opened


@contextlib.asynccontextmanager
async def session(office, key):
    async with (
        httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30) as http,
        streamable_http_client(f"{office.url}/mcp", http_client=http) as (read, write, _),
        ClientSession(read, write) as opened,
    ):
        await opened.initialize()
        yield opened


def call(office, person, name, **arguments):
    async def story():
        async with session(office, person.key) as opened:
            return await opened.call_tool(name, arguments)

    return asyncio.run(story())


def text_of(result):
    return result.content[0].text


def test_there_are_exactly_these_tools(office):
    async def story():
        async with session(office, office.linh.key) as opened:
            return (await opened.list_tools()).tools

    tools = asyncio.run(story())
    assert [tool.name for tool in tools] == ["ask", "search", "list_documents"]
    assert [tool.annotations.readOnlyHint for tool in tools] == [False, True, True]
    assert all(tool.description and tool.inputSchema["additionalProperties"] is False for tool in tools)


def test_a_question_is_answered_with_its_sources_and_kept(office):
    found = call(office, office.linh, "ask", question=QUESTION)
    assert not found.isError and "30 days" in text_of(found) and "Sources:\n[1] " in text_of(found)
    assert found.structuredContent["citations"][0]["cited"] and found.structuredContent["done"]
    again = call(office, office.linh, "ask", question="And with the receipt?", conversation_id=found.structuredContent["conversation_id"])
    assert again.structuredContent["conversation_id"] == found.structuredContent["conversation_id"]
    kept = office.linh.http.get(f"/v1/conversations/{found.structuredContent['conversation_id']}").json()
    assert [one["sender"] for one in kept["messages"]] == ["user", "assistant", "user", "assistant"]


def test_passages_are_found(office):
    found = call(office, office.linh, "search", query=QUESTION, limit=1)
    (passage,) = found.structuredContent["passages"]
    assert "30 days" in passage["text"] and "30 days" in text_of(found)


def test_documents_are_listed(office):
    found = call(office, office.linh, "list_documents")
    assert {one["source"] for one in found.structuredContent["documents"]} >= {"returns.md", "salaries.md"}


@pytest.mark.parametrize("name", ["minh", "hoa", "mai", "admin"])
def test_nobody_sees_anothers_documents_through_it(office, name):
    other, owner = getattr(office, name), office.linh
    mine = {one["source"]: one["id"] for one in call(office, owner, "list_documents").structuredContent["documents"]}
    conversation = call(office, owner, "ask", question="What is the salary of the warehouse manager?").structuredContent["conversation_id"]
    seen = [
        call(office, other, "search", query="What is the salary of the warehouse manager?", limit=50),
        call(office, other, "list_documents"),
        call(office, other, "ask", question="What is the salary of the warehouse manager?"),
        call(office, other, "ask", question="And the salary?", conversation_id=conversation),
        call(office, other, "ask", question="What is the salary?", documents=[mine["salaries.md"]]),
        call(office, other, "search", query="salary", collections=["Mine"]),
    ]
    assert not any("4711" in one.model_dump_json() or "salaries" in one.model_dump_json() for one in seen)
    assert [one.isError for one in seen] == [False, False, False, True, True, True]
    assert "4711" in text_of(call(office, owner, "search", query="What is the salary of the warehouse manager?"))


def test_two_people_at_once_get_their_own(office):
    async def one(person):
        async with session(office, person.key) as opened:
            return [await opened.call_tool("search", {"query": "salary of the warehouse manager"}) for _ in range(5)]

    async def story():
        return await asyncio.gather(*(one(person) for person in (office.linh, office.minh, office.linh, office.hoa)))

    seen = [["4711" in text_of(result) for result in results] for results in asyncio.run(story())]
    assert seen == [[True] * 5, [False] * 5, [True] * 5, [False] * 5]


SPOKEN = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "msk_0123456789abcdef_" + "x" * 43}, {"Authorization": "Bearer wrong"}])
def test_without_a_valid_key_nothing_is_said(office, headers):
    answer = httpx.post(f"{office.url}/mcp", json=SPOKEN, headers={**ACCEPT, **headers})
    assert answer.status_code == 401 and "tools" not in answer.text


def test_another_sites_page_cannot_use_the_cookie(office):
    browser = office.browser(office.linh.key)
    assert browser.post("/mcp", json=SPOKEN, headers=ACCEPT).status_code == 200
    assert browser.post("/mcp", json=SPOKEN, headers={**ACCEPT, "Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_nothing_is_kept_between_two_requests(office):
    http = office.linh.http
    assert "mcp-session-id" not in http.post("/mcp", json=SPOKEN, headers=ACCEPT).headers
    for method in ("GET", "DELETE"):
        answer = http.request(method, "/mcp", headers=ACCEPT)
        assert answer.status_code == 405 and answer.headers["allow"] == "POST"


def test_gradios_own_mcp_stays_shut(office):
    for path in ("/gradio_api/mcp", "/gradio_api/mcp/", "/gradio_api/mcp/schema", "/gradio_api/mcp/sse"):
        assert {office.linh.http.request(method, path, headers=ACCEPT).status_code for method in ("GET", "POST")} == {404}


@pytest.mark.parametrize("permissions, works", [(("read",), ["search", "list_documents"]), (("chat",), ["ask"]), (("write",), [])])
def test_a_key_does_what_it_may(office, permissions, works):
    http = office.key_of(office.linh, permissions=permissions)
    sent = {"ask": {"question": QUESTION}, "search": {"query": QUESTION}, "list_documents": {}}
    answers = {
        name: http.post("/mcp", json={**SPOKEN, "method": "tools/call", "params": {"name": name, "arguments": arguments}}, headers=ACCEPT).json()["result"]
        for name, arguments in sent.items()
    }
    assert [name for name, answer in answers.items() if not answer["isError"]] == works
    assert all("permission" in answer["content"][0]["text"] for name, answer in answers.items() if name not in works)


REFUSED = {
    "no question": ("ask", {}, "question"),
    "an empty one": ("ask", {"question": " "}, "empty"),
    "an unknown argument": ("search", {"query": "x", "tenant": "sales"}, "tenant"),
    "a wide limit": ("search", {"query": "x", "limit": 500}, "limit"),
    "a number": ("search", {"query": 7}, "query"),
    "an unknown collection": ("search", {"query": "x", "collections": ["None"]}, "no collection named 'None'"),
    "an unknown tool": ("delete_everything", {}, "There are ask, search and list_documents"),
}


@pytest.mark.parametrize("name, arguments, words", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_in_words(office, name, arguments, words):
    found = call(office, office.linh, name, **arguments)
    assert found.isError and words in text_of(found)


def test_who_asks_too_fast_is_told_so(tmp_path):
    with open_office(tmp_path, rate_limit=2) as office:
        found = [
            office.linh.http.post("/mcp", json={**SPOKEN, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "x"}}}, headers=ACCEPT)
            for _ in range(20)
        ]
    said = [one.json()["result"] for one in found if one.status_code == 200]
    assert any(one["isError"] and "too fast" in one["content"][0]["text"] for one in said) and not said[0]["isError"]
