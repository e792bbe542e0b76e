"""A Word file to Markdown: headings by their outline level, lists, tables and footnotes; what was deleted, comments, page heads and feet are left out.

mammoth was chosen over python-docx (no lists, footnotes or nested order) and docx2txt (no headings or tables).
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import unescape

import mammoth

from maisale.library.zipped import opened

# mammoth 1.13 leaves out what stands in a simple field: a caption's number, a date, a merged name.
_SIMPLE_FIELD = re.compile(rb"</?w:fldSimple\b[^>]*>")
DOCUMENT, STYLES = "word/document.xml", "word/styles.xml"


def word_html(path: Path, name: str) -> str:
    """The document as HTML without pictures. Raises Unreadable."""

    def html() -> str:
        without = mammoth.images.img_element(lambda _: {})  # else pictures come as text
        return mammoth.convert_to_html(_plain_fields(path), convert_image=without, style_map=_heading_styles(path)).value

    return opened(path, name, html)


def _plain_fields(path: Path) -> BinaryIO:
    with zipfile.ZipFile(path) as archive:
        xml = archive.read(DOCUMENT) if DOCUMENT in archive.namelist() else b""
        if not _SIMPLE_FIELD.search(xml):
            return io.BytesIO(path.read_bytes())
        kept = io.BytesIO()
        with zipfile.ZipFile(kept, "w") as plain:
            for entry in archive.namelist():
                if "/media/" not in entry:
                    plain.writestr(entry, _SIMPLE_FIELD.sub(b"", xml) if entry == DOCUMENT else archive.read(entry))
    kept.seek(0)
    return kept


def _heading_styles(path: Path) -> str:
    """mammoth's map for styles with an outline level, their own or that of the style they are based on: a firm's own "Chapter" is a heading too."""
    with zipfile.ZipFile(path) as archive:
        xml = archive.read(STYLES).decode("utf-8", "replace") if STYLES in archive.namelist() else ""
    styles = {}
    for style in xml.split("<w:style ")[1:]:
        style = style.partition("</w:style>")[0][:5000]
        known = {tag: found[1] for tag in ("name", "basedOn", "outlineLvl") if (found := re.search(rf'<w:{tag} w:val="([^"]*)"', style))}
        if 'w:type="paragraph"' in style and (found := re.search(r'w:styleId="([^"]*)"', style)):
            styles[found[1]] = known
    lines = []
    for known in styles.values():
        level, above = known.get("outlineLvl", ""), known.get("basedOn", "")
        for _ in range(10):  # styles may be based on each other in a ring
            if level or above not in styles:
                break
            level, above = styles[above].get("outlineLvl", ""), styles[above].get("basedOn", "")
        title = unescape(known.get("name", ""), {"&quot;": '"', "&apos;": "'"})
        if level.isdigit() and int(level) < 6 and "'" not in title and "\\" not in title:
            lines.append(f"p[style-name='{title}'] => h{int(level) + 1}:fresh")
    return "\n".join(lines)
