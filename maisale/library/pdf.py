"""A PDF to text, page by page: lines of a paragraph joined, bookmarks as headings, forms as they are filled in, running heads once.

pypdfium2 was chosen over pdfminer.six and pdfplumber (pure Python) and over PyMuPDF (AGPL).
"""

from __future__ import annotations

import ctypes
import math
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pypdfium2

from maisale.errors import Unreadable
from maisale.library.chunking import Part

UNKNOWN_LETTERS = 0.2  # share of letters without a meaning above which a PDF's text is noise
PAGES = 10_000  # read in about the time that a file may take
EDGE_LINES = 3  # at the top and at the bottom of a page, among which its running heads are looked for
RUNNING = 3, 0.05  # pages, and their share, on which a line must stand to be a running head

# PDFium (pypdfium2 5.15) puts a letter from a substitute font behind its word; LibreOffice takes Vietnamese letters from one when the chosen font lacks them.
LONE_LETTERS = 0.08  # share of words that are nothing but such letters; a page as it should be has under .02
GAP = 0.15  # of the letters' size, from which on there is a space

_LONE = re.compile("[\u1ea0-\u1ef9ăĂđĐơƠưƯ]{1,3}")
_NO_TEXT = re.compile(r"[\W_]*")
_DIVIDED = re.compile("[\x02\ufffe]\r?\n?")  # PDFium's mark for a word that is divided at the end of a line
_LEADER = re.compile(r"\s*(?:\.\s?){5,}\s*")
_LISTED = re.compile(r"[-*•–]\s|\d{1,3}[.)]\s|#{1,6} ")
_ENDED = re.compile(r"[.!?:;…][\"'”’)]*$")
_PDFIUM = threading.Lock()  # PDFium serves one thread at a time


def read_pdf(path: Path, name: str) -> list[Part]:
    """One part a page. Raises Unreadable."""
    data = path.read_bytes()
    end = data.rfind(b"%%EOF")
    if end < 0 or b" obj" in data[end:]:
        raise Unreadable(f"{name} is cut off or is not a PDF: its end is missing. Download or export it again.")
    try:
        with _PDFIUM, pypdfium2.PdfDocument(data) as document:
            if len(document) > PAGES:  # a file says that it has as many as it likes
                raise Unreadable(f"{name} has {len(document):,} pages; {PAGES:,} is the most. Split it and add the parts.")
            pages, headings = _pages(document), _headings(document)
    except pypdfium2.PdfiumError as problem:
        if re.search("password|security", str(problem), re.IGNORECASE):
            raise Unreadable(f"{name} is encrypted: it is protected with a password or a certificate. Save it without and add it again.") from problem
        raise Unreadable(f"{name} is damaged and cannot be read as a PDF. Download or export it again.") from problem
    _check(pages, name)
    _drop_running_heads(pages)
    return [Part(unwrap(list(_headed(filter(None, page), headings.get(number, [])))), f"page {number}") for number, page in enumerate(pages, 1)]


def unwrap(lines: list[str]) -> str:
    """Lines with those of a paragraph joined: a sentence is quoted whole. A row of a table keeps its line."""
    lengths = sorted(map(len, lines))
    full = lengths[math.ceil(0.9 * len(lengths)) - 1] if lengths else 0
    joined: list[str] = []
    before = ""
    for line in lines:
        if before and line and _goes_on(before, line, full):
            joined[-1] += line if before.endswith("-") else " " + line
        else:
            joined.append(line)
        before = line
    return "\n".join(joined)


def _goes_on(line: str, following: str, full: int) -> bool:
    """Whether `following` is the same paragraph as `line`: then the line was full, and its next word had no room."""
    if _ENDED.search(line) or _LISTED.match(following) or line.startswith("#") or " … " in line:
        return False
    if following[0].islower():
        return len(line) >= 0.6 * full
    return not re.search(r"[\d%]$", line) and len(line) + len(following.split()[0]) >= 0.85 * full


def _pages(document: Any) -> list[list[str]]:
    """The lines of each page."""
    forms = document.get_formtype() != pypdfium2.raw.FORMTYPE_NONE
    if forms:
        document.init_forms()
    pages = []
    for number in range(len(document)):
        page = document[number]
        if forms:
            page.flatten()  # what was filled in becomes text of the page, which has to be opened anew
            page.close()
            page = document[number]
        textpage = page.get_textpage()
        text = _DIVIDED.sub("", textpage.get_text_bounded())
        words = text.split()
        if sum(map(bool, map(_LONE.fullmatch, words))) > LONE_LETTERS * len(words):
            text = _by_place(textpage)
        textpage.close()
        page.close()
        pages.append([_line(line) for line in text.splitlines()])
    return pages


def _by_place(textpage: Any) -> str:
    """The text of a page by where its letters stand: lines by their baselines, words by the gaps between them."""
    lines: dict[int, list[tuple[float, float, float, str]]] = {}
    x, y = ctypes.c_double(), ctypes.c_double()
    for at in range(textpage.count_chars()):
        letter = chr(pypdfium2.raw.FPDFText_GetUnicode(textpage, at))
        if letter.isspace() or not pypdfium2.raw.FPDFText_GetCharOrigin(textpage, at, x, y):
            continue
        left, _, right, _ = textpage.get_charbox(at, loose=True)
        lines.setdefault(round(y.value / 2), []).append((left, right, pypdfium2.raw.FPDFText_GetFontSize(textpage, at), letter))
    return "\n".join(_spaced(sorted(lines[height])) for height in sorted(lines, reverse=True))


def _spaced(letters: list[tuple[float, float, float, str]]) -> str:
    text, end = "", letters[0][0]
    for left, right, size, letter in letters:
        text += (" " if left - end > GAP * size else "") + letter
        end = right
    return text


def _line(line: str) -> str:
    line = _LEADER.sub(" … ", line.strip()).rstrip()
    return "    " + line if re.match(r"#{1,6}\s", line) else line  # a comment in a script is not a heading of Markdown


def _headings(document: Any) -> dict[int, list[tuple[int, str]]]:
    """Page number to its bookmarks: (level from 1, title)."""
    found: dict[int, list[tuple[int, str]]] = {}
    for bookmark in document.get_toc(max_depth=6):
        target = bookmark.get_dest()
        index, title = target.get_index() if target else None, " ".join(bookmark.get_title().split())
        if index is not None and title:
            found.setdefault(index + 1, []).append((bookmark.level + 1, title))
    return found


def _headed(lines: Iterable[str], headings: list[tuple[int, str]]) -> Iterator[str]:
    """The lines of a page, those that a bookmark names as Markdown headings."""
    waiting = {_bare(title): level for level, title in headings}
    for line in lines:
        level = waiting.pop(_bare(line), None) if waiting else None
        yield line if level is None else f"{'#' * level} {line}"


def _bare(title: str) -> str:
    """Without its number and spaces, of which bookmark and page may have other ones."""
    return re.sub(r"^(?:chapter|chương)?[\d.]+|\W", "", "".join(title.lower().split()))


def _check(pages: list[list[str]], name: str) -> None:
    text = "".join(line for page in pages for line in page)
    if _NO_TEXT.fullmatch(text):
        count = f"{len(pages)} page{'s' if len(pages) != 1 else ''}"
        raise Unreadable(f"{name} has {count} and no text: it looks like a scan. Run text recognition (OCR) on it and add it again.")
    if len(re.findall("[\ufffd\ue000-\uf8ff]", text)) > UNKNOWN_LETTERS * len(text):
        raise Unreadable(f"{name} does not say which letters it shows (its fonts lack them). Export it anew, or run text recognition (OCR) on it.")


def _drop_running_heads(pages: list[list[str]]) -> None:
    """Lines at the top and bottom of many pages, the same or with the page's number in them, are kept where they first stand."""
    counts = Counter(key for number, page in enumerate(pages) for key in {key for _, line in _edges(page) for key in _keys(line, number)})
    least, share = RUNNING
    running = {key for key, count in counts.items() if count >= max(least, share * len(pages))}
    if sum(all(_keys(line, number) & running for line in page) for number, page in enumerate(pages)) > len(pages) / 2:
        return  # small pages, each of them a variation of one text
    seen: set[str] = set()
    for number, page in enumerate(pages):
        for place, line in _edges(page):
            if keys := _keys(line, number) & running:
                page[place] = "" if keys & seen else line
                seen |= keys


def _edges(page: list[str]) -> list[tuple[int, str]]:
    filled = [(place, line) for place, line in enumerate(page) if line]
    return filled if len(filled) <= 2 * EDGE_LINES else filled[:EDGE_LINES] + filled[-EDGE_LINES:]


def _keys(line: str, number: int) -> set[str]:
    """How a line is known again on another page: verbatim, or by a first or last number that counts with the pages."""
    parts = re.split(r"(\d+)", line)
    keys = {line}
    for place in {1, len(parts) - 2} if len(parts) > 1 else ():
        if len(parts[place]) <= 5:
            keys.add("".join([*parts[:place], f"\0{int(parts[place]) - number}", *parts[place + 1 :]]))
    return keys
