"""bench ack: how soon a question is acknowledged when a crowd asks. Its figures are ops/bench_ack.py's."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

from maisale.cli.instance import ROOT, own_instance
from maisale.errors import BadInput
from maisale.ops import bench_ack
from maisale.ops.bench_ack import Crowd, Load
from maisale.services import read_settings

RATE_LIMIT = 1000  # work a second for each person, in the own instance: its admin makes the whole crowd
INDEXED_WITHIN_S = 120.0  # the help, before the loads begin
DONE = {"complete", "failed"}  # stages that a document stays in


def ack(args: argparse.Namespace) -> int:
    """Both loads, one after the other. Fails when a question was refused or lost."""
    if args.url and not (key := read_settings(os.environ).admin_key):
        raise BadInput("With --url, set X_API_KEY_ADMIN to that instance's: it makes the people who ask.")
    if not args.url:
        _say(f"an instance of its own, without a model server; its RATE_LIMIT is {RATE_LIMIT} instead of 5, for the one admin who makes {args.users} people")
    with nullcontext((args.url, key)) if args.url else own_instance(RATE_LIMIT=str(RATE_LIMIT)) as (url, admin_key):
        loads = asyncio.run(_measure(args, url, admin_key))
    found = _summary(args, loads)
    if not args.json:
        for name, load in loads.items():
            print(f"{name:<10}", "  ".join(f"{measure} {value}" for measure, value in load.figures().items()))
    print(json.dumps(found))
    return 1 if found["errors"] or found["lost"] else 0


async def _measure(args: argparse.Namespace, url: str, admin_key: str) -> dict[str, Load]:
    pages = ROOT / "knowledge" / "docs"
    questions = bench_ack.questions_of(pages)
    crowd = await bench_ack.gather_crowd(url, admin_key, args.users)
    try:
        if not args.url:
            await _until_indexed(crowd)
        works = {
            "thinking": lambda: bench_ack.thinking(crowd, questions, args.seconds),
            "burst": lambda: bench_ack.burst(crowd, questions, args.rounds),
        }
        return {name: await _load(args, crowd, name, work) for name, work in works.items()}
    finally:
        if args.url:
            await bench_ack.disband_crowd(url, admin_key, crowd)


async def _load(args: argparse.Namespace, crowd: Crowd, name: str, work: Callable[[], Awaitable[Load]]) -> Load:
    if args.indexing:
        _say(f"{bench_ack.INDEXED} documents are added")
        await bench_ack.add_documents(crowd, bench_ack.INDEXED, bench_ack.paragraphs_of(ROOT / "knowledge" / "docs"))
        before = await _unindexed(crowd)
    _say(f"{name}: {args.users} people")
    load = await work()
    if args.indexing:
        load.unindexed = before, await _unindexed(crowd)
    await bench_ack.look_through(load)
    return load


async def _until_indexed(crowd: Crowd) -> None:
    ends = time.monotonic() + INDEXED_WITHIN_S
    while not (found := await bench_ack.stages(crowd)) or set(found) - DONE:
        if time.monotonic() > ends:
            raise bench_ack.BenchFailed(f"The help pages were not indexed within {INDEXED_WITHIN_S:.0f} s.")
        await asyncio.sleep(0.5)


async def _unindexed(crowd: Crowd) -> int:
    return sum(number for stage, number in (await bench_ack.stages(crowd)).items() if stage not in DONE)


def _summary(args: argparse.Namespace, loads: dict[str, Load]) -> dict[str, Any]:
    """The figures of the load with the higher P95; errors and lost of both together."""
    each = {name: load.figures() for name, load in loads.items()}
    worse = max(each, key=lambda name: each[name]["p95_ms"])
    found = {**each[worse], **{name: sum(one[name] for one in each.values()) for name in ("errors", "lost")}}
    about = {"worse_load": worse, "users": args.users, "indexing": args.indexing, "load_average": round(os.getloadavg()[0], 2)}
    return {**found, **about, "loads": {name: {**each[name], **load.details()} for name, load in loads.items()}}


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
