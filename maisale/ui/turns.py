"""A conversation as gr.Chatbot shows it: Markdown for answers, text for questions, steps and thinking folded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from maisale.records import Message, Reply
from maisale.ui.markup import esc
from maisale.ui.sources import short
from maisale.ui.texts import say

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$>^=:])")
_CITATION = re.compile(r"\[(\d{1,2})\](?:\([^()\s]*\))?")  # with an address of the model's own, which a number must not lead to


def turns(messages: Sequence[Message], language: str, running: Reply | None = None, step: str = "") -> list[dict[str, Any]]:
    """The messages in order. running: a newer state of one of their replies. step: what is done before the question is stored."""
    shown: list[dict[str, Any]] = []
    answering = False  # an earlier answer is still written, so that the next one waits for its turn
    for message in messages:
        if message.sender == "user":
            shown.append(question(message.text))
        else:
            reply = running if running and running.id == message.id else message.reply
            shown += answer(reply, language, answering) if reply else [_said(message.text)]
            answering = answering or bool(reply and not reply.ended)
    return shown + ([_pending(step)] if step else [])


def question(text: str) -> dict[str, Any]:
    """A person's words stay as typed: neither Markdown nor HTML."""
    return {"role": "user", "content": _as_typed(text)}


def answer(reply: Reply, language: str, waits: bool = False) -> list[dict[str, Any]]:
    """Thinking folded, the step while it runs, the text with its citations, and how it ended when that was not well."""
    shown = []
    if reply.thinking:
        status = "done" if reply.text or reply.ended else "pending"
        shown.append({"role": "assistant", "content": _as_typed(reply.thinking), "metadata": {"title": say(language, "thinking"), "status": status}})
    if not reply.ended and not reply.text:
        shown.append(_pending(say(language, "waiting") if waits else _step(reply, language)))
    end = _end(reply, language)
    if reply.text or end:
        shown.append(_said("\n\n".join(part for part in (linked(reply), end) if part)))
    return shown


def linked(reply: Reply) -> str:
    """The text with every [n] as a link to its card."""
    known = {citation.number for citation in reply.citations}

    def link(found: re.Match[str]) -> str:
        number = int(found[1])
        return f"[[{number}]](#src-{number}-{short(reply.id)})" if number in known else f"[{number}]"

    return _CITATION.sub(link, reply.text if reply.ended else _settled(reply.text))


def _settled(text: str) -> str:
    """Unfinished text whose bold words are bold at once, without a flash of asterisks."""
    if text.rsplit("\n", 1)[-1].count("**") % 2 == 0:
        return text
    return text[:-2] if text.endswith("**") else f"{text.rstrip()}**"


def _step(reply: Reply, language: str) -> str:
    if reply.step in ("reading", "writing"):
        return say(language, "reading_sources", n=len(reply.citations))
    if reply.step == "queued":
        return say(language, "queued", n=reply.place_in_line, place=_ordinal(reply.place_in_line, language))
    return say(language, "searching")


def _ordinal(number: int, language: str) -> str:
    if language != "en":
        return str(number)
    return f"{number}{'th' if number % 100 in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _end(reply: Reply, language: str) -> str:
    if reply.state not in ("stopped", "interrupted", "failed"):
        return ""
    words = say(language, "failed", cause=reply.cause) if reply.state == "failed" else say(language, reply.state if reply.text else f"{reply.state}_empty")
    return f"<small>{esc(words)} <a href=\"#again-{reply.id}\">{say(language, 'ask_again')}</a></small>"


def _pending(words: str) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "metadata": {"title": words, "status": "pending"}}


def _as_typed(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))


def _said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}
