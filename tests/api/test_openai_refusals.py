"""Every refusal as OpenAI's clients read it; and links that stay when an answer grows."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from maisale import errors
from maisale.access.gate import in_json
from maisale.api.openai.links import Links
from maisale.api.openai.models import UnknownModel
from maisale.api.openai.refusals import AsOpenAI
from maisale.chat.citations import CitationFilter
from maisale.records import Citation

KINDS = [UnknownModel, *(one for one in vars(errors).values() if isinstance(one, type) and one.__module__ == errors.__name__)]


def refused(problem, path="/v1/chat/completions"):
    """What a client gets when `problem` is answered on this path. problem: an error, or an answer."""

    async def answer(_request):
        return in_json(problem) if isinstance(problem, Exception) else problem

    async def ask():
        inner = Starlette(routes=[Route("/{path:path}", answer, methods=["GET"])])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(AsOpenAI(inner)), base_url="http://here") as client:
            return await client.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_refusal_is_said_in_their_shape(kind):
    problem = kind("It is so.", 3.2) if kind in (errors.TooOften, errors.QuotaSpent) else kind("It is so.")
    answer = refused(problem)
    said = answer.json()["error"]
    assert set(answer.json()) == {"error"} and said["message"] == "It is so." and said["type"] and said["code"] and said["param"] is None
    assert answer.status_code == (400 if problem.status == 422 else problem.status)
    wait_s = problem.retry_after_s
    assert answer.headers.get("retry-after") == (None if wait_s is None else str(max(1, -int(-wait_s // 1))))


@pytest.mark.parametrize("path", ["/v1/search", "/v1/chat", "/v1/modelsx", "/v1/conversations/models", "/mcp"])
def test_elsewhere_refusals_stay_as_they_are(path):
    assert refused(errors.NotFound("It is so."), path).json()["kind"] == "NotFound"


def test_a_broken_servers_own_words_are_replaced():
    answer = refused(PlainTextResponse("Internal Server Error", 500))
    assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal_error" and "log" in answer.json()["error"]["message"]


SOURCES = [Citation(1, "d1#chunk_0", "One", "", "x", 1.0, "good", document_id="d1"), Citation(2, "said#0#chunk_0", "Two", "", "x", 1.0, "good")]
WRITTEN = {
    "a mark": ("It is so [1].", "It is so [[1]](http://h/files/d1)."),
    "without a file": ("It is so [2][1].", "It is so [2][[1]](http://h/files/d1)."),
    "in code": ("`a[1]` and [1]", "`a[1]` and [[1]](http://h/files/d1)"),
    "in a block": ("```\na[1]\n``` [1]", "```\na[1]\n``` [[1]](http://h/files/d1)"),
    "in an open block": ("[1] ```\na[1]", "[[1]](http://h/files/d1) ```\na[1]"),
    "escaped": (r"It says \[1\] itself [1]", r"It says \[1\] itself [[1]](http://h/files/d1)"),
    "a lone backtick": ("a ` b [1]\n\nc ` d [1]", "a ` b [[1]](http://h/files/d1)\n\nc ` d [[1]](http://h/files/d1)"),
}


@pytest.mark.parametrize("text, linked", WRITTEN.values(), ids=WRITTEN)
def test_marks_become_links_and_stay_so_while_the_text_grows(text, linked):
    links, shown = Links("http://h"), [""]
    known, so_far = CitationFilter(2), ""
    for piece in [*text, None]:
        so_far += known.end() if piece is None else known.feed(piece)
        shown.append(links.linked(so_far, SOURCES))
    assert all(later.startswith(earlier) for earlier, later in zip(shown, shown[1:], strict=False))
    assert links.linked(text, SOURCES) == linked
