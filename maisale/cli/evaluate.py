"""eval: what retrieval is worth, as figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from maisale.cli.opened import Opened
from maisale.errors import BadInput
from maisale.ops import evaluation
from maisale.ops.feedback_replay import replay, totals
from maisale.services import read_settings
from maisale.store.accounts import find_tenant
from maisale.store.feedback import list_feedback


def run(args: argparse.Namespace) -> int:
    limits = [_limit(text) for text in args.fail_under]  # before the work of minutes
    if args.compare:
        return _compare(args)
    if args.from_feedback:
        return _replay(args)
    if args.folder is None:
        raise BadInput("Give the folder of a set, or --compare, or --from-feedback.")
    with tqdm(disable=args.json or None, leave=False) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.desc, bar.total = what, total
            bar.update(done - bar.n)

        found = evaluation.evaluate(evaluation.load(args.folder), read_settings(os.environ), args.without_marks, progress)
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print(found)
    return _judge(found, limits)


def _limit(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as problem:
        raise BadInput(f"--fail-under takes MEASURE=VALUE, such as nDCG@5=.95; this is {text!r}.") from problem


def _judge(found: Mapping[str, Any], limits: Iterable[tuple[str, float]]) -> int:
    low = 0
    for name, value in limits:
        if not isinstance(found.get(name), (int, float)):
            raise BadInput(f"There is no measure {name!r}. There are {', '.join(key for key, one in found.items() if isinstance(one, float))}.")
        if found[name] < value:
            print(f"{name} is {found[name]}, under {value}.", file=sys.stderr)
            low = 1
    return low


def _print(found: Mapping[str, Any], indent: str = "") -> None:
    for name, value in found.items():
        if name == "per_question":
            continue
        if isinstance(value, Mapping):
            print(f"{indent}{name}")
            _print(value, indent + "  ")
        else:
            print(f"{indent}{name:<20} {value}")


def _compare(args: argparse.Namespace) -> int:
    found = evaluation.compare(*(_output_of(path) for path in args.compare))
    if args.json:
        print(json.dumps(found))
        return 0
    for name, one in found.items():
        verdict = "better" if one["low"] > 0 else "worse" if one["high"] < 0 else "no difference that counts"
        interval = f"{one['difference']:+.4f} (95 % of resamples {one['low']:+.4f} to {one['high']:+.4f})"
        print(f"{name:<7} {one['before']:.4f} -> {one['after']:.4f}  {interval}  {verdict}")
    return 0


def _replay(args: argparse.Namespace) -> int:
    """A line a judged question, then the totals; with --json one object."""
    with Opened(args, alone=True) as (services, _):
        tenant_id = find_tenant(services.db, args.tenant)
        judged = list_feedback(services.db, tenant_id)
        found = [replay(services, tenant_id, one) for one in tqdm(judged, disable=args.json or None, leave=False)]
    counted = totals(found)
    if args.json:
        print(json.dumps({**counted, "questions": [asdict(one) for one in found]}, ensure_ascii=False))
        return 0
    for one in found:
        ranks = ", ".join(f"{before} -> {'-' if now is None else now}" for before, now in one.ranks)
        print(f"{one.verdict:<4}  {one.state:<7}  {ranks or '-':<24}  {' '.join(one.question.split())}")
    for verdict, states in counted.items():
        print(f"{verdict:<4}  {', '.join(f'{n} {state}' for state, n in states.items())}")
    return 0


def _output_of(path: Path) -> dict[str, Any]:
    """The last line of what `eval DIR --json` printed."""
    try:
        return json.loads(path.read_text("utf-8").strip().rsplit("\n", 1)[-1])
    except (OSError, ValueError) as problem:
        raise BadInput(f"{path} is not an output of `eval DIR --json` ({problem}).") from problem
