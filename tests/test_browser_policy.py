"""The Content-Security-Policy in Debian's Chromium: a whole session without a violation, and hostile texts in every place that shows them."""

import re

import httpx
import pytest
from browser import DESK, PHONE, Visitor, answered, answers, ask, chromium, drop, ready, submit_key
from playwright.sync_api import expect, sync_playwright
from running import ADMIN_KEY, RunningApp

from fake_ollama import FakeOllama, cite_the_first_passage

REPORT = "addEventListener('securitypolicyviolation', (one) => window.report(`${one.effectiveDirective} ${one.blockedURI} ${one.sample}`))"
RUNS = "<script>window.pwned=1</script>"
HOSTILE = (
    RUNS + '<img src="https://evil.example/p.png" onerror="window.pwned=2"><svg onload="window.pwned=3"><a href="javascript:window.pwned=4">press</a></svg>'
    "</textarea><iframe src='https://evil.example'></iframe><!-- <b>kept</b> --> [press](javascript:window.pwned=5) ![seen](https://evil.example/m.png)"
    " [shown](data:text/html,x) \u202eesrever\u202c zero\u200bwidth ${window.pwned=6} {{constructor}}"
)
NAME = '<img src=x onerror="window.pwned=7">.md'
PLAIN = ("boiler.md", "# Boiler\n\nThe boiler of the north house is serviced every eleven months.\n")


def reply(messages):
    """A cited sentence, and behind it all that a document could make a model say."""
    hostile = HOSTILE if "hostile" in messages[-1]["content"] else ""
    return f"{cite_the_first_passage(messages)} {hostile}"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    (folder / "team").mkdir()
    (folder / "team" / NAME).write_text(f"# {HOSTILE}\n\nThe hostile lantern on the mole burns paraffin. {HOSTILE}\n", "utf-8")
    with FakeOllama(answer=reply) as ollama, RunningApp(folder, ollama=ollama.url, TOKENS_PER_DAY="90000") as running:
        indexed = running.command("index", "--source", str(folder / "team"), "--collection", NAME.removesuffix(".md"))
        assert indexed.returncode == 0, indexed.stderr
        yield running


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = chromium(playwright)
        yield opened
        opened.close()


class Watched(Visitor):
    """Keeps what its pages were kept from by the policy."""

    def __init__(self, browser, url, **options):
        super().__init__(browser, url, **options)
        self.violations = []
        self.context.expose_binding("report", lambda _source, words: self.violations.append(words))
        self.context.add_init_script(REPORT)


def test_a_whole_session_passes_the_policy(app, browser):
    visitor = Watched(browser, app.url)
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    link = visitor.open(app.sign_in_link())
    link.get_by_role("link", name="Tiếng Việt").click()
    page = visitor.open("/login?lang=en")
    submit_key(page, "not the key")
    expect(page.get_by_role("alert")).to_be_visible()
    submit_key(page, ADMIN_KEY)
    ready(page)
    drop(page, ".welcome .drop", PLAIN)
    expect(page.locator("#composer .thumbnail-item")).to_have_count(1)
    ask(page, "How often is the boiler of the north house serviced?")
    expect(answers(page).get_by_role("link", name="[1]").first).to_be_visible()
    answered(page)
    answers(page).get_by_role("link", name="[1]").first.click()
    expect(page.locator(".card.chosen")).to_be_visible()
    for fold in page.locator(".sources details.fold > summary").all():
        fold.click()
    page.locator("#chat").hover()
    page.get_by_role("button", name=re.compile("Copy")).first.click()
    page.get_by_role("button", name="Documents").click()
    expect(page.locator("#documents td.name").first).to_be_visible()
    second = {"name": "second.md", "mimeType": "text/markdown", "buffer": b"# Second\n\nA second page."}
    page.locator("#library-upload input[type=file]").set_input_files(second)
    expect(page.locator("#documents td.name", has_text="second.md")).to_be_visible()
    page.get_by_role("button", name="People").click()
    expect(page.get_by_role("button", name="Invite a colleague")).to_be_visible()
    page.get_by_role("button", name="Account").click()
    expect(page.locator("#account")).to_contain_text("Nothing: questions, answers and documents stay on the machine")
    expect(page.locator("#account")).to_contain_text("of 90,000 used")
    for theme in ("Dark", "Light", "As the device"):
        page.get_by_role("button", name=theme, exact=True).click()
    page.get_by_role("button", name="Make a key").click()
    page.locator("[data-act=make_key]").get_by_label("Name").and_(page.get_by_role("textbox")).fill("policy")
    page.get_by_role("button", name="Make the key").click()
    page.locator("[data-copy]").click()
    expect(page.locator("[data-copy]")).to_have_text("Copied")
    page.get_by_role("button", name="I have kept it").click()
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    page.reload()
    ready(page)
    page.set_viewport_size(DESK)
    for name, language in (("Tiếng Việt", "vi"), ("English", "en")):
        page.get_by_role("button", name=name).click()
        expect(ready(page).locator("html")).to_have_attribute("lang", language)
    document = visitor.context.request.get("/v1/documents").json()[0]["id"]
    for path in ("/v1/docs", f"/files/{document}", "/v1/documents", "/nothing", "/link/none"):
        opened = visitor.open(path)
        opened.wait_for_load_state("networkidle")
        if path == "/v1/docs":
            expect(opened.locator(".opblock").first).to_be_visible()
        opened.close()
    assert visitor.violations == [] and visitor.went_elsewhere() == []
    assert [one for one in visitor.complaints if "401" not in one and "404" not in one and "410" not in one] == []


def test_hostile_texts_stay_texts_wherever_they_are_shown(app, browser):
    visitor = Watched(browser, app.url)
    page = visitor.sign_in(ADMIN_KEY)
    ask(page, f"What does the hostile lantern on the mole burn? {HOSTILE}")
    expect(answers(page).get_by_role("link", name="[1]").first).to_be_visible()
    answered(page)
    expect(page.locator("#chat .user.message")).to_contain_text(RUNS)
    expect(page.locator(".sources .card", has_text=RUNS).first).to_be_visible()
    for fold in page.locator(".sources details > summary").all():
        fold.click()
    for link in page.locator("#chat a, .sources a").all():
        assert re.match(r"#|/files/|https?://", link.get_attribute("href") or "#"), link.get_attribute("href")
    page.locator(".searched > summary").click()
    page.get_by_role("button", name="Documents").click()
    expect(page.locator("#documents td.name", has_text=NAME)).to_be_visible()
    page.locator("#documents td.name", has_text=NAME).click()
    page.get_by_role("button", name="New chat").first.click()
    expect(page.locator("#empty")).to_contain_text("What do you want to know?")
    page.goto("/?at=<img src=x onerror=window.pwned=8>")
    ready(page)
    page.goto("/")
    ready(page).locator("#composer textarea").fill("@<img")
    page.wait_for_timeout(300)
    link = httpx.post(f"{app.url}/v1/users", json={"name": RUNS}, headers={"X-API-Key": ADMIN_KEY}).json()["link"]
    assert link
    page.goto("/?at=people")
    expect(page.locator("#people")).to_contain_text(RUNS)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("document.querySelectorAll('#shell iframe, #shell script, #shell object, #shell [onerror], #shell [onload]').length") == 0
    assert visitor.violations == [] and visitor.went_elsewhere() == [] and visitor.complaints == []


def test_gradio_still_needs_what_its_page_alone_is_allowed(app, browser):
    """When this fails, Gradio compiles nothing in the browser any more: take 'unsafe-eval' out."""
    visitor = Watched(browser, app.url)
    page = visitor.open("/login")

    def without(route):
        answer = route.fetch()
        policy = answer.headers["content-security-policy"].replace(" 'unsafe-eval'", "")
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": policy})

    submit_key(page, ADMIN_KEY)
    ready(page)
    page.route(re.compile(rf"^{app.url}/$"), without)
    page.goto("/")
    page.wait_for_timeout(3000)
    assert any("script-src eval" in one for one in visitor.violations)


def test_a_foreign_page_cannot_frame_it(app, browser):
    visitor = Watched(browser, app.url)
    visitor.sign_in(ADMIN_KEY)
    page = visitor.context.new_page()
    page.route("http://elsewhere.invalid/", lambda route: route.fulfill(body=f"<iframe src='{app.url}/'></iframe>", content_type="text/html"))
    page.goto("http://elsewhere.invalid/")
    page.wait_for_timeout(1000)
    assert not [frame for frame in page.frames if frame.url.startswith(app.url)]
