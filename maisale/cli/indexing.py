"""index and worker: documents in, and the process that reads them."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

import maisale
from maisale.child import WorkerProcess, worker_lives
from maisale.cli.opened import Opened, acting
from maisale.library.folders import SyncReport, sync_folder
from maisale.services import Services, read_settings
from maisale.store import documents

POLLED_EVERY_S = 0.3
SEARCHABLE_IS_ENOUGH_S = 30  # without any progress: the embedding model is away, and words find the documents meanwhile


def index(args: argparse.Namespace) -> int:
    """Mirrors a folder into a collection and waits until every document of it has ended."""
    with Opened(args) as (services, user):
        with tqdm(desc="Receiving", unit=" files", disable=args.json or None, leave=False) as bar:

            def progress(done: int, total: int, _: str) -> None:
                bar.total = total
                bar.update(done - bar.n)

            report = sync_folder(services, acting(user), args.source, args.collection, args.visibility, progress, args.again)
        _wait_until_ended(services, report, quiet=args.json)
        return _say_report(services, report, args.json)


def worker(args: argparse.Namespace) -> int:
    """Becomes the worker, so that signals reach it, and nothing of the command line stays in memory."""
    read_settings(os.environ)  # a setting that does not parse is said here, in a sentence
    package = str(Path(maisale.__file__).resolve().parent.parent)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))}
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a worker with a pipe there ends with whoever holds the other end
    os.execve(sys.executable, [sys.executable, "-m", "maisale.worker"], environ)


def _wait_until_ended(services: Services, report: SyncReport, quiet: bool) -> None:
    """Watches the worker, and is its parent while nobody else runs one."""
    own: WorkerProcess | None = None
    moved_at, before = time.monotonic(), None
    try:
        with tqdm(desc="Reading and indexing", unit=" documents", disable=quiet or None, leave=False) as bar:
            while True:
                states = documents.standing(services.db, report.collection_id)
                ended = sum(n for (stage, told), n in states.items() if stage in ("complete", "failed") or (stage == "searchable" and told))
                bar.total = sum(states.values())
                bar.update(ended - bar.n)
                if states != before:
                    moved_at, before = time.monotonic(), states
                found_by_words = not any(stage in ("received", "read", "chunked") for stage, _ in states)
                if ended == bar.total or (found_by_words and time.monotonic() - moved_at > SEARCHABLE_IS_ENOUGH_S):
                    return
                if own is None and not worker_lives(services.settings):
                    own = WorkerProcess(services.settings)
                    own.start()
                time.sleep(POLLED_EVERY_S)
    finally:
        if own:
            own.stop()


def _say_report(services: Services, report: SyncReport, as_json: bool) -> int:
    rows = documents.documents_of_collection(services.db, report.collection_id)
    failed = [row for row in rows if row["stage"] == "failed" and row["id"] in report.taken]
    problems = [*report.problems, *(row["cause"] for row in failed)]
    counts = {name: getattr(report, name) for name in ("new", "changed", "unchanged", "removed")} | {"failed": report.failed + len(failed)}
    stand = standing(rows)
    if as_json:
        print(json.dumps({**counts, "skipped": report.skipped, **stand, "problems": problems}, ensure_ascii=False))
    else:
        skipped = f" ({report.skipped} hidden or of another kind were passed over)" if report.skipped else ""
        print(", ".join(f"{count} {name}" for name, count in counts.items()) + skipped)
        print("\n".join(in_words(stand)))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def standing(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many of a collection's documents stand where. by_words: found by their words only, for a cause; later: embedded when the model is there."""
    by_words = sum(row["stage"] == "searchable" and bool(row["cause"]) for row in rows)
    at = Counter(row["stage"] for row in rows)
    unread = at["received"] + at["read"] + at["chunked"]
    return {"complete": at["complete"], "by_words": by_words, "later": at["searchable"] - by_words, "unread": unread, "unreadable": at["failed"]}


def in_words(stand: Mapping[str, int]) -> list[str]:
    """A line for each state that there is, and what to do about it."""
    told = (
        ("complete", "{n} of {all} are complete: found by their words and by meaning."),
        ("later", "{n} of {all} are found by their words; by meaning when they have been embedded."),
        ("by_words", "{n} of {all} are found by their words only: their search by meaning was given up. `jobs list` says why, `jobs retry all` tries again."),
        ("unread", "{n} of {all} wait to be read."),
        ("unreadable", "{n} of {all} could not be read. `documents list` says why of each, and so does the Documents page under Failed."),
    )
    return [words.format(n=stand[name], all=sum(stand.values())) for name, words in told if stand[name]]
