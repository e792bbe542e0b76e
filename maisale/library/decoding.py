"""Bytes to text, whatever wrote them, and text without what no person typed. Pure; which kind of file it is is reading.py's to say."""

from __future__ import annotations

import codecs
import re
import unicodedata

from charset_normalizer import from_bytes

from maisale.errors import Unreadable

# A longer mark first: that of UTF-32 begins with that of UTF-16.
_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_BINARY = 0.01  # share of control characters above which no person wrote it; random bytes have .11
OLD_FONT_WORDS = 0.15  # share of words with letters as only such fonts use them; English, French and German have under .01
_OLD_FONTS = [
    ("TCVN3, as .VnTime", re.compile("[b-zB-Z][µ¶¸¹¨©]|®[a-zÀ-ÿµ¶¸¹]")),
    ("VNI, as VNI-Times", re.compile("[aeouAEOU][ùøûõïâäåãáàéèúüëêÙØÛÕÏÂÄÅÃÁÀÉÈÚÜËÊ]")),
]
_CONTROL = re.compile("[\0-\b\x0e-\x1f\x7f]")
# Control, invisible and direction characters, lone surrogates, and the tag characters that hide text from people but not from models.
_UNSEEN = re.compile("[\0-\b\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]")
_BEYOND_TYPING = re.compile("[^\n\t -~]")
# Letters for printing and spaces of a width, by which a word or a phrase would not be found; NFC leaves them.
_SAME = str.maketrans({**dict(zip("ﬀﬁﬂﬃﬄﬅﬆ", ["ff", "fi", "fl", "ffi", "ffl", "st", "st"], strict=True)), **dict.fromkeys("\u00a0\u2007\u202f", " ")})
_LINE_END = re.compile("\r\n?|[\x0b\x85\u2028]")
_PARAGRAPH_END = re.compile("[\x0c\u2029]")


def decode(data: bytes, name: str) -> str:
    """The text of `data`: by its mark, as UTF-8, as UTF-16 without a mark, else as the likeliest old code page (Vietnamese among them).

    Raises Unreadable for what is not text.
    """
    text = _marked(data) or _utf8(data) or _bare_utf16(data)
    if text is None and not _is_binary(data.decode("latin-1")):
        text = _old_code_page(data)
    if text is None or _is_binary(text):
        raise Unreadable(f"{name} is not text: it holds binary data. Was it renamed? Give it the ending of its kind, or save it as text and add it again.")
    return text


def old_vietnamese(text: str) -> str:
    """"TCVN3" or "VNI" when `text` is made of the letters of such a font, which only it shows as Vietnamese; else nothing."""
    head = "" if text.isascii() else text[:100_000]
    for font, pattern in _OLD_FONTS:
        if (seen := len(pattern.findall(head))) > 4 and seen > OLD_FONT_WORDS * len(re.findall(r"\w+", head)):
            return font
    return ""


def clean(text: str) -> str:
    """`text` as people see it: composed letters (NFC), no ligatures, \\n at line ends, no control or invisible characters."""
    if not _BEYOND_TYPING.search(text):
        return text
    lines = _LINE_END.sub("\n", _PARAGRAPH_END.sub("\n\n", text))
    return unicodedata.normalize("NFC", _UNSEEN.sub("", lines).translate(_SAME))


def _marked(data: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                return None
    return None


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _bare_utf16(data: bytes) -> str | None:
    """Latin letters in UTF-16 have a zero for every second byte."""
    head = data[:4096]
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(data) % 2 == 0 and zeros.count(0) > len(zeros) // 3 and head.count(0) < len(head) * 0.6:
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                return None
    return None


def _old_code_page(data: bytes) -> str | None:
    # The two code pages of our readers first: among all of them short texts come out as anything (charset-normalizer 3.5).
    found = from_bytes(data, cp_isolation=["cp1258", "cp1252"]).best() or from_bytes(data).best()
    return str(found) if found else None


def _is_binary(text: str) -> bool:
    return len(_CONTROL.findall(text)) > _BINARY * len(text)
