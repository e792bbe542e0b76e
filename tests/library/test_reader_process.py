"""Files in a process of their own: whatever one does, the next is read."""

import time
import zipfile

import pytest

from maisale.errors import Unreadable
from maisale.library.interruptions import Cancelled
from maisale.library.reader_process import Reader


@pytest.fixture
def reader():
    made = Reader(read_s=60)
    yield made
    made.close()


def page(folder, name="good.html", text="<h1>Returns</h1><p>Within 30 days.</p>"):
    (folder / name).write_text(text)
    return folder / name


def test_a_page_is_read_as_in_the_worker_itself(reader, tmp_path):
    assert [part.text for part in reader.read(page(tmp_path), "good.html")] == ["# Returns\n\nWithin 30 days."]


def test_what_cannot_be_read_is_refused_in_the_readers_words(reader, tmp_path):
    (tmp_path / "torn.pdf").write_bytes(b"%PDF-1.4 torn")
    with pytest.raises(Unreadable, match="torn.pdf is cut off"):
        reader.read(tmp_path / "torn.pdf", "torn.pdf")
    assert reader.read(page(tmp_path), "good.html")


def hostile_docx(folder):
    """Nested so that its reader works for minutes."""
    depth = 60_000
    body = "<w:p><w:r><w:t>x</w:t></w:r></w:p>" * depth
    namespace = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    with zipfile.ZipFile(folder / "slow.docx", "w", zipfile.ZIP_DEFLATED) as made:
        types = '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>'
        made.writestr("[Content_Types].xml", f'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">{types}</Types>')
        kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
        link = f'<Relationship Id="r" Type="{kind}" Target="word/document.xml"/>'
        made.writestr("_rels/.rels", f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{link}</Relationships>')
        made.writestr("word/document.xml", f"<w:document {namespace}><w:body>{body}</w:body></w:document>")
    return folder / "slow.docx"


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read(tmp_path):
    reader = Reader(read_s=2)
    try:
        began = time.monotonic()
        with pytest.raises(Unreadable, match="could not be read within 2 s"):
            reader.read(hostile_docx(tmp_path), "slow.docx")
        assert time.monotonic() - began < 20
        reader._read_s = 60
        assert reader.read(page(tmp_path), "good.html")
    finally:
        reader.close()


def test_a_reading_that_nobody_wants_ends_within_seconds_and_the_next_is_read(reader, tmp_path):
    asked = iter([None, Cancelled("It was cancelled.")])

    def go_on():
        if problem := next(asked):
            raise problem

    began = time.monotonic()
    with pytest.raises(Cancelled):
        reader.read(hostile_docx(tmp_path), "slow.docx", go_on)
    assert time.monotonic() - began < 20 and not reader._idle
    assert reader.read(page(tmp_path), "good.html", lambda: None)


def test_a_file_that_wants_too_much_memory_is_given_up_and_the_next_is_read(tmp_path):
    reader = Reader(memory_mb=150)
    try:
        with pytest.raises(Unreadable, match="memory|too large"):
            reader.read(page(tmp_path, "big.html", "<p>" + "x " * 30_000_000), "big.html")
    finally:
        reader.close()


def test_its_process_ends_with_the_reader(tmp_path):
    reader = Reader()
    reader.read(page(tmp_path), "good.html")
    (process,) = reader._idle
    reader.close()
    assert not process.alive


WIDE_JSON = "[" + ",".join(f'{{"k{at}": 1}}' for at in range(20_000)) + "]"


@pytest.mark.parametrize("name, data", [("wide.json", WIDE_JSON), ("wide.csv", "a,b\n" * 200_000 + "a," * 100_000)])
def test_a_table_whose_cells_multiply_costs_its_process_only(tmp_path, name, data):
    reader = Reader(read_s=5, memory_mb=300)
    try:
        with pytest.raises(Unreadable, match="memory|too large|within"):
            reader.read(page(tmp_path, name, data), name)
        reader._read_s = 60
        assert reader.read(page(tmp_path), "good.html")
    finally:
        reader.close()
