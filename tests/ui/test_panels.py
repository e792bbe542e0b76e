"""Header, banners, empty page, account, sidebar and documents page, from records."""

import re
from dataclasses import replace

import pytest

from maisale.library.dead_letters import MESSAGE, DeadLetter
from maisale.records import Caller, Collection, Conversation, Document, Job, Key, ModelStatus, Named, Outline, Reached, Tenant, User
from maisale.ui.account import account_page
from maisale.ui.documents import Letters, attached, documents_page, state
from maisale.ui.ledger import Opened
from maisale.ui.panels import Condition, banners, chosen, empty_page, header
from maisale.ui.people_page import people_page
from maisale.ui.rail import day_name, rail
from maisale.ui.sign_in import key_page, link_page, sign_in_page
from maisale.ui.steps import Step
from maisale.ui.view import ROWS, View, page_of

HOSTILE = "<script>alert(1)</script>"
AWAY = ModelStatus("http://127.0.0.1:11434", False, None, None)
WELL = ModelStatus("http://127.0.0.1:11434", True, "gpt-oss", "bge-m3")
DAY, NOON = 86_400.0, 129_600.0
FINE = Condition(WELL, "gpt-oss", "bge-m3", embedder_away=False, worker_away=False, indexed=12, documents=12)
USER = User("u", "t", "Mai Water", HOSTILE)
CHIEF = User("c", "d", "default", "admin", "instance_admin")
PAPER = Document("d", "c", "Policies", "returns.md", "returns.md", "text/markdown", 2048, 0.0, None, "complete", chunks=6, embedded=6)


def page(*documents, view=View(), letters=(), **more):
    listed = [Outline(one.id, one.collection_id, one.collection, one.title, one.source, one.stage, one.cause) for one in documents]
    given = Letters({letters[0].job.kind: len(letters)}, letters if view.letters else ()) if letters else None
    shown = {"view": view, "shown": page_of(listed, view), "letters": given}
    documents = [one for one in documents if one.id in shown["shown"].ids]
    return documents_page(documents, more.pop("language", "en"), upload_mb=50, may_write=more.pop("may_write", True), **shown, **more)


def test_when_all_is_well_nothing_is_said():
    assert banners(FINE, "en") == ""


def test_a_server_that_is_away_is_named_while_the_others_go_on():
    servers = (WELL, replace(AWAY, url="http://gpu.lan:11434", trouble="away"))
    shown = banners(replace(FINE, models=replace(WELL, servers=servers)), "en")
    assert "1 of 2 model servers cannot be used." in shown and "<li>http://gpu.lan:11434 does not answer." in shown
    assert "<li>http://127.0.0.1:11434 answers with gpt-oss, bge-m3.</li>" in shown and "ollama pull" not in shown
    assert "http://gpu.lan:11434 không trả lời" in banners(replace(FINE, models=replace(AWAY, servers=servers)), "vi")


def test_without_a_model_the_banner_says_what_to_run_and_what_it_needs():
    shown = banners(replace(FINE, models=AWAY), "en")
    for words in ("No model connected.", "ollama pull gpt-oss\nollama pull bge-m3", "14-16 GB", "1.2 GB", "GENERATION_MODEL="):
        assert words in shown


def test_only_the_missing_model_is_to_be_pulled():
    shown = banners(replace(FINE, models=replace(WELL, generation=None, missing=("gpt-oss",))), "en")
    assert "ollama pull gpt-oss" in shown and "ollama pull bge-m3" not in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"worker_away": True}, "The worker does not answer."),
        ({"embedder_away": True}, "Search goes by words"),
        ({"models": replace(WELL, embedding=None)}, "ollama pull bge-m3"),
        ({"indexed": 3}, "Indexing 3 of 12 documents"),
    ],
)
def test_each_trouble_has_its_line(change, words):
    assert words in banners(replace(FINE, **change), "en")


def test_the_header_names_what_is_searched_and_who_answers():
    collections = [Collection("1", "t", "u", "Policies", "tenant", 3), Collection("2", "t", "u", "Old", "tenant", 9)]
    shown = header("RO-9", ("Policies",), collections, WELL, "en")
    assert "Searching Policies · 3 documents" in shown and "gpt-oss" in shown and 'value="Policies" checked' in shown and 'value="Old">' in shown


def test_the_chosen_documents_stand_in_the_header_s_form_and_no_other():
    only = [Named("2", "Note", "note.md", "")]
    shown = header("RO-9", ("Policies",), [Collection("1", "t", "u", "Policies", "tenant", 3)], WELL, "vi", only)
    assert "Đang tìm trong 1 tài liệu<" in shown and 'value="2" checked' in shown and shown.count("data-document=") == 1
    assert "note.md" in chosen(only, "vi") and 'aria-label="Gỡ: note.md"' in chosen(only, "vi") and chosen([], "vi") == ""


def test_the_empty_page_says_where_the_data_goes():
    assert "on your own server. Nothing leaves it." in empty_page([("Why?", "Help")], WELL, "en", 50, True)


def test_who_may_not_write_sees_no_drop_zone():
    assert "data-drop" not in empty_page([], WELL, "en", 50, may_write=False) + page(PAPER, may_write=False)


@pytest.mark.parametrize(
    "shown",
    [
        header(HOSTILE, (HOSTILE,), [Collection("1", "t", "u", HOSTILE, "tenant", 3)], replace(WELL, generation=HOSTILE), "en"),
        header("", (), [Collection("1", "t", "u", "A", "tenant", 3)], WELL, "en", [Named(HOSTILE, HOSTILE, HOSTILE, HOSTILE)]),
        chosen([Named(HOSTILE, HOSTILE, HOSTILE, "")], "en"),
        empty_page([(HOSTILE, HOSTILE)], replace(WELL, generation=HOSTILE), "en", 50, True),
        rail(USER, [Conversation("c", HOSTILE, 0, 0)], "c", "en"),
        page(replace(PAPER, title=HOSTILE, collection=HOSTILE, stage="failed", cause=HOSTILE), notice=HOSTILE),
        attached([replace(PAPER, title=HOSTILE)], "en"),
        account_page(Caller(USER, "k", ("chat",)), [Key("k", "u", HOSTILE, ("chat",), 0.0)], "en"),
        account_page(Caller(USER, "k", ("chat",)), [], "vi", step=Step("make_key", problem=HOSTILE, typed={"name": HOSTILE, "days": HOSTILE})),
        people_page(Caller(CHIEF, "k", ("admin",)), [USER], [Tenant("t", HOSTILE, 0.0)], "en", step=Step(done=HOSTILE, secret="</textarea>" + HOSTILE)),
        people_page(Caller(CHIEF, "k", ("admin",)), [USER], [], "en", keys=[Key("k", "u", HOSTILE, ("chat",), 0.0)], step=Step("delete", "u", problem=HOSTILE)),
        banners(replace(FINE, models=replace(AWAY, url=HOSTILE), generation_model=HOSTILE), "en"),
        sign_in_page("en", HOSTILE),
        key_page("vi", '"' + HOSTILE),
    ],
)
def test_names_with_a_script_stay_text(shown):
    assert "&lt;script&gt;" in shown and "<script" not in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage": "received"}, "Waiting"),
        ({"stage": "received", "running": True}, "Reading"),
        ({"stage": "searchable", "embedded": 2, "running": True}, "Searchable · embedding 2 of 6 passages"),
        ({"stage": "searchable", "embedded": 2, "waits": "Ollama is away."}, "2 of 6 passages embedded, waiting"),
        ({"stage": "searchable", "embedded": 2, "running": True, "seconds_left": 43}, "about 45 s left"),
        ({"stage": "searchable", "embedded": 2, "running": True, "seconds_left": 200}, "about 3 min left"),
        ({"cancelled": "reading", "cause": "x"}, "Its new version was not read: cancelled."),
        ({"stage": "failed", "cancelled": "reading", "cause": "x"}, "Failed: cancelled before it was read"),
        ({"stage": "failed", "cause": "Torn.", "failed_after": "received", "attempts": 3}, "While it was read · 3 attempts"),
        ({}, "Complete"),
        ({"stage": "failed", "cause": "No text was found. Run text recognition on it."}, "Failed: No text was found</span>"),
        ({"stage": "searchable", "cause": "It is found by words only."}, "By words only</span><small>It is found by words only."),
    ],
)
def test_a_colour_never_stands_without_its_word(change, words):
    assert words in state(replace(PAPER, **change), "en")


@pytest.mark.parametrize(("source", "shown"), [("returns.md", "Policies · 6"), ("shop/de/returns.md", "Policies · shop/de · 6")])
def test_a_row_names_the_folder_and_not_the_file_once_more(source, shown):
    assert shown in page(replace(PAPER, source=source))


def test_the_remedy_of_a_failure_stands_below_it():
    assert '<small class="err">Run text recognition.</small>' in state(replace(PAPER, stage="failed", cause="No text. Run text recognition."), "en")


def test_what_runs_can_be_cancelled_and_what_failed_tried_again():
    assert ">Cancel<" in page(replace(PAPER, stage="read")) and ">Retry<" in page(replace(PAPER, stage="failed"))


def test_what_belongs_to_somebody_else_is_only_read():
    assert not re.search(r'data-do="(?!steps)', page(PAPER, read_only=("d",)))


STEPS = (Reached("received", 0.0), Reached("read", 1.0, 900), Reached("failed", 2.0, attempts=3, cause=HOSTILE))
LETTER = DeadLetter(Job("j", "embed_document", "d", "people", "dead", 3, HOSTILE, ended_at=0.0), HOSTILE, HOSTILE)


@pytest.mark.parametrize(("language", "words"), [("en", ("900 characters", "3 attempts", "00:00:02")), ("vi", ("900 ký tự", "3 lần thử", "00:00:02"))])
def test_the_steps_of_the_opened_document_are_shown_and_of_no_other(language, words):
    shown = page(PAPER, replace(PAPER, id="e"), opened=Opened("d", STEPS), language=language, now=NOON)
    assert shown.count('<ol class="steps"') == 1 and 'aria-expanded="true"' in shown
    assert all(word in shown for word in words) and "<script" not in shown


def test_what_was_given_up_stands_with_its_cause_its_text_and_two_buttons():
    shown = page(PAPER, letters=[LETTER], view=View(letters=True))
    assert ">Retry<" in shown and ">Skip<" in shown and 'data-id="j"' in shown and "<blockquote>" in shown and "<script" not in shown
    assert "Một tin nhắn" in page(PAPER, letters=[replace(LETTER, about=MESSAGE)], language="vi", view=View(letters=True))
    assert '-job"' not in page(PAPER, letters=[LETTER], may_write=False, view=View(letters=True)) and "given-up" not in page(PAPER)


def test_what_was_given_up_is_one_line_until_it_is_unfolded_and_then_offers_all_at_once():
    folded, unfolded = page(PAPER, letters=[LETTER] * 20), page(PAPER, letters=[LETTER] * 20, view=View(letters=True))
    assert "20 documents are found by their words, not by meaning" in folded and "<blockquote>" not in folded and 'aria-expanded="false"' in folded
    assert "Retry all 20?" in unfolded and 'data-do="skip-all"' in unfolded and unfolded.count("<blockquote>") == 20
    assert "20 tài liệu tìm được theo từ" in page(PAPER, letters=[LETTER] * 20, language="vi")


def test_a_long_list_comes_in_pages():
    many = [replace(PAPER, id=str(number)) for number in range(ROWS + 1)]
    assert f"1–{ROWS} of {ROWS + 1}" in page(*many) and 'class="pager"' not in page(PAPER)


def test_nothing_changes_only_because_time_goes_by():
    shown = {"opened": Opened("d", STEPS), "letters": [LETTER], "view": View(letters=True)}
    assert page(PAPER, **shown, now=2 * DAY) == page(PAPER, **shown, now=2 * DAY + 7200)


def test_what_was_typed_and_chosen_is_drawn_again():
    shown = page(PAPER, view=View(find=HOSTILE, kind="failed"))
    assert 'value="&lt;script&gt;' in shown and 'data-filter="failed" aria-pressed="true"' in shown and "No document fits" in shown


@pytest.mark.parametrize(("days", "name"), [(0, "today"), (1, "yesterday"), (6, "last_7_days"), (8, "earlier")])
def test_conversations_are_grouped_by_day(days, name):
    assert day_name(1_000_000_000 - days * 86400, 0, 1_000_000_000) == name


def test_the_search_box_finds_without_marks():
    assert 'data-folded="bao hanh"' in rail(USER, [Conversation("c", "Bảo hành", 0, 0)], "", "vi")


def test_signing_in_names_no_other_host_and_runs_no_script():
    assert 'name="key" type="password"' in sign_in_page("vi")
    for shown in (sign_in_page("vi"), link_page("vi", invited=True), key_page("vi", "msk_1")):
        assert "http" not in shown and "<script" not in shown and not re.search(r"\son\w+=", shown) and 'lang="vi"' in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "valid until it is revoked"),
        ({"expires_at": NOON + 3600}, "valid until 13:00"),
        ({"expires_at": 40 * DAY}, "valid until 10 Feb 1970"),
        ({"expires_at": NOON - 7200}, "ended 2 h ago"),
        ({"expires_at": NOON - 7200, "fresh": True}, None),
        ({"expires_at": -30 * DAY}, None),
        ({"revoked_at": 5.0}, None),
    ],
)
def test_each_key_says_how_long_it_is_valid_and_ended_ones_go(change, words):
    key = Key("k", "u", "reports", ("read",), 0.0, **change)
    shown = account_page(Caller(USER, "other", ("read",)), [key], "en", now=NOON)
    assert words in shown if words else "reports" not in shown


def test_only_who_manages_people_finds_the_page():
    assert 'data-page="people"' in rail(CHIEF, [], "", "en", manages=True) and 'data-page="people"' not in rail(USER, [], "", "en")


ME = Caller(USER, "k", ("chat",))


def test_the_account_page_says_that_nothing_leaves_the_machine():
    assert "Nothing: questions, answers and documents stay on the machine" in account_page(ME, [], "en")
    assert "Không có gì: câu hỏi" in account_page(ME, [], "vi")


def test_the_account_page_names_the_machines_that_are_asked():
    shown = account_page(ME, [], "en", elsewhere={"models": ("gpu.lan", HOSTILE), "index": ("vectors.lan",)})
    assert "go to the model server on gpu.lan" in shown and "Chroma server on vectors.lan" in shown and "Nothing else leaves" in shown
    assert "máy chủ mô hình ở gpu.lan" in account_page(ME, [], "vi", elsewhere={"models": ("gpu.lan",)}) and HOSTILE not in shown


def test_the_account_page_says_how_many_tokens_are_left():
    assert "Tokens today" not in account_page(ME, [], "en")
    assert "1,200 of 5,000 used, 3,800 left" in account_page(ME, [], "en", tokens=(1200, 5000), now=NOON)
    assert "Đã dùng 6.000 trên 5.000, còn 0" in account_page(ME, [], "vi", tokens=(6000, 5000), now=NOON)
