"""A conversation to take away: as Markdown for people, as JSON for programs. Sources stand below each answer as they were cited then."""

from __future__ import annotations

import re
import time

from maisale.records import Citation, Conversation, Message

QUOTED_CHARACTERS = 300  # of a passage
_ASKED, _ANSWERED = "Question", "Answer"


def as_markdown(conversation: Conversation, messages: list[Message]) -> str:
    """Times are UTC."""
    parts = [f"# {_line(conversation.title) or 'Conversation'}"]
    for message in messages:
        who = _ASKED if message.sender == "user" else _ANSWERED
        parts.append(f"## {who}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime(message.created_at))} UTC")
        parts.append(message.text.strip() or "(no text)")
        if message.reply and message.reply.cause:
            parts.append(f"_{_line(message.reply.cause)}_")
        cited = [one for one in message.reply.citations if one.cited] if message.reply else []
        if cited:
            parts.append("\n".join(_source(one) for one in cited))
    return "\n\n".join(parts) + "\n"


def file_name(conversation: Conversation, ending: str) -> str:
    """A name for the download, in ASCII: headers carry no other."""
    plain = re.sub(r"[^a-z0-9]+", "-", conversation.title.lower()).strip("-")
    return f"{plain[:60] or 'conversation'}.{ending}"


def _source(one: Citation) -> str:
    place = f", {_line(one.place)}" if one.place else ""
    text = _line(one.text)
    quoted = text if len(text) <= QUOTED_CHARACTERS else text[:QUOTED_CHARACTERS].rsplit(" ", 1)[0] + " …"
    return f"- [{one.number}] **{_line(one.title)}**{place}: {quoted}"


def _line(text: str) -> str:
    return " ".join(text.split())
