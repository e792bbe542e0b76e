"""The handlers of the page, called as Gradio calls them, over real services without a model."""

import asyncio
import json
import re
from pathlib import Path

import gradio as gr
import pytest
from starlette.requests import Request

from maisale.access.limits import Limits
from maisale.chat.replies import Replies
from maisale.errors import NotSignedIn
from maisale.library.documents import add_document
from maisale.library.embedders import Embedders
from maisale.library.indexing import Indexing
from maisale.records import Caller, User
from maisale.store import accounts, conversations, documents, feedback, jobs
from maisale.ui.chat import Chat
from maisale.ui.choice import Choice
from maisale.ui.scene import WORKER_MAY_MISS_S, WorkerWatch
from maisale.ui.screen import Screen, acted
from maisale.ui.shelf import Shelf
from maisale.ui.suggestions import Suggestions, answers

ALL = ("chat", "read", "write")


def request(user=None, permissions=ALL, tab="tab", cookies="", per_second=1000):
    scope = {"type": "http", "headers": [(b"cookie", cookies.encode())]}
    if user:
        scope |= {"caller": Caller(user, "key", permissions), "limits": Limits(per_second)}
    return gr.Request(request=Request(scope), session_hash=tab)


def event(**sent):
    return gr.EventData(None, sent)


def part(screen, name):
    return screen[Screen.PARTS.index(name)]


async def last(screens):
    return [screen async for screen in screens][-1]


def on_page(services, story):
    """Runs `story(chat, shelf, replies)` inside an event loop of its own."""

    async def run():
        replies = Replies(services)
        worker = WorkerWatch()
        try:
            return await story(Chat(lambda: replies, worker), Shelf(lambda: replies, worker), replies)
        finally:
            await replies.close()

    return asyncio.run(run())


@pytest.fixture
def linh(services) -> User:
    return services.db.write(lambda tx: accounts.add_user(tx, "Mai Water", "Linh"))


@pytest.fixture
def hoa(services) -> User:
    return services.db.write(lambda tx: accounts.add_user(tx, "Other", "Hoa"))


def test_nobody_who_is_not_signed_in_sees_the_page(services):
    with pytest.raises(NotSignedIn):
        on_page(services, lambda chat, *_: chat.load("", "", request()))


def test_the_cookie_chooses_the_language(services, linh):
    screen = on_page(services, lambda chat, *_: chat.load("", "", request(linh, cookies="maisale_language=vi")))
    assert "Cuộc trò chuyện mới" in part(screen, "rail") and "Cần biết điều gì?" in part(screen, "empty")


def test_a_question_is_stored_shown_and_answered(services, linh):
    async def story(chat, *_):
        asked = await last(chat.ask({"text": "How long is the warranty?"}, "", "", request(linh)))
        return asked, await last(chat.follow(part(asked, "conversation"), request(linh)))

    asked, followed = on_page(services, story)
    assert "How long is the warranty?" in part(asked, "rail") and part(asked, "empty") == ""
    assert part(followed, "chat")[-1]["content"] and 'class="sources"' in part(followed, "sources")


def test_a_worker_that_leaves_work_lying_is_told_of_where_the_index_does_not_need_it(services, linh, monkeypatch):
    services.vectors, watch, now = None, WorkerWatch(), [1000.0]
    monkeypatch.setattr("maisale.ui.scene.time.monotonic", lambda: now[0])
    job = services.db.write(lambda tx: jobs.add(tx, linh.tenant_id, "read_document", "paper"))
    assert not watch.away(services)
    now[0] += WORKER_MAY_MISS_S + 1
    assert watch.away(services)
    jobs.claim(services.db, job)
    assert not watch.away(services)
    services.db.write(lambda tx: jobs.add(tx, linh.tenant_id, "read_document", "other"))
    now[0] += WORKER_MAY_MISS_S + 1
    assert not watch.away(services)


def test_an_empty_question_changes_nothing(services, linh):
    screen = on_page(services, lambda chat, *_: last(chat.ask({"text": "  ", "files": []}, "", "", request(linh))))
    assert all(value == gr.skip() for value in screen)


def test_a_refused_question_goes_back_into_the_box(services, linh):
    screen = on_page(services, lambda chat, *_: last(chat.ask({"text": "x" * 40_000}, "", "", request(linh))))
    assert "40,000 characters" in part(screen, "under") and 'data-back="files"' in part(screen, "under")


def test_a_question_refused_after_its_file_was_taken_goes_back_without_it(services, linh, tmp_path):
    (tmp_path / "note.md").write_text("The promotion gives 12 percent.", "utf-8")
    services.vectors = None
    screen = on_page(services, lambda chat, *_: last(chat.ask({"text": "x" * 40_000, "files": [str(tmp_path / "note.md")]}, "", "", request(linh))))
    assert 'data-back="text"' in part(screen, "under")
    [place] = conversations.list_conversations(services.db, linh.scope)
    assert [one.title for one in documents.list_documents(services.db, linh.scope, place.id)] == ["note.md"]


def test_a_question_asked_too_fast_goes_back_with_its_file_and_the_reason(services, linh, tmp_path):
    (tmp_path / "note.md").write_text("The promotion gives 12 percent.", "utf-8")
    asking = request(linh, cookies="maisale_language=vi", per_second=1)
    asking.request.scope["limits"].start_work(linh.id)
    screen = on_page(services, lambda chat, *_: last(chat.ask({"text": "How much?", "files": [str(tmp_path / "note.md")]}, "", "", asking)))
    assert "nhanh hơn mức cho phép" in part(screen, "under") and 'data-back="files"' in part(screen, "under")
    assert conversations.list_conversations(services.db, linh.scope) == []


def test_a_key_that_may_only_read_asks_nothing(services, linh):
    screen = on_page(services, lambda chat, *_: last(chat.ask({"text": "Why?"}, "", "", request(linh, ("read",)))))
    assert "lacks the permission" in part(screen, "under") and conversations.list_conversations(services.db, linh.scope) == []


def test_another_person_s_conversation_looks_like_a_missing_one(services, linh, hoa):
    theirs = services.db.write(lambda tx: conversations.new_conversation(tx, hoa.scope, "Secret"))
    screen = on_page(services, lambda chat, *_: chat.load(theirs.id, "", request(linh)))
    assert "There is no such conversation." in part(screen, "under") and "Secret" not in str(screen) and part(screen, "conversation") == ""


def test_another_person_s_conversation_cannot_be_renamed_or_deleted(services, linh, hoa):
    theirs = services.db.write(lambda tx: conversations.new_conversation(tx, hoa.scope, "Secret"))

    async def story(chat, *_):
        await chat.rail_acts("", "", request(linh), event(do="rename", id=theirs.id, title="Mine"))
        return await chat.rail_acts("", "", request(linh), event(do="delete", id=theirs.id))

    assert "There is no such conversation." in part(on_page(services, story), "under")
    assert conversations.get_conversation(services.db, hoa.scope, theirs.id).title == "Secret"


def test_what_was_typed_or_asked_before_the_page_was_drawn_stays(services, linh):
    async def story(chat, *_):
        drawn = await chat.load("", "", request(linh))
        early = await last(chat.ask({"text": "How long is the warranty?"}, "", "", request(linh, tab="early")))
        return drawn, early, await chat.load("", "", request(linh, tab="early"))

    drawn, early, late = on_page(services, story)
    assert "value" not in part(drawn, "composer").constructor_args
    assert part(early, "conversation") and part(late, "conversation") == part(late, "chat") == gr.skip() and "Linh" in part(late, "account")


async def answered(chat, user, text="How long is the warranty?"):
    """The conversation and the reply of a question that was asked and answered on the page."""
    asked = await last(chat.ask({"text": text}, "", "", request(user)))
    await last(chat.follow(part(asked, "conversation"), request(user)))
    return part(asked, "conversation")


def reply_of(services, user, conversation_id):
    return conversations.messages(services.db, user.scope, conversation_id)[-1].reply


@pytest.fixture
def papers(services, linh, tmp_path):
    """Two searchable documents of Linh's team that answer the same question."""
    added = []
    for name, months in (("old.md", 12), ("new.md", 24)):
        path = Path(tmp_path / name)
        path.write_text(f"# Warranty of {name}\n\nThe RO-9 water purifier is under warranty for {months} months.\n", "utf-8")
        added.append(add_document(services, linh.scope, path, name))
    indexing = Indexing(services, Embedders(services))
    for job_id in jobs.due(services.db, 10):
        indexing.do(jobs.claim(services.db, job_id))
    return added


def sources_of(services, user, conversation_id):
    return {one.title for one in reply_of(services, user, conversation_id).citations}


RO9 = "How long is the RO-9 water purifier under warranty?"


def test_chosen_documents_alone_are_asked_until_they_are_taken_out(services, linh, papers):
    async def story(chat, *_):
        chosen = await chat.choose("", "", request(linh), event(names="Knowledge", documents=papers[0].id))
        asked = await last(chat.ask({"text": RO9}, "", part(chosen, "choice"), request(linh)))
        await last(chat.follow(part(asked, "conversation"), request(linh)))
        out = await chat.choose(part(asked, "conversation"), part(chosen, "choice"), request(linh), event(do="unchoose", id=papers[0].id))
        return chosen, asked, out

    chosen, asked, out = on_page(services, story)
    assert "Searching in 1 document<" in part(chosen, "header") and "old.md" in part(chosen, "chosen")
    assert sources_of(services, linh, part(asked, "conversation")) == {"Warranty of old.md"}
    assert part(out, "chosen") == "" and "Searching Knowledge" in part(out, "header")


def test_a_document_named_in_the_question_goes_before_the_chosen_one(services, linh, papers):
    async def story(chat, *_):
        choice = str(Choice(documents=(papers[0].id,)))
        asked = await last(chat.ask({"text": f"{RO9} @NEW"}, "", choice, request(linh)))
        return await last(chat.follow(part(asked, "conversation"), request(linh))), part(asked, "conversation")

    followed, place = on_page(services, story)
    assert sources_of(services, linh, place) == {"Warranty of new.md"} and "only in: new.md" in part(followed, "sources")


def test_a_name_that_nothing_bears_goes_back_into_the_box_with_the_closest(services, linh, papers):
    screen = on_page(services, lambda chat, *_: last(chat.ask({"text": "What says @nwe.md?"}, "", "", request(linh))))
    assert "No document is named &#x27;nwe.md&#x27;. The closest: new.md." in part(screen, "under")
    assert 'data-back="files"' in part(screen, "under") and conversations.list_conversations(services.db, linh.scope) == []


def test_another_team_s_document_can_be_neither_chosen_nor_named(services, linh, hoa, papers):
    async def story(chat, *_):
        chosen = await chat.choose("", "", request(hoa), event(documents=papers[0].id))
        return chosen, await last(chat.ask({"text": "@old.md"}, "", "", request(hoa)))

    chosen, asked = on_page(services, story)
    assert part(chosen, "chosen") == "" and "old.md" not in part(chosen, "header") and "No document is named" in part(asked, "under")


@pytest.mark.parametrize("choice", ["Policies\nOther", "{", "[1]", "[[1], []]", '["a", "b"]', "null", "[" * 20_000, "[[], [], []]"])
def test_a_choice_that_the_page_did_not_write_chooses_nothing(choice):
    assert Choice.read(choice) == Choice()


def test_a_choice_comes_back_as_it_was_written():
    assert Choice.read(str(Choice(("Bảng giá\n", '"'), ("1", "2")))) == Choice(("Bảng giá\n", '"'), ("1", "2"))


def test_a_verdict_shows_as_chosen_survives_a_reload_and_is_taken_back(services, linh):
    async def story(chat, *_):
        place = await answered(chat, linh)
        reply = reply_of(services, linh, place).id
        judged = await chat.judge(place, request(linh), event(reply=reply, verdict="down", comment="<b>36 months</b>"))
        loaded = await chat.load(place, "", request(linh, tab="again"))
        return judged, loaded, await chat.judge(place, request(linh), event(reply=reply, verdict=""))

    judged, loaded, back = on_page(services, story)
    assert 'data-verdict="down" aria-pressed="true"' in part(judged, "verdicts") and "&lt;b&gt;36 months" in part(judged, "verdicts")
    assert part(loaded, "verdicts") == part(judged, "verdicts") and 'aria-pressed="true"' not in part(back, "verdicts")


def test_another_person_s_answer_cannot_be_judged(services, linh, hoa):
    async def story(chat, *_):
        place = await answered(chat, hoa)
        return place, await chat.judge(place, request(linh), event(reply=reply_of(services, hoa, place).id, verdict="up"))

    place, screen = on_page(services, story)
    assert "There is no such reply." in part(screen, "under") and feedback.verdicts(services.db, hoa.scope, place) == {}


def test_a_key_that_may_only_read_sees_no_thumbs_and_judges_nothing(services, linh):
    async def story(chat, *_):
        place = await answered(chat, linh)
        judged = await chat.judge(place, request(linh, ("read",)), event(reply=reply_of(services, linh, place).id, verdict="up"))
        return judged, await chat.load(place, "", request(linh, ("read",), tab="again"))

    judged, loaded = on_page(services, story)
    assert "lacks the permission" in part(judged, "under") and part(loaded, "verdicts") == ""


def test_a_tab_that_shows_something_else_is_not_overwritten(services, linh):
    async def story(chat, *_):
        asked = await last(chat.ask({"text": "How long?"}, "", "", request(linh)))
        following = chat.follow(part(asked, "conversation"), request(linh))
        await anext(following)
        await anext(following)
        await chat.rail_acts("", "", request(linh), event(do="new"))
        return [screen async for screen in following]  # none when the answer has ended by then

    assert all(part(screen, "chat") == gr.skip() for screen in on_page(services, story))


def test_a_conversation_that_is_opened_late_does_not_hide_a_question_asked_meanwhile(services, linh, monkeypatch):
    async def story(chat, *_):
        whole, asked = chat._whole, []

        def meanwhile(*given):
            if not asked:
                asked.append(None)
                question = last(chat.ask({"text": "How long?"}, "", "", request(linh)))
                asked.append(asyncio.run_coroutine_threadsafe(question, loop).result())
            return whole(*given)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(chat, "_whole", meanwhile)
        return await chat.rail_acts("", "", request(linh), event(do="new")), asked[1]

    late, asked = on_page(services, story)
    assert all(value == gr.skip() for value in late) and part(asked, "conversation")


def test_a_question_accepted_after_the_person_went_elsewhere_is_only_listed(services, linh, monkeypatch):
    async def story(chat, _shelf, replies):
        ask = replies.ask

        async def meanwhile(*given):
            await chat.rail_acts("", "", request(linh), event(do="new"))
            return await ask(*given)

        monkeypatch.setattr(replies, "ask", meanwhile)
        return await last(chat.ask({"text": "How long?"}, "", "", request(linh)))

    screen = on_page(services, story)
    assert "How long?" in part(screen, "rail") and part(screen, "conversation") == part(screen, "chat") == gr.skip()


def test_the_page_is_believed_when_screens_reach_it_out_of_order(services, linh):
    async def story(chat, *_):
        asked = part(await last(chat.ask({"text": "How long?"}, "", "", request(linh))), "conversation")
        await chat.rail_acts("", "", request(linh), event(do="new"))
        return await last(chat.follow(asked, request(linh)))

    assert "How long?" in str(part(on_page(services, story), "chat"))


def test_a_dropped_file_belongs_to_its_conversation(services, linh, tmp_path):
    path = Path(tmp_path / "note.md")
    path.write_text("The promotion gives 12 percent.", "utf-8")
    screen = on_page(services, lambda chat, *_: last(chat.ask({"text": "", "files": [str(path)]}, "", "", request(linh))))
    assert "note.md" in part(screen, "attached") and "note.md" in part(screen, "rail")


def test_a_file_of_an_unknown_kind_is_refused_in_words(services, linh, tmp_path):
    path = Path(tmp_path / "tool.exe")
    path.write_bytes(b"MZ")
    page = on_page(services, lambda _chat, shelf, _replies: shelf.add([str(path)], request(linh)))
    assert "tool.exe" in part(page, "documents") and 'role="alert"' in part(page, "documents")


def test_the_clock_sends_only_what_changed(services, linh):
    async def story(_chat, shelf, _replies):
        first = await shelf.tick("", "", "", "chat", request(linh))
        return first, await shelf.tick("", "", first[-1], "chat", request(linh))

    first, second = on_page(services, story)
    assert "No model connected." in first[0] and all(value == gr.skip() for value in second)


def test_the_clock_does_not_send_the_documents_that_an_event_has_just_shown(services, linh, papers):
    async def story(_chat, shelf, _replies):
        shown = part(await shelf.page_acts(request(linh), event(do="show", find="old")), "documents")
        view = json.dumps({"find": "old", "drawn": re.search(r'data-drawn="(\w+)"', shown)[1]})
        return shown, await shelf.tick("", "", "", f"documents {view}", request(linh)), await shelf.tick("", "", "", "documents", request(linh))

    shown, same, other = on_page(services, story)
    assert "old.md" in shown and "new.md" not in shown and same[3] == gr.skip() and "documents-page" in other[3]


def test_all_that_was_given_up_is_left_at_once_and_another_team_s_is_not(services, linh, hoa):
    def work(tx):
        for user in (linh, linh, hoa):
            collection = documents.collection_named(tx, user.scope, "Knowledge")
            one = f"d{len(tx.rows('SELECT id FROM documents'))}"
            documents.receive_document(
                tx, user.scope, collection, document_id=one, title="x.md", source=one, media_type="text/plain", size=1, content_hash="x"
            )
            jobs.add(tx, user.tenant_id, "embed_document", one)

    services.db.write(work)
    for job_id in jobs.due(services.db, 10):
        job = jobs.claim(services.db, job_id)
        services.db.write(lambda tx, job=job: jobs.give_up(tx, job, "It does not work."))
    page = on_page(services, lambda _chat, shelf, _replies: shelf.page_acts(request(linh), event(do="skip-all")))
    assert "given-up" not in part(page, "documents") and [job.subject_id for job in jobs.dead(services.db)] == ["d2"]


def test_what_a_page_sends_is_read_as_texts_only():
    assert acted(event(do="open", id=["x"], title=None)) == {"do": "open"}


def test_a_reader_is_first_asked_about_documents_in_their_language(services, linh, tmp_path):
    english = "The shop manager approves refunds within 3 days. They are paid in cash, and the customer signs for them at the counter."
    vietnamese = "Máy lọc nước được bảo hành trong hai mươi bốn tháng kể từ ngày mua. Khách hàng mang theo phiếu bảo hành và hoá đơn khi đến."
    texts = {"b.md": f"# Bảo hành\n\n## Thời hạn bảo hành máy lọc\n{vietnamese}", "r.md": f"# Refunds\n\n## Cash at the counter\n{english}"}
    stored(services, linh, tmp_path, texts)
    first = {language: Suggestions().for_reader(services, linh.scope, language, ("Knowledge",))[0][0] for language in ("en", "vi")}
    assert "Cash at the counter" in first["en"] and "Thời hạn bảo hành máy lọc" in first["vi"]


def stored(services, linh, folder, texts):
    """Documents with these names and texts, read."""
    added = []
    for name, text in texts.items():
        path = Path(folder / name)
        path.write_text(text, "utf-8")
        added.append(add_document(services, linh.scope, path, path.name))
    indexing = Indexing(services, Embedders(services))
    for job_id in jobs.due(services.db, 10):
        indexing.do(jobs.claim(services.db, job_id))
    return added


def test_suggestions_are_questions_that_the_documents_answer(services, linh, tmp_path):
    refunds = "The shop manager approves refunds for customers within 3 days. Refunds are paid in cash, and the customer signs for them at the counter."
    common = "## Deliveries\nDeliveries leave the store at noon on every working day. They reach the customer on the same evening, or else on the next one.\n"
    returns = f"# Returns\n\n## Description\n{refunds}\n## Refunds\n{refunds}\n{common}"
    added = stored(services, linh, tmp_path, {"returns.md": returns, "stores.md": f"# Stores\n\n{common}"})
    found = Suggestions().for_reader(services, linh.scope, "en", ("Knowledge",))
    assert found == [("What does Returns say about Refunds?", "Knowledge")]
    assert answers(services, linh.scope, ("Knowledge",), found[0][0])[0] == added[0].id
