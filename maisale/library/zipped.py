"""Office files of today are ZIP archives of XML: bounded before they are unpacked, and refused in a sentence when they are torn or locked."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from maisale.errors import Unreadable

XML_MB = 25  # that an office file may unpack to without its pictures; a novel of 1,000 pages takes about 10
UNPACKED_MB = 300  # with its pictures
ZIP_ENTRIES = 10_000

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Microsoft's container: files before 2007, and encrypted ones of today
_LOCKED = "EncryptedPackage".encode("utf-16-le")

# What the pages of a document, a presentation and a workbook link to.
_SHOWN = re.compile(r"(?:word/_rels/document|ppt/slides/_rels/slide\d+|xl/worksheets/_rels/sheet\d+)\.xml\.rels")
_PICTURED = re.compile(rb'Target="[^"]*(?:media|charts|diagrams|drawings)/')

T = TypeVar("T")


def opened(path: Path, name: str, work: Callable[[], T]) -> T:
    """What `work` makes of an office file. Raises Unreadable."""
    _check_container(path, name)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        # zipfile unpacks no more of an entry than its declared size, so that the sum is a true bound.
        all_mb = sum(entry.file_size for entry in entries) / 1e6
        xml_mb = sum(entry.file_size for entry in entries if "/media/" not in entry.filename) / 1e6
        if xml_mb > XML_MB or all_mb > UNPACKED_MB or len(entries) > ZIP_ENTRIES:
            raise Unreadable(f"{name} unpacks to {all_mb:,.0f} MB, which is too much to be read. Split it and add the parts.")
        return work()
    except (Unreadable, RecursionError, MemoryError):
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as problem:
        raise Unreadable(f"{name} is damaged or cut off ({_why(problem)}). Download or export it again.") from problem
    except Exception as problem:  # readers of office files raise whatever their XML makes them stumble over
        kind = Path(name).suffix[1:].upper()
        raise Unreadable(f"{name} is damaged and cannot be read as {kind}. Open it, save it anew and add it again.") from problem


def _why(problem: Exception) -> str:
    """In a word or two; the text of an OSError would name a folder of the server."""
    return (problem.strerror or "it cannot be read").lower() if isinstance(problem, OSError) else str(problem)


def holds_pictures(path: Path) -> bool:
    """Whether an office file shows pictures, charts or diagrams; those of a presentation's design do not count."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        links = [archive.read(name) for name in archive.namelist() if _SHOWN.fullmatch(name)]
    return any(_PICTURED.search(one) for one in links)


def _check_container(path: Path, name: str) -> None:
    data = path.read_bytes()
    if not data.startswith(_OLE):
        return
    ending = Path(name).suffix.lower()
    if _LOCKED in data:
        raise Unreadable(f"{name} is protected with a password. Save it without one and add it again.")
    raise Unreadable(f"{name} is a file of an old kind under a new name, or protected. Save it as {ending} without a password and add it again.")
