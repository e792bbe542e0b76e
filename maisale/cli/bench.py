"""bench: what the product costs, as figures, in a data folder of its own."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from maisale.child import WorkerProcess, worker_lives
from maisale.config import Settings, apart
from maisale.errors import BadInput
from maisale.ops import bench, bench_library
from maisale.ops.bench_library import Progress
from maisale.services import open_services, read_settings


def retrieval(args: argparse.Namespace) -> int:
    """Fills a library with N chunks, lets a worker index it, asks, and prints recall and milliseconds."""
    with nullcontext(args.data) if args.data else tempfile.TemporaryDirectory(prefix="maisale-bench-") as folder:
        # Of the environment counts what concerns retrieval and models; the data is this command's own.
        settings = read_settings(apart(os.environ, Path(folder), DATABASE_URL=args.database, VECTORS=""))
        with tqdm(disable=args.json or None, leave=False) as bar:

            def progress(what: str, done: int, total: int) -> None:
                bar.desc, bar.total = what, total
                bar.update(done - bar.n)

            found = _measure(settings, args, progress)
    if args.json:
        print(json.dumps(found))
    else:
        _print(found)
    return 0


def _measure(settings: Settings, args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    services = open_services(settings, "app")  # the one process that moves SQLite's log into its file, as in the product
    try:
        fill_s = bench_library.fill(services, args.source, args.chunks, progress)
        with _worker(settings):
            index_s = bench.wait_for_index(services, progress)
            found = bench.retrieval(services, args.questions, progress)
    finally:
        services.close()
    return {"source": args.source.resolve().name, **found, "fill_s": round(fill_s, 1), "index_s": round(index_s, 1)}


@contextmanager
def _worker(settings: Settings) -> Iterator[None]:
    if worker_lives(settings):
        raise BadInput(f"A worker runs on {settings.data_dir}. Stop it, or give another folder.")
    worker = WorkerProcess(settings)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


def _print(found: Mapping[str, Any], indent: str = "") -> None:
    for name, value in found.items():
        if isinstance(value, Mapping) and not {"p50", "p95"} <= value.keys():
            print(f"{indent}{name}")
            _print(value, indent + "  ")
        else:
            shown = f"p50 {value['p50']:>8}   p95 {value['p95']:>8}" if isinstance(value, Mapping) else value
            print(f"{indent}{name:<20} {shown}")
