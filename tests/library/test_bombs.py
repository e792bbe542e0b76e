"""Files that are small and mean to be large: each ends in words, within its process's limits, and nothing is fetched."""

import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import openpyxl
import pptx
import pytest
from made_files import changed, pdf, saved, text_of, word_file

from maisale.errors import Unreadable
from maisale.library.pdf import PAGES
from maisale.library.reader_process import PLAIN_BYTES, Reader

LAUGHS = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 12))
DOCTYPES = {
    "laughs": f'<!DOCTYPE x [<!ENTITY e0 "lol">{LAUGHS}]>',
    "quadratic": f'<!DOCTYPE x [<!ENTITY e11 "{"a" * 50_000}">]>',
}


def slides():
    made = pptx.Presentation()
    made.slides.add_slide(made.slide_layouts[0]).shapes.title.text = "Prices"
    return saved(made)


def book():
    made = openpyxl.Workbook()
    made.active.append(["Item", "Price"])
    return saved(made)


FILES = {
    "docx": (word_file, "word/document.xml"),
    "pptx": (slides, "ppt/slides/slide1.xml"),
    "xlsx": (book, "xl/worksheets/sheet1.xml"),
    "styles": (book, "xl/styles.xml"),
}


def with_doctype(kind, doctype, text):
    """An office file whose XML declares entities, and uses `text` between its first tags."""
    made, part = FILES[kind]

    def declared(xml):
        head, _, rest = xml.partition("?>") if xml.startswith("<?xml") else ("", "", xml)
        first = rest.index(">", rest.index("<")) + 1
        return f"{head + '?>' if head else ''}{doctype}{rest[:first]}{text}{rest[first:]}"

    return changed(made(), part, declared)


@pytest.fixture(scope="module")
def reader():
    opened = Reader(read_s=30, memory_mb=1024)
    yield opened
    opened.close()


def read(reader, folder, name, data):
    path = folder / "kept"
    path.write_bytes(data)
    return reader.read(path, name)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("bomb", DOCTYPES)
def test_entities_never_grow(reader, tmp_path, kind, bomb):
    uses = "&e11;" * (1 if bomb == "laughs" else 20_000)
    name = f"a.{kind if kind != 'styles' else 'xlsx'}"
    try:
        parts = read(reader, tmp_path, name, with_doctype(kind, DOCTYPES[bomb], uses))
    except Unreadable as refused:
        assert str(refused).startswith(name)
    else:
        assert sum(len(part.text) for part in parts) < 10_000


@pytest.fixture(scope="module")
def lure():
    """A server that no file may ask."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"SECRET-OF-THE-LURE")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("how", ["SYSTEM", "parameter", "dtd"])
def test_nothing_outside_of_a_file_is_read(reader, tmp_path, lure, kind, how):
    url, asked = lure
    hidden = tmp_path / "hidden.txt"
    hidden.write_text("SECRET-OF-THE-HOST")
    for address in (f"{url}/x.dtd", hidden.as_uri()):
        doctype = {
            "SYSTEM": f'<!DOCTYPE x [<!ENTITY e SYSTEM "{address}">]>',
            "parameter": f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{address}"> %p;]>',
            "dtd": f'<!DOCTYPE x SYSTEM "{address}">',
        }[how]
        try:
            text = "".join(part.text for part in read(reader, tmp_path, f"a.{kind if kind != 'styles' else 'xlsx'}", with_doctype(kind, doctype, "&e;")))
        except Unreadable as refused:
            text = str(refused)
        assert "SECRET" not in text
    assert asked == []


def zipped(entries):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return made.getvalue()


def lying():
    """A flat bomb that declares 100 bytes for 30 MB."""
    data = bytearray(zipped([("word/document.xml", b"<w>" + b" " * 30_000_000)]))
    size = (30_000_003).to_bytes(4, "little")
    while (at := data.find(size)) >= 0:
        data[at : at + 4] = (100).to_bytes(4, "little")
    return bytes(data)


ARCHIVES = {
    "flat": lambda: zipped([("word/document.xml", b" " * 150_000_000)]),
    "many": lambda: zipped([(f"word/{number}.xml", b"") for number in range(10_500)]),
    "pictures": lambda: zipped([("word/document.xml", b"<w/>"), *((f"word/media/{number}.png", b"\0" * 60_000_000) for number in range(6))]),
    "lying": lying,
}


@pytest.mark.parametrize("bomb", ARCHIVES)
@pytest.mark.parametrize("ending", ["docx", "xlsx", "pptx"])
def test_an_archive_is_bounded_by_what_comes_out_of_it(reader, tmp_path, bomb, ending):
    with pytest.raises(Unreadable, match="unpacks to|damaged"):
        read(reader, tmp_path, f"bomb.{ending}", ARCHIVES[bomb]())


def test_an_archive_inside_a_file_stays_packed(tmp_path):
    inner = zipped([("a", b"0" * 20_000_000)])
    file = io.BytesIO(word_file())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("word/embeddings/inner.zip", inner)
    assert text_of(tmp_path, "a.docx", file.getvalue())


def test_a_pdf_of_too_many_pages_is_refused(reader, tmp_path):
    kids = b" ".join([b"3 0 R"] * (PAGES + 1))
    body = b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count %d/Kids[%b]>>endobj\n" % (PAGES + 1, kids)
    data = body + b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    with pytest.raises(Unreadable, match="10,001 pages; 10,000 is the most"):
        read(reader, tmp_path, "long.pdf", data)


def test_a_pdf_that_claims_a_billion_pages_ends(reader, tmp_path):
    data = pdf("Refunds take five days.").replace(b"/Count 1", b"/Count 999999999")
    try:
        assert read(reader, tmp_path, "a.pdf", data)
    except Unreadable as refused:
        assert str(refused).startswith("a.pdf")


def test_a_long_text_is_read_in_the_process_and_a_short_one_in_the_worker(tmp_path):
    reader = Reader()
    try:
        assert read(reader, tmp_path, "short.md", b"# Short\n\n" + b"words " * 1000) and not reader._idle
        assert read(reader, tmp_path, "long.md", b"# Long\n\n" + b"words " * (PLAIN_BYTES // 6)) and len(reader._idle) == 1
    finally:
        reader.close()
