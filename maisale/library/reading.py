"""A file to text, page by page where it has pages. Cutting the text up is chunking.py's.

What cannot be read is refused in one sentence that says which file, why, and what to do. Heavy readers are imported where they are used: a
worker that reads Markdown only never loads them. Chosen over markitdown, which takes 3.7 s and 148 MB to import (it loads onnxruntime and
a model) and names no pages: the readers below take 0.1-0.6 s and 9-39 MB each, and all of them together are 30 MB on disk.
"""

from __future__ import annotations

import email
import email.policy
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from maisale.errors import Unreadable
from maisale.library.chunking import Part
from maisale.library.decoding import clean, decode
from maisale.library.tables import cell_text, csv_table, json_text, markdown_tables

XML_MB = 25  # that an office file may unpack to without its pictures; a novel of 1,000 pages takes about 10
UNPACKED_MB = 300  # with its pictures
ZIP_ENTRIES = 10_000
UNKNOWN_LETTERS = 0.2  # share of letters without a meaning above which a PDF's text is noise

_SAVE_AS = {
    **dict.fromkeys([".doc", ".rtf", ".odt", ".pages"], ".docx"),
    **dict.fromkeys([".xls", ".xlsb", ".ods", ".numbers"], ".xlsx"),
    **dict.fromkeys([".ppt", ".odp", ".key"], ".pptx"),
    ".msg": ".eml",
}
_HIDING = re.compile(r"(display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])|opacity\s*:\s*0(?![.\d]*[1-9]))", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FENCE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[^\S\n]*$)", re.DOTALL | re.MULTILINE)
_NO_TEXT = re.compile(r"[\W_]*")
_PDFIUM = threading.Lock()  # PDFium serves one thread at a time


def read(path: Path, name: str) -> list[Part]:
    """The parts of a file in order, none of them empty. name: as people know it; its ending says the kind.

    Raises Unreadable.
    """
    check_kind(name)
    if not path.stat().st_size:
        raise Unreadable(f"{name} is empty. Save it with its contents and add it again.")
    try:
        parts = _READERS[Path(name).suffix.lower()](path, name)
    except (RecursionError, MemoryError) as problem:
        raise Unreadable(f"{name} is nested too deeply or is too large to be read. Split it and add the parts.") from problem
    cleaned = [Part(clean(part.text).strip(), part.place) for part in parts]
    readable = [part for part in cleaned if not _NO_TEXT.fullmatch(part.text)]
    if not readable:
        raise Unreadable(f"{name} holds no text. Save it with its contents and add it again.")
    return readable


def check_kind(name: str) -> None:
    """Raises Unreadable when no reader takes a file of this name."""
    ending = Path(name).suffix.lower()
    if ending in _READERS:
        return
    if better := _SAVE_AS.get(ending):
        raise Unreadable(f"{name} is of a kind that cannot be read. Save it as {better} and add it again.")
    kinds = "Markdown, text, HTML, PDF, DOCX, PPTX, XLSX, CSV, JSON and e-mail (EML)"
    raise Unreadable(f"{name} is of an unknown kind ({ending or 'no ending'}). Mai-Sale reads {kinds}.")


def _text(path: Path, name: str) -> list[Part]:
    return [Part(decode(path.read_bytes(), name))]


def _markdown(path: Path, name: str) -> list[Part]:
    """Without comments, which no reader of the page sees; in code they stay."""
    parts = _FENCE.split(decode(path.read_bytes(), name))
    return [Part("".join(part if part.startswith(("```", "~~~")) else _COMMENT.sub("", part) for part in parts))]


def _csv(path: Path, name: str) -> list[Part]:
    return [Part(csv_table(clean(decode(path.read_bytes(), name)), name))]


def _json(path: Path, name: str) -> list[Part]:
    return [Part(json_text(decode(path.read_bytes(), name), name))]


def _html(path: Path, name: str) -> list[Part]:
    data = path.read_bytes()
    declared = re.search(rb"charset=[\"']?([\w-]+)", data[:2048])
    if declared:
        try:
            return [Part(_markdown_of(data.decode(declared[1].decode())))]
        except (LookupError, UnicodeDecodeError):
            pass  # a page that is wrong about itself is read like any text
    return [Part(_markdown_of(decode(data, name)))]


def _pdf(path: Path, name: str) -> list[Part]:
    import pypdfium2

    data = path.read_bytes()
    if b"%%EOF" not in data[-4096:]:
        raise Unreadable(f"{name} is cut off or is not a PDF: its end is missing. Download or export it again.")
    try:
        with _PDFIUM, pypdfium2.PdfDocument(data) as document:
            parts = [Part(_unwrap(_page_text(page)), f"page {number}") for number, page in enumerate(document, 1)]
    except pypdfium2.PdfiumError as problem:
        if "password" in str(problem).lower():
            raise Unreadable(f"{name} is protected with a password. Save it without one and add it again.") from problem
        raise Unreadable(f"{name} is damaged and cannot be read as a PDF. Download or export it again.") from problem
    text = "".join(part.text for part in parts)
    if _NO_TEXT.fullmatch(text):
        count = f"{len(parts)} page{'s' if len(parts) != 1 else ''}"
        raise Unreadable(f"{name} has {count} and no text: it looks like a scan. Run text recognition (OCR) on it and add it again.")
    if len(re.findall("[\ufffd\ue000-\uf8ff]", text)) > UNKNOWN_LETTERS * len(text):
        raise Unreadable(f"{name} does not say which letters it shows (its fonts lack them). Export it anew, or run text recognition (OCR) on it.")
    return parts


def _page_text(page: Any) -> str:
    textpage = page.get_textpage()
    try:
        return textpage.get_text_bounded()
    finally:
        textpage.close()
        page.close()


def _unwrap(text: str) -> str:
    """A page's text with the lines of a paragraph joined: a sentence is found and quoted whole."""
    lines = re.sub("[\x02\ufffe]\r?\n?", "", text).splitlines()  # PDFium's mark for a word that is divided at the end of a line
    full = 0.6 * max(map(len, lines), default=0)
    joined: list[str] = []
    goes_on = False
    for line in map(str.strip, lines):
        if goes_on and line and not re.match(r"[-*•–]\s|\d{1,3}[.)]\s", line):
            joined[-1] += line if joined[-1].endswith("-") else " " + line
        else:
            joined.append(line)
        goes_on = len(line) >= full and not re.search(r"[.!?:;…][\"'”’)]*$", line)
    return "\n".join(joined)


def _docx(path: Path, name: str) -> list[Part]:
    import mammoth

    def html() -> str:
        with path.open("rb") as file:
            return mammoth.convert_to_html(file, convert_image=mammoth.images.img_element(lambda _: {})).value  # else pictures come as text

    return [Part(_markdown_of(_opened(path, name, html)))]


def _pptx(path: Path, name: str) -> list[Part]:
    import pptx

    def slides() -> list[Part]:
        shown = enumerate(pptx.Presentation(str(path)).slides, 1)
        return [Part("\n\n".join(_slide_texts(slide)), f"slide {number}") for number, slide in shown]

    return _opened(path, name, slides)


def _slide_texts(slide: Any) -> Iterable[str]:
    title = slide.shapes.title
    if title is not None and title.text_frame.text.strip():
        yield "# " + " ".join(title.text_frame.text.split())
    for shape in _shapes(slide.shapes):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if shape.has_text_frame:
            yield shape.text_frame.text
        elif getattr(shape, "has_table", False):
            yield markdown_tables([cell.text for cell in row.cells] for row in shape.table.rows)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text


def _shapes(shapes: Iterable[Any]) -> Iterable[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _xlsx(path: Path, name: str) -> list[Part]:
    import openpyxl

    def sheets() -> list[Part]:
        with path.open("rb") as file:  # a kept file's name has no ending, which openpyxl asks of a path
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            return [Part(markdown_tables(map(_row, sheet.iter_rows())), f"sheet {sheet.title}") for sheet in book.worksheets]

    return _opened(path, name, sheets)


def _row(cells: Iterable[Any]) -> list[Any]:
    """Values; a share is shown as its format shows it, 30 % and not 0.3."""
    return [cell_text(cell.value * 100) + " %" if isinstance(cell.value, (int, float)) and "%" in (cell.number_format or "") else cell.value for cell in cells]


def _opened(path: Path, name: str, work: Callable[[], Any]) -> Any:
    """What `work` makes of an office file, which is a ZIP of XML: bounded before it is unpacked. Raises Unreadable."""
    if path.read_bytes()[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise Unreadable(f"{name} is protected with a password or of an old kind. Save it without a password as {Path(name).suffix.lower()} and add it again.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        # zipfile unpacks no more of an entry than its declared size, so that the sum is a true bound.
        all_mb = sum(entry.file_size for entry in entries) / 1e6
        xml_mb = sum(entry.file_size for entry in entries if "/media/" not in entry.filename) / 1e6
        if xml_mb > XML_MB or all_mb > UNPACKED_MB or len(entries) > ZIP_ENTRIES:
            raise Unreadable(f"{name} unpacks to {all_mb:,.0f} MB, which is too much to be read. Split it and add the parts.")
        return work()
    except (Unreadable, RecursionError, MemoryError):
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as problem:
        raise Unreadable(f"{name} is damaged or cut off ({problem}). Download or export it again.") from problem
    except Exception as problem:  # readers of office files raise whatever their XML makes them stumble over
        kind = Path(name).suffix[1:].upper()
        raise Unreadable(f"{name} is damaged and cannot be read as {kind} ({type(problem).__name__}). Open it, save it anew and add it again.") from problem


def _email(path: Path, name: str) -> list[Part]:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    if not isinstance(message, EmailMessage) or not (message["From"] or message["Subject"]):
        raise Unreadable(f"{name} is not an e-mail: it has no sender and no subject. Save the e-mail again as EML.")
    head = [f"{field}: {message[field]}" for field in ("From", "To", "Cc", "Date") if message[field]]
    files = [f"Attached: {attached.get_filename()}" for attached in message.iter_attachments() if attached.get_filename()]
    body = message.get_body(("plain", "html"))
    text = _body_text(body, name) if body is not None else ""
    return [Part("\n\n".join([f"# {message['Subject'] or 'E-mail'}", "\n".join(head + files), text]))]


def _body_text(body: Any, name: str) -> str:
    try:
        text = body.get_content()
    except (LookupError, UnicodeError):  # a charset that does not exist, or not the one that was used
        text = decode(body.get_payload(decode=True), name)
    return _markdown_of(text) if body.get_content_subtype() == "html" else text


def _markdown_of(html: str) -> str:
    """HTML as Markdown: headings, lists and tables; links and emphasis as plain words, so that a quotation reads like the page."""
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    page = BeautifulSoup(html, "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    tools = page(["head", "title", "script", "style", "noscript", "template", "svg", "img", "nav", "button", "select"])
    for unread in [*tools, *page.select("[hidden]"), *page.find_all(style=_HIDING)]:
        unread.decompose()
    plain = ["a", "b", "strong", "i", "em", "u", "s", "del", "sup", "sub"]
    converter = MarkdownConverter(heading_style="ATX", bullets="-", strip=plain, escape_asterisks=False, escape_underscores=False, escape_misc=False)
    text = converter.convert_soup(page)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return f"# {title}\n\n{text}" if title and text and not page.h1 else text


_READERS: dict[str, Callable[[Path, str], list[Part]]] = {
    **dict.fromkeys([".md", ".markdown"], _markdown),
    **dict.fromkeys([".txt", ".text", ".rst", ".log"], _text),
    **dict.fromkeys([".html", ".htm", ".xhtml"], _html),
    **dict.fromkeys([".csv", ".tsv"], _csv),
    **dict.fromkeys([".json", ".jsonl", ".ndjson"], _json),
    ".pdf": _pdf,
    ".docx": _docx,
    ".pptx": _pptx,
    ".xlsx": _xlsx,
    ".eml": _email,
}
ENDINGS = tuple(_READERS)  # of the names that can be read
