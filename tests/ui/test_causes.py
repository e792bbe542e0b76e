"""Causes are said in Vietnamese on a Vietnamese page."""

import ast
from pathlib import Path

import pytest

from maisale.library import indexing, read_back
from maisale.ui.causes import told

LIBRARY = Path(indexing.__file__).parent


def raised(*kinds):
    """The sentences of these errors in the library's source, with something in place of each value."""
    for path in sorted(LIBRARY.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in kinds and node.args and isinstance(node.args[0], (ast.JoinedStr, ast.Constant)):
                parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else [node.args[0]]
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X 1" for part in parts)


@pytest.mark.parametrize("cause", list(raised("Unreadable")))
def test_whatever_cannot_be_read_is_said_in_vietnamese(cause):
    assert told(cause, "vi") != cause and told(cause, "en") == cause


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (f"Passage 3 is found by words only: {indexing.REFUSED}.", "Đoạn 3 chỉ tìm được theo từ: mô hình nhúng không cho vectơ của đoạn này."),
        (f"It is found by words only: {indexing.REFUSED}.", "Chỉ tìm được theo từ: mô hình nhúng không cho vectơ."),
        ("It is found by words only. The embedding model bge-m3 is away.", "Chỉ tìm được theo từ. Mô hình nhúng bge-m3 đang vắng."),
        (f"{read_back.WORDS_LOST} The first is passage 2. `rebuild-index` makes the index of words anew.", "Đã đọc các đoạn"),
        ("The worker ended 6 times while it was doing this.", "Tiến trình nền đã chết 6 lần khi đang làm việc này."),
        ("Something that nobody has translated.", "Something that nobody has translated."),
    ],
)
def test_what_the_worker_says_of_a_document(cause, words):
    assert told(cause, "vi").startswith(words)
