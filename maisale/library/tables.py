"""Rows and nested data to Markdown: a table keeps its head, which chunking repeats, so that a row is understood where it is quoted. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from typing import Any

from maisale.errors import Unreadable

CELL_CHARACTERS = 1 << 20  # the csv module's own limit of 131,072 is met by real exports


def csv_table(text: str, name: str) -> str:
    """Comma, semicolon, tab or bar separated values as Markdown tables. Raises Unreadable."""
    csv.field_size_limit(CELL_CHARACTERS)
    try:
        dialect: Any = csv.Sniffer().sniff(text[:16_384], ",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if name.lower().endswith(".tsv") else csv.excel
    try:
        return markdown_tables(csv.reader(io.StringIO(text, newline=""), dialect))
    except csv.Error as problem:
        raise Unreadable(f"{name} cannot be read as a table ({problem}). Open it in a spreadsheet program, save it as CSV and add it again.") from problem


def json_text(text: str, name: str) -> str:
    """A list of records as a table, other data as one line a value: `shop.address.city: Hanoi`. One value a line is taken too. Raises Unreadable."""
    try:
        data = _json(text)
        if isinstance(data, list) and len(data) > 1 and all(_is_record(one) for one in data):
            heads = list(dict.fromkeys(head for one in data for head in one))
            return markdown_tables([heads, *([one.get(head) for head in heads] for one in data)])
        return "\n".join(_leaves(data, ""))
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"{name} is not valid JSON ({problem}). Check it where it was made and add it again.") from problem


def markdown_tables(rows: Iterable[Sequence[Any]]) -> str:
    """Tables and paragraphs: empty rows part tables, a row of a single value is a paragraph."""
    texts, block = [], []
    for row in rows:
        cells = [cell_text(value) for value in row]
        filled = sum(map(bool, cells))
        if filled > 1 or (filled and block):
            block.append(cells)
            continue
        if block:
            texts += _table(block)
            block = []
        texts += [cell for cell in cells if cell]
    return "\n\n".join(texts + _table(block))


def cell_text(value: Any) -> str:
    """A value as a person reads it in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}" if abs(value) < 1e15 else str(value)
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return " ".join(str(value).split()).replace("|", "\\|")


def _table(rows: list[list[str]]) -> list[str]:
    """One Markdown table without its empty columns, or nothing."""
    width = max(map(len, rows), default=0)
    full = [row + [""] * (width - len(row)) for row in rows]
    kept = [column for column in range(width) if any(row[column] for row in full)]
    lines = ["| " + " | ".join(row[column] for column in kept) + " |" for row in full]
    if len(lines) < 2:
        return [" | ".join(cell for cell in row if cell) for row in rows]
    return ["\n".join([lines[0], "|" + " --- |" * len(kept), *lines[1:]])]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            pass
        raise


def _is_record(data: Any) -> bool:
    return isinstance(data, dict) and bool(data) and not any(isinstance(value, (dict, list)) for value in data.values())


def _leaves(data: Any, path: str) -> Iterator[str]:
    if isinstance(data, dict):
        for name, value in data.items():
            yield from _leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(data, list) and any(isinstance(value, (dict, list)) for value in data):
        for number, value in enumerate(data, 1):
            yield from _leaves(value, f"{path}[{number}]")
    else:
        value = ", ".join(map(cell_text, data)) if isinstance(data, list) else " ".join(str(data).split()) if isinstance(data, str) else cell_text(data)
        yield f"{path}: {value}" if path else value
