"""The side panel, from a reply."""

from dataclasses import replace

import pytest

from maisale.records import Candidate, Chunk, Citation, Reply, Trace
from maisale.ui.sources import EXCERPT_CHARACTERS, excerpt, sources_panel

CHUNK = Chunk("d#chunk_0", "t", "c", "Warranty", "", 0, 5, 0.0, document_id="d", place="page 3")
USED = Candidate(CHUNK, vector_score=0.912, word_score=0.5, stem_score=0.84, freshness=0.03, score=0.9, number=1)
LEFT = Candidate(replace(CHUNK, title="Returns <b>"), word_score=0.2, score=0.3, reason="below_cut")
CITED = Citation(1, "d#chunk_0", "Warranty <script>", "page 3", "It lasts 24 months.", 0.9, "strong", document_id="d", highlights=("24 months",), cited=True)
TRACE = Trace(
    "how long", "en", "knowledge", 0.38, 0.6, "answer", 0.9, 0.4, (USED, LEFT), {"vectors": "exact", "words": "FTS5"}, "hash-1024", "gpt-oss",
    milliseconds={"rank": 3.4},
)
REPLY = Reply("abcdefgh-1234", "q", "c", "done", "24 months [1].", model="gpt-oss", citations=(CITED,), trace=TRACE)


def test_without_a_reply_there_is_no_panel():
    assert sources_panel(None, "en") == ""


def test_the_path_names_coverage_and_threshold():
    assert "not enough (38\u00a0% covered, 60\u00a0% needed)" in sources_panel(REPLY, "en")


def test_a_conversation_that_has_no_word_of_the_question_is_not_measured():
    assert "This conversation</b><span>: nothing on this</span>" in sources_panel(replace(REPLY, trace=replace(TRACE, coverage=0.0)), "en")


def test_a_conversation_that_was_enough_searched_no_knowledge():
    panel = sources_panel(replace(REPLY, trace=replace(TRACE, path="history", coverage=0.8)), "en")
    assert "enough (80\u00a0% covered" in panel and "Knowledge" not in panel


def test_a_document_with_a_script_stays_text():
    panel = sources_panel(REPLY, "en")
    assert "Warranty &lt;script&gt;" in panel and "Returns &lt;b&gt;" in panel and "<script" not in panel


def test_a_card_shows_strength_highlight_and_the_way_to_its_document():
    panel = sources_panel(REPLY, "en")
    assert 'id="src-1"' in panel and "Strong match" in panel and "<mark>24 months</mark>" in panel and 'href="/files/d' in panel


PLACES = {
    "of a PDF its page": ({"place": "page 12"}, "/files/d#page=12"),
    "of all else what answers": ({"place": "sheet A", "highlights": ("the well-known rule of it",)}, "the%20well%2Dknown%20rule%20of%20it"),
    "no two words that stand elsewhere too": ({"place": "", "text": "Goods come back\nsoon.", "highlights": ("24 months",)}, "Goods%20come%20back"),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_document_opens_where_it_is_cited(name):
    differs, place = PLACES[name]
    address = place if place.startswith("/files/") else f"/files/d/read#:~:text={place}"
    assert f'href="{address}"' in sources_panel(replace(REPLY, citations=(replace(CITED, **differs),)), "en")


def test_what_was_said_in_the_conversation_has_no_document_to_open():
    said = replace(CITED, document_id=None, message_id="m")
    panel = sources_panel(replace(REPLY, citations=(said,)), "en")
    assert "said in this conversation" in panel and "/files/" not in panel


@pytest.mark.parametrize("text", ["0.91", "0.84", "0.03", "0.90", "below the cut"])
def test_every_candidate_has_its_scores_or_why_it_was_left(text):
    assert text in sources_panel(REPLY, "en")


@pytest.mark.parametrize("text", ["gpt-oss", "exact", "FTS5", "hash-1024", "rank 3\u00a0ms"])
def test_who_answered_and_how_long_it_took_is_there(text):
    assert text in sources_panel(REPLY, "en")


def test_chosen_documents_are_named():
    panel = sources_panel(replace(REPLY, trace=replace(TRACE, path="knowledge", only_in=("price-list.xlsx",))), "en")
    assert panel.count("only in: price-list.xlsx") == 2  # in the path, and in how it was found


def test_an_abstention_says_what_was_missing():
    panel = sources_panel(replace(REPLY, citations=(), trace=replace(TRACE, outcome="abstain", gate=0.04, gate_needed=0.21)), "vi")
    assert "cao nhất 0,04, cần 0,21" in panel


def test_the_clicked_card_is_open_and_outlined():
    second = replace(CITED, number=2)
    panel = sources_panel(replace(REPLY, citations=(CITED, second)), "en", chosen=2)
    assert 'class="card cited chosen" id="src-2" tabindex="-1" open' in panel and 'id="src-1" tabindex="-1">' in panel


def test_a_closed_card_begins_where_it_matters():
    long = replace(CITED, text="Filler words go on. " * 40 + "It lasts 24 months. " + "More filler. " * 40)
    assert excerpt(long).startswith("… It lasts 24 months.") and len(excerpt(long)) < EXCERPT_CHARACTERS + 5


def test_a_document_can_be_asked_after_and_is_told_of():
    silent = sources_panel(REPLY, "en")
    assert 'class="why"' in silent and "Why not my document?" in silent and 'role="status"' not in silent
    told = sources_panel(REPLY, "vi", explained=("<b>giá.xlsx", "giá.xlsx không được tìm <i>"))
    assert '<p role="status">giá.xlsx không được tìm &lt;i&gt;</p>' in told and 'value="&lt;b&gt;giá.xlsx"' in told


def passage_of(text, *spans):
    return sources_panel(replace(REPLY, citations=(replace(CITED, text=text, highlights=spans),)), "en")


def test_a_table_in_a_passage_is_shown_as_one():
    shown = passage_of("Fares\n| Name | Fare |\n| --- | --- |\n| <b>Braund | 7.25 |", "Braund")
    assert "<tr><th>Name</th><th>Fare</th></tr><tr><td>&lt;b&gt;<mark>Braund</mark></td><td>7.25</td></tr>" in shown and "---" not in shown


def test_a_wide_table_is_shown_row_by_row_and_a_closed_card_begins_with_the_row_that_matters():
    text = "| A | B | C | D | Fare |\n| --- | --- | --- | --- | --- |\n| 1 | 2 | 3 | Heikkinen | 8 |\n| 4 |  | 6 | Braund | 7.25 |"
    shown = passage_of(text, "Braund")
    assert "<i>D:</i> <mark>Braund</mark> · <i>Fare:</i> 7.25</p>" in shown and "<table><tr><th>A" not in shown and "<i>B:</i>" in shown
    assert excerpt(replace(CITED, text=text, highlights=("Braund",))) == "A: 4 · C: 6 · D: Braund · Fare: 7.25"


def test_lines_that_the_source_cut_run_on_and_others_stay():
    long = "There are many views on the size of a swap partition, one of"
    shown = passage_of(f"{long}\nthem is twice the memory.\n- one\n- two", "x")
    assert f"{long} them is twice the memory.\n- one\n- two" in shown
