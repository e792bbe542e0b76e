"""Small files of each kind, made for the tests of reading."""

import io
import unicodedata
import zipfile

import docx

from maisale.library.reading import read

VIETNAMESE = "Khách hàng được đổi trả sản phẩm trong vòng 30 ngày kể từ ngày mua."


def kept(tmp_path, name, data):
    path = tmp_path / "received"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read(path, name)


def text_of(tmp_path, name, data):
    return "\n".join(part.text for part in kept(tmp_path, name, data))


def pdf(*pages, trailer="", catalog="", more=(), page_entry=""):
    """A PDF by hand. A page is its lines; objects of `more` are numbered after those of the pages, of which each has two from 4."""
    streams = [f"BT /F1 12 Tf 14 TL 72 720 Td {' '.join(f'({line}) Tj T*' for line in text.splitlines())} ET".encode() if text else b"" for text in pages]
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(), f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode()]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, stream in enumerate(streams):
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R {page_entry} >>"
        objects += [page.encode(), b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream)]
    objects += [one.encode() for one in more]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    tail = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + tail.encode()


def saved(document):
    data = io.BytesIO()
    document.save(data)
    return data.getvalue()


def changed(data, entry, change):
    """An office file with the XML of one entry changed."""
    old, new = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(new, "w") as archive:
        for name in old.namelist():
            archive.writestr(name, change(old.read(name).decode()) if name == entry else old.read(name))
    return new.getvalue()


def word_file():
    document = docx.Document()
    document.add_heading("Returns", 1)
    document.add_paragraph(VIETNAMESE)
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip([cell for row in table.rows for cell in row.cells], ["Channel", "Days", "Retail", "30"], strict=True):
        cell.text = text
    return saved(document)


def windows_1258(text):
    """As Windows writes it: a tone is a byte of its own behind its letter."""
    tones = "\u0300\u0301\u0303\u0309\u0323"
    data = b""
    for letter in unicodedata.normalize("NFC", text):
        marks = unicodedata.normalize("NFD", letter)
        base = unicodedata.normalize("NFC", "".join(mark for mark in marks if mark not in tones))
        data += (base + "".join(mark for mark in marks if mark in tones)).encode("cp1258")
    return data
