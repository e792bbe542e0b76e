"""A file to text, page by page where it has pages. Cutting the text up is chunking.py's.

What cannot be read is refused in one sentence that says which file, why, and what to do. Heavy readers are imported where they are used: a
worker that reads Markdown only never loads them. Chosen over markitdown, which takes 3.7 s and 148 MB to import (it loads onnxruntime and
a model) and names no pages: these readers take 0.1-0.6 s and 9-39 MB each, and all of them together are 30 MB on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from maisale.errors import Unreadable
from maisale.library.chunking import Part
from maisale.library.decoding import clean, decode, old_vietnamese
from maisale.library.restructured import with_headings
from maisale.library.tables import csv_table, json_text
from maisale.library.zipped import holds_pictures

_SAVE_AS = {
    **dict.fromkeys([".doc", ".docm", ".dot", ".dotx", ".rtf", ".odt", ".pages", ".wpd", ".wps"], ".docx"),
    **dict.fromkeys([".xls", ".xlsb", ".xlsm", ".xltx", ".ods", ".numbers"], ".xlsx"),
    **dict.fromkeys([".ppt", ".pps", ".ppsx", ".pptm", ".odp", ".key"], ".pptx"),
    **dict.fromkeys([".epub", ".mht", ".mhtml"], ".html or .pdf"),
    **dict.fromkeys([".msg", ".mbox", ".pst"], ".eml"),
}
_NO_TEXT = re.compile(r"[\W_]*")


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
    except (Unreadable, OSError):
        raise
    except Exception as problem:  # a file that its reader does not expect is refused like one that it knows to be wrong
        raise Unreadable(f"{name} cannot be read: it is not as files of its kind are. Open it, save it anew and add it again.") from problem
    cleaned = [replace(part, text=clean(part.text).strip()) for part in parts]
    readable = [part for part in cleaned if not _NO_TEXT.fullmatch(part.text)]
    if not readable and holds_pictures(path):
        raise Unreadable(f"{name} holds only pictures or charts, which are not read. Write what they say as text and add it again.")
    if not readable:
        raise Unreadable(f"{name} holds no text. Save it with its contents and add it again.")
    if font := old_vietnamese("\n".join(part.text for part in readable)):
        raise Unreadable(f"{name} is written with an old Vietnamese font ({font}), not in Unicode. Convert it to Unicode (UniKey does) and add it again.")
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
    return [Part(decode(path.read_bytes(), name), plain=True)]


def _rst(path: Path, name: str) -> list[Part]:
    return [Part(with_headings(decode(path.read_bytes(), name)), plain=True)]


def _markdown(path: Path, name: str) -> list[Part]:
    """Without comments, which no reader of the page sees; in code they stay."""
    return [Part("".join(text if code else _without_comments(text) for text, code in _fenced(decode(path.read_bytes(), name))))]


def _fenced(text: str) -> Iterator[tuple[str, bool]]:
    """Runs of lines, and whether they are code between fences. Line by line: a pattern over the whole takes hours for a page of open fences."""
    run: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        if fence and line.rstrip() == fence:
            yield "".join([*run, line]), True
            run, fence = [], ""
        elif not fence and line.startswith(("```", "~~~")):
            yield "".join(run), False
            run, fence = [line], line[:3]
        else:
            run.append(line)
    yield "".join(run), bool(fence)


def _without_comments(text: str) -> str:
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return "".join([*kept, text[at:]])


def _csv(path: Path, name: str) -> list[Part]:
    return [Part(csv_table(clean(decode(path.read_bytes(), name)), name))]


def _json(path: Path, name: str) -> list[Part]:
    return [Part(json_text(decode(path.read_bytes(), name), name))]


def _html(path: Path, name: str) -> list[Part]:
    from maisale.library.webpage import page_text

    return [Part(page_text(path.read_bytes(), name))]


def _pdf(path: Path, name: str) -> list[Part]:
    from maisale.library.pdf import read_pdf

    return read_pdf(path, name)


def _docx(path: Path, name: str) -> list[Part]:
    from maisale.library.webpage import markdown_of
    from maisale.library.word import word_html

    return [Part(markdown_of(word_html(path, name)))]


def _pptx(path: Path, name: str) -> list[Part]:
    from maisale.library.slides import read_slides

    return read_slides(path, name)


def _xlsx(path: Path, name: str) -> list[Part]:
    from maisale.library.sheets import read_sheets

    return read_sheets(path, name)


def _email(path: Path, name: str) -> list[Part]:
    from maisale.library.mail import mail_text

    return [Part(mail_text(path.read_bytes(), name))]


_READERS: dict[str, Callable[[Path, str], list[Part]]] = {
    **dict.fromkeys([".md", ".markdown"], _markdown),
    **dict.fromkeys([".txt", ".text", ".log"], _text),
    ".rst": _rst,
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
