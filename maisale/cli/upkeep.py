"""backup, restore, verify, rebuild-index, compact, jobs and doctor: keeping what is stored, and knowing how it is."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from tqdm import tqdm

from maisale.child import worker_lives
from maisale.cli.opened import Opened, acting
from maisale.config import from_env
from maisale.library import dead_letters, embedders, upkeep
from maisale.ops import backup as backups
from maisale.ops import doctor as doctors
from maisale.ops import rebuild
from maisale.ops import verify as verifying
from maisale.records import Scope
from maisale.services import Services, patient_index
from maisale.store import audit

INDEX_WAIT_S = 10.0
_SIGNS = {doctors.OK: "ok   ", doctors.LOOK: "look ", doctors.WRONG: "WRONG"}


def backup(args: argparse.Namespace) -> int:
    began = time.monotonic()
    with Opened(args, alone=True) as (services, _), _bar(args) as progress:
        manifest = backups.back_up(services.db, services.settings, args.file, progress, acting())
    _say(args, {"file": str(args.file), "seconds": round(time.monotonic() - began, 2), **asdict(manifest)}, _contents(manifest, f"Written to {args.file}"))
    return 0


def restore(args: argparse.Namespace) -> int:
    settings, began = from_env(os.environ), time.monotonic()
    with _bar(args) as progress:
        manifest = backups.restore(args.file, settings, progress, acting())
    words = _contents(manifest, f"Restored into {settings.data_dir}")
    words += "\nStart the app: its worker builds the vector index anew, and answers come meanwhile. Everybody signs in again; revoke keys that were lost since."
    _say(args, {"seconds": round(time.monotonic() - began, 2), **asdict(manifest)}, words)
    return 0


def verify(args: argparse.Namespace) -> int:
    if args.file is not None:
        with _bar(args) as progress:
            manifest = backups.check(args.file, progress)
        _say(args, asdict(manifest), _contents(manifest, f"{args.file} is whole"))
        return 0
    with Opened(args, alone=True) as (services, _), _bar(args) as progress:
        exact = services.settings.vectors == "exact" or not worker_lives(services.settings)
        report = verifying.verify(services, None if exact else patient_index(services.settings, INDEX_WAIT_S), progress)
    words = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in report.counts.items())
    _say(args, asdict(report), f"{words}: {'all is well' if not report.problems else 'something is wrong'}")
    for line in [*report.problems, *report.notes]:
        print(line, file=sys.stderr)
    return 1 if report.problems else 0


def rebuild_index(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _), _bar(args) as progress:
        done = rebuild.words(services, progress)
        upkeep.ask_for_rebuild(services.db, acting())
        running = worker_lives(services.settings)
    later = "The worker builds the index of vectors now; exact search answers meanwhile." if running else "The next worker builds the index of vectors."
    _say(args, {"passages": done, "worker": running}, f"The words of {done:,} passages were indexed anew. {later}")
    return 0


def compact(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        before = services.settings.sqlite_path.stat().st_size
        services.db.compact()
        services.db.write(lambda tx: audit.note(tx, acting(), "compact"))
        after = services.settings.sqlite_path.stat().st_size
    _say(args, {"bytes_before": before, "bytes_after": after}, f"The database had {before / 1e6:,.1f} MB and has {after / 1e6:,.1f} MB now.")
    return 0


def list_embedders(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        found = embedders.made(services)
    lines = [f"{'searched' if one.searched else 'kept':9} {one.name:<20} {one.vectors:,} of {one.passages:,} passages" for one in found]
    _say(args, [asdict(one) for one in found], "\n".join(lines or ["There are no vectors yet."]))
    return 0


def use_embedder(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        if args.name == "auto":
            embedders.choose_by_itself(services, acting())
            words = "The better embedder takes over by itself, when its vectors are complete."
        else:
            embedders.use(services, args.name, acting())
            words = f"The vectors of {args.name} are searched from now on. `embedder use auto` ends that."
    _say(args, {"embedder": args.name}, words)
    return 0


def list_jobs(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        services.db.write(lambda tx: audit.note(tx, acting(), "jobs_read"))
        found = dead_letters.listed(services)
    lines = []
    for one in found:
        lines.append(f"{one.job.id}  {one.job.kind:<15}  {one.about}: {one.job.cause}")
        lines += [f"    > {' '.join(one.text.split())}"] if one.text else []
    data = [
        {"id": one.job.id, "kind": one.job.kind, "about": one.about, "text": one.text, "cause": one.job.cause, "attempts": one.job.attempts} for one in found
    ]
    _say(args, data, "\n".join(lines or ["Nothing was given up."]))
    return 0


def retry_jobs(args: argparse.Namespace) -> int:
    return _each_job(args, dead_letters.retry, "tried again")


def skip_jobs(args: argparse.Namespace) -> int:
    return _each_job(args, dead_letters.skip, "left as they are")


def _each_job(args: argparse.Namespace, verb: Callable[[Services, str, Scope], None], words: str) -> int:
    with Opened(args, alone=True) as (services, _):
        ids = [one.job.id for one in dead_letters.listed(services)] if args.job_id == "all" else [args.job_id]
        for job_id in ids:
            verb(services, job_id, acting())
    _say(args, {"jobs": ids}, f"{len(ids)} {'job is' if len(ids) == 1 else 'jobs are'} {words}.")
    return 0


def doctor(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        findings = doctors.examine(services)
    lines = [f"{_SIGNS[one.state]}  {one.about:<13} {one.words}" + (f"\n{'':21}-> {one.todo}" if one.todo else "") for one in findings]
    _say(args, [asdict(one) for one in findings], "\n".join(lines))
    return 1 if any(one.state == doctors.WRONG for one in findings) else 0


def _contents(manifest: backups.Manifest, begin: str) -> str:
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(manifest.created_at))
    counts = ", ".join(f"{manifest.counts[name]:,} {name}" for name in ("users", "conversations", "messages", "documents", "chunks"))
    missing = f"\nWithout the files of {len(manifest.missing)} documents, which were gone: {', '.join(manifest.missing[:5])}" if manifest.missing else ""
    return f"{begin}: as of {made}, {counts}.{missing}"


def _say(args: argparse.Namespace, data: object, words: str) -> None:
    print(json.dumps(data, ensure_ascii=False) if args.json else words)


@contextmanager
def _bar(args: argparse.Namespace) -> Iterator[verifying.Progress]:
    shown = ""
    with tqdm(disable=args.json or None, leave=False) as bar:

        def progress(what: str, done: int, total: int) -> None:
            nonlocal shown
            if what != shown:
                shown = what
                bar.reset(total or None)
                bar.set_description(what)
            bar.update(done - bar.n)

        yield progress
