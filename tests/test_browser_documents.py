"""The documents page while files are read, embedded, refused and given up: what is said, and what Cancel, Retry and Skip do. In Debian's Chromium.

With SCREENSHOTS=FOLDER the tests leave pictures of the screens there.
"""

import re

import pytest
from browser import DESK, PHONE, Visitor, chromium, drop, pictures, ready, spills, until
from playwright.sync_api import expect, sync_playwright
from running import ADMIN_KEY, RunningApp

from fake_ollama import FakeOllama

LONG = "\n\n".join(f"# Part {number}\n\nPart {number} of the manual describes pump {number} and its valve." for number in range(150))
IDLE_MS = 4500  # a little more than between two looks of the page's clock
SETTLED_MS = 60_000  # what other tests dropped is embedded and found again
POISON = "# Tides\n\nThe tide table of spring.\n\n# Runes\n\nThese are runes that poison any model, carved into the mole in 1712.\n"


@pytest.fixture(scope="module")
def ollama():
    with FakeOllama() as serving:
        serving.poison("poison")
        yield serving


@pytest.fixture(scope="module")
def app(tmp_path_factory, ollama):
    with RunningApp(tmp_path_factory.mktemp("ledger"), ollama=ollama.url) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = chromium(playwright)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page(app, browser):
    """The documents page with one document of each kind, the long one still being embedded at its end."""
    visitor = Visitor(browser, app.url)
    opened = visitor.sign_in(ADMIN_KEY)
    opened.get_by_role("button", name="Documents").click()
    drop(opened, "#documents .drop", ("harbour.md", "# Harbour\n\nThe harbour office opens at seven.\n"))
    expect(state(opened, "harbour.md")).to_have_text("Complete")
    drop(opened, "#documents .drop", ("broken.docx", "PK no archive"), ("runes.md", POISON))
    expect(state(opened, "broken.docx")).to_contain_text("Failed: broken.docx")
    expect(opened.locator(".given-up")).to_contain_text("1 document is found by its words, not by meaning")
    opened.locator(".given-up .titled").click()
    expect(opened.locator(".given-up li", has_text="runes.md")).to_be_visible()
    yield opened
    complaints, elsewhere = list(visitor.complaints), visitor.went_elsewhere()
    assert complaints == [] and elsewhere == []


@pytest.fixture
def slow(page, ollama):
    """The manual, which takes half a minute to embed."""
    ollama.embed_s = 0.2
    drop(page, "#documents .drop", ("manual.md", LONG))
    yield row(page, "manual.md")
    ollama.embed_s = 0.0


def row(page, name):
    return page.locator("#documents tr", has=page.locator("td.name", has_text=name))


def state(page, name):
    return row(page, name).locator(".state")


def test_progress_is_counted_and_the_time_left_is_said_once_it_was_measured(page, slow):
    expect(slow.locator(".state")).to_contain_text(re.compile(r"embedding \d+ of 150 passages"))
    expect(slow.locator(".state")).to_contain_text(re.compile(r"about \d+ s left"))
    slow.locator(".titled").click()
    expect(slow.locator(".steps")).to_contain_text("Embedding begun")
    pictures(page, "ledger-running-en")
    for width in (390, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert spills(page) == [], width
    page.set_viewport_size(DESK)
    expect(slow.locator(".steps")).to_be_visible()  # the clock's redraws leave it open
    slow.get_by_role("button", name="Cancel").click()
    expect(row(page, "manual.md")).to_have_count(0)


def test_a_question_stands_until_it_is_answered_however_often_the_page_is_redrawn(page, slow):
    harbour = row(page, "harbour.md")
    expect(slow.locator(".state")).to_contain_text("left")  # its row has its height, and no button moves away under the mouse
    harbour.get_by_role("button", name="Delete").click()
    for _ in range(2):
        expect(slow.locator(".state")).not_to_have_text(slow.locator(".state").inner_text())
        expect(harbour.locator(".deleting")).to_be_visible()
    expect(harbour.get_by_role("button", name="Keep")).to_be_focused()
    harbour.get_by_role("button", name="Keep").click()
    expect(harbour.locator(".deleting")).to_be_hidden()
    slow.get_by_role("button", name="Cancel").click()
    expect(row(page, "manual.md")).to_have_count(0)
    expect(harbour.locator(".deleting")).to_be_hidden()


def test_the_steps_of_a_document_say_when_and_how_much(page):
    row(page, "harbour.md").locator(".titled").click()
    steps = row(page, "harbour.md").locator(".steps")
    expect(steps).to_contain_text("Complete: a search found it again")
    assert re.search(r"\d\d:\d\d:\d\d", steps.inner_text())
    row(page, "broken.docx").locator(".titled").click()
    expect(row(page, "broken.docx").locator(".steps")).to_contain_text("Failed")
    expect(steps).to_have_count(0)
    pictures(page, "ledger-failed-en")


@pytest.fixture
def vietnamese(app, browser, page):
    """An admin who reads Vietnamese, before the manual is dropped: signing in takes as long as it does on a slow machine."""
    added = app.command("users", "add", "Linh Trần", "--tenant", "default", "--role", "tenant_admin")
    visitor = Visitor(browser, app.url)
    opened = visitor.sign_in(re.search(r"msk_\S+", added.stdout)[0])
    opened.get_by_role("button", name="Account").click()
    opened.get_by_role("button", name="Tiếng Việt").click()
    opened.get_by_role("button", name="Tài liệu", exact=True).click()
    expect(opened.locator("html")).to_have_attribute("lang", "vi")
    yield opened
    assert visitor.complaints == [] and visitor.went_elsewhere() == []
    visitor.context.close()


def test_a_vietnamese_admin_reads_all_of_it_in_vietnamese(vietnamese, page, slow):
    opened = vietnamese
    expect(state(opened, "manual.md")).to_contain_text(re.compile(r"còn khoảng \d+ giây"))
    row(opened, "manual.md").locator(".titled").click()
    expect(row(opened, "manual.md").locator(".steps")).to_contain_text("Bắt đầu nhúng")
    pictures(opened, "ledger-running-vi")
    expect(opened.locator(".given-up")).to_contain_text("Đã bỏ cuộc")
    opened.locator(".given-up .titled").click()
    expect(opened.locator(".given-up li", has_text="runes.md")).to_be_visible()
    row(opened, "runes.md").locator(".titled").click()
    expect(row(opened, "runes.md").locator(".steps")).to_contain_text("Để nguyên")
    pictures(opened, "ledger-dead-vi")
    opened.set_viewport_size(PHONE)
    assert spills(opened) == []
    row(page, "manual.md").get_by_role("button", name="Cancel").click()
    expect(row(page, "manual.md")).to_have_count(0)


def test_what_was_given_up_is_tried_again_and_left(page):
    letter = page.locator(".given-up li", has_text="runes.md")
    expect(letter.locator("blockquote")).to_contain_text("These are runes")
    pictures(page, "ledger-dead-en")
    given_up = letter.locator("time").get_attribute("data-at")
    letter.get_by_role("button", name="Retry").click()
    until(page, lambda: letter.locator("time").get_attribute("data-at") != given_up, "giving it up again")
    page.get_by_role("button", name="Skip all").click()
    page.locator(".given-up").get_by_role("button", name="Cancel").click()  # documents that are still embedded have one too
    expect(letter).to_be_visible()
    page.get_by_role("button", name="Skip all").click()
    page.locator(".given-up .danger:visible").click()
    expect(page.locator(".given-up")).to_have_count(0)
    ready(page)


def test_the_search_box_and_the_filters_go_through_all_documents(page):
    box, rows = page.get_by_role("searchbox", name="Find a document"), page.locator(".documents tbody tr")
    box.press_sequentially("HÁRBOUR", delay=60)
    expect(rows).to_have_count(1)
    expect(box).to_be_focused()
    expect(box).to_have_value("HÁRBOUR")
    box.fill("nothing of this name")
    expect(page.locator("#documents")).to_contain_text("No document fits this search and filter.")
    expect(page.locator(".filter", has_text="Failed")).to_have_text("Failed 0")
    box.fill("")
    for name in ("Failed", "By words only"):
        chip = page.locator(".filter", has_text=name)
        chip.click()
        expect(chip).to_have_text(f"{name} 1")
        expect(rows).to_have_count(1)
    page.locator(".filter", has_text="All").click()
    expect(row(page, "harbour.md")).to_have_count(1)
    pictures(page, "documents-en")


def test_a_file_that_is_dropped_into_a_filtered_list_is_shown(page):
    page.get_by_role("searchbox", name="Find a document").fill("harbour")
    expect(page.locator(".documents tbody tr")).to_have_count(1)
    drop(page, "#documents .drop", ("quay.md", "# Quay\n\nThe quay is swept on Mondays.\n"))
    expect(row(page, "quay.md")).to_have_count(1)
    expect(page.get_by_role("searchbox", name="Find a document")).to_have_value("")


def test_the_keyboard_stays_where_it_pressed(page):
    row(page, "harbour.md").locator(".titled").press("Enter")
    expect(row(page, "harbour.md").locator(".steps")).to_be_visible()
    expect(row(page, "harbour.md").locator(".titled")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#documents .steps")).to_have_count(0)


def test_an_idle_documents_page_is_sent_nothing(page):
    sizes = []
    expect(page.locator(".filter", has_text="In progress")).to_have_text("In progress 0", timeout=SETTLED_MS)
    page.wait_for_timeout(IDLE_MS)  # what was done before has been told
    page.on("response", lambda answer: sizes.append(answer) if "queue" in answer.url or "run" in answer.url else None)
    page.wait_for_timeout(3 * IDLE_MS)
    assert sizes and not [answer.url for answer in sizes if "documents-page" in answer.text()]
    expect(row(page, "harbour.md").locator("time")).to_have_text(re.compile("just now|min ago"))
