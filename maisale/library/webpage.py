"""HTML to Markdown: headings, lists and tables, as a page shows them to people; what it hides from them is left out.

Beautiful Soup and markdownify were chosen over trafilatura, which drops tables and short paragraphs that it takes for furniture.
"""

from __future__ import annotations

import re

from bs4 import BeautifulSoup
from bs4.element import Declaration, ProcessingInstruction
from markdownify import MarkdownConverter

from maisale.library.decoding import decode

_DECLARED = re.compile(rb"(?:charset|encoding)=[\"']?([\w-]+)")
_HIDING = re.compile(r"(display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])|opacity\s*:\s*0(?![.\d]*[1-9]))", re.IGNORECASE)
_UNREAD = ["head", "title", "script", "style", "noscript", "template", "svg", "img", "nav", "button", "select"]
_ASIDE = "[hidden], [role=navigation], [role=search], a.headerlink"  # the last: a mark behind each heading of Sphinx and MkDocs
_PLAIN = ["a", "b", "strong", "i", "em", "u", "s", "del", "sup", "sub"]


def page_text(data: bytes, name: str) -> str:
    """The Markdown of a page's bytes. Raises Unreadable."""
    return markdown_of(_decoded(data, name))


def markdown_of(html: str) -> str:
    """Links and emphasis as plain words, so that a quotation reads like the page."""
    page = BeautifulSoup(html, "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    for unread in [*page(_UNREAD), *page.select(_ASIDE), *page.find_all(style=_HIDING)]:
        unread.decompose()
    for unread in page.find_all(string=lambda words: isinstance(words, (Declaration, ProcessingInstruction))):  # <?xml ...?>, which markdownify takes for words
        unread.extract()
    # Without table_infer_header a table whose first row is not marked as its head, as in most Word files, gets an empty one.
    converter = MarkdownConverter(
        heading_style="ATX", bullets="-", strip=_PLAIN, escape_asterisks=False, escape_underscores=False, escape_misc=False, table_infer_header=True
    )
    text = re.sub(r"\n{3,}", "\n\n", converter.convert_soup(page)).strip()
    return f"# {title}\n\n{text}" if title and text and not page.h1 else text


def _decoded(data: bytes, name: str) -> str:
    """A page that is wrong about its encoding is read like any text; UTF-8 that is valid is UTF-8, whatever the page says."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    declared = _DECLARED.search(data[:2048])
    encoding = declared[1].decode().lower() if declared else ""
    if encoding and not encoding.startswith("utf"):
        try:
            return data.decode({"iso-8859-1": "cp1252"}.get(encoding, encoding))  # as browsers take it
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data, name)
