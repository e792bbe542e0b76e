"""The documents page: drop zone, filters, and where each document stands. Pure: records in, HTML out."""

from __future__ import annotations

import json
import time
from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maisale.library.dead_letters import DeadLetter
from maisale.library.documents import KNOWLEDGE
from maisale.records import Document
from maisale.ui.causes import told
from maisale.ui.ledger import Opened, given_up, left_in_words, steps
from maisale.ui.markup import Clock, asks_delete, bar, digest, dot, esc, find_box, icon, size_in_words, tool
from maisale.ui.texts import say
from maisale.ui.view import KINDS, Shown, View


@dataclass(frozen=True, slots=True)
class Letters:
    """What was given up: how many by kind of job and, when they are unfolded, the first of them."""

    counts: Mapping[str, int]
    listed: Sequence[DeadLetter] = ()


def documents_page(
    documents: Sequence[Document],
    language: str,
    *,
    view: View,
    shown: Shown,
    upload_mb: int,
    may_write: bool,
    read_only: Names[str] = (),
    notice: str = "",
    done: str = "",
    letters: Letters | None = None,
    opened: Opened | None = None,
    offset_minutes: int = 0,
    now: float | None = None,
) -> str:
    """documents: the rows of the page that `shown` is. read_only: ids of those that this person may read and not change.

    notice: what went wrong, in words. done: what was done, in words. opened: the document whose steps are shown. Nothing in it changes only
    because time goes by.
    """
    clock = Clock(language, offset_minutes, now or time.time())
    rows = "".join(_row(one, clock, may_write and one.id not in read_only, opened) for one in documents)
    names = "".join(f"<th>{say(language, key)}</th>" for key in ("document", "state", "received"))
    head = f'<tr>{names}<th><span class="unseen">{say(language, "actions")}</span></th></tr>'
    table = f'<table class="documents"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    none = "nothing_matched" if shown.totals["all"] else "no_documents"
    said = f'<p class="error" role="alert">{esc(notice)}</p>' if notice else ""
    said += f'<p class="outcome" role="status">{esc(done)}</p>' if done else ""
    given = given_up(letters.counts, letters.listed, clock, may_write, view.letters) if letters else ""
    ages = esc(json.dumps({key: say(language, key, n="{n}") for key in ("just_now", "minutes_ago", "hours_ago", "yesterday")}, ensure_ascii=False))
    page = (
        f'<header class="pane-head">{menu_button(language)}'
        f'<h1>{say(language, "documents")}</h1><span>{summary(shown, language)}</span></header>'
        f'<div class="pane-body">{drop_zone(language, "library", upload_mb) if may_write else ""}{said}'
        f"{given}{_filters(shown, view, language)}"
        f'{table if documents else f"""<p class="hint" role="status">{say(language, none)}</p>"""}{_pager(shown, language)}</div>'
    )
    return f'<section class="documents-page" lang="{language}" data-ages="{ages}" data-drawn="{digest(page)}">{page}</section>'


def menu_button(language: str) -> str:
    """Opens the sidebar on a phone; elsewhere it is not shown."""
    return f'<button type="button" class="menu-button" data-menu aria-label="{say(language, "menu")}">{icon("menu", 20)}</button>'


def drop_zone(language: str, target: str, upload_mb: int) -> str:
    """target: library, or chat for files that only this conversation sees. Files dropped on it go to that input of Gradio's."""
    title, who = ("drop_here", "drop_here_who") if target == "library" else ("drop_to_ask", "drop_to_ask_who")
    words = say(language, who, mb=upload_mb, collection=KNOWLEDGE)
    text = f"<span><b>{say(language, title)}</b><span>{words}</span></span>"
    return f'<button type="button" class="drop" data-drop="{target}">{icon("upload", 20)}{text}</button>'


def summary(shown: Shown, language: str) -> str:
    """Of everything, whatever is searched for."""
    counts = {
        "documents": say(language, "n_documents", n=shown.totals["all"]),
        "collections": say(language, "n_collections", n=shown.collections),
    }
    parts = [say(language, "documents_summary", **counts)]
    parts += [say(language, key, n=shown.totals[kind]) for kind, key in (("running", "n_in_progress"), ("failed", "n_failed")) if shown.totals[kind]]
    return " · ".join(parts)


def _filters(shown: Shown, view: View, language: str) -> str:
    """The number of a filter is that of the rows which it lists."""
    names = {"all": "all", "running": "in_progress", "words": "words_filter", "failed": "failed_filter"}
    chips = "".join(
        f'<button type="button" class="filter" data-filter="{kind}" aria-pressed="{"true" if kind == view.kind else "false"}"'
        f'{_what(kind, language)}>{say(language, names[kind])} {shown.counts[kind]}</button>'
        for kind in KINDS
        if kind != "words" or shown.totals["words"] or view.kind == "words"
    )
    return f'<div class="filters">{chips}{find_box(say(language, "find_document"), view.find)}</div>'


def _what(kind: str, language: str) -> str:
    """What a filter's name means, for those that are easily taken for each other."""
    return f' title="{say(language, f"{kind}_filter_what")}"' if kind in ("words", "failed") else ""


def _pager(shown: Shown, language: str) -> str:
    if shown.newer is None and shown.older is None:
        return ""
    words = say(language, "rows_of", first=shown.first, last=shown.first + len(shown.ids) - 1, all=shown.found)
    buttons = ""
    for key, after in (("newer", shown.newer), ("older", shown.older)):
        aim = "disabled" if after is None else f'data-after="{esc(after)}"'
        buttons += f'<button type="button" class="button" data-do="turn" {aim}>{say(language, key)}</button>'
    return f'<nav class="pager" aria-label="{say(language, "documents")}"><span>{words}</span>{buttons}</nav>'


def _row(one: Document, clock: Clock, may_change: bool, opened: Opened | None) -> str:
    language, shown = clock.language, opened is not None and opened.document_id == one.id
    passages = say(language, "n_passages", n=one.chunks) if one.chunks else ""
    folder = one.source.rpartition("/")[0] if one.source.endswith(f"/{one.title}") else one.source if one.source != one.title else ""
    facts = [one.collection, folder, passages, size_in_words(one.size, language)]
    title = f'<button type="button" class="titled" data-do="steps" aria-expanded="{"true" if shown else "false"}">{esc(one.title)}{icon("down", 14)}</button>'
    listed = steps(one, opened.steps, clock) if shown else ""
    return (
        f'<tr data-id="{esc(one.id)}">'
        f'<td class="name"><b>{title}</b><small>{esc(" · ".join(fact for fact in facts if fact))}</small>{listed}</td>'
        f'<td class="state">{state(one, language)}</td><td class="time">{clock.ago(one.received_at)}</td>'
        f'<td class="act">{_actions(one, language, may_change)}</td></tr>'
    )


def state(one: Document, language: str) -> str:
    """A dot, and the words without which it never stands; a bar and the time left while passages are embedded; causes."""
    if one.stage == "failed":
        return _failed(one, language)
    cause = say(language, f"cancelled_{one.cancelled}") if one.cancelled else told(one.cause, language)
    small = f"<small>{esc(cause)}</small>" if cause else ""
    if one.stage == "complete":
        return f'<span class="line ok">{dot("ok")}{say(language, "stage_complete")}</span>{small}'
    if cause:
        words = say(language, "words_filter" if one.stage == "searchable" else f"stage_{one.stage}")  # as its filter is called
        return f'<span class="line">{dot("hollow")}{words}</span>{small}'
    waits = f"<small>{esc(told(one.waits, language))}</small>" if one.waits else ""
    if one.stage == "searchable" and one.chunks:
        share = min(1.0, one.embedded / one.chunks)
        words = say(language, "stage_embedding" if one.running else "stage_embedding_waits", done=one.embedded, all=one.chunks)
        left = f"<small>{left_in_words(one.seconds_left, language)}</small>" if one.seconds_left is not None else ""
        return f'<span class="line">{dot("hollow")}{words}</span>{bar(share)}{left}{waits}'
    muted = " muted" if one.stage == "received" and not one.running else ""
    key = "stage_reading" if one.stage == "received" and one.running else f"stage_{one.stage}"
    return f'<span class="line{muted}">{dot("hollow")}{say(language, key)}</span>{waits}'


def _failed(one: Document, language: str) -> str:
    """What, then where and how often it was tried, then the remedy."""
    if one.cancelled:
        return f'<span class="line err">{dot("bad")}{say(language, "cancelled_unread")}</span>'
    what, _, remedy = told(one.cause, language).partition(". ")
    title = say(language, "stage_failed") + (f": {what.rstrip('.')}" if what else "")
    where = {"received": "failed_reading", "read": "failed_preparing", "chunked": "failed_preparing"}.get(one.failed_after)
    facts = [say(language, where)] if where else []
    facts += [say(language, "n_attempts", n=one.attempts)] if one.attempts > 1 else []
    circumstances = f'<small>{" · ".join(facts)}</small>' if facts else ""
    return f'<span class="line err">{dot("bad")}{esc(title)}</span>{circumstances}' + (f'<small class="err">{esc(remedy)}</small>' if remedy else "")


def _actions(one: Document, language: str, may_change: bool) -> str:
    """Open what can be read, cancel what runs, retry what did not go well; deleting asks first."""
    open_link = f'<a class="button" href="{_address(one)}" target="_blank" rel="noopener">{say(language, "open")}</a>'
    if not may_change:
        return open_link if one.searchable else ""
    if not one.ended:
        return f'<button type="button" class="button" data-do="cancel" title="{say(language, "cancel_what")}">{say(language, "cancel")}</button>'
    retry = f'<button type="button" class="button accent" data-do="retry">{say(language, "retry")}</button>' if one.stage == "failed" or one.cause else ""
    first = retry + (open_link if one.searchable else "")
    return first + tool("ask-delete", "trash", say(language, "delete"), one.title) + asks_delete("remove", language)


def _address(one: Document) -> str:
    """Of the file as it came; of a web page what was read of it, for its markup is never run and nobody reads it."""
    return f"/files/{esc(one.id)}" + ("/read" if one.media_type == "text/html" and one.searchable else "")


def attached(documents: Sequence[Document], language: str) -> str:
    """The files of the open conversation, each with its state, above the composer."""
    if not documents:
        return ""
    rows = "".join(
        f'<li data-id="{esc(one.id)}">{icon("document")}<a href="{_address(one)}" target="_blank" rel="noopener">{esc(one.title)}</a>'
        f'<span class="state">{state(one, language)}</span>{tool("remove", "close", say(language, "remove"), one.title)}</li>'
        for one in documents
    )
    return f'<ul class="attached" lang="{language}" aria-label="{say(language, "attached")}">{rows}</ul>'
