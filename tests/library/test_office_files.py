"""Word files, presentations and workbooks with what other programs put into them."""

import io
import re
import zipfile

import docx
import openpyxl
import pptx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from made_files import VIETNAMESE, changed, kept, saved, text_of, word_file
from pptx.util import Inches

from maisale.errors import Unreadable
from maisale.library.chunking import chunk_text


def test_the_first_row_of_a_word_table_is_its_head(tmp_path):
    assert "| Channel | Days |\n| --- | --- |\n| Retail | 30 |" in text_of(tmp_path, "a.docx", word_file())


def test_a_style_based_on_a_heading_is_a_heading(tmp_path):
    document = docx.Document()
    style = document.styles.add_style("Firm's chapter", WD_STYLE_TYPE.PARAGRAPH)
    style.base_style = document.styles["Heading 2"]
    other = document.styles.add_style("Điều khoản", WD_STYLE_TYPE.PARAGRAPH)
    other.base_style = document.styles["Heading 1"]
    document.add_paragraph("Đổi trả", style=other)
    document.add_paragraph(VIETNAMESE)
    (piece,) = chunk_text(kept(tmp_path, "a.docx", saved(document)))
    assert (piece.heading, piece.place, piece.text) == ("Đổi trả", "section Đổi trả", VIETNAMESE)


def test_fields_and_moved_text_are_read(tmp_path):
    document = docx.Document()
    document.add_paragraph("Table NUMBER: prices of 2026. MOVED")
    field = r'<w:fldSimple w:instr=" SEQ Table "><w:r><w:t>7</w:t></w:r></w:fldSimple>'
    moved = '<w:moveTo w:id="1" w:author="a"><w:r><w:t>Paid in cash.</w:t></w:r></w:moveTo>'

    def put(xml):
        for word, new in (("NUMBER", field), ("MOVED", moved)):
            xml = xml.replace(word, f'</w:t></w:r>{new}<w:r><w:t xml:space="preserve">')
        return xml

    assert text_of(tmp_path, "a.docx", changed(saved(document), "word/document.xml", put)) == "Table 7: prices of 2026. Paid in cash."


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/x", "file:///etc/passwd"])
def test_an_external_entity_is_not_fetched(tmp_path, target):
    def put(xml):
        return re.sub(r"^<\?xml[^>]*>\s*", f'<!DOCTYPE d [<!ENTITY x SYSTEM "{target}">]>', xml).replace("Returns", "Returns&x;!")

    assert "# Returns!" in text_of(tmp_path, "a.docx", changed(word_file(), "word/document.xml", put))


def show(*titles):
    made = pptx.Presentation()
    for title in titles:
        slide = made.slides.add_slide(made.slide_layouts[5])
        slide.shapes.title.text = title
    return made


def test_notes_are_read_and_hidden_slides_are_not(tmp_path):
    made = show("Prices", "Draft", "Returns")
    made.slides[0].notes_slide.notes_text_frame.text = "Say that retail is 30."
    made.slides[1].element.set("show", "0")
    parts = kept(tmp_path, "a.pptx", saved(made))
    assert [(part.place, part.text) for part in parts] == [("slide 1", "# Prices\n\nNotes: Say that retail is 30."), ("slide 3", "# Returns")]


def test_the_number_and_foot_of_a_slide_are_not_its_text(tmp_path):
    made = show("Prices")
    slide = made.slides[0]
    for placeholder in slide.slide_layout.placeholders:
        if placeholder.placeholder_format.type in (13, 15, 16):  # slide number, footer, date
            slide.shapes.clone_placeholder(placeholder)
            slide.placeholders[placeholder.placeholder_format.idx].text = "FOOT"
    slide.shapes.add_textbox(0, 0, Inches(2), Inches(1)).text_frame.text = "Retail is 30."
    assert text_of(tmp_path, "a.pptx", saved(made)) == "# Prices\n\nRetail is 30."


def test_a_cell_merged_over_rows_stands_in_each_and_hidden_sheets_are_not_read(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [["Region", "Shop", "Sales"], ["North", "Hà Nội", 5], [None, "Hải Phòng", 3], ["South", "Cần Thơ", 4]]:
        sheet.append(row)
    sheet.merge_cells("A2:A3")
    book.create_sheet("Salaries").append(["secret"])
    book["Salaries"].sheet_state = "hidden"
    assert text_of(tmp_path, "a.xlsx", saved(book)).splitlines()[2:] == ["| North | Hà Nội | 5 |", "| North | Hải Phòng | 3 |", "| South | Cần Thơ | 4 |"]


def test_a_sheet_that_claims_a_million_rows_is_read_as_it_is(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Item", "Price"])
    book.active.append(["Lamp", 49])
    data = changed(saved(book), "xl/worksheets/sheet1.xml", lambda xml: re.sub(r'<dimension ref="[^"]*"', '<dimension ref="A1:XFD1048576"', xml))
    assert text_of(tmp_path, "a.xlsx", data) == "| Item | Price |\n| --- | --- |\n| Lamp | 49 |"


def test_a_long_text_shared_by_many_cells_is_refused(tmp_path):
    rows = "".join(f'<row r="{number}"><c r="A{number}" t="s"><v>0</v></c></row>' for number in range(1, 2001))
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    held, shared = f"<sheetData>{rows}</sheetData>", f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}"/>'
    data = changed(saved(openpyxl.Workbook()), "xl/worksheets/sheet1.xml", lambda xml: re.sub("<sheetData ?/>|<sheetData>.*</sheetData>", held, xml))
    data = changed(data, "[Content_Types].xml", lambda xml: xml.replace("</Types>", f"{shared}</Types>"))
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        shared = f'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>{"x" * 30_000}</t></si></sst>'
        archive.writestr("xl/sharedStrings.xml", shared)
    with pytest.raises(Unreadable, match="more than 50 MB of text"):
        kept(tmp_path, "a.xlsx", file.getvalue())
