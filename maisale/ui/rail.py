"""The sidebar: pages, new chat, search, conversations by day, account. Pure: records in, HTML out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from maisale.records import Conversation, User
from maisale.text import fold
from maisale.ui.markup import asks_delete, esc, find_box, icon, local, mark_of_brand, tool
from maisale.ui.texts import say

PAGES = (("chat", "chat"), ("documents", "document"))
OF_ADMINS = (("people", "people"),)


def rail(
    user: User,
    conversations: Sequence[Conversation],
    open_id: str,
    language: str,
    offset_minutes: int = 0,
    now: float | None = None,
    manages: bool = False,
) -> str:
    """manages: whether this person sees the pages of admins."""
    listed = (*PAGES, *(OF_ADMINS if manages else ()))
    pages = "".join(
        f'<button type="button" class="page-link" data-page="{page}">{icon(drawing)}<span>{say(language, page)}</span></button>' for page, drawing in listed
    )
    return (
        f'<nav class="rail" lang="{language}" data-user="{esc(user.id)}" aria-label="{say(language, "pages")}">'
        f'<div class="brand">{mark_of_brand()}<b>Mai-Sale</b></div>{pages}'
        f'<button type="button" class="new-chat" data-do="new">{icon("plus")}<span>{say(language, "new_chat")}</span></button>'
        f'<label class="find">{icon("search")}{find_box(say(language, "search_conversations"))}</label>'
        f'<div class="conversations" data-scroll="rail">{_days(conversations, open_id, language, offset_minutes, now or time.time())}'
        f'<p class="hint" data-none hidden>{say(language, "no_match")}</p></div>{_account(user, language)}</nav>'
    )


def _days(conversations: Sequence[Conversation], open_id: str, language: str, offset_minutes: int, now: float) -> str:
    if not conversations:
        return f'<p class="hint">{say(language, "no_conversations")}</p>'
    groups: dict[str, list[str]] = {}
    for one in conversations:
        groups.setdefault(day_name(one.updated_at, offset_minutes, now), []).append(_row(one, one.id == open_id, language))
    return "".join(f'<section class="day"><h2>{say(language, day)}</h2><ul>{"".join(rows)}</ul></section>' for day, rows in groups.items())


def day_name(seconds: float, offset_minutes: int, now: float) -> str:
    """today, yesterday, last_7_days or earlier, by the reader's calendar."""
    days = (local(now, offset_minutes).date() - local(seconds, offset_minutes).date()).days
    return "today" if days <= 0 else "yesterday" if days == 1 else "last_7_days" if days <= 7 else "earlier"


def _row(conversation: Conversation, is_open: bool, language: str) -> str:
    title = conversation.title or say(language, "new_chat")
    current = ' aria-current="true"' if is_open else ""
    tools = tool("rename", "edit", say(language, "rename"), title) + tool("ask-delete", "trash", say(language, "delete"), title)
    return (
        f'<li data-id="{esc(conversation.id)}" data-folded="{esc(fold(title))}">'
        f'<button type="button" class="conversation" data-do="open"{current}>{esc(title)}</button>{tools}'
        f'<form class="renaming" hidden><input value="{esc(title)}" maxlength="120" aria-label="{say(language, "rename")}"></form>'
        f'{asks_delete("delete", language)}</li>'
    )


def _account(user: User, language: str) -> str:
    initials = "".join(word[0] for word in (user.name.split() or ["?"]))[:2].upper()
    out = say(language, "sign_out")
    return (
        f'<div class="account"><button type="button" class="account-link" data-page="account" aria-label="{say(language, "account")}: {esc(user.name)}">'
        f'<span class="initials" aria-hidden="true">{esc(initials)}</span><span><b>{esc(user.name)}</b><small>{esc(user.tenant)}</small></span></button>'
        f'<form method="post" action="/logout"><button class="tool" title="{out}" aria-label="{out}">{icon("out")}</button></form></div>'
    )
