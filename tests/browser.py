"""Debian's Chromium for tests: what a page asked for and complained about, and what a person does with Mai-Sale's page in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, expect

QUIET = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"]
LEAVING = ("AbortError", "Connection errored out")  # Gradio 6.31 logs these when a page is left while it still reads an event
LEFT_OVER = "Unexpected client exception"  # and this of each piece of that event that still waited for its timer: what it adds to was dropped with the event
WAIT_MS = 60_000  # for a condition, on a busy machine
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

expect.set_options(timeout=WAIT_MS)


def chromium(playwright: Playwright) -> Browser:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "No chromium on PATH. Install it: apt-get install chromium"
    return playwright.chromium.launch(executable_path=found, args=[f"--{switch}" for switch in QUIET])


class Visitor:
    """One browser profile. Keeps every address that its pages asked for, and every error of their console."""

    def __init__(self, browser: Browser, url: str, **options: Any):
        self.url = url
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self._left: list[Page] = []  # blank tabs
        self._leaving: set[Page] = set()  # from what Gradio logs then to the next document
        self.context: BrowserContext = browser.new_context(base_url=url, viewport=DESK, **options)
        self.context.set_default_timeout(WAIT_MS)
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.on("page", lambda page: page.on("websocket", lambda socket: self.asked.append(socket.url)))
        self.context.on("page", lambda page: page.on("framenavigated", lambda _frame: self._leaving.discard(page)))
        self.context.on("console", self._hear)
        self.context.on("weberror", lambda problem: self.complaints.append(str(problem.error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        if any(words in message.text for words in LEAVING):
            self._leaving.add(message.page)
        elif not (message.text.startswith(LEFT_OVER) and message.page in self._leaving):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def open(self, path: str = "/") -> Page:
        page = self._left.pop() if self._left else self.context.new_page()
        page.goto(path)
        return page

    def leave(self, page: Page) -> None:
        """Closes a page as far as the product sees. Its tab is used again: another one costs twice the processor time of a page."""
        page.unroute_all(behavior="ignoreErrors")
        page.evaluate("sessionStorage.clear()")
        page.goto("about:blank")
        page.set_viewport_size(DESK)
        self._left.append(page)

    def sign_in(self, key: str) -> Page:
        page = self.open("/login")
        submit_key(page, key)
        return ready(page)

    def went_elsewhere(self) -> list[str]:
        here = self.url.split("://")[1]
        return [url for url in self.asked if url.split("://")[0] in ("http", "https", "ws", "wss") and url.split("/")[2] != here]


def submit_key(page: Page, key: str) -> None:
    page.locator("input[name=key]").fill(key)
    page.locator("form button").click()


def ready(page: Page) -> Page:
    """The page once its panels are drawn."""
    expect(page.locator(".rail")).to_be_attached()
    expect(page.locator(".under")).to_be_attached()
    return page


def ask(page: Page, question: str) -> None:
    page.locator("#composer textarea").fill(question)
    page.locator("#composer .submit-button").click()


def answers(page: Page) -> Locator:
    """The answers' texts, without folded thinking and steps."""
    return page.locator("#chat [data-testid=bot] > .message-content")


def answered(page: Page) -> None:
    """Waits until no answer is written any more: send stands where stop stood."""
    expect(page.locator("#composer .stop-button")).to_have_count(0)
    expect(page.locator("#composer .submit-button")).to_be_visible()


def carried(page: Page, *files: tuple[str, str]) -> Any:
    """A DataTransfer that holds `files` (name, text), as a drop brings it."""
    made = "(files) => { const all = new DataTransfer(); files.forEach(([name, text]) => all.items.add(new File([text], name))); return all; }"
    return page.evaluate_handle(made, [list(file) for file in files])


def drop(page: Page, zone: str, *files: tuple[str, str]) -> None:
    page.dispatch_event(zone, "drop", {"dataTransfer": carried(page, *files)})


def press(page: Page, what: Locator) -> None:
    """Holds the mouse's button down in the middle of it."""
    while (box := what.bounding_box()) is None:  # it is being drawn anew
        pass
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()


def until(page: Page, true: Callable[[], bool], what: str, every_ms: int = 50) -> None:
    """Waits for something that the page does not show."""
    for _ in range(WAIT_MS // every_ms):
        if true():
            return
        page.wait_for_timeout(every_ms)
    raise AssertionError(f"{what} did not happen within {WAIT_MS // 1000} s")


def spills(page: Page) -> list[str]:
    """Whatever is wider than its place: the page, its panes, or something that sticks out of the window."""
    return page.evaluate(
        """() => {
          const told = [], tell = (one, words) => told.push(`${one.id || one.className || one.tagName} ${words}`);
          const panes = '#rail, #main, #main > *, #sources-col, .message-wrap, main, form';
          for (const one of [document.scrollingElement, ...document.querySelectorAll(panes)]) {
            const moved = getComputedStyle(one).transform !== 'none';
            if (moved || !one.clientWidth || !one.checkVisibility({ visibilityProperty: true })) continue;
            if (one.scrollWidth > one.clientWidth + 1) tell(one, `holds ${one.scrollWidth} in ${one.clientWidth}`);
            if (one.getBoundingClientRect().right > innerWidth + 1) tell(one, 'sticks out of the window');
          }
          return told;
        }"""
    )


def pictures(page: Page, name: str) -> None:
    """Saves what is seen, on a desk and a phone, light and dark, when SCREENSHOTS names a folder."""
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    for place, size in (("desk", DESK), ("phone", PHONE)):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=Path(folder) / f"{name}-{place}-{scheme}.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESK)
