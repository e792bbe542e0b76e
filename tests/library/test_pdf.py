"""PDFs as programs write them: lines, running heads, bookmarks, forms."""

import pytest
from made_files import kept, pdf, text_of

from maisale.errors import Unreadable
from maisale.library.chunking import chunk_text
from maisale.library.pdf import unwrap

FULL = "Customers return what they bought within thirty days of the"


@pytest.mark.parametrize(
    "lines, text",
    [
        (["Returns", FULL, "day they bought it.", "- Retail"], f"Returns\n{FULL} day they bought it.\n- Retail"),
        ([FULL, "Berlin fair."], f"{FULL} Berlin fair."),
        (["Lamp 350 000 12/2026 5 %", "Chair 1 250 000 11/2026 10 %"], "Lamp 350 000 12/2026 5 %\nChair 1 250 000 11/2026 10 %"),
        (["1 Returns … 3", "2 Shipping … 4"], "1 Returns … 3\n2 Shipping … 4"),
        ([FULL + " well-", "known shop."], f"{FULL} well-known shop."),
    ],
)
def test_lines_of_a_paragraph_are_joined_and_rows_are_not(lines, text):
    assert unwrap(lines) == text


def test_running_heads_and_page_numbers_stand_once(tmp_path):
    pages = [f"Handbook 2026\nPart {'ABCDE'[number]} is about returns.\nIt is one of five.\nACME Ltd {number + 10} of 99" for number in range(5)]
    parts = kept(tmp_path, "a.pdf", pdf(*pages))
    assert [part.place for part in parts] == [f"page {number}" for number in range(1, 6)]
    text = "\n".join(part.text for part in parts)
    assert text.count("Handbook 2026") == text.count("ACME Ltd") == 1
    assert all(f"Part {letter} is about returns." in text for letter in "ABCDE")


def test_numbers_at_the_edge_of_a_page_that_do_not_count_pages_are_kept(tmp_path):
    prices = [350, 120, 990, 275]
    parts = kept(tmp_path, "a.pdf", pdf(*[f"{price}\nItem {price * 7}" for price in prices]))
    assert [part.text.splitlines()[0] for part in parts] == [str(price) for price in prices]


def outline(*titles):
    """The objects of bookmarks for pages in order, from number 10 on."""
    following = [f"/Next {12 + at} 0 R" for at in range(len(titles) - 1)] + [""]
    links = [f"<< /Title ({title}) /Parent 10 0 R /Dest [{4 + 2 * at} 0 R /Fit] {following[at]} >>" for at, title in enumerate(titles)]
    return [f"<< /Type /Outlines /First 11 0 R /Last {10 + len(titles)} 0 R /Count {len(titles)} >>", *links]


def test_bookmarks_are_headings_and_comments_of_scripts_are_not(tmp_path):
    pages = ["1 Returns\nWithin thirty days.", "2 Shipping\nIt is free.\n# no heading\nReally.", ""]
    made = pdf(*pages, catalog="/Outlines 10 0 R", more=outline("Returns", "Shipping"))
    pieces = chunk_text(kept(tmp_path, "a.pdf", made))
    assert [(piece.heading, piece.place) for piece in pieces] == [("1 Returns", "page 1"), ("2 Shipping", "page 2")]
    assert "# no heading" in pieces[1].text


def test_what_was_filled_into_a_form_is_read(tmp_path):
    stream = "BT /F1 12 Tf 2 5 Td (Nguyen Van An) Tj ET"
    look = f"<< /Type /XObject /Subtype /Form /BBox [0 0 200 20] /Resources << /Font << /F1 3 0 R >> >> /Length {len(stream)} >>\nstream\n{stream}\nendstream"
    field = "<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Nguyen Van An) /F 4 /Rect [72 600 272 620] /P 4 0 R /AP << /N 7 0 R >> >>"
    made = pdf("Name of the customer:", catalog="/AcroForm << /Fields [6 0 R] >>", page_entry="/Annots [6 0 R]", more=[field, look])
    assert "Nguyen Van An" in text_of(tmp_path, "a.pdf", made)


def test_bytes_after_the_end_do_not_make_a_pdf_cut_off(tmp_path):
    assert text_of(tmp_path, "a.pdf", pdf("Returns are free.") + b"\0" * 20_000) == "Returns are free."


@pytest.mark.parametrize("count, kids", [(1_000_000, "[4 0 R]"), (2, "[2 0 R 4 0 R]")])
def test_a_page_tree_that_lies_is_read_or_refused(tmp_path, count, kids):
    made = pdf("Returns are free.").replace(b"/Kids [4 0 R] /Count 1", f"/Kids {kids} /Count {count}".encode())
    try:
        assert "Returns are free." in text_of(tmp_path, "a.pdf", made)
    except Unreadable as refused:
        assert "damaged" in str(refused) or "10,000 is the most" in str(refused)
