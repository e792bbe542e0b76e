"""drill: breaks instances of its own on purpose and counts what was acknowledged. What each drill does is in ops/drill_*.py."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maisale.errors import BadInput
from maisale.ops.drill import Drill, Outcome
from maisale.ops.drills import DRILLS, Grounds

FIGURES = ("accepted", "ended", "failed", "lost", "doubled")

Found = Mapping[str, dict[str, Any]]  # name of a drill -> its outcome


def run(args: argparse.Namespace) -> int:
    """Prints a line a drill; 1 when one did not hold, or none could be run."""
    known = {one.name: one for one in DRILLS}
    if unknown := [name for name in args.only if name not in known]:
        raise BadInput(f"There is no drill {unknown[0]!r}. They are: {', '.join(known)}.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its instances must not outlive it
    began = time.monotonic()
    chosen = [one for one in DRILLS if not args.only or one.name in args.only]
    rows = [[one.name for one in chosen if (one.place == "plain") is plain] for plain in (True, False)]
    found = _side_by_side(rows, args.json) if args.short and all(rows) else _in_a_row(chosen, args.short, args.json)
    found = _summary(found, time.monotonic() - began)
    print(json.dumps(found, ensure_ascii=False) if args.json else _totals(found))
    return 0 if found["held"] else 1


def _in_a_row(chosen: Sequence[Drill], short: bool, on_stderr: bool) -> Found:
    found = {}
    with tempfile.TemporaryDirectory(prefix="maisale-drill-") as folder, Grounds(Path(folder), os.environ, short) as grounds:
        for one in chosen:
            outcome = grounds.run(one)
            print(_line(outcome), file=sys.stderr if on_stderr else sys.stdout, flush=True)
            found[one.name] = _plain(outcome)
    return found


def _side_by_side(rows: Sequence[Sequence[str]], on_stderr: bool) -> Found:
    """Each row in a process of its own: short drills mostly wait, and two of them do so at the same time."""
    command = [sys.executable, "-m", "maisale", "drill", "--short", "--json", "--only"]
    out = sys.stderr if on_stderr else sys.stdout
    running = [subprocess.Popen([*command, *row], stdout=subprocess.PIPE, stderr=out, text=True) for row in rows]
    try:
        said = [one.communicate()[0] for one in running]
    finally:
        for one in running:
            one.terminate()
            one.wait()
    return {name: outcome for one in said for name, outcome in json.loads(one.splitlines()[-1])["drills"].items()}


def _line(one: Outcome) -> str:
    if one.not_run:
        return f"{one.name:<16} not run: {one.not_run}"
    figures = f"accepted {one.accepted}  ended {one.ended}  failed with cause {one.failed.total()}  lost {one.lost}  doubled {one.doubled}"
    times = f"healthy after {max(one.healthy_s, default=0.0):.1f} s  all ended after {one.settled_s:.1f} s  took {one.seconds:.0f} s"
    words = [f"{one.name:<16} {'held' if one.held else 'DID NOT HOLD'}  {figures}  {times}", *(f"{'':16} {wrong}" for wrong in one.wrong)]
    return "\n".join(words)


def _summary(each: Found, seconds: float) -> dict[str, Any]:
    ran = [one for one in each.values() if "not_run" not in one]
    totals = {figure: sum(one[figure] for one in ran) for figure in FIGURES}
    held = bool(ran) and all(one["held"] for one in ran)
    return {**totals, "held": held, "not_run": len(each) - len(ran), "seconds": round(seconds, 1), "drills": each}


def _plain(one: Outcome) -> dict[str, Any]:
    """An outcome as JSON has it."""
    if one.not_run:
        return {"not_run": one.not_run}
    figures = {"accepted": one.accepted, "ended": one.ended, "failed": one.failed.total(), "lost": one.lost, "doubled": one.doubled}
    times = {"healthy_s": max(one.healthy_s, default=0.0), "settled_s": one.settled_s, "past_lease_s": one.past_lease_s, "seconds": one.seconds}
    return {**figures, **times, "held": one.held, "causes": dict(one.failed), "wrong": one.wrong, **one.details}


def _totals(found: dict[str, Any]) -> str:
    figures = ", ".join(f"{figure} {found[figure]}" for figure in FIGURES)
    not_run = f", {found['not_run']} not run" if found["not_run"] else ""
    return f"{'Everything held' if found['held'] else 'NOT EVERYTHING HELD'}: {figures}{not_run}, {found['seconds']:.0f} s"
