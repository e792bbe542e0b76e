"""audit: what was done, and whether the log of it is as it was written."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from datetime import datetime

from maisale.cli.opened import Opened, acting
from maisale.errors import BadInput
from maisale.ops import audit_chain
from maisale.store import audit


def show(args: argparse.Namespace) -> int:
    """The latest first."""
    since, until = (_moment(text) for text in (args.since, args.until))
    if args.action and args.action not in audit.ACTIONS:
        raise BadInput(f"There is no action {args.action!r}; there are {', '.join(audit.ACTIONS)}.")
    with Opened(args, alone=True) as (services, _):
        wanted = {"limit": args.limit, "before": args.before, "action": args.action or None, "user_id": args.by or None, "since": since, "until": until}
        found = audit.entries(services.db, **wanted)
        services.db.write(lambda tx: audit.note(tx, acting(), "audit_read"))
    if args.json:
        print(json.dumps([asdict(one) for one in found]))
        return 0
    for one in found:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at))
        who = f"{one.user_id or '-'} {one.address} ({one.door})"
        what = " ".join(filter(None, (one.action, one.subject_kind, one.subject_id, one.detail)))
        print(f"{one.number:>7}  {at}  {one.result}  {who}  {what}")
    return 0


def verify(args: argparse.Namespace) -> int:
    with Opened(args, alone=True) as (services, _):
        found = audit_chain.check(services.db, services.settings)
        if not found.problem:
            audit_chain.keep_witness(services.db, services.settings)
    if args.json:
        print(json.dumps(asdict(found)))
    elif not found.problem:
        print(f"{found.rows:,} rows are as they were written. The last one's hash: {found.hash or 'none'}")
    if found.problem:
        print(f"{found.problem} What stands before it is as it was written.", file=sys.stderr)
    return 1 if found.problem else 0


def _moment(text: str) -> float | None:
    """Local time. Raises BadInput."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as problem:
        raise BadInput(f"{text!r} is no date; write 2026-11-27 or 2026-11-27T14:30.") from problem
