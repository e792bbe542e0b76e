"""The page about the data model tells of every table and column that exists."""

import re
from pathlib import Path

import pytest

from maisale.store.documents import _DOCUMENT, _DOCUMENTS

PAGE = (Path(__file__).parents[2] / "knowledge" / "docs" / "data_model.md").read_text("utf-8")
TOLD = {found[1]: found[0] for found in re.finditer(r"^\*\*(\w+)\*\*: .*$", PAGE, re.MULTILINE)}


@pytest.fixture
def columns(db):
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%migrations%' AND name NOT LIKE '%:%' AND name NOT LIKE 'sqlite_%'"
    return {row["name"]: [one["name"] for one in db.rows(f"SELECT name FROM pragma_table_info('{row['name']}')")] for row in db.rows(sql)}


def test_every_table_is_told_of_and_no_other(columns):
    assert set(TOLD) == set(columns)


def test_every_column_is_told_of(columns):
    missing = [f"{table}.{name}" for table, names in columns.items() for name in names if f"`{name}`" not in TOLD[table]]
    assert missing == []


def test_listing_documents_reads_no_table_of_vectors(db):
    plan = db.rows(f"EXPLAIN QUERY PLAN SELECT {_DOCUMENT} FROM {_DOCUMENTS}")
    (step,) = [row["detail"] for row in plan if " v " in row["detail"] + " "]
    assert "COVERING INDEX vectors_document" in step
