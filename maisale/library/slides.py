"""A presentation to text, slide by slide: title, texts, tables and the speaker's notes; hidden slides, numbers, dates and feet are left out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pptx
from pptx.enum.shapes import PP_PLACEHOLDER

from maisale.library.chunking import Part
from maisale.library.tables import markdown_tables
from maisale.library.zipped import opened

_FURNITURE = {PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.HEADER}


def read_slides(path: Path, name: str) -> list[Part]:
    """One part a slide. Raises Unreadable."""

    def slides() -> list[Part]:
        return [
            Part("\n\n".join(_texts(slide)), f"slide {number}")
            for number, slide in enumerate(pptx.Presentation(str(path)).slides, 1)
            if slide.element.get("show") not in ("0", "false")
        ]

    return opened(path, name, slides)


def _texts(slide: Any) -> Iterable[str]:
    title = slide.shapes.title
    if title is not None and title.text_frame.text.strip():
        yield "# " + " ".join(title.text_frame.text.split())
    for shape in _shapes(slide.shapes):
        if (title is not None and shape.shape_id == title.shape_id) or _is_furniture(shape):
            continue
        if shape.has_text_frame:
            yield shape.text_frame.text
        elif getattr(shape, "has_table", False):
            yield markdown_tables([cell.text for cell in row.cells] for row in shape.table.rows)
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None and notes.text.strip():
        yield "Notes: " + notes.text


def _is_furniture(shape: Any) -> bool:
    return shape.is_placeholder and shape.placeholder_format.type in _FURNITURE


def _shapes(shapes: Iterable[Any]) -> Iterable[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape
