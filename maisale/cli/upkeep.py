"""backup, restore, verify, rebuild-index, compact, jobs and doctor: keeping what is stored, and knowing how it is."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm

from maisale.child import worker_lives
from maisale.cli.opened import Opened, acting
from maisale.config import Settings
from maisale.library import dead_letters, deletion_list, embedders, upkeep
from maisale.ops import backup as backups
from maisale.ops import doctor as doctors
from maisale.ops import erasing, held, moving, rebuild, replay
from maisale.ops import verify as verifying
from maisale.records import Erasure, Scope
from maisale.services import Services, open_services, patient_index, read_settings
from maisale.store import audit, erasures

INDEX_WAIT_S = 10.0
COMPACT_WAIT_S = 60.0  # for a running worker to empty its index
_SIGNS = {doctors.OK: "ok   ", doctors.LOOK: "look ", doctors.WRONG: "WRONG"}


def backup(args: argparse.Namespace) -> int:
    began = time.monotonic()
    with Opened(args, alone=True) as (services, _), bar(args) as progress:
        manifest = backups.back_up(services.db, services.settings, args.file, progress, acting())
    say(args, {"file": str(args.file), "seconds": round(time.monotonic() - began, 2), **asdict(manifest)}, _contents(manifest, f"Written to {args.file}"))
    return 0


def restore(args: argparse.Namespace) -> int:
    settings, began = read_settings(os.environ), time.monotonic()
    deletions, replayed = replay.listed(settings, args.deletions), []

    if settings.on_postgres:
        moving.check_empty(settings)  # before anything is put anywhere

    def delete_again(folder: Path) -> None:
        replayed.append(replay.replay(folder, settings, deletions or [], acting()))

    with bar(args) as progress:
        manifest = backups.restore(args.file, settings, progress, acting(), delete_again)
        _settle(settings, progress)
    deletion_list.note(settings, deletions if args.deletions and deletions else [])
    words = _contents(manifest, f"Restored into {settings.data_dir}")
    if deletions is None:
        words += f"\nWhat was deleted since then is back: `restore --deletions FILE`, with {deletion_list.NAME} of the folder that was lost, deletes it again."
    else:
        words += f"\n{replayed[0]} of the {len(deletions)} deletions in the list were done again; the others are not in the backup."
    words += "\nStart the app: its worker builds the vector index anew, and answers come meanwhile. Everybody signs in again; revoke keys that were lost since."
    say(args, {"seconds": round(time.monotonic() - began, 2), "replayed": replayed[0], **asdict(manifest)}, words)
    return 0


def _settle(settings: Settings, progress: backups.Progress) -> None:
    """A backup holds a SQLite database, without an index of words when it was made on Postgres; on Postgres its rows move there."""
    local = replace(settings, database_url="", vectors="exact") if settings.on_postgres else settings
    if settings.on_postgres:
        moving.move(local, settings, progress, acting())
        for end in ("", "-wal", "-shm"):
            local.sqlite_path.with_name(local.sqlite_path.name + end).unlink(missing_ok=True)
        return
    services = open_services(local, "cli")
    try:
        if not rebuild.has_words(services):
            rebuild.words(services, progress)
    finally:
        services.close()


def verify(args: argparse.Namespace) -> int:
    if args.file is not None:
        with bar(args) as progress:
            manifest = backups.check(args.file, progress)
        say(args, asdict(manifest), _contents(manifest, f"{args.file} is whole"))
        return 0
    with Opened(args, alone=True) as (services, _), bar(args) as progress:
        exact = services.settings.index == "exact" or not worker_lives(services.settings)
        report = verifying.verify(services, None if exact else patient_index(services.settings, INDEX_WAIT_S), progress)
    words = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in report.counts.items())
    say(args, asdict(report), f"{words}: {'all is well' if not report.problems else 'something is wrong'}")
    for line in [*report.problems, *report.notes]:
        print(line, file=sys.stderr)
    return 1 if report.problems else 0


def rebuild_index(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _), bar(args) as progress:
        done = rebuild.words(services, progress)
        upkeep.ask_for_rebuild(services.db, acting())
        running = worker_lives(services.settings)
    later = "The worker builds the index of vectors now; exact search answers meanwhile." if running else "The next worker builds the index of vectors."
    say(args, {"passages": done, "worker": running}, f"The words of {done:,} passages were indexed anew. {later}")
    return 0


def compact(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        before = services.db.size()
        done = erasing.erase(services, index_wait_s=COMPACT_WAIT_S, by=acting())
        after = services.db.size()
    words = f"The database had {before / 1e6:,.1f} MB and has {after / 1e6:,.1f} MB now."
    words += f"\n{len(done)} {'deletion is' if len(done) == 1 else 'deletions are'} out of every file." if done else ""
    say(args, {"bytes_before": before, "bytes_after": after, "erased": [one.id for one in done]}, words)
    return 0


def list_erasures(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        services.db.write(lambda tx: audit.note(tx, acting(), "erasures_read"))
        known = held.known(services.db, services.settings)
        found = [(one, held.holding(one, known)) for one in erasures.listed(services.db, limit=1000)]
    lines = [f"{one.id}  {one.kind:<12} {one.subject_id}  {_fate(one, kept)}" for one, kept in found]
    say(args, [{**asdict(one), "backups": [asdict(backup) for backup in kept]} for one, kept in found], "\n".join(lines or ["Nothing was deleted yet."]))
    return 0


def _fate(one: Erasure, kept: Sequence[held.Held]) -> str:
    """What is said of a receipt: whether the files hold it, and which backups do."""
    state = f"erased at {_moment(one.erased_at)}" if one.erased_at else f"pending since {_moment(one.asked_at)}"
    counts = ", ".join(f"{n:,} {what}" for what, n in one.counts.items())
    places = [f"{backup.path} (until {_moment(backup.expires_at)})" if backup.expires_at else f"{backup.path} (kept by whoever made it)" for backup in kept]
    return f"{state}: {counts}" + (f"; still in {', '.join(places)}" if places else "")


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def list_embedders(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        found = embedders.made(services)
    lines = [f"{'searched' if one.searched else 'kept':9} {one.name:<20} {one.vectors:,} of {one.passages:,} passages" for one in found]
    say(args, [asdict(one) for one in found], "\n".join(lines or ["There are no vectors yet."]))
    return 0


def use_embedder(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        if args.name == "auto":
            embedders.choose_by_itself(services, acting())
            words = "The better embedder takes over by itself, when its vectors are complete."
        else:
            embedders.use(services, args.name, acting())
            words = f"The vectors of {args.name} are searched from now on. `embedder use auto` ends that."
    say(args, {"embedder": args.name}, words)
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
    say(args, data, "\n".join(lines or ["Nothing was given up."]))
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
    say(args, {"jobs": ids}, f"{len(ids)} {'job is' if len(ids) == 1 else 'jobs are'} {words}.")
    return 0


def doctor(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        findings = doctors.examine(services)
    lines = [f"{_SIGNS[one.state]}  {one.about:<13} {one.words}" + (f"\n{'':21}-> {one.todo}" if one.todo else "") for one in findings]
    say(args, [asdict(one) for one in findings], "\n".join(lines))
    return 1 if any(one.state == doctors.WRONG for one in findings) else 0


def _contents(manifest: backups.Manifest, begin: str) -> str:
    made = _moment(manifest.created_at)
    counts = ", ".join(f"{manifest.counts[name]:,} {name}" for name in ("users", "conversations", "messages", "documents", "chunks"))
    missing = f"\nWithout the files of {len(manifest.missing)} documents, which were gone: {', '.join(manifest.missing[:5])}" if manifest.missing else ""
    return f"{begin}: as of {made}, {counts}.{missing}"


def say(args: argparse.Namespace, data: object, words: str) -> None:
    print(json.dumps(data, ensure_ascii=False) if args.json else words)


@contextmanager
def bar(args: argparse.Namespace) -> Iterator[verifying.Progress]:
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
