"""The pages of the documents list, and what a tab carries of it."""

import pytest

from maisale.records import Outline
from maisale.ui.view import FIND_CHARACTERS, ROWS, View, page_of

MANY = 577


def outline(number, **change):
    values = {"collection_id": "c", "collection": "Kho", "title": f"note-{number}.md", "source": f"Sổ tay/note-{number}.md", "stage": "complete", "cause": ""}
    return Outline(str(number), **values | change)


LISTED = [outline(number) for number in range(MANY)]
LISTED[500] = outline(500, title="Bảo hành.docx", stage="failed", cause="Torn.")
LISTED[501] = outline(501, title="bao-cao.csv", stage="searchable", cause="It is found by words only.", collection_id="d")
LISTED[502] = outline(502, stage="searchable")


def walk(view):
    """All pages, by their buttons."""
    shown = page_of(LISTED, view)
    yield shown
    while shown.older is not None:
        shown = page_of(LISTED, View(view.find, view.kind, shown.older))
        yield shown


def test_the_pages_hold_everything_once_and_lead_back():
    pages = list(walk(View()))
    assert [one for shown in pages for one in shown.ids] == [one.id for one in LISTED]
    assert [shown.first for shown in pages[:3]] == [1, ROWS + 1, 2 * ROWS + 1]
    for before, shown in zip(pages, pages[1:]):
        assert page_of(LISTED, View(after=shown.newer)).ids == before.ids
    assert pages[0].newer is None


@pytest.mark.parametrize("find", ["", "bao", "note-50", "so tay", "nothing"])
def test_the_number_of_a_filter_is_that_of_its_rows(find):
    counts = page_of(LISTED, View(find)).counts
    assert counts == {kind: sum(len(shown.ids) for shown in walk(View(find, kind))) for kind in counts}


@pytest.mark.parametrize(("find", "ids"), [("bao hanh", ["500"]), ("BẢO", ["500", "501"]), ("kho hành", ["500"]), ("nothing", [])])
def test_a_search_goes_through_all_of_them(find, ids):
    assert list(page_of(LISTED, View(find)).ids) == ids


def test_the_head_counts_everything_whatever_is_searched():
    shown = page_of(LISTED, View("nothing"))
    assert shown.totals == {"all": MANY, "running": 1, "words": 1, "failed": 1} and shown.collections == 2 and shown.found == 0


def test_a_page_stays_where_it_is_when_documents_come_and_begins_anew_when_its_place_is_gone():
    view = View(after=page_of(LISTED, View()).older)
    assert page_of([outline("new"), *LISTED], view).ids == page_of(LISTED, view).ids
    assert page_of(LISTED, View(after="gone")).first == 1


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"find": 5, "kind": ["x"], "letters": null}', "[" * 5000, "\ud800"])
def test_whatever_a_page_sends_is_a_view(text):
    assert View.of_text(text) == View()


def test_a_view_comes_back_as_it_was_sent():
    assert View.of_text('{"find": " a ", "kind": "words", "after": "x", "opened": "y", "letters": "1"}') == View("a", "words", "x", "y", True)
    assert View.read({"kind": "x", "find": "a" * 1000}) == View("a" * FIND_CHARACTERS)
