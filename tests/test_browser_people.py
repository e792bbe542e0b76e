"""Keys and people in the real app, in Debian's Chromium. With SCREENSHOTS=FOLDER the tests leave pictures there."""

import re

import httpx
import pytest
from browser import Visitor, chromium, pictures, ready, spills, submit_key, until
from playwright.sync_api import expect, sync_playwright
from running import ADMIN_KEY, RunningApp

KEY = re.compile(r"msk_[0-9a-f]{16}_[\w-]{43}")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with RunningApp(tmp_path_factory.mktemp("people"), RATE_LIMIT="5") as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = chromium(playwright)
        yield opened
        opened.close()


def status(app, key):
    return httpx.get(f"{app.url}/v1/me", headers={"X-API-Key": key}).status_code


def newcomer(app, browser, name):
    """A member's signed-in page, and the key."""
    link = httpx.post(f"{app.url}/v1/users", json={"name": name}, headers={"X-API-Key": ADMIN_KEY}).json()["link"]
    key = KEY.search(httpx.post(link, headers={"Sec-Fetch-Site": "same-origin"}).text)[0]
    visitor = Visitor(browser, app.url)
    return visitor, visitor.sign_in(key), key


def secret(page):
    """What is shown once; the button that copies it has the focus."""
    expect(page.locator("[data-copy]")).to_be_focused()
    return page.locator("[data-secret]").input_value()


def test_an_invited_newcomer_sees_the_key_once_and_signs_in_with_it(app, browser):
    admin = Visitor(browser, app.url)
    page = admin.sign_in(ADMIN_KEY)
    page.get_by_role("button", name="People").click()
    page.get_by_role("button", name="Invite a colleague").click()
    page.get_by_role("textbox", name="Name").fill("Nguyễn Thị Minh Khai")
    pictures(page, "people-invite")
    page.get_by_role("button", name="Make the invitation").press("Enter")
    link = secret(page)
    expect(page.locator(".made")).to_contain_text("works once, within 72 hours")
    pictures(page, "people-invited")
    page.get_by_role("button", name="Documents").click()
    assert link not in page.content()
    page.get_by_role("button", name="People").click()
    expect(page.locator(".listed")).to_contain_text(["Nguyễn Thị Minh Khai", "default", "In vectors and indexes"])
    expect(page.locator(".made")).to_have_count(0)
    assert not [url for url in admin.asked if link in url]

    guest = Visitor(browser, app.url)
    door = guest.open(link.removeprefix(app.url))
    door.get_by_role("link", name="Tiếng Việt").click()
    pictures(door, "invitation")
    door.get_by_role("button", name="Tạo khoá của tôi").click()
    key = door.get_by_label("Khoá").input_value()
    pictures(door, "invitation-key")
    door.get_by_role("button", name="Tôi đã giữ khoá").click()
    expect(ready(door).locator(".account-link")).to_contain_text("Nguyễn Thị Minh Khai")
    again = Visitor(browser, app.url).open("/login")
    submit_key(again, key)
    expect(ready(again).locator(".account-link")).to_contain_text("Nguyễn Thị Minh Khai")
    assert guest.open(link.removeprefix(app.url)).get_by_role("alert").count() == 1
    assert admin.complaints == [] and admin.went_elsewhere() == []


def test_a_second_key_is_made_copied_used_by_a_program_and_revoked(app, browser):
    visitor, page, _ = newcomer(app, browser, "Linh Trần")
    page.get_by_role("button", name="Account").click()
    pictures(page, "account")
    page.get_by_role("button", name="Make a key").click()
    form = page.locator("[data-act=make_key]")
    expect(form.get_by_role("checkbox")).to_have_count(3)  # a member's key cannot give the permission admin
    form.get_by_label("Name").and_(form.get_by_role("textbox")).fill("reports script")
    form.get_by_role("checkbox", name="write").uncheck()
    form.get_by_label("Ends after, in days").fill("30")
    pictures(page, "account-new-key")
    form.get_by_role("button", name="Make the key").click()
    key = secret(page)
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("Enter")
    expect(page.locator("[data-copy]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == key
    pictures(page, "account-key-made")
    assert spills(page) == []
    assert httpx.get(f"{app.url}/v1/me", headers={"X-API-Key": key}).json()["permissions"] == ["chat", "read"]
    page.get_by_role("button", name="I have kept it").click()
    expect(page.locator(".made")).to_have_count(0)
    assert key not in page.content()

    page.get_by_role("button", name="Revoke: reports script").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.get_by_role("group", name="Revoke").get_by_role("button", name="Revoke").click()
    expect(page.locator(".outcome")).to_have_text("The key reports script is revoked.")
    assert status(app, key) == 401
    assert not [url for url in visitor.asked if key in url] and key not in app.log.read_text()
    assert visitor.complaints == [] and visitor.went_elsewhere() == []


def test_revoking_the_key_that_opened_the_session_says_so_and_signs_out(app, browser):
    _, page, key = newcomer(app, browser, "Bình")
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Revoke: from the invitation").click()
    confirm = page.get_by_role("group", name="Revoke")
    expect(confirm).to_contain_text("It opened this session: revoking it signs you out here.")
    page.keyboard.press("Escape")
    expect(confirm).to_have_count(0)
    expect(page.get_by_role("button", name="Revoke: from the invitation")).to_be_focused()
    page.keyboard.press("Enter")
    confirm.get_by_role("button", name="Revoke").click()
    expect(page).to_have_url(re.compile("/login$"))
    assert status(app, key) == 401


def test_an_admin_types_the_key_again_and_deletes_a_person(app, browser):
    _, leaver, key = newcomer(app, browser, "Hoa")
    admin = Visitor(browser, app.url)
    page = admin.sign_in(ADMIN_KEY)
    page.get_by_role("button", name="People").click()
    page.get_by_label("Find a person").fill("hoa")
    expect(page.locator(".listed:first-of-type > li[data-folded]:visible")).to_have_count(1)
    page.get_by_role("button", name="Manage: Hoa").click()
    expect(page.locator(".opened")).to_contain_text("from the invitation")
    page.get_by_role("button", name="Delete: Hoa").click()
    box = page.locator(".opened").get_by_label("Your key")
    expect(box).to_be_focused()
    page.keyboard.type("not the key")
    page.keyboard.press("Enter")
    expect(page.locator(".opened .error")).to_contain_text("This is not a valid key of yours")
    pictures(page, "people-key-again")
    box.fill(ADMIN_KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Delete Hoa")).to_contain_text("What stays: the documents that the team reads.")
    assert status(app, key) == 200 and ADMIN_KEY not in page.content()
    pictures(page, "people-delete")
    assert spills(page) == []
    page.get_by_role("button", name="Delete Hoa").click()
    expect(page.locator(".outcome")).to_have_text("Hoa is deleted.")
    assert status(app, key) == 401
    expect(leaver).to_have_url(re.compile("/login$"))
    assert admin.complaints == [] and admin.went_elsewhere() == []


def test_a_member_does_not_find_the_people_page_and_is_refused_by_it(app, browser):
    visitor, page, _ = newcomer(app, browser, "Minh")
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Tiếng Việt").click()
    expect(ready(page).locator("html")).to_have_attribute("lang", "vi")
    expect(page.get_by_role("button", name="Mọi người")).to_have_count(0)
    page.goto("/?at=people")
    expect(page.locator("#people .error")).to_contain_text("Chỉ quản trị viên quản lý được mọi người.")
    assert page.locator("#people").get_by_text("admin", exact=True).count() == 0
    pictures(page, "people-refused")
    assert visitor.complaints == []


def test_a_question_asked_too_fast_gets_words_and_stays_in_the_box(app, browser):
    _, page, _ = newcomer(app, browser, "An")
    box, words = page.locator("#composer textarea"), page.locator(".under .error")
    # The click stands in the browser's line behind them: on a slow machine too the last second is full when it comes.
    refused = """async () => {
        const before = Array.from({ length: 30 }, () => fetch('/v1/keys/none', { method: 'DELETE' }));
        document.querySelector('#composer .submit-button').click();
        await Promise.all(before);
    }"""
    page.locator("#composer input[type=file]").set_input_files({"name": "boiler.md", "mimeType": "text/markdown", "buffer": b"The boiler is serviced in May."})
    expect(page.locator("#composer .thumbnail-item")).to_have_count(1)
    box.fill("When is the boiler serviced?")
    page.evaluate(refused)
    expect(words).to_contain_text("That was faster than allowed, so this one was not taken. Try again in 1 second.")
    expect(box).to_have_value("When is the boiler serviced?")
    expect(page.locator("#composer .thumbnail-item")).to_have_count(1)
    pictures(page, "too-often")
    page.wait_for_timeout(1000)  # as the words say
    page.locator("#composer .submit-button").click()
    expect(page.locator("#chat .user.message")).to_contain_text("When is the boiler serviced?")
    expect(page.locator("#attached")).to_contain_text("boiler.md")
    until(page, lambda: box.input_value() == "", "emptying the box")


def test_an_admin_chooses_what_becomes_of_personal_data(app, browser):
    visitor = Visitor(browser, app.url)
    page = visitor.sign_in(ADMIN_KEY)
    page.get_by_role("button", name="People").click()
    form = page.get_by_role("form", name="Personal data: default")
    expect(form.get_by_label("In vectors and indexes")).to_have_value("on")
    form.get_by_label("The model that answers reads").select_option("off")
    form.get_by_role("button", name="Save").click()
    expect(page.locator(".outcome")).to_contain_text("The choice for default is kept.")
    expect(form.get_by_label("The model that answers reads")).to_have_value("off")
    pictures(page, "people-privacy")
    assert spills(page) == [] and visitor.complaints == []
