"""move: from one database to another one."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

from maisale.cli.opened import acting
from maisale.cli.upkeep import bar, say
from maisale.ops import moving
from maisale.services import read_settings


def move(args: argparse.Namespace) -> int:
    source = read_settings(os.environ)
    # Without a vector index: that is the worker's to build.
    target = read_settings({**os.environ, "DATABASE_URL": args.to, "DATABASE_URL_FILE": "", "VECTORS": "exact"})
    with bar(args) as progress:
        moved = moving.move(source, target, progress, acting())
    words = f"{sum(moved.rows.values()):,} rows were moved and compared, and the words of {moved.passages:,} passages indexed anew."
    words += "\nNow set DATABASE_URL to the new address and start the app: its worker builds the vector index, and answers come meanwhile."
    words += "\nThe old database is as it was; remove it when all is well, for it holds everything that is deleted later."
    say(args, asdict(moved), "\n".join([words, *moved.notes]))
    return 0
