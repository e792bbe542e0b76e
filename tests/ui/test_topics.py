"""Which headings of which passages are worth a question."""

from dataclasses import replace

import pytest

from maisale.records import Chunk, Document
from maisale.ui.topics import is_prose, says_something, spread, topics

PROSE = "A return is taken within thirty days when the seal is whole. The shop manager approves refunds, and the customer is paid on the same day."
PASSAGE = Chunk("k", "t", "c", "returns.md", PROSE, 0, 40, 0.0, heading="Returns > Refunds for customers")
PAPER = Document("d", "c", "Kho", "a.md", "npm/a.md", "text/markdown", 1, 0.0, None, "complete")


@pytest.mark.parametrize(
    "heading",
    ["Refunds", "Warranty of the RO-9", "3.4. Meeting hardware requirements", "Chính sách bảo hành", "Which codenames were used?", "Chương 2. Phân vùng đĩa"],
)
def test_a_heading_about_something_is_asked_about(heading):
    assert says_something(heading)


@pytest.mark.parametrize(
    "heading",
    [
        *("Description", "SEE ALSO", "Table of Contents", "1. Introduction", "Chapter 3. Overview:", "Giới thiệu", "Mục lục", "2.1 Xem thêm", "MÔ TẢ"),
        *("package.json", "lease_until", "fs.readFile(path)", "--force", "/etc/apt", "`npm ci`", "readFileSync", "$HOME", "3.4", "A", "x" * 61),
    ],
)
def test_what_every_document_has_and_names_of_code_are_not(heading):
    assert not says_something(heading)


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: npm-ci\nsection: 1\ndescription: Clean install a project.\n---",
        '{\n  "name": "my-workspaces",\n  "workspaces": ["a", "b"]\n}',
        "| Name | Fare |\n| --- | --- |\n| Braund, Mr. Owen Harris. | 7.25 |\n" * 5,
        f"{PROSE}\n\n```json\n[1]\n```",
        "It is short.",
    ],
)
def test_data_and_front_matter_are_no_prose(text):
    assert not is_prose(text) and is_prose(PROSE)


def test_each_heading_is_named_once_without_its_path():
    named = [topic.heading for topic in topics([PASSAGE, PASSAGE, replace(PASSAGE, heading="Notes"), replace(PASSAGE, heading="2.1. Gift cards?¶")])]
    assert named == ["Refunds for customers", "Gift cards"]


def test_prose_of_each_folder_comes_before_a_second_of_any_and_tables_last():
    listed = [replace(PAPER, source=source) for source in ("npm/a.md", "npm/b.md", "Data/x.csv", "Office/c.docx")]
    assert [one.source for one in spread(listed)] == ["npm/a.md", "Office/c.docx", "npm/b.md", "Data/x.csv"]


def test_an_imported_folder_is_not_known_by_its_last_files_alone():
    listed = [replace(PAPER, source=f"import/{number:03}.md") for number in reversed(range(500))]
    first = sorted(int(one.source[-6:-3]) for one in spread(listed)[:8])
    assert all(40 <= later - earlier <= 90 for earlier, later in zip(first, first[1:], strict=False)), first
