"""ask and search: what the page does, in a terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from dataclasses import asdict

from maisale.chat.explain import explain as explained
from maisale.chat.replies import Replies
from maisale.cli.opened import Opened
from maisale.flow.graph import decide
from maisale.records import Reply, User
from maisale.services import Services
from maisale.store import chunks, documents
from maisale.ui.explained import in_words

MODEL_WAIT_S = 3  # for the first word of the model server; without it quotations answer

_ESCAPED = re.compile(r"\\([^\w\s])")  # quotations are Markdown: their own marks are escaped, for pages


def ask(args: argparse.Namespace) -> int:
    """Prints the answer as it is written, then its sources."""
    with Opened(args) as (services, user):
        _await_model_server(services)
        reply = asyncio.run(_ask(services, user, args))
    if args.json:
        print(json.dumps(asdict(reply), ensure_ascii=False))
    else:
        for source in [one for one in reply.citations if one.cited] or reply.citations:
            print(f"[{source.number}] {', '.join(filter(None, (source.title, source.place)))}")
    if reply.cause:
        print(reply.cause, file=sys.stderr)
    return 0 if reply.state == "done" else 1


def search(args: argparse.Namespace) -> int:
    """Prints the passages that an answer to these words would be chosen from, best first."""
    with Opened(args) as (services, user):
        where, searched = documents.searchable(services.db, user.scope, names=args.collection)
        trace = decide(services, args.words, user.scope, where, "", searched=searched).trace
        texts = chunks.chunks(services.db, where, [one.chunk.key for one in trace.candidates])
    found = [(one, texts[one.chunk.key]) for one in trace.candidates if one.chunk.key in texts][: args.limit]
    if args.json:
        keys_of = ("key", "title", "place", "heading", "text", "document_id")
        print(json.dumps([{"score": one.score, **{name: getattr(chunk, name) for name in keys_of}} for one, chunk in found], ensure_ascii=False))
        return 0
    for one, chunk in found:
        print(f"{one.score:5.2f}  {', '.join(filter(None, (chunk.title, chunk.place)))}\n       {' '.join(chunk.text.split())[:200]}")
    if not found:
        print(f"Nothing was found for {args.words!r}.")
    return 0


def explain(args: argparse.Namespace) -> int:
    """Prints what became of one document in one answer."""
    with Opened(args) as (services, user):
        found = explained(services, user.scope, args.message_id, args.document_id)
    print(json.dumps(asdict(found), ensure_ascii=False) if args.json else in_words(found, "en"))
    return 0


async def _ask(services: Services, user: User, args: argparse.Namespace) -> Reply:
    replies = Replies(services)
    try:
        ack = await replies.ask(user.scope, args.question, args.conversation, tuple(args.collection))
        shown = 0
        async for reply in replies.tail(user.scope, ack.reply_id):
            if not args.json:
                plain = _ESCAPED.sub(r"\1", reply.text)
                print(plain[shown:], end="", flush=True)
                shown = len(plain)
        if shown:
            print("\n")
        return reply
    finally:
        await replies.close()


def _await_model_server(services: Services) -> None:
    ends = time.monotonic() + MODEL_WAIT_S
    while not services.models.status.checked_at and time.monotonic() < ends:
        time.sleep(0.05)
