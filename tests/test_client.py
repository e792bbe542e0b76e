"""maisale.client against a running server; and what it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest
from office import QUESTION, open_office, upload

from maisale.client import MaiSale, Refused
from maisale.client.langchain import MaiSaleRetriever

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with open_office(tmp_path_factory.mktemp("client")) as opened:
        upload(opened.linh.http)
        upload(opened.linh.http, "# Hours\n\nThe shop opens at eight.", "hours.md", collection="Times")
        opened.work_off()
        yield opened


@pytest.fixture
def linh(office):
    with MaiSale(office.url, office.linh.key) as opened:
        yield opened


def loaded_by(statement):
    """The names of the packages that a process has after `statement`."""
    ran = subprocess.run([sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_it_needs_httpx_and_nothing_of_the_server():
    loaded = loaded_by("import maisale.client") - loaded_by("import httpx, json")
    assert loaded == {"maisale", "maisale.client"}


def test_the_retriever_needs_langchain_core_beside_it():
    own = {name for name in loaded_by("import maisale.client.langchain") if name.split(".")[0] in ("maisale", "gradio", "fastapi", "langgraph", "chromadb")}
    assert own == {"maisale", "maisale.client", "maisale.client.langchain"}


def test_an_answer_comes_whole_with_its_sources(linh):
    answer = linh.ask(QUESTION)
    assert answer["state"] == "done" and "30 days" in answer["text"] and answer["citations"][0]["cited"]
    again = linh.ask("And with a receipt?", answer["conversation_id"])
    assert again["conversation_id"] == answer["conversation_id"] and again["reply_id"] != answer["reply_id"]


def test_passages_are_found_best_first(linh):
    found = linh.search(QUESTION, limit=2)
    assert "30 days" in found[0]["text"] and len(found) <= 2
    assert [one["title"] for one in linh.search("When does the shop open?", collections=["Times"])] == ["Hours"]


def test_a_question_can_be_narrowed(linh):
    assert {one["title"] for one in linh.ask("When does the shop open?", collections=["Times"])["citations"]} == {"Hours"}


def test_a_refusal_is_a_sentence_with_its_kind(office, linh):
    with pytest.raises(Refused, match="no collection named 'None'") as refused:
        linh.search("filter", collections=["None"])
    assert (refused.value.status, refused.value.kind, refused.value.retry_after_s) == (404, "NotFound", None)
    with MaiSale(office.url, "wrong") as nobody, pytest.raises(Refused, match="needs a key"):
        nobody.ask(QUESTION)


def test_who_asks_too_fast_is_told_how_long_to_wait(tmp_path):
    with open_office(tmp_path, rate_limit=1) as office, MaiSale(office.url, office.linh.key) as linh, pytest.raises(Refused) as refused:
        for _ in range(10):
            linh.search("filter")
    assert refused.value.kind == "TooOften" and refused.value.retry_after_s >= 1


def test_langchain_gets_documents_with_their_scores(office):
    retriever = MaiSaleRetriever(url=office.url, key=office.linh.key, k=1)
    (found,) = retriever.invoke(QUESTION)
    assert "30 days" in found.page_content and found.id and found.metadata["title"] and found.metadata["score"] > 0
    assert office.linh.key not in repr(retriever)


def test_langchain_sees_what_its_key_may_see(office):
    assert MaiSaleRetriever(url=office.url, key=office.hoa.key).invoke(QUESTION) == []
