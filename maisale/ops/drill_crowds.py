"""Much at once: a hundred uploads, a large file, ten thousand small ones; and a backup that is taken under load and restored."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable

from maisale.ops import backup as backups
from maisale.ops.drill import Ground
from maisale.ops.drill_instance import Instance
from maisale.ops.drill_load import document, upload_all

UPLOADS = 100
SMALL_FILES = 10_000
SMALL_FILES_SHORT = 200
HANDS = 10  # connections over which the small files come
LARGE_BYTES = 50_000_000  # what UPLOAD_MB allows
PICTURE = b'<html><body><h1>Purifier %s</h1><p>Its filter code is %s.</p><img src="data:image/png;base64,%s"></body></html>'


def uploads_at_once(ground: Ground) -> None:
    """A hundred files at the same instant."""
    files = [_small() for _ in range(UPLOADS)]
    refused = upload_all(ground.instance.url, ground.book, files, at_once=UPLOADS)
    ground.healthy()
    ground.must(not refused, f"files were refused: {dict(refused)}")


def large_file(ground: Ground) -> None:
    """A file as large as is taken, beside a load, and one that is a little larger: refused. Short: a page with a picture; long: text throughout."""
    ground.begin_load()
    code, _ = document(1)
    make = _page if ground.short else _text
    refused = upload_all(ground.instance.url, ground.book, [(f"{code}.{'html' if ground.short else 'txt'}", code, lambda: make(code))], 1)
    ground.must(not refused, f"a file of {LARGE_BYTES:,} bytes was refused: {dict(refused)}")
    refused = upload_all(ground.instance.url, ground.book, [("larger.txt", code, lambda: bytes(LARGE_BYTES + 2_000_000))], 1)
    ground.must(any(" MB" in words for words in refused), f"a larger file was not refused in words: {dict(refused)}")
    ground.healthy()


def small_files(ground: Ground) -> None:
    """Ten thousand small files, over ten connections."""
    number, began = SMALL_FILES_SHORT if ground.short else SMALL_FILES, time.monotonic()
    refused = upload_all(ground.instance.url, ground.book, [_small() for _ in range(number)], at_once=HANDS)
    ground.outcome.details |= {"files": number, "accepted_per_second": round(number / (time.monotonic() - began), 1)}
    ground.healthy()
    ground.must(not refused, f"files were refused: {dict(refused)}")


def backup(ground: Ground) -> None:
    """Taken while people work, restored elsewhere, where an app is started: what had been acknowledged before it began is all there."""
    ground.begin_load(paragraphs=20)
    time.sleep(3 if ground.short else 20)
    before = ground.book.read()
    file = ground.folder / "team.backup"
    done = ground.instance.command("backup", str(file))
    ground.must(done.returncode == 0, f"the backup failed: {done.stderr[-300:]}")
    ground.settle()
    restored = Instance(ground.folder / "restored", ground.instance.environ)
    backups.restore(file, restored.settings())
    ground.outcome.details["restored"] = len(before)
    elsewhere = Ground(ground.outcome.name, type(ground.place)(restored), ground.folder / "elsewhere", ground.short)
    try:
        restored.start()
        for one in before:
            elsewhere.book.note(one.kind, one.name, one.detail)
        elsewhere.healthy()
        elsewhere.settle()
        elsewhere.count()
        ground.must(elsewhere.outcome.held, f"after the restore: {elsewhere.outcome}")
        if not ground.short:
            found = restored.command("verify")
            ground.must(found.returncode == 0, f"verify after the restore: {found.stdout[-200:]} {found.stderr[-300:]}")
    finally:
        restored.stop()
    ground.outcome.healthy_s += elsewhere.outcome.healthy_s


def _small() -> tuple[str, str, Callable[[], bytes]]:
    code, text = document(1)
    return f"{code}.md", code, lambda: text.encode()


def _page(code: str) -> bytes:
    word = code.encode()
    room = LARGE_BYTES - len(PICTURE) - 2 * len(word)
    return PICTURE % (word, word, base64.b64encode(os.urandom(room * 3 // 4 - 3)))


def _text(code: str) -> bytes:
    begin, lines, size = f"Purifier {code}.\n\n", [], 0
    while size < LARGE_BYTES - 500:
        lines.append(document(1)[1].partition("\n\n")[2] + "\n\n")
        size += len(lines[-1])
    return (begin + "".join(lines)).encode()[:LARGE_BYTES]
