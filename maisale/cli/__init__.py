"""The command line, from index to worker. Works beside a running app and without one.

Errors are one sentence on stderr and exit code 1; a wrong command line is 2. What a command does is in the module of its kind.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from maisale.access import keys
from maisale.access.people import FIRST_ADMIN, FIRST_TENANT, ROLES
from maisale.errors import MaiSaleError

log = logging.getLogger(__name__)

Command = Callable[..., argparse.ArgumentParser]  # adds one to its verbs


def main(argv: Sequence[str], serve: Callable[[], int] | None = None) -> int:
    """Runs one command and returns the exit code. serve: what to do without a command."""
    parser = _parser(needs_command=serve is None)
    args = parser.parse_args(argv)
    try:
        if args.command is None:
            return serve()
        logging.basicConfig(level=logging.INFO if args.verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
        # Only the module that is needed: LangGraph, which ask and search want, takes seconds to import.
        return getattr(importlib.import_module(f"maisale.cli.{args.module}"), args.run)(args)
    except MaiSaleError as problem:
        print(problem, file=sys.stderr)
    except BrokenPipeError:  # `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("Stopped. What was done until now stays done; run it again to do the rest.", file=sys.stderr)
        return 130
    except Exception as problem:  # the last resort: words for the person, the rest for who asks with --verbose
        log.info("%s failed", args.command, exc_info=True)
        print(f"The command failed inside Mai-Sale ({type(problem).__name__}: {problem}). `--verbose` shows where.", file=sys.stderr)
    return 1


def _parser(needs_command: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="maisale", description="Mai-Sale: a team's chat over its own documents. Without a command, app.py serves the page.")
    parser.set_defaults(verbose=False)
    verbs = parser.add_subparsers(dest="command", metavar="COMMAND", required=needs_command)
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--verbose", action="store_true", help="say what is done, on stderr")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")
    person = argparse.ArgumentParser(add_help=False)
    person.add_argument("--tenant", default=FIRST_TENANT, help="the person's tenant (%(default)s)")
    acting = argparse.ArgumentParser(add_help=False, parents=[person])
    acting.add_argument("--user", default=FIRST_ADMIN, help="who does it (%(default)s)")

    def command(under: Any, name: str, run: str, words: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made = under.add_parser(name, help=words, description=words, parents=[everywhere, *parents])
        module, function = run.split(".")
        made.set_defaults(module=module, run=function)
        return made

    made = command(verbs, "index", "indexing.index", "make a collection hold what a folder holds", as_json, acting)
    made.add_argument("--source", type=Path, required=True, metavar="DIR")
    made.add_argument("--collection", required=True, metavar="NAME")
    made.add_argument("--visibility", choices=("tenant", "private", "public"), default="tenant", help="who reads it (%(default)s)")
    made.add_argument("--again", action="store_true", help="read the files that did not change anew too, after an upgrade that reads better")

    made = command(verbs, "ask", "answers.ask", "answer a question, with sources", as_json, acting)
    made.add_argument("question")
    made.add_argument("--collection", action="append", default=[], metavar="NAME", help="search only here; may be given again")
    made.add_argument("--conversation", metavar="ID", help="go on with this conversation")

    made = command(verbs, "search", "answers.search", "list the passages that match", as_json, acting)
    made.add_argument("words")
    made.add_argument("--collection", action="append", default=[], metavar="NAME", help="search only here; may be given again")
    made.add_argument("--limit", type=_above_zero, default=10, help="how many (%(default)s)")

    made = command(verbs, "explain", "answers.explain", "say why an answer does, or does not, rest on a document", as_json, acting)
    made.add_argument("message_id", help="of the question or of its answer, as ask --json prints them")
    made.add_argument("document_id", help="as search --json prints it")

    what = verbs.add_parser("documents", help="how far documents are; cancel, try again").add_subparsers(dest="what", metavar="WHAT", required=True)
    command(what, "list", "documents.list_all", "list the documents that the person may read, with their state", as_json, acting)
    for name, words in (
        ("show", "show when it reached which stage, with counts, attempts and causes"),
        ("cancel", "stop reading or embedding it: a new one is deleted, another keeps its passages"),
        ("retry", "go on with one that failed, was cancelled, or is found by words only"),
    ):
        command(what, name, f"documents.{name}", words, as_json, acting).add_argument("document_id", metavar="ID")

    users = verbs.add_parser("users", help="add people").add_subparsers(dest="what", metavar="WHAT", required=True)
    made = command(users, "add", "people.add_user", "add a person and print the first key", as_json)
    made.add_argument("name")
    made.add_argument("--tenant", required=True, help="made when it is missing")
    made.add_argument("--role", choices=ROLES, default="member", help="%(default)s")

    made = command(verbs, "privacy", "people.choose_privacy", "show or choose what becomes of a tenant's personal data", as_json, person)
    made.add_argument("--redact", choices=("on", "off"), help="placeholders in the place of personal data in vectors and indexes")
    made.add_argument("--model-sees-originals", choices=("on", "off"), help="whether the model that answers reads passages and questions as they are")

    kinds = verbs.add_parser("keys", help="issue, list and revoke keys").add_subparsers(dest="what", metavar="WHAT", required=True)
    made = command(kinds, "issue", "people.issue_key", "print a new key", as_json, person)
    made.add_argument("user")
    made.add_argument("--name", default="", help="what it is for")
    made.add_argument("--days", type=_above_zero, help="how long it is valid; without it until it is revoked")
    made.add_argument("--permissions", default=",".join(keys.USUAL_PERMISSIONS), help=f"of {','.join(keys.PERMISSIONS)} (%(default)s)")
    command(kinds, "list", "people.list_keys", "list a person's keys", as_json, person).add_argument("user")
    command(kinds, "revoke", "people.revoke_key", "end a key and its sessions").add_argument("key_id")

    _measuring(verbs, command, as_json, person)
    _upkeep(verbs, command, as_json)
    command(verbs, "link", "people.link", "print a sign-in link: one use, ten minutes", acting)
    command(verbs, "worker", "indexing.worker", "run a worker in the foreground")
    return parser


def _measuring(verbs: Any, command: Command, as_json: argparse.ArgumentParser, person: argparse.ArgumentParser) -> None:
    made = command(verbs, "eval", "evaluate.run", "measure retrieval on a labelled set (BEIR's layout) or on people's verdicts", as_json, person)
    made.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    made.add_argument("--without-marks", action="store_true", help="ask without diacritics")
    made.add_argument("--fail-under", action="append", default=[], metavar="MEASURE=VALUE", help="exit 1 when a measure is lower; may be given again")
    made.add_argument("--compare", type=Path, nargs=2, metavar="FILE", help="two outputs of --json, with a paired bootstrap")
    made.add_argument("--from-feedback", action="store_true", help="ask again what people have judged")

    kinds = verbs.add_parser("bench", help="measure what it costs").add_subparsers(dest="what", metavar="WHAT", required=True)
    made = command(kinds, "retrieval", "bench.retrieval", "fill a library and measure recall and milliseconds of its indexes and of the flow", as_json)
    made.add_argument("--source", type=Path, required=True, metavar="DIR", help="real text; when it is used up, edited copies of it follow")
    made.add_argument("--chunks", type=_above_zero, required=True, metavar="N")
    made.add_argument("--questions", type=_above_zero, default=200, help="how many (%(default)s)")
    made.add_argument("--data", type=Path, metavar="DIR", help="keep the library here, and use it again")
    made.add_argument("--database", default="", metavar="URL", help="an empty Postgres database, or one that this has filled: words and vectors are there")

    made = command(kinds, "ack", "bench_ack.ack", "measure how soon a crowd's questions are acknowledged, and whether all are answered", as_json)
    made.add_argument("--users", type=_above_zero, default=100, help="how many (%(default)s)")
    made.add_argument("--seconds", type=_above_zero, default=30, help="how long they send, read and think (%(default)s)")
    made.add_argument("--rounds", type=_above_zero, default=20, help="how often all send at the same instant (%(default)s)")
    made.add_argument("--indexing", action="store_true", help="while 500 documents are indexed")
    made.add_argument("--url", help="a running instance, whose X_API_KEY_ADMIN is set here too; without it one of its own")

    made = command(verbs, "probe", "probe.run", "call every route of a running server as everybody, and exit 1 when anybody sees another's", as_json)
    made.add_argument("url", metavar="URL", help="of a running Mai-Sale; X_API_KEY_ADMIN is its administrator's key")
    made.add_argument("--only", default="", metavar="REGEX", help="only the routes and functions that match")

    made = command(verbs, "drill", "drill.run", "break instances of its own on purpose, under load, and count what was accepted", as_json)
    made.add_argument("--short", action="store_true", help="less of everything, on instances that drills share")
    made.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these drills")


def _upkeep(verbs: Any, command: Command, as_json: argparse.ArgumentParser) -> None:
    made = command(verbs, "backup", "upkeep.backup", "write everything into one file while work goes on", as_json)
    made.add_argument("file", type=Path, metavar="FILE")
    made = command(verbs, "restore", "upkeep.restore", "put a backup into an empty data folder", as_json)
    made.add_argument("file", type=Path, metavar="FILE")
    words = "do the deletions of this list again; without it, those of the list that lies in the data folder"
    made.add_argument("--deletions", type=Path, metavar="FILE", help=words)
    made = command(verbs, "move", "moving.move", "copy everything into another database, SQLite or Postgres, and verify it there", as_json)
    made.add_argument("--to", required=True, metavar="URL", help="sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; it must be empty")
    made = command(verbs, "verify", "upkeep.verify", "read everything that is stored, or a backup, and say whether it is whole", as_json)
    made.add_argument("file", type=Path, nargs="?", metavar="BACKUP")
    command(verbs, "rebuild-index", "upkeep.rebuild_index", "make the indexes of words and of vectors anew from the database; needs no model", as_json)
    command(verbs, "compact", "upkeep.compact", "take what was deleted out of every file, and give space back to the disk", as_json)
    command(verbs, "erasures", "upkeep.list_erasures", "list the receipts of deletions, and the backups that still hold what was deleted", as_json)

    kinds = verbs.add_parser("embedder", help="whose vectors are searched").add_subparsers(dest="what", metavar="WHAT", required=True)
    command(kinds, "list", "upkeep.list_embedders", "list the embedders and how far their vectors are", as_json)
    made = command(kinds, "use", "upkeep.use_embedder", "search the vectors of this one from now on; auto: the better one takes over by itself", as_json)
    made.add_argument("name", metavar="NAME|auto")

    kinds = verbs.add_parser("jobs", help="background work that was given up").add_subparsers(dest="what", metavar="WHAT", required=True)
    command(kinds, "list", "upkeep.list_jobs", "list what was given up, with its cause", as_json)
    command(kinds, "retry", "upkeep.retry_jobs", "try it again", as_json).add_argument("job_id", metavar="ID|all")
    command(kinds, "skip", "upkeep.skip_jobs", "leave it as it is", as_json).add_argument("job_id", metavar="ID|all")

    kinds = verbs.add_parser("audit", help="who did what, when and from where").add_subparsers(dest="what", metavar="WHAT", required=True)
    made = command(kinds, "show", "audit.show", "print the audit log, the latest first", as_json)
    made.add_argument("--since", default="", metavar="DATE", help="2026-11-27 or 2026-11-27T14:30, in local time")
    made.add_argument("--until", default="", metavar="DATE", help="not included")
    made.add_argument("--action", default="", help="only this one, such as document_delete")
    made.add_argument("--by", default="", metavar="ID", help="only what this person did")
    made.add_argument("--limit", type=_above_zero, default=100, help="how many rows (%(default)s)")
    made.add_argument("--before", type=_above_zero, metavar="NUMBER", help="only rows below this number")
    command(kinds, "verify", "audit.verify", "say whether the log is as it was written; exit 1 and the first row that is not", as_json)
    command(verbs, "doctor", "upkeep.doctor", "say what runs, what waits, what is wrong and what to do", as_json)


def _above_zero(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
