"""Thumbs up and down for each answer, and a field for what was wrong. Pure: messages and verdicts in, HTML out.

Gradio's chat carries no block of ours: this is a hidden list in the order of the answers, and behaviour/ copies each entry under its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maisale.chat.feedback import COMMENT_CHARACTERS
from maisale.records import Message
from maisale.ui.markup import esc, icon
from maisale.ui.texts import say

_BUTTONS = (("up", "good_answer"), ("down", "bad_answer"))


def verdicts(messages: Sequence[Message], judged: Mapping[str, tuple[str, str]], language: str) -> str:
    """An entry for each answer; that of one still written is empty. judged: (verdict, comment) by reply."""
    entries = [
        _entry(message.id, *judged.get(message.id, ("", "")), language) if message.reply and message.reply.ended else '<span class="verdict"></span>'
        for message in messages
        if message.sender != "user"
    ]
    return f'<div lang="{language}">{"".join(entries)}</div>' if entries else ""


def _entry(reply_id: str, verdict: str, comment: str, language: str) -> str:
    buttons = "".join(
        f'<button type="button" class="tool" data-verdict="{value}" aria-pressed="{"true" if value == verdict else "false"}"'
        f' title="{say(language, key)}" aria-label="{say(language, key)}">{icon(f"thumb_{value}")}</button>'
        for value, key in _BUTTONS
    )
    return f'<span class="verdict" lang="{language}" data-reply="{esc(reply_id)}">{buttons}{_comment(verdict, comment, language) if verdict else ""}</span>'


def _comment(verdict: str, comment: str, language: str) -> str:
    """What was said, or the offer to say something; and the field, which opens on demand and right after a verdict."""
    asks = say(language, "what_was_wrong" if verdict == "down" else "what_was_good")
    return (
        f'<button type="button" class="comment-link" data-comment title="{say(language, "change_comment" if comment else "add_comment")}">'
        f"{esc(comment) if comment else say(language, 'add_comment')}</button>"
        f'<form class="commenting" hidden><label>{asks}<textarea rows="2" maxlength="{COMMENT_CHARACTERS}">{esc(comment)}</textarea></label>'
        f'<button class="button accent">{say(language, "save")}</button>'
        f'<button type="button" class="button" data-comment>{say(language, "close")}</button></form>'
    )
