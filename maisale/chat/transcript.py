"""A conversation to take away: as Markdown for people, as JSON for programs. Sources stand below each answer as they were cited then."""

from __future__ import annotations

import re
import time

from maisale.records import Citation, Conversation, Message

QUOTED_CHARACTERS = 300  # of a passage
_ACTIVE = (
    (re.compile(r"<(?=[A-Za-z/!?])"), "&lt;"),
    (re.compile(r"!(?=\[)"), r"!\\"),
    (re.compile(r"\](?=\(\s*<?(?!https?://|mailto:|#))"), r"]\\"),
    (re.compile(r"\](?=:)"), r"]\\"),  # where a reference would be defined
)
_ASKED, _ANSWERED = "Question", "Answer"


def as_markdown(conversation: Conversation, messages: list[Message]) -> str:
    """Times are UTC."""
    parts = [f"# {_line(conversation.title) or 'Conversation'}"]
    for message in messages:
        who = _ASKED if message.sender == "user" else _ANSWERED
        parts.append(f"## {who}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime(message.created_at))} UTC")
        parts.append(_inert(message.text.strip()) or "(no text)")
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
    return _inert(" ".join(text.split()))


def _inert(text: str) -> str:
    """Markdown in which no viewer finds a tag, a picture to fetch, or a link to anything but a page, a mail or a place in the text.

    Also within code, where it costs a backslash that is seen: what is code is for each viewer to say.
    """
    for pattern, written in _ACTIVE:
        text = pattern.sub(written, text)
    return text
