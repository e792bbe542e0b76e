"""documents: how far each is, and cancel and retry. For the person that --tenant and --user name."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict

from maisale.cli.opened import Opened, acting
from maisale.library.progress import with_seconds_left
from maisale.library.readings import cancel_document, retry_document
from maisale.records import Document, Reached, User
from maisale.services import Services
from maisale.store import audit, documents, ledger


def list_all(args: argparse.Namespace) -> int:
    with Opened(args) as (services, user):
        _note_reading(services, user)
        found = with_seconds_left(services.db, documents.list_documents(services.db, user.scope))
    _say(args, [asdict(one) for one in found], "\n".join(f"{one.id}  {_state(one)}" for one in found) or "There are no documents.")
    return 0


def show(args: argparse.Namespace) -> int:
    with Opened(args) as (services, user):
        (one,) = with_seconds_left(services.db, [documents.get_document(services.db, user.scope, args.document_id)])
        _note_reading(services, user, one.id)
        steps = ledger.of_document(services.db, one.id)
    lines = [_state(one), f"  {_report(one)}", *(f"  {_step(each)}" for each in steps)]
    _say(args, {**asdict(one), "stages": [asdict(each) for each in steps]}, "\n".join(lines))
    return 0


def cancel(args: argparse.Namespace) -> int:
    with Opened(args) as (services, user):
        kept = cancel_document(services, acting(user), args.document_id)
    words = _state(kept) if kept else "It was cancelled before it was complete, and is deleted."
    _say(args, {"cancelled": args.document_id, "document": asdict(kept) if kept else None}, words)
    return 0


def retry(args: argparse.Namespace) -> int:
    with Opened(args) as (services, user):
        one = retry_document(services, acting(user), args.document_id)
    _say(args, asdict(one), _state(one))
    return 0


def _note_reading(services: Services, user: User, document_id: str = "") -> None:
    services.db.write(lambda tx: audit.note(tx, acting(user), "documents_read", "document" if document_id else "", document_id))


def _state(one: Document) -> str:
    embedding = f", {one.embedded} of {one.chunks} passages embedded" if one.stage == "searchable" and not one.ended else ""
    left = f", about {one.seconds_left} s left" if one.seconds_left is not None else ""
    failed = f" after {one.failed_after}, {one.attempts} attempts" if one.failed_after else ""
    why = one.cause or one.waits
    return f"{one.title}: {one.stage}{failed}{embedding}{left}" + (f". {why}" if why else "")


def _report(one: Document) -> str:
    if one.identifiers is None:
        return "Personal data: not looked for."
    return f"Personal data: {', '.join(f'{count} {kind}' for kind, count in one.identifiers.items()) or 'none found'}."


def _step(each: Reached) -> str:
    count = f"  {each.counted:,}" if each.counted is not None else ""
    attempts = f"  {each.attempts} attempts" if each.attempts else ""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.reached_at))
    return f"{at}  {each.stage:<10}{count}{attempts}" + (f"  {each.cause}" if each.cause else "")


def _say(args: argparse.Namespace, data: object, words: str) -> None:
    print(json.dumps(data, ensure_ascii=False) if args.json else words)
