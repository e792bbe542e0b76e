"""probe: whether a running server keeps people apart, as a table of routes and callers."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict

from maisale.errors import Misconfigured
from maisale.ops.probe import Report, probe
from maisale.services import read_settings

PAGES = ("the manager's", "the manager's fresh", "the foreign admin's fresh", "the admin's")
# (heading, the callers whose calls are added up under it)
COLUMNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("anonymous", ("anonymous", "a browser without a session")),
    ("expired", ("an expired key", "an expired key's session", "a session signed out", "a key for a day")),
    ("revoked", ("a revoked key", "a revoked key's session", "a key revoked meanwhile", "an earlier invitation")),
    ("forged", ("a forged key", "another site", "another site in an old browser")),
    ("narrow", ("a key to read", "a key to chat", "a key to write", "the manager's narrow key", "the admin's narrow key")),
    ("colleague", ("colleague", "demoted")),
    ("outsider", ("outsider",)),
    ("admins", (*("manager", "foreign admin", "admin", "a fresh key"), *(f"{whose} page" for whose in PAGES))),
    ("owner", ("owner", "the owner's page")),
    ("anybody", ("anybody", "everybody")),
)


def run(args: argparse.Namespace) -> int:
    """Probes and prints; 1 when anything was found. X_API_KEY_ADMIN is the server's own."""
    key = read_settings(os.environ).admin_key
    if not key:
        raise Misconfigured("X_API_KEY_ADMIN is not set. The probe makes its two tenants with it, and deletes them: give it the server's.")
    report = probe(args.url, key, args.only)
    print(json.dumps(_plain(report), ensure_ascii=False) if args.json else _table(report))
    return 1 if report.findings else 0


def _plain(report: Report) -> dict[str, object]:
    counts = [{"route": route, "caller": caller, "right": right, "wrong": wrong} for (route, caller), (right, wrong) in report.counts.items()]
    found = [asdict(one) for one in report.findings]
    return {"calls": report.calls, "seconds": round(report.seconds, 1), "counts": counts, "findings": found, "notes": report.notes}


def _table(report: Report) -> str:
    """A line for each route: how often each kind of caller got what was expected, with ! and how often not."""
    headings = [heading for heading, _ in COLUMNS]
    routes = sorted({route for route, _ in report.counts}, key=lambda route: (route.startswith("fn "), route.split(" ", 1)[-1], route))
    width = max(map(len, routes), default=0)
    lines = [f"{'':{width}}  {'  '.join(headings)}"]
    lines += [f"{route:{width}}  {_cells([_count(report, route, callers) for _, callers in COLUMNS])}" for route in routes]
    sums = [tuple(map(sum, zip(*(_count(report, route, callers) for route in routes), strict=True))) for _, callers in COLUMNS]
    lines += ["", f"{'all':{width}}  {_cells(sums)}", ""]
    lines += [f"FOUND  {one.route}  {one.caller}: {one.seen}" for one in report.findings]
    lines += [f"NOTE  {note}" for note in report.notes]
    lines.append(f"{len(routes)} routes and functions, {report.calls} calls, {len(report.findings)} findings, {report.seconds:.1f} s")
    return "\n".join(lines)


def _count(report: Report, route: str, callers: tuple[str, ...]) -> tuple[int, int]:
    """(right, wrong)"""
    found = [report.counts[(route, caller)] for caller in callers if (route, caller) in report.counts]
    return sum(right for right, _ in found), sum(wrong for _, wrong in found)


def _cells(counts: list[tuple[int, int]]) -> str:
    cells = (f"{right or ''}{f'!{wrong}' if wrong else ''}" or "." for right, wrong in counts)
    return "  ".join(f"{cell:>{len(heading)}}" for cell, (heading, _) in zip(cells, COLUMNS, strict=True))
