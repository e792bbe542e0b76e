"""Small pieces of HTML that every panel uses: escaping, icons, numbers and times in words.

Whatever comes from a person, a document or a model goes through `esc` (or `highlighted`) before it enters the page.
"""

from __future__ import annotations

import hashlib
import html
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from maisale.ui.texts import say

NBSP = "\u00a0"  # a number and its % never part

_PATHS = {
    "chat": "M4 5h16v11H10l-5 4v-4H4z",
    "document": "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
    "plus": "M12 5v14M5 12h14",
    "search": "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
    "out": "M14 4h5v16h-5M4 12h11M11 8l4 4-4 4",
    "menu": "M4 6h16M4 12h16M4 18h16",
    "down": "M6 9l6 6 6-6",
    "upload": "M12 16V4M7 9l5-5 5 5M4 20h16",
    "warn": "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5v5.5M12 16.4v.2",
    "edit": "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
    "trash": "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
    "close": "M6 6l12 12M18 6L6 18",
    "thumb_up": "M7 20V11l4-8c1.6 0 2.6 1.2 2.6 2.7V9H20l-1.6 11zM7 11H3.5v9H7",
    "thumb_down": "M7 4v9l4 8c1.6 0 2.6-1.2 2.6-2.7V15H20L18.4 4zM7 13H3.5V4H7",
    "people": "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM3 20c0-3.5 2.5-5.5 6-5.5s6 2 6 5.5M16 5.5a3.2 3.2 0 0 1 0 6M17.5 14.8c2.2.6 3.5 2.4 3.5 5.2",
    "check": "M5 12.5l4.5 4.5L19 7.5",
}


def esc(text: object) -> str:
    """`text` as text: safe between tags and inside quoted attributes."""
    # Gradio 6.31 evaluates gr.HTML templates, not values; braces and dollars stay as they are.
    return html.escape(str(text), quote=True)


def digest(text: str) -> str:
    """Short, and another for another text: by it a page and its server agree on what is shown."""
    return hashlib.blake2s(text.encode(), digest_size=6).hexdigest()


def icon(name: str, size: int = 16) -> str:
    """A drawing that says nothing by itself: its button carries the name."""
    return (
        f'<svg width="{size}" height="{size}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"'
        f' stroke-linejoin="round" aria-hidden="true" focusable="false"><path d="{_PATHS[name]}"/></svg>'
    )


def mark_of_brand(size: int = 18) -> str:
    return (
        f'<svg class="brand-mark" width="{size}" height="{size}" viewBox="0 0 20 20" aria-hidden="true">'
        '<path d="M10 1.6c5 0 8.4 3.3 8.4 8.2 0 5.2-3.4 8.6-8.4 8.6H4.2a2.6 2.6 0 0 1-2.6-2.6V10c0-5 3.4-8.4 8.4-8.4z"'
        ' fill="#FFE08A" stroke="var(--ms-accent)" stroke-width="2.6"/></svg>'
    )


def dot(kind: str) -> str:
    """kind: ok, full, hollow, amber or bad. A word always stands beside it."""
    return f'<i class="dot {kind}" aria-hidden="true"></i>'


def bar(share: float) -> str:
    """How much is done, 0..1, beside the words that say it."""
    return f'<span class="bar" aria-hidden="true"><i style="width:{share:.0%}"></i></span>'


def tool(do: str, drawing: str, name: str, about: str) -> str:
    """A small button with a drawing; its name says what it does and to what."""
    return f'<button type="button" class="tool" data-do="{do}" title="{name}" aria-label="{name}: {esc(about)}">{icon(drawing)}</button>'


def asks_delete(do: str, language: str) -> str:
    """What stands in place of a row's buttons until the deletion is confirmed or left."""
    yes = f'<button type="button" class="danger" data-do="{do}">{say(language, "delete")}</button>'
    no = f'<button type="button" data-do="keep">{say(language, "keep")}</button>'
    return f'<span class="deleting" hidden>{say(language, "delete_it")} {yes} {no}</span>'


def find_box(words: str, typed: str = "") -> str:
    value = f' value="{esc(typed)}"' if typed else ""
    return f'<input type="search" data-find placeholder="{words}" aria-label="{words}" autocomplete="off"{value}>'


def percent(share: float) -> str:
    return f"{round(share * 100)}{NBSP}%"


def decimal(number: float | None, language: str, places: int = 2) -> str:
    """A figure of a table; a score that nobody computed is a dash."""
    if number is None:
        return "–"
    text = f"{number:.{places}f}"
    return text.replace(".", ",") if language == "vi" else text


def whole(number: int, language: str) -> str:
    """A count with its thousands apart."""
    return f"{number:,}".replace(",", ".") if language == "vi" else f"{number:,}"


def highlighted(text: str, spans: Sequence[str]) -> str:
    """`text` escaped, with every verbatim occurrence of `spans` as whole words marked; the longest span wins where they overlap."""
    wanted = sorted({span for span in spans if span.strip()}, key=len, reverse=True)
    if not wanted:
        return esc(text)
    found = re.compile("|".join(rf"(?<!\w){re.escape(span)}(?!\w)" for span in wanted))
    marked, at = [], 0
    for hit in found.finditer(text):
        marked.append(f"{esc(text[at:hit.start()])}<mark>{esc(hit[0])}</mark>")
        at = hit.end()
    return "".join(marked) + esc(text[at:])


def place_in(place: str, language: str) -> str:
    """Where a passage stands, as readers of files wrote it down, in the page's language."""
    return re.sub(r"(^|, | · )(page|sheet|section|row|slide|line)\b", lambda found: found[1] + say(language, f"place_{found[2]}"), place)


def local(seconds: float, offset_minutes: int) -> datetime:
    """The moment as the reader's clock shows it. offset_minutes: ahead of UTC, e.g. 420 in Vietnam."""
    return datetime.fromtimestamp(seconds, timezone(timedelta(minutes=offset_minutes)))


def when(seconds: float, language: str, offset_minutes: int = 0, now: float | None = None) -> str:
    """How long ago, in the words of a list: minutes and hours today, then yesterday, then the date."""
    now = now or time.time()
    age = now - seconds
    days = (local(now, offset_minutes).date() - local(seconds, offset_minutes).date()).days
    if age < 60:
        return say(language, "just_now")
    if age < 3600:
        return say(language, "minutes_ago", n=int(age // 60))
    if days <= 0:
        return say(language, "hours_ago", n=int(age // 3600))
    if days == 1:
        return say(language, "yesterday").lower()
    day = local(seconds, offset_minutes)
    if language == "vi":
        return f"{day:%d/%m/%Y}"
    return f"{day.day} {day:%b}" if day.year == local(now, offset_minutes).year else f"{day.day} {day:%b %Y}"


def moment(seconds: float, language: str, offset_minutes: int = 0, now: float | None = None) -> str:
    """A moment to come: the time when it is today, else the date, with the time when it is tomorrow."""
    at, today = local(seconds, offset_minutes), local(now or time.time(), offset_minutes)
    days = (at.date() - today.date()).days
    if days <= 0:
        return f"{at:%H:%M}"
    day = f"{at:%d/%m/%Y}" if language == "vi" else f"{at.day} {at:%b %Y}"
    return f"{day}, {at:%H:%M}" if days == 1 else day


def instant(seconds: float, language: str, offset_minutes: int = 0, now: float | None = None) -> str:
    """A moment that is past, to the second; with its date when it was not today."""
    at, today = local(seconds, offset_minutes), local(now or time.time(), offset_minutes)
    if at.date() == today.date():
        return f"{at:%H:%M:%S}"
    day = f"{at:%d/%m/%Y}" if language == "vi" else f"{at.day} {at:%b %Y}"
    return f"{day}, {at:%H:%M:%S}"


@dataclass(frozen=True, slots=True)
class Clock:
    """How one page writes moments."""

    language: str
    offset_minutes: int
    now: float

    def moment(self, seconds: float) -> str:
        return moment(seconds, self.language, self.offset_minutes, self.now)

    def ago(self, seconds: float) -> str:
        """A moment that behaviour/ turns into its age, and keeps true: what is sent stays the same while nothing happens."""
        day = local(seconds, self.offset_minutes)
        words = f"{day:%d/%m/%Y, %H:%M}" if self.language == "vi" else f"{day.day} {day:%b %Y, %H:%M}"
        return f'<time data-at="{seconds:.0f}" title="{words}">{words}</time>'

    def when(self, seconds: float) -> str:
        return when(seconds, self.language, self.offset_minutes, self.now)

    def instant(self, seconds: float) -> str:
        return instant(seconds, self.language, self.offset_minutes, self.now)


def size_in_words(size: int, language: str) -> str:
    for unit, bytes_of in (("MB", 1 << 20), ("KB", 1 << 10)):
        if size >= bytes_of:
            return f"{decimal(size / bytes_of, language, 1 if size < 10 * bytes_of else 0)}{NBSP}{unit}"
    return f"{size}{NBSP}B"
