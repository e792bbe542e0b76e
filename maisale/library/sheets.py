"""A workbook to text, sheet by sheet: tables of values as they were last computed. Hidden sheets, comments, charts and text boxes are left out.

openpyxl was chosen over python-calamine, which does not tell a cell's format: 8 % would be 0.08.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import openpyxl
from openpyxl.utils import range_boundaries

from maisale.errors import Unreadable
from maisale.library.chunking import Part
from maisale.library.tables import cell_text, markdown_tables
from maisale.library.zipped import opened

TEXT_MB = 50  # of text in the cells of a sheet; it is 12 million tokens

TYPES = "[Content_Types].xml"
NO_TEXTS = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="0" uniqueCount="0"/>'

_TEXTS = re.compile(rb'PartName="/([^"]*sharedStrings\.xml)"')
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s+ref="([A-Z]+\d+:[A-Z]+\d+)"')


def read_sheets(path: Path, name: str) -> list[Part]:
    """One part a sheet that is shown. Raises Unreadable."""

    def sheets() -> list[Part]:
        with _workbook(path) as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            return [Part(markdown_tables(_rows(sheet, name)), f"sheet {sheet.title}") for sheet in shown]

    return opened(path, name, sheets)


def _workbook(path: Path) -> BinaryIO:
    """The file, open: a kept file's name has no ending, which openpyxl asks of a path. With the table of texts that some programs announce and leave out."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        told = _TEXTS.search(archive.read(TYPES)) if TYPES in names else None
    part = told[1].decode() if told else ""
    if not part or part in names:
        return path.open("rb")
    whole = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(part, NO_TEXTS)
    whole.seek(0)
    return whole


def _rows(sheet: Any, name: str) -> Iterator[list[Any]]:
    """A value that is merged over rows stands in each of them."""
    sheet.reset_dimensions()  # else rows are filled up to what the file claims, which may be 16,384 columns
    merged = _merged_down(sheet)
    values: dict[tuple[int, int], Any] = {}
    was_empty, letters = False, 0
    for number, cells in enumerate(sheet.iter_rows(), 1):
        row = _values(cells)
        letters += sum(len(value) for value in row if isinstance(value, str))
        if letters > TEXT_MB * 1e6:  # a long text that a hundred thousand cells share is in the file once
            raise Unreadable(f"{name} holds more than {TEXT_MB} MB of text. Split it and add the parts.")
        for column, first in merged.get(number, ()):
            if number == first:
                values[first, column] = row[column - 1] if column <= len(row) else None
            elif values.get((first, column)) is not None:
                row += [None] * (column - len(row))
                row[column - 1] = values[first, column]
        empty = not any(value is not None for value in row)
        if not (empty and was_empty):  # of a million empty rows one says enough
            yield [] if empty else row
        was_empty = empty


def _merged_down(sheet: Any) -> dict[int, list[tuple[int, int]]]:
    """Row to (column, first row) for the cells that reach over several rows."""
    with sheet._get_source() as xml:  # openpyxl 3.1: a workbook that is read row by row does not tell of them
        ranges = [range_boundaries(ref.decode()) for ref in _MERGED.findall(xml.read())]
    found: dict[int, list[tuple[int, int]]] = {}
    for left, top, _, bottom in ranges:
        for row in range(top, min(bottom, top + 1000) + 1) if bottom > top else ():
            found.setdefault(row, []).append((left, top))
    return found


def _values(cells: Iterable[Any]) -> list[Any]:
    """A share is shown as its format shows it, 30 % and not 0.3."""
    return [cell_text(cell.value * 100) + " %" if isinstance(cell.value, (int, float)) and "%" in (cell.number_format or "") else cell.value for cell in cells]
