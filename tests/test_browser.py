"""What a person sees and does: the real app, in Debian's Chromium, with a model server that has no model.

With SCREENSHOTS=FOLDER the tests leave pictures of the screens there.
"""

import re
import time

import pytest
from browser import DESK, PHONE, Visitor, answered, answers, ask, chromium, drop, pictures, press, ready, spills, submit_key, until
from playwright.sync_api import expect, sync_playwright
from running import ADMIN_KEY, HELP, RunningApp

from fake_ollama import FakeOllama, cite_the_first_passage
from maisale.chat.naming import OFFERED

LONG_WORDS, SOME_WORDS = 400, 50  # 16 s and 2 s of writing
NOTICED_S = 30  # said on the page: 15 s; the rest is for a busy machine
GRADIO_CLASSES = (
    *("message-wrap", "user-row", "flex-wrap", "user", "bot", "message", "prose", "icon-button-wrapper", "top-panel"),
    *("submit-button", "upload-button", "message-content", "multimodal-textbox"),
)
BOILER = ("boiler.md", "# Boiler\n\nThe boiler of the north house is serviced every eleven months by Anna Berg.\n")
BOILER_QUESTION = "How often, in detail, is the boiler of the north house serviced?"
FERRY_QUESTION = "When does the last ferry to Holm leave?"
HOSTILE_NAME = '<img src=x onerror="window.pwned=1">.md'
HOSTILE_TEXT = '<script>window.pwned=2</script><img src=x onerror="window.pwned=3">'
FOLDER = {
    "ferry.md": "# Ferry\n\nThe last ferry to Holm leaves the pier at 22:40, and on Sundays at 21:15.\n\nA return ticket to Holm costs nine crowns.\n",
    "bao_hanh.md": "# Chính sách bảo hành\n\nMáy lọc nước RO-9 được bảo hành 24 tháng kể từ ngày mua.\n",
    HOSTILE_NAME: f"# Lantern {HOSTILE_TEXT}\n\nThe lantern {HOSTILE_TEXT} on the mole burns paraffin.\n\n![chart](http://chart.invalid/of.png)\n",
}


def reply(messages):
    """One cited sentence; words after it when the question says so; and what a document could make a model say."""
    said, question = cite_the_first_passage(messages), messages[-1]["content"]
    words = LONG_WORDS if "at length" in question else SOME_WORDS if "in detail" in question else 0
    said += "".join(f" word{number}" for number in range(words))
    if "lantern" in question:
        said += f" {HOSTILE_TEXT} ![chart](http://chart.invalid/of.png)"
    return said


@pytest.fixture(scope="module")
def ollama():
    with FakeOllama(answer=reply, token_delay_s=0.04) as serving:
        yield serving


@pytest.fixture(scope="module")
def app(tmp_path_factory, ollama):
    folder = tmp_path_factory.mktemp("browser")
    (folder / "team").mkdir()
    for name, text in FOLDER.items():
        (folder / "team" / name).write_text(text, "utf-8")
    with RunningApp(folder, ollama=ollama.url, KNOWLEDGE_DIR=HELP) as running:
        indexed = running.command("index", "--source", str(folder / "team"), "--collection", "Team")
        assert indexed.returncode == 0, indexed.stderr
        yield running


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = chromium(playwright)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def admin(app, browser):
    visitor = Visitor(browser, app.url)
    visitor.sign_in(ADMIN_KEY).close()
    return visitor


@pytest.fixture
def page(admin):
    """The empty page. Afterwards: nothing was asked of another host, and the console has no error."""
    opened = ready(admin.open())
    yield opened
    admin.leave(opened)
    complaints, admin.complaints[:] = list(admin.complaints), []
    assert complaints == []
    assert admin.went_elsewhere() == []


# Signing in


def test_a_link_signs_in_once_its_button_is_pressed(app, browser):
    visitor = Visitor(browser, app.url)
    page = visitor.open(app.sign_in_link())
    pictures(page, "link")
    page.get_by_role("button", name="Sign in").click()
    expect(ready(page).get_by_role("heading", name="What do you want to know?")).to_be_visible()
    page.get_by_role("button", name="Sign out").first.click()
    expect(page).to_have_url(re.compile("/login$"))
    page.goto("/")
    expect(page.get_by_label("Your key")).to_be_visible()
    assert visitor.complaints == [] and visitor.went_elsewhere() == []


def test_a_wrong_key_gets_a_sentence_and_is_never_echoed(app, browser):
    page = Visitor(browser, app.url).open("/login")
    pictures(page, "sign-in")
    submit_key(page, "msk_this-key-was-never-issued")
    expect(page.get_by_role("alert")).to_contain_text("This key is not valid.")
    expect(page.get_by_label("Your key")).to_have_attribute("aria-invalid", "true")
    pictures(page, "sign-in-wrong")
    assert "never-issued" not in page.content()
    submit_key(page, ADMIN_KEY)
    expect(ready(page).locator(".welcome")).to_be_visible()


# The chat


def test_a_question_before_the_page_is_drawn_is_answered(admin):
    page = admin.open()
    box = page.locator("#composer textarea")
    box.wait_for(state="visible")
    box.fill("What does the help say about keys?")
    box.press("Enter")
    expect(page.locator("#chat [data-testid=user]")).to_contain_text("about keys")
    expect(answers(page)).not_to_be_empty()
    answered(page)
    page.close()


def test_a_dropped_file_answers_with_text_that_grows_beside_its_sources(page):
    pictures(page, "empty")
    drop(page, ".welcome .drop", BOILER)
    expect(page.locator("#composer .thumbnail-item")).to_be_visible()
    ask(page, BOILER_QUESTION)
    texts = []

    def is_written() -> bool:
        texts.append(answers(page).first.inner_text() if answers(page).count() else "")
        return texts[-1].endswith(f"word{SOME_WORDS - 1}")

    until(page, is_written, "the answer")
    answered(page)
    assert all(after.startswith(before) for before, after in zip(texts, texts[1:])) and len(set(texts)) >= 4, texts
    expect(answers(page)).to_contain_text("The boiler of the north house is serviced every eleven months by Anna Berg [1].")
    expect(page.locator(".sources .card").first).to_contain_text("Boiler")
    expect(page.locator("#attached")).to_contain_text("boiler.md")
    expect(page.locator("#attached")).to_contain_text("Complete")
    expect(page.locator(".pane-head h1").first).to_contain_text(BOILER_QUESTION[:50])


@pytest.mark.parametrize("how", ["click", "Enter"])
def test_a_citation_opens_outlines_and_focuses_its_card(page, how):
    ask(page, FERRY_QUESTION)
    citation, card = answers(page).get_by_role("link", name="[1]"), page.locator("#src-1")
    expect(citation).to_be_visible()
    answered(page)
    until(page, lambda: closed(card), "closing the card")  # the panel is drawn once more when its answer has ended
    citation.click() if how == "click" else citation.press("Enter")
    expect(card).to_have_attribute("open", "")
    expect(card).to_have_class(re.compile("chosen"))
    expect(card).to_be_focused()
    expect(card.locator(".passage mark").first).to_be_visible()
    pictures(page, "chat")


def closed(card) -> bool:
    if card.get_attribute("open") is not None:
        card.locator("summary").click()
    return card.get_attribute("open") is None


def test_a_stopped_answer_stays_as_written_also_after_a_reload(page, ollama):
    ask(page, FERRY_QUESTION)
    expect(answers(page).get_by_role("link", name="[1]")).to_be_visible()
    answered(page)
    cancelled = len(ollama.cancels)
    ask(page, "Tell me at length when the ferry to Holm leaves")
    expect(answers(page).nth(1)).to_contain_text("word9")
    page.locator("#composer .stop-button").click()
    expect(answers(page).nth(1)).to_contain_text("Stopped. What was written is kept.")
    answered(page)
    until(page, lambda: len(ollama.cancels) > cancelled, "cancelling the request to the model server")
    assert ollama.cancels[-1].path == "/api/chat" and ollama.cancels[-1].sent < LONG_WORDS
    pictures(page, "stopped")

    before, look = answers(page).all_inner_texts(), "one => { const s = getComputedStyle(one); return [s.color, s.backgroundColor, s.fontSize, s.fontWeight]; }"
    chip = answers(page).first.get_by_role("link", name="[1]").evaluate(look)
    page.reload()
    expect(answers(page)).to_have_count(2)
    assert answers(page).all_inner_texts() == before
    assert answers(page).first.get_by_role("link", name="[1]").evaluate(look) == chip


def test_a_citation_is_opened_while_the_answer_is_written(page):
    """Each piece draws the answer anew, between a person's press and release too."""
    ask(page, "Tell me at length when the ferry to Holm leaves")
    citation, answer = answers(page).get_by_role("link", name="[1]"), answers(page)
    expect(answer).to_contain_text("word5")
    press(page, citation)
    reached = len(answer.inner_text())
    until(page, lambda: len(answer.inner_text()) > reached + 10, "another piece of the answer")
    page.mouse.up()
    expect(page.locator("#src-1")).to_be_focused()
    page.locator("#composer .stop-button").click()
    answered(page)


def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(page):
    ask(page, "Tell me at length when the ferry to Holm leaves")
    expect(answers(page)).to_contain_text("word5")
    page.reload()
    expect(answers(page)).to_contain_text("word5")
    reached = len(answers(page).inner_text())
    until(page, lambda: len(answers(page).inner_text()) > reached + 50, "more text after the reload")
    page.locator("#composer .stop-button").click()
    expect(answers(page)).to_contain_text("Stopped.")
    answered(page)


def test_a_name_that_is_being_written_outlives_a_redraw_of_the_list(page):
    ask(page, f"What does a return ticket to Holm cost, {time.time_ns()}?")
    answered(page)
    row = page.locator(".rail li", has=page.locator("[aria-current]"))
    row.hover()
    row.get_by_role("button", name="Rename").click()
    page.keyboard.type("Our Tickets")
    page.get_by_role("button", name="New chat").click()
    expect(page.locator(".rail [aria-current]")).to_have_count(0)
    name = page.locator(".rail .renaming input:visible")
    expect(name).to_have_value("Our Tickets")
    name.press("Enter")
    expect(page.locator(".rail").get_by_role("button", name="Our Tickets", exact=True)).to_be_visible()
    expect(name).to_have_count(0)


def test_a_question_typed_in_the_instant_of_new_chat_stands_and_goes_there(page):
    first, second = f"What does a return ticket to Holm cost, {time.time_ns()}?", f"Who sells tickets to Holm, {time.time_ns()}?"
    ask(page, first)
    expect(answers(page)).to_have_count(1)
    answered(page)
    page.evaluate(
        """(text) => {
          const box = document.querySelector('#composer textarea');
          document.querySelector('.new-chat').click();
          box.value = text;
          box.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
        second,
    )
    page.locator("#composer .submit-button").click()
    expect(page.locator(".rail [aria-current]")).to_contain_text(second[:20])
    answered(page)
    expect(page.locator("#chat [data-testid=user]")).to_have_count(1)
    page.locator(".rail").get_by_role("button", name=first, exact=True).click()
    expect(page.locator("#chat [data-testid=user]")).to_contain_text(first)
    expect(page.locator("#chat [data-testid=user]")).to_have_count(1)


def test_two_questions_sent_at_once_in_a_new_chat_are_one_conversation(page):
    first, second = (f"What does a {kind} ticket to Holm cost, {time.time_ns()}?" for kind in ("return", "single"))
    held = []
    page.route("**/queue/join*", lambda route: held.append(route))
    ask(page, first)
    expect(page.locator("#composer textarea")).to_have_value("")
    ask(page, second)
    expect(page.locator("#composer textarea")).to_have_value("")
    page.unroute("**/queue/join*")
    expect(page.locator("#chat [data-testid=user]")).to_contain_text([first, second])
    answered(page)
    expect(page.locator(".rail [aria-current]")).to_contain_text(first[:20])
    expect(page.locator(".rail").get_by_role("button", name=second, exact=True)).to_have_count(0)
    assert page.evaluate("sessionStorage.length") == 0


def test_two_questions_that_do_not_reach_the_server_both_come_back_and_go_nowhere_else(admin, page):
    older, first, second = (f"What does a {kind} ticket to Holm cost, {time.time_ns()}?" for kind in ("return", "single", "group"))
    ask(page, older)
    expect(page.locator(".rail [aria-current]")).to_contain_text(older[:20])
    answered(page)
    page.get_by_role("button", name="New chat").click()
    expect(page.locator("#chat [data-testid=user]")).to_have_count(0)
    held = []
    page.route("**/queue/join*", lambda route: held.append(route))
    ask(page, first)
    until(page, lambda: any("single" in (one.request.post_data or "") for one in held), "the first is on its way")
    ask(page, second)
    expect(page.locator("#composer textarea")).to_have_value("")
    page.route("**/queue/join*", lambda route: route.continue_())
    for route in held:
        route.abort() if "single" in (route.request.post_data or "") else route.continue_()
    expect(page.locator("#composer textarea")).to_have_value(f"{first}\n{second}")  # Gradio 6.31 loads the page anew
    page.locator("#composer textarea").fill("")
    ready(page).locator(".rail").get_by_role("button", name=older, exact=True).click()
    expect(page.locator("#chat [data-testid=user]")).to_have_count(1)
    admin.complaints.clear()  # the browser's, of the request that failed


def test_a_refused_question_comes_back_in_front_of_what_was_typed_since(page):
    held = []
    page.route("**/queue/join*", lambda route: held.append(route))
    ask(page, "What says @nwe.md?")
    expect(page.locator("#composer textarea")).to_have_value("")
    page.locator("#composer textarea").fill("half a thought")
    page.unroute("**/queue/join*")
    expect(page.locator(".under .error")).to_contain_text("No document is named")
    expect(page.locator("#composer textarea")).to_have_value("What says @nwe.md?\nhalf a thought")
    page.locator("#composer textarea").fill("")


def test_a_question_that_does_not_reach_the_server_comes_back(admin, page):
    page.wait_for_load_state("networkidle")  # an event that breaks off makes Gradio wait for its server, and nothing is sent until then
    away = ["**/queue/join*", "**/queue/data*", "**/config*"]
    for pattern in away:
        page.route(pattern, lambda route: route.abort())
    with page.expect_event("requestfailed", lambda request: "queue/join" in request.url and "tower clock" in (request.post_data or "")):
        ask(page, "Who winds the tower clock?")
    for pattern in away:
        page.unroute(pattern)
    expect(page.locator("#composer textarea")).to_have_value("Who winds the tower clock?")
    ready(page).locator("#composer .submit-button").click()
    expect(page.locator("#chat [data-testid=user]")).to_contain_text("Who winds the tower clock?")
    answered(page)
    assert page.evaluate("sessionStorage.length") == 0
    admin.complaints.clear()  # the browser's, of a server that was not reached


def test_an_unsent_question_comes_back_to_nobody_else(page):
    page.evaluate("sessionStorage.setItem('unsent', JSON.stringify({ user: 'somebody else', text: 'Who winds the tower clock?' }))")
    page.reload()
    ready(page)
    until(page, lambda: page.evaluate("sessionStorage.length") == 0, "the other's question goes")
    expect(page.locator("#composer textarea")).to_have_value("")


def test_what_is_being_typed_stays_when_another_conversation_is_opened(page):
    first = f"What does a return ticket to Holm cost, {time.time_ns()}?"
    ask(page, first)
    answered(page)
    page.locator("#composer textarea").fill("half a thought")
    page.get_by_role("button", name="New chat").click()
    expect(page.locator(".rail [aria-current]")).to_have_count(0)
    page.locator(".rail").get_by_role("button", name=first, exact=True).click()
    expect(page.locator("#chat [data-testid=user]")).to_contain_text(first)
    expect(page.locator("#composer textarea")).to_have_value("half a thought")
    page.locator("#composer textarea").fill("")


def test_conversations_are_found_renamed_and_deleted(page):
    title = f"What does a return ticket to Holm cost, {time.time_ns()}?"
    ask(page, title)
    expect(answers(page)).to_contain_text("[1]")
    answered(page)
    row = page.locator(".rail li", has=page.locator("[aria-current]"))
    row.hover()
    row.get_by_role("button", name="Rename").click()
    row.locator(".renaming input").fill("Vé khứ hồi đến Holm")
    row.locator(".renaming input").press("Enter")
    expect(page.locator(".pane-head h1").first).to_have_text("Vé khứ hồi đến Holm")

    page.get_by_label("Search conversations").fill("ve khu hoi den")
    expect(page.locator(".rail li:visible")).to_have_count(1)
    expect(row).to_be_visible()
    page.get_by_label("Search conversations").fill("no such name")
    expect(page.locator(".rail").get_by_text("Nothing by this name.")).to_be_visible()
    page.get_by_label("Search conversations").fill("")

    row.hover()
    row.get_by_role("button", name="Delete: Vé khứ hồi").click()
    row.locator(".danger").click()
    expect(page.locator(".rail li", has_text="Vé khứ hồi đến Holm")).to_have_count(0)
    expect(page.locator(".welcome")).to_be_visible()


def test_a_verdict_with_a_comment_survives_a_reload_and_is_taken_back(page):
    ask(page, FERRY_QUESTION)
    answered(page)
    down, up = page.get_by_role("button", name="Bad answer"), page.get_by_role("button", name="Good answer")
    expect(up).to_be_visible()
    down.press("Enter")
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(down).to_be_focused()
    page.locator("#chat").get_by_label("What was missing or wrong?").fill("Not a word about winter.")
    pictures(page, "verdict")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("button", name="Not a word about winter.")).to_be_visible()

    page.reload()
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Not a word about winter.")).to_be_visible()
    pictures(page, "verdict-kept")
    down.click()
    expect(down).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(down).to_have_attribute("aria-pressed", "false")


def test_a_half_written_comment_stays_while_the_next_answer_is_written(page):
    ask(page, FERRY_QUESTION)
    answered(page)
    page.get_by_role("button", name="Bad answer").click()
    comment = page.locator("#chat").get_by_label("What was missing or wrong?")
    comment.fill("Not a word about")
    ask(page, FERRY_QUESTION + " in detail")
    expect(answers(page)).to_have_count(2)
    answered(page)
    expect(page.get_by_role("button", name="Good answer")).to_have_count(2)
    expect(comment).to_have_value("Not a word about")


def test_a_document_is_named_by_the_keyboard_and_alone_is_asked(page):
    box, offered = page.locator("#composer textarea"), page.get_by_role("listbox", name="Documents to ask").get_by_role("option")
    box.press_sequentially("When does the last ferry leave? @")
    expect(offered).to_have_count(OFFERED)
    pictures(page, "at-sign")
    box.press_sequentially("BAO_")
    expect(offered).to_have_count(1)
    box.press("Escape")
    expect(offered).to_have_count(0)
    for _ in "BAO_":
        box.press("Backspace")
    expect(offered).to_have_count(OFFERED)
    names = offered.locator("span").all_inner_texts()
    for _ in range(names.index("ferry.md")):
        box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value("When does the last ferry leave? @ferry.md ")
    expect(offered).to_have_count(0)
    box.press("Enter")
    answered_from(page, "Ferry")
    expect(page.locator(".sources .path")).to_contain_text("only in: ferry.md")
    pictures(page, "named")


def answered_from(page, title):
    """Waits for the answer; every source of it is of this document."""
    expect(answers(page).get_by_role("link", name="[1]")).to_be_visible()
    answered(page)
    assert set(page.locator(".sources .card-title").all_inner_texts()) == {title}


def test_documents_are_chosen_in_the_header_and_taken_out_above_the_composer(page):
    page.get_by_text("Searching Team · 3 documents").click()
    form = page.get_by_role("form", name="Choose what is searched")
    form.get_by_label("Find a document").fill("BẢO_")
    expect(form.locator("[data-document]")).to_have_count(1)
    form.get_by_label("Find a document").fill("nothing of this name")
    expect(form.get_by_text("Nothing by this name.")).to_be_visible()
    form.get_by_label("Find a document").fill("tea ferr")
    form.get_by_label("ferry.md").check()
    form.get_by_label("Find a document").fill("")
    expect(form.locator("[data-document]")).to_have_count(OFFERED)
    expect(form.get_by_label("ferry.md")).to_be_checked()
    pictures(page, "choose")
    form.get_by_role("button", name="Search these").click()
    expect(page.locator(".searched summary").first).to_have_text("Searching in 1 document")
    expect(page.locator(".only")).to_contain_text("ferry.md")
    ask(page, FERRY_QUESTION)
    answered_from(page, "Ferry")
    expect(page.locator(".only")).to_contain_text("ferry.md")
    pictures(page, "chosen")
    page.get_by_role("button", name="Remove: ferry.md").click()
    expect(page.locator(".only")).to_have_count(0)
    expect(page.locator(".searched summary").first).to_have_text("Searching Team · 3 documents")


def test_an_answer_tells_why_a_document_is_none_of_its_sources(page):
    ask(page, FERRY_QUESTION)
    answered(page)
    expect(page.locator(".sources .card.cited")).to_have_count(1)  # the panel's last state
    page.get_by_text("Why not my document?").click()
    page.get_by_label("Choose a document").fill("ferry.md")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".sources .fold [role=status]")).to_contain_text("ferry.md is used: its best passage stands at rank 1")
    page.get_by_label("Choose a document").fill("bao_hanh.md")
    page.get_by_label("Choose a document").press("Enter")
    expect(page.locator(".sources .fold [role=status]")).to_contain_text("bao_hanh.md")
    pictures(page, "why-not")
    page.get_by_label("Choose a document").fill("nothing.md")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".sources .fold [role=status]")).to_have_text("There is no document named nothing.md that you may read.")


# Documents


def test_a_document_is_followed_to_complete_and_deleted(page, ollama):
    ollama.embed_s = 2.0
    page.get_by_role("button", name="Documents").click()
    drop(page, "#documents .drop", ("harbour.md", "# Harbour\n\nThe harbour office opens at seven and closes at four.\n"))
    row = page.locator("#documents tr", has_text="harbour.md")
    expect(row.locator(".state")).to_contain_text(re.compile("Waiting|Reading|Preparing|Searchable"))
    ollama.embed_s = 0.0
    expect(row.locator(".state")).to_have_text("Complete")
    pictures(page, "documents")
    row.get_by_role("button", name="Delete: harbour.md").click()
    row.locator(".danger").click()
    expect(row).to_have_count(0)


def test_what_a_document_holds_is_shown_and_never_run(page, admin):
    ask(page, f"{HOSTILE_TEXT} What does the lantern on the mole burn?")
    expect(answers(page).get_by_role("link", name="[1]").first).to_be_visible()
    answered(page)
    expect(page.locator(".sources .card", has_text="<script>window.pwned=2</script>").first).to_be_visible()
    expect(page.locator("#chat .user.message")).to_contain_text("<script>window.pwned=2</script>")
    expect(page.locator(".pane-head h1").first).to_contain_text("<script>")
    page.get_by_role("button", name="Documents").click()
    expect(page.locator("#documents td.name", has_text=HOSTILE_NAME)).to_be_visible()
    assert page.evaluate("window.pwned") is None
    assert page.locator("#shell img:visible").count() == 0
    assert not [url for url in admin.asked if url.endswith(("/x", "of.png"))]


# Without a model


def test_without_a_model_a_banner_says_so_and_quotations_answer(page, ollama):
    ollama.stop()
    stopped = time.monotonic()
    try:
        expect(page.locator(".banners .amber")).to_contain_text("No model connected. Answers are quotations from your documents.")
        assert time.monotonic() - stopped < NOTICED_S
        expect(page.locator(".pane-head .model").first).to_contain_text("quotations only")
        ask(page, FERRY_QUESTION)
        expect(answers(page)).to_contain_text("The last ferry to Holm leaves the pier at 22:40")
        expect(answers(page).locator("blockquote").first).to_be_visible()
        expect(answers(page).get_by_role("link", name="[1]").first).to_be_visible()
        answered(page)
        pictures(page, "no-model")
    finally:
        ollama.start()
    expect(page.locator(".banners .amber")).to_have_count(0)
    expect(page.locator(".pane-head .model").first).to_contain_text("gpt-oss")


# Vietnamese


def test_a_vietnamese_page_answers_a_question_without_diacritics(app, browser):
    added = app.command("users", "add", "Linh Trần", "--tenant", "default")
    visitor = Visitor(browser, app.url)
    page = visitor.sign_in(re.search(r"msk_\S+", added.stdout)[0])
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Tiếng Việt").click()
    page.get_by_role("button", name="Trò chuyện", exact=True).click()
    expect(page.get_by_role("heading", name="Cần biết điều gì?")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "vi")
    ask(page, "may loc nuoc RO-9 duoc bao hanh bao lau")
    expect(answers(page)).to_contain_text("bảo hành 24 tháng")
    answered(page)
    expect(page.locator(".sources-head")).to_contain_text("Nguồn")
    pictures(page, "vietnamese")
    assert visitor.complaints == [] and visitor.went_elsewhere() == []


# The frame


def test_on_a_phone_the_menu_slides_and_a_citation_opens_the_drawer(page):
    page.set_viewport_size(PHONE)
    rail, panel = page.locator("#rail"), page.locator(".sources-body")
    expect(rail).not_to_be_visible()
    ask(page, FERRY_QUESTION)
    expect(answers(page).get_by_role("link", name="[1]")).to_be_visible()
    answered(page)
    expect(panel).not_to_be_visible()
    answers(page).get_by_role("link", name="[1]").click()
    expect(page.locator("#src-1 .passage")).to_be_in_viewport()
    until(page, lambda: uncovered(page.locator("#src-1 .card-title")), "the title of the card stood free")
    pictures(page, "drawer")
    page.set_viewport_size(PHONE)
    page.keyboard.press("Escape")
    expect(panel).not_to_be_visible()
    page.locator(".menu-button:visible").click()
    expect(rail.get_by_role("button", name="Documents")).to_be_in_viewport()
    rail.get_by_role("button", name="Documents").click()
    expect(rail).not_to_be_visible()
    expect(page.locator("#documents .drop")).to_be_visible()


def uncovered(locator):
    """Whether a tap in its middle meets it: nothing sticky lies on it, and it is not scrolled away."""
    return locator.evaluate(
        """one => { const at = one.getBoundingClientRect(); return one.contains(document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2)); }"""
    )


def test_on_a_phone_documents_are_chosen_below_the_title(page):
    page.set_viewport_size(PHONE)
    page.get_by_text("Searching Team · 3 documents").click()
    form = page.get_by_role("form", name="Choose what is searched")
    form.get_by_label("Find a document").fill("ferr")
    form.get_by_label("ferry.md").check()
    assert spills(page) == []
    pictures(page, "choose-phone")
    page.set_viewport_size(PHONE)
    form.get_by_role("button", name="Search these").click()
    expect(page.locator(".only")).to_contain_text("ferry.md")
    expect(page.locator(".searched summary").first).to_have_text("Searching in 1 document")


def test_on_a_phone_a_document_is_named_by_a_tap(page):
    page.set_viewport_size(PHONE)
    box = page.locator("#composer textarea")
    box.press_sequentially("(@bao")
    page.get_by_role("option", name="bao_hanh.md").click()
    expect(box).to_have_value("(@bao_hanh.md ")
    expect(box).to_be_focused()
    box.press_sequentially(") RO-9 bao hanh bao lau")
    page.locator("#composer .submit-button").click()
    expect(answers(page)).to_contain_text("24 tháng")
    answered(page)
    page.set_viewport_size(DESK)


def test_an_idle_page_draws_no_frames(app, browser):
    visitor = Visitor(browser, app.url)
    counted = "requestAnimationFrame = (draw) => (frames_asked++, next(draw));"
    visitor.context.add_init_script(f"window.frames_asked = 0; const next = requestAnimationFrame; {counted}")
    page = visitor.sign_in(ADMIN_KEY)
    asked = []
    for _ in range(4):
        page.wait_for_timeout(1000)
        asked.append(page.evaluate("frames_asked"))
    assert asked[-1] - asked[-2] < 40, asked  # of sixty in a second; the clock's tick asks for some


def test_nothing_scrolls_sideways_at_any_width(page):
    ask(page, "Tell me when the last ferry to Holm leaves, and what-a-very-long-word-without-any-space-" + "x" * 120)
    expect(answers(page)).to_contain_text("Holm")
    answered(page)
    page.locator(".fold summary").first.click()
    for name in ("chat", "documents", "account", "people"):
        page.goto(f"{page.url.split('&at=')[0]}&at={name}")
        ready(page)
        for width in (390, 1024, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert spills(page) == [], (name, width)
    page.set_viewport_size(DESK)


def test_the_class_names_that_the_look_relies_on_are_gradios(page):
    ask(page, "Tell me in detail when the ferry to Holm leaves")
    expect(page.locator("#composer .stop-button")).to_be_visible()
    answered(page)
    assert [name for name in GRADIO_CLASSES if not page.locator(f"#shell .{name}").count()] == []
