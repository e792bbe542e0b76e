"""kill -9 of the app and of its worker at random moments, and of the worker while Chroma writes its files."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path

from maisale.ops.drill import Ground
from maisale.ops.drill_instance import NotRun

AIM_S = 90.0  # until a persist comes; after that the kill comes all the same
LONG_PARAGRAPHS = 1200  # about 100 passages a document: Chroma persists every 2,000
PAUSE_S = 3.0


def kills(ground: Ground) -> None:
    """Both processes, one after the other, while people ask and upload."""
    ground.begin_load(paragraphs=40 if ground.short else 200)
    for _ in range(1 if ground.short else 5):
        time.sleep(PAUSE_S * random.uniform(0.3, 1.2))
        ground.instance.kill_worker()
        time.sleep(PAUSE_S * random.uniform(0.2, 1.0))
        kill_and_start(ground)


def kills_at_a_persist(ground: Ground) -> None:
    """The worker, at the moment when Chroma writes its HNSW files, and the app a little later. Notes how often that was hit."""
    if ground.short:
        raise NotRun("Chroma persists every 2,000 vectors, which takes minutes: only in the long form")
    ground.begin_load(paragraphs=LONG_PARAGRAPHS)
    hits, tries = 0, 5
    for _ in range(tries):
        hits += _kill_at_a_persist(ground)
        time.sleep(random.uniform(0.2, 1.0))
        kill_and_start(ground)
    ground.outcome.details |= {"hit_a_persist": hits, "aimed": tries}


def kill_and_start(ground: Ground) -> None:
    with ground.watch.down():
        ground.instance.kill()
        began = time.monotonic()
        ground.instance.start()
    ground.outcome.details.setdefault("seconds_to_start", []).append(round(time.monotonic() - began, 1))
    ground.healthy()


def _kill_at_a_persist(ground: Ground) -> bool:
    index, ends = ground.instance.data / "chroma_db", time.monotonic() + AIM_S
    before = _newest(index)
    while (hit := _newest(index)) == before and time.monotonic() < ends:
        time.sleep(0.002)
    ground.instance.kill_worker()
    return hit != before


def _newest(index: Path) -> float:
    """When an HNSW file was last written; 0 before there is one."""
    written = 0.0
    for path in index.glob("*/*.bin"):
        with suppress(FileNotFoundError):
            written = max(written, path.stat().st_mtime)
    return written
